"""The transport in use: the fast one, and the mature one for what the fast one cannot carry.

| request | goes through |
|---|---|
| path with a ``.`` or ``..`` segment | aiohttp |
| read whose answer has header values beyond ASCII | pyreqwest, then once more through aiohttp |
| any other | pyreqwest |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.adapters.store.transport_pyreqwest import (
    HeaderUnreadable,
    PyreqwestTransport,
    unsendable_path,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.adapters.store.transport import (
        Header,
        Response,
        Transport,
        TransportSettings,
    )


class RoutedTransport:
    """``Transport`` that sends every path verbatim and reads every header."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._fast: Transport = PyreqwestTransport(settings)
        self._exact: Transport | None = None

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
        if not unsendable_path(raw_path):
            try:
                return await self._fast.request(
                    method,
                    base,
                    raw_path,
                    query,
                    headers,
                    body,
                    response_bytes_max=response_bytes_max,
                    total_s=total_s,
                )
            except HeaderUnreadable:
                pass
        return await self._open_exact().request(
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
        await self._fast.close()
        if self._exact is not None:
            await self._exact.close()

    def _open_exact(self) -> Transport:
        """Imported when a key needs it: a cold function feels its half second."""
        if self._exact is None:
            from s3fanout.adapters.store.transport_aiohttp import AiohttpTransport  # noqa: PLC0415

            self._exact = AiohttpTransport(self._settings)
        return self._exact
