"""The mature transport: aiohttp. It sends any path as it is given and reads any header."""

from __future__ import annotations

import ssl
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiohttp
import yarl

from s3fanout.adapters.store.transport import Response, unanswered
from s3fanout.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.adapters.store.transport import Header, TransportSettings

_SKIPPED_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""aiohttp's own: a Content-Type would become the object's, an Accept-Encoding invites a proxy to
compress what must arrive as it is stored."""
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ClientProxyConnectionError,
)
_HEADER_BYTES_MAX = 64 * 1024
_WHOLE_BYTES_MAX = 1024 * 1024
"""aiohttp warns of larger bodies that are not files."""


class AiohttpTransport:
    """``Transport`` on aiohttp.

    aiohttp repeats a request once by itself when a kept connection turns out to be closed before
    any answer. That can apply a write twice *within* one request, which is harmless here: every
    write that we send is idempotent, and attempts of one key never overlap. The repetition may fail
    to connect, though, after the first try was sent: so it is recorded what was sent.
    """

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        settings = self._settings
        tls = ssl.create_default_context()
        if settings.ca_file is not None:
            tls.load_verify_locations(cafile=settings.ca_file)
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_record_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.connections_max, ssl=tls, keepalive_timeout=15
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED_HEADERS,
            auto_decompress=False,
            trust_env=settings.use_environment_proxies,
            max_line_size=_HEADER_BYTES_MAX,
            max_field_size=_HEADER_BYTES_MAX,
            trace_configs=[tracing],
        )

    def _timeout(self, total_s: float) -> aiohttp.ClientTimeout:
        settings = self._settings
        return aiohttp.ClientTimeout(
            total=total_s, sock_connect=settings.connect_s, sock_read=settings.read_s
        )

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
        if self._session is None:
            self._session = self._open()
        url = yarl.URL(f"{base}{raw_path}?{query}" if query else base + raw_path, encoded=True)
        timeout = self._timeout(self._settings.total_s if total_s is None else total_s)
        data: bytes | BytesIO | None = body if body or method == "PUT" else None
        if len(body) > _WHOLE_BYTES_MAX:
            data = BytesIO(body)  # written in pieces, so that other requests get their turn
        sent: list[str] = []
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=data,
                allow_redirects=False,
                timeout=timeout,
                trace_request_ctx=sent,
            ) as answer:
                return await _read(answer, response_bytes_max)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unanswered(
                error, maybe_applied=bool(sent) or not isinstance(error, _NEVER_SENT)
            ) from error
        except ValueError as error:
            raise Unavailable(f"request cannot be sent reason={str(error)!r}") from error

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _record_sent(
    _: aiohttp.ClientSession, context: SimpleNamespace, what: aiohttp.TraceRequestHeadersSentParams
) -> None:
    context.trace_request_ctx.append(what.method)


async def _read(answer: aiohttp.ClientResponse, bytes_max: int) -> Response:
    headers: dict[str, str] = {}
    for name, value in answer.headers.items():
        headers.setdefault(name.lower(), value)
    length = headers.get("content-length", "")
    if answer.method != "HEAD" and length.isdecimal() and int(length) > bytes_max:
        answer.close()
        return Response(answer.status, headers, b"", oversized=True)
    parts: list[bytes] = []
    size_bytes = 0
    async for part in answer.content.iter_any():
        size_bytes += len(part)
        if size_bytes > bytes_max:
            answer.close()
            return Response(answer.status, headers, b"", oversized=True)
        parts.append(part)
    return Response(answer.status, headers, b"".join(parts))
