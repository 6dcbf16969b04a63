"""The fast transport: pyreqwest, which is Rust's reqwest (hyper, rustls) behind an asyncio API.

Five of its habits are dealt with here and in ``transport_routed`` (all seen with 0.15.1, each held
by a test in ``tests/unit/test_transport_wire.py`` so that an upgrade that changes one is noticed):

- it parses URLs by the WHATWG rules, which resolve ``.`` and ``..`` segments (``unsendable_path``);
- header values beyond ASCII can be sent but not read (``HeaderUnreadable``);
- a ``PUT`` with an empty body carries no ``Content-Length``, which S3 answers with 411;
- ``ConnectError`` does not mean that nothing was sent (``_NEVER_CONNECTED``);
- its thread may still hold the interpreter when ``close`` returns; a process that ends in that
  moment is aborted by CPython ("PyGILState_Release", 17 of 60 runs on one core without the pause).
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import BuilderError, PoolTimeoutError, PyreqwestError

from s3fanout.adapters.store.transport import Response
from s3fanout.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyreqwest.client import Client
    from pyreqwest.response import Response as PyreqwestResponse

    from s3fanout.adapters.store.transport import Header, TransportSettings

_DOT_SEGMENT = re.compile(r"/(?:\.|%2[eE]){1,2}(?:/|\Z)")
_READS = frozenset({"GET", "HEAD"})
_LENGTH_ZERO = (("content-length", "0"),)
_READ_STEP_BYTES = 64 * 1024
_THREAD_PAUSE_S = 0.02
_NEVER_CONNECTED = "client error (Connect)"
"""The only proof that nothing was sent: ``ConnectError`` is also raised for a connection that was
closed after the request had been sent."""


class HeaderUnreadable(Exception):
    """The answer to a read has a header value that this library cannot hand out."""


def unsendable_path(raw_path: str) -> bool:
    """Whether a WHATWG parser would rewrite the path (https://url.spec.whatwg.org/#path-state)."""
    return ("/." in raw_path or "/%2" in raw_path) and _DOT_SEGMENT.search(raw_path) is not None


class PyreqwestTransport:
    """``Transport`` on pyreqwest, for paths that are not ``unsendable_path``.

    Raises ``HeaderUnreadable`` from ``request`` for a ``GET`` or ``HEAD``; see the module.
    """

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._client: Client | None = None

    def _open(self) -> Client:
        settings = self._settings
        builder = (
            ClientBuilder()
            .http1_only()
            .follow_redirects(False)
            .referer(False)
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .user_agent("s3fanout")
            .connect_timeout(timedelta(seconds=settings.connect_s))
            .read_timeout(timedelta(seconds=settings.read_s))
            .timeout(timedelta(seconds=settings.total_s))
            .max_connections(settings.connections_max)
            .pool_max_idle_per_host(settings.connections_max)
            .pool_idle_timeout(timedelta(seconds=15))
        )
        if not settings.use_environment_proxies:
            builder = builder.no_proxy()
        if settings.ca_file is not None:
            builder = builder.add_root_certificate_pem(settings.ca_file.read_bytes())
        return builder.build()

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
        if self._client is None:
            self._client = self._open()
        url = f"{base}{raw_path}?{query}" if query else base + raw_path
        try:
            request = self._client.request(method, url).headers(headers)
            if body:
                request = request.body_bytes(body)
            elif method == "PUT":
                request = request.headers(_LENGTH_ZERO)
            if total_s is not None:
                request = request.timeout(timedelta(seconds=total_s))
            if method in _READS:
                async with request.build_streamed() as answer:
                    return await _read(method, answer, response_bytes_max)
            # The answer to a write is small, and one hand-over between threads costs less than two.
            return await _whole(await request.build().send(), response_bytes_max)
        except PyreqwestError as error:
            raise _unavailable(error) from error
        except ValueError as error:
            raise Unavailable(f"request cannot be sent reason={str(error)!r}") from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            # Real time on purpose: a foreign thread needs it to let go of the interpreter.
            await asyncio.sleep(_THREAD_PAUSE_S)  # noqa: TID251


async def _whole(answer: PyreqwestResponse, bytes_max: int) -> Response:
    try:
        headers = dict(answer.headers)
    except ValueError:
        headers = _readable(answer)
    body = (await answer.bytes()).to_bytes()
    if len(body) > bytes_max:
        return Response(answer.status, headers, b"", oversized=True)
    return Response(answer.status, headers, body)


async def _read(method: str, answer: PyreqwestResponse, bytes_max: int) -> Response:
    try:
        headers = dict(answer.headers)
    except ValueError:
        raise HeaderUnreadable from None
    if method == "HEAD":
        return Response(answer.status, headers, b"")
    length = headers.get("content-length", "")
    reader = answer.body_reader
    if length.isdecimal():
        if int(length) > bytes_max:
            return Response(answer.status, headers, b"", oversized=True)
        return Response(answer.status, headers, (await reader.bytes()).to_bytes())
    parts: list[bytes] = []
    size_bytes = 0
    while (part := await reader.read(_READ_STEP_BYTES)) is not None:
        size_bytes += len(part)
        if size_bytes > bytes_max:
            return Response(answer.status, headers, b"", oversized=True)
        parts.append(part.to_bytes())
    return Response(answer.status, headers, b"".join(parts))


def _readable(answer: PyreqwestResponse) -> dict[str, str]:
    """The headers of an answer to a write, whose unreadable ones carry nothing that we need."""
    headers: dict[str, str] = {}
    for name in answer.headers.keys():  # noqa: SIM118 -- iterating must not touch the values
        try:
            headers[name] = answer.headers[name]
        except ValueError:
            continue
    return headers


def _unavailable(error: PyreqwestError) -> Unavailable:
    details = getattr(error, "details", None) or {}
    causes = [cause["message"] for cause in details.get("causes") or ()] or [error.message]
    never_sent = _NEVER_CONNECTED in causes or isinstance(error, (PoolTimeoutError, BuilderError))
    return Unavailable(
        f"no answer error={type(error).__name__} cause={causes[-1]!r}",
        maybe_applied=not never_sent,
    )
