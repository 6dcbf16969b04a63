"""Ports of this machine for servers that we start and that must be told their port beforehand."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that is given to nobody else until the end of the context.

    On Linux it stays bound without listening: whoever connects is refused, a server that sets
    ``SO_REUSEADDR`` (all that we start do) can listen on it, again and again, and the system gives
    it neither to who asks for any port nor to a connection that goes out. Other systems refuse a
    second socket; there the port is free a moment before it is used.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        port: int = holder.getsockname()[1]
        if not sys.platform.startswith("linux"):
            holder.close()
        yield port
