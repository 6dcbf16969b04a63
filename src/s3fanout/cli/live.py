"""The live view of a daemon in this process, for a person at a terminal."""

from __future__ import annotations

import asyncio

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from s3fanout.cli.status_view import status_table
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.service.daemon import RunningDaemon

REFRESH_S = 0.5


async def show(daemon: RunningDaemon, console: Console, *, title: str) -> None:
    """Redraw the status table until cancelled; log lines scroll above it."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            try:
                document = await daemon.status()
            except LedgerUnavailable as error:
                live.update(Text(f"{title}\n{error.message}", style="red"), refresh=True)
            else:
                live.update(Group(Text(title, style="bold"), status_table(document)), refresh=True)
            await daemon.clock.sleep(REFRESH_S)


def start(daemon: RunningDaemon, console: Console, *, title: str) -> asyncio.Task[None]:
    """Show it in the background."""
    return asyncio.get_running_loop().create_task(show(daemon, console, title=title))
