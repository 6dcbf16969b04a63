"""The transport in use: direct, and through aiohttp where the environment names a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from s3fanout.adapters.store.transport_direct import DirectTransport

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from s3fanout.adapters.store.transport import (
        Header,
        Response,
        Transport,
        TransportSettings,
    )


class RoutedTransport:
    """``Transport`` that honours proxies, which are looked up once for each base."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._direct: Transport = DirectTransport(settings)
        self._proxied: Transport | None = None
        self._ways: dict[str, Transport] = {}

    def request(
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
    ) -> Coroutine[Any, Any, Response]:
        way = self._ways.get(base) or self._way(base)
        return way.request(
            method,
            base,
            raw_path,
            query,
            headers,
            body,
            response_bytes_max=response_bytes_max,
            total_s=total_s,
        )

    async def close(self) -> None:
        await self._direct.close()
        if self._proxied is not None:
            await self._proxied.close()

    def _way(self, base: str) -> Transport:
        proxied = self._settings.use_environment_proxies and _has_proxy(base)
        way = self._ways[base] = self._open_proxied() if proxied else self._direct
        return way

    def _open_proxied(self) -> Transport:
        if self._proxied is None:
            # Loading aiohttp takes a quarter of a second, which a cold function need not spend.
            from s3fanout.adapters.store.transport_aiohttp import AiohttpTransport  # noqa: PLC0415

            self._proxied = AiohttpTransport(self._settings)
        return self._proxied


def _has_proxy(base: str) -> bool:
    parts = urlsplit(base)
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")
