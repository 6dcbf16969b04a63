"""What stands between a client and a store: a TLS front, and a forward proxy."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.servers.server import LOOPBACK

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_ABSOLUTE = re.compile(rb"^([A-Z]+) http://([^/ ]+)(\S*) ")
_CONNECT = re.compile(rb"^CONNECT (\S+) ")


@contextmanager
def tls_front(endpoint: str, context: ssl.SSLContext) -> Iterator[str]:
    """``https://`` in front of a store that speaks ``http://``; every byte passes as it is."""
    target = urlsplit(endpoint)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join((reader, writer), await asyncio.open_connection(target.hostname, target.port))

    with _listening(handle, context) as port:
        yield f"https://{LOOPBACK}:{port}"


@contextmanager
def forward_proxy(names: dict[str, str], seen: list[str]) -> Iterator[str]:
    """A proxy that alone knows where ``names`` (``host:port`` to an endpoint) are.

    Args:
        names: What it forwards; all else is refused.
        seen: Gets the ``host:port`` of each connection.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        connect, absolute = _CONNECT.match(head), _ABSOLUTE.match(head)
        found = connect[1] if connect else absolute[2] if absolute else b""
        name = found.decode()
        if name not in names:
            writer.close()
            return
        seen.append(name)
        target = urlsplit(names[name])
        store = await asyncio.open_connection(target.hostname, target.port)
        if connect:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            store[1].write(_ABSOLUTE.sub(rb"\1 \3 ", head))
        await _join((reader, writer), store)

    with _listening(handle, None) as port:
        yield f"http://{LOOPBACK}:{port}"


async def _join(one: Streams, other: Streams) -> None:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError, NotImplementedError):  # TLS has no half-closed state
            writer.write_eof()

    try:
        await asyncio.gather(pass_on(one[0], other[1]), pass_on(other[0], one[1]))
    finally:
        for _, writer in (one, other):
            writer.transport.abort()


@contextmanager
def _listening(handle: Handle, context: ssl.SSLContext | None) -> Iterator[int]:
    """Serve on a free port from a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(handle, LOOPBACK, 0, ssl=context), loop
        ).result(10)
        yield server.sockets[0].getsockname()[1]
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.05)  # aborted connections say so to their streams
