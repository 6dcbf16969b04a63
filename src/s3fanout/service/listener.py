"""Listens: an application on an address, with bounds on what its connections may owe."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from s3fanout.model.errors import Misconfigured
from s3fanout.service.heads import HeadBounds, HeadLimits

if TYPE_CHECKING:
    from s3fanout.config.values import ListenAddress

KEEPALIVE_S = 75.0
"""Idle time of a sender's connection; MinIO reuses connections for a minute."""
CLOSE_S = 2.0
"""For requests that are in hand at the end. One whose body still comes was not accepted, and its
sender may take a minute: it would hold the stop for longer than who stops us waits."""


class Listener:
    """A started server.

    Attributes:
        address: ``http://host:port`` that it listens on.
    """

    def __init__(self, runner: web.AppRunner, server: asyncio.Server) -> None:
        self._runner = runner
        self._server = server
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @classmethod
    async def start(
        cls,
        app: web.Application,
        listen: ListenAddress,
        *,
        limits: HeadLimits | None = None,
        close_s: float = CLOSE_S,
    ) -> Listener:
        """Listen for ``app``.

        Raises:
            Misconfigured: The address cannot be had.
        """
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=close_s,
            handle_signals=False,
        )
        await runner.setup()
        served = runner.server
        assert served is not None, "it is set up"
        bounds = HeadBounds(limits or HeadLimits())
        try:
            server = await asyncio.get_running_loop().create_server(
                bounds.around(served), listen.host, listen.port
            )
        except OSError as error:
            await runner.cleanup()
            raise Misconfigured(
                f"cannot listen on {listen.host}:{listen.port}: {error.strerror}",
                hint="stop what listens there, or set server.listen",
            ) from error
        return cls(runner, server)

    async def close(self) -> None:
        """Take no more connections, finish requests that do not take long, close."""
        self._server.close()
        await self._runner.cleanup()
