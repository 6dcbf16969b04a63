"""One HTTP request to one answer, byte-exact, and nothing else.

A transport never follows redirects, never decompresses, keeps no cookies, repeats nothing that may
have reached the server and never changes the path: S3 keys are data, and a signature covers the
exact bytes of the path.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from s3fanout.model.errors import OutOfFiles, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Header = tuple[str, str]
"""A lower-case name and a value without control characters."""


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How connections are made; the same meaning for every transport.

    Attributes:
        connections_max: Connections in use at one time, over all hosts; more requests wait.
        connect_s: For a connection, its TLS handshake included.
        read_s: Silence on a connection that a response is awaited on. A server-side copy of
            5 GB is silent for as long as the store works, on vendors that send nothing meanwhile.
        total_s: For everything, unless a request names its own.
        ca_file: PEM bundle that is trusted *beside* the default roots.
        use_environment_proxies: Honour ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY`` and their
            lower-case forms.
    """

    connections_max: int = 128
    connect_s: float = 10.0
    read_s: float = 120.0
    total_s: float = 600.0
    ca_file: Path | None = None
    use_environment_proxies: bool = True


class Response(NamedTuple):
    """An answer, whatever its status.

    Attributes:
        status: HTTP status code.
        headers: By lower-case name; the first value of a repeated one. Bytes beyond ASCII are UTF-8
            (what is not UTF-8 is kept as surrogate escapes).
        body: The whole body, as sent; ``b""`` if it is ``oversized``.
        oversized: The body is longer than the caller allowed, and was not read.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    oversized: bool = False


def unanswered(error: Exception, *, maybe_applied: bool) -> Unavailable:
    """Our error for a failed connection or request."""
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        return OutOfFiles("no file descriptor is left for a connection", maybe_applied=False)
    return Unavailable(
        f"no answer error={type(error).__name__} cause={str(error)!r}", maybe_applied=maybe_applied
    )


class Transport(Protocol):
    """Sends requests over kept connections. Safe for many requests at a time on one event loop."""

    async def request(
        self,
        method: str,
        base: str,
        raw_path: str,
        query: str,
        headers: Sequence[Header],
        body: bytes = b"",
        *,
        response_bytes_max: int,
        total_s: float | None = None,
    ) -> Response:
        """Send one request and read its answer.

        Args:
            method: Upper-case HTTP method.
            base: ``scheme://host`` or ``scheme://host:port``, lower case.
            raw_path: Starts with ``/``; only unreserved characters, ``/`` and ``%XX``. Sent as is.
            query: Encoded, without ``?``; ``""`` for none. Sent as is.
            headers: Sent in addition to what HTTP needs; ``host`` among them.
            body: Sent with its length; a ``PUT`` without one says ``content-length: 0``.
            response_bytes_max: See ``Response.oversized``.
            total_s: Instead of the settings' total timeout.

        Raises:
            Unavailable: There is no whole answer; ``maybe_applied`` unless the request cannot have
                reached the server. No other error is raised.
        """
        ...

    async def close(self) -> None:
        """Close all connections; requests in flight fail. Idempotent."""
        ...
