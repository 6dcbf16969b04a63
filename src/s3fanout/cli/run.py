"""``s3fanout run``: the daemon."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

import click

from s3fanout.cli import live
from s3fanout.cli.options import config_option, load_config
from s3fanout.cli.output import err_console
from s3fanout.config.log import LogFormat
from s3fanout.model.errors import Misconfigured
from s3fanout.service import daemon, logs
from s3fanout.wiring import event_loop_factory


@click.command()
@config_option
@click.option("--no-live", is_flag=True, help="No live view, even on a terminal.")
def run(config_path: Path, *, no_live: bool) -> int:
    """Run the daemon until SIGTERM or Ctrl-C; then finish what is in hand and stop.

    On a terminal it shows a live view; logs go to standard error.
    """
    settings = load_config(config_path).settings
    if not settings.has_intake:
        raise Misconfigured(
            "the daemon would learn of no change: the configuration is for AWS only",
            hint="s3fanout deploy puts it there; a daemon needs [intake.webhook] or [intake.sqs]",
        )
    logs.configure(style=str(settings.log.format), level=str(settings.log.level))
    views: list[asyncio.Task[None]] = []

    def show(started: daemon.RunningDaemon) -> None:
        if not no_live and sys.stderr.isatty() and settings.log.format is not LogFormat.JSON:
            title = f"{settings.source.bucket} → {len(settings.enabled)} destinations, "
            views.append(live.start(started, err_console(), title=title + started.address))

    _collect_cycles_less_often()
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        return int(runner.run(daemon.run(settings, os.environ, on_start=show)))


def _collect_cycles_less_often() -> None:
    """What the engine allocates dies by reference counts; there are no cycles to look for.

    With Python's default of 700 allocations the collector took 5 % of the daemon's time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
