"""``s3fanout backfill``: copy what was there before, behind live changes."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click

from s3fanout.cli.options import (
    config_option,
    destination_option,
    json_option,
    known_destination,
    load_config,
    need_daemon,
    prefix_option,
)
from s3fanout.cli.output import (
    Ticker,
    human_bytes,
    human_seconds,
    print_json,
    print_line,
    print_note,
)
from s3fanout.cli.times import Instant
from s3fanout.config.settings import Settings
from s3fanout.decide.backfill import Choice
from s3fanout.engine.backfill import BackfillTally
from s3fanout.model.errors import ExitCode
from s3fanout.service import logs
from s3fanout.service.backfill import BackfillRequest, backfill_document, drain, fill
from s3fanout.service.metrics import Metrics
from s3fanout.wiring import (
    Stores,
    build,
    daemon_pid,
    event_loop_factory,
    open_ledger,
    system_clock,
)


@click.command()
@config_option
@json_option
@destination_option
@prefix_option
@click.option("--since", type=Instant(), help="Only what was modified then or later (2026-11-24).")
@click.option(
    "--inventory",
    type=click.Path(path_type=Path, dir_okay=False),
    help="manifest.json of a downloaded S3 Inventory (CSV), instead of a listing.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with one source key a line, instead of a listing.",
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Most objects queued in a second."
)
@click.option("--dry-run", is_flag=True, help="Count objects, bytes and requests; queue nothing.")
@click.option("--run", "runs", is_flag=True, help="Without a daemon: also copy, then end.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def backfill(
    config_path: Path,
    *,
    as_json: bool,
    destination: str | None,
    runs: bool,
    yes: bool,
    **chosen: Any,
) -> int:
    """Queue every object that was in the source before, behind live changes.

    What the ledger knows to be equal is passed over. Stopped, it goes on where it was. The daemon
    copies; without one, --run does.
    """
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    if chosen["inventory"] is not None and chosen["keys"] is not None:
        raise click.UsageError("--inventory and --keys exclude each other")
    request = BackfillRequest(
        [destination] if destination else list(settings.enabled),
        prefix=chosen["prefix"],
        since_at_ms=chosen["since"],
        inventory=chosen["inventory"],
        keys=chosen["keys"],
        rate_per_s=chosen["rate"],
        dry_run=chosen["dry_run"],
        restart=chosen["restart"],
    )
    if not runs and not request.dry_run:
        need_daemon(settings, "start it (s3fanout run), or let this command copy: --run")
    if not (yes or request.dry_run) and sys.stdin.isatty():
        names = ", ".join(request.destinations)
        click.confirm(f"Queue all of {settings.source.bucket} for {names}?", abort=True, err=True)
    if runs and not request.dry_run:
        logs.configure(style=str(settings.log.format), level="warning")
    clock = system_clock()
    began_s = clock.monotonic_s()
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        work = _filled_and_drained if runs and not request.dry_run else _filled
        tally, dead = runner.run(work(settings, request))
    document = backfill_document(settings, tally, request, took_s=clock.monotonic_s() - began_s)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return ExitCode.FAILED if dead else ExitCode.OK


async def _filled(settings: Settings, request: BackfillRequest) -> tuple[BackfillTally, int]:
    clock = system_clock()
    async with AsyncExitStack() as opened:
        stores = Stores(settings, os.environ, clock=clock)
        opened.push_async_callback(stores.close)
        # Only a daemon may make the ledger; without one this command is one for a moment.
        alone = daemon_pid(settings) is None
        journal = await open_ledger(settings, exclusive=alone)
        opened.push_async_callback(journal.close)
        ticker = _Progress()
        try:
            tally = await fill(
                settings, stores, journal, request, clock=clock, progress=ticker.filling
            )
        finally:
            ticker.clear()
        return tally, 0


async def _filled_and_drained(
    settings: Settings, request: BackfillRequest
) -> tuple[BackfillTally, int]:
    components = await build(settings, os.environ, telemetry=Metrics())
    ticker = _Progress()
    components.engine.start()
    try:
        tally = await fill(
            settings,
            components.stores,
            components.ledger,
            request,
            clock=components.clock,
            progress=ticker.filling,
        )
        dead = await drain(
            components.ledger,
            components.engine,
            request.destinations,
            clock=components.clock,
            progress=ticker.draining,
        )
    finally:
        ticker.clear()
        await components.engine.stop(drain_s=settings.limits.drain_s)
        await components.close()
    return tally, dead


class _Progress(Ticker):
    """Rate, bytes, and how long it will take."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = system_clock()
        self.began_s = self._clock.monotonic_s()
        self._drain: tuple[float, int] | None = None

    def filling(self, tally: BackfillTally) -> None:
        now_s = self._clock.monotonic_s()
        if self.is_due(now_s):
            rate = tally.items / max(now_s - self.began_s, 0.001)
            queued_bytes = human_bytes(sum(tally.queued_bytes.values()))
            self.show(
                f"{tally.items} objects seen, {rate:.0f}/s; {tally.count(Choice.QUEUE)} jobs "
                f"queued ({queued_bytes}), {tally.count(Choice.EQUAL)} equal"
            )

    def draining(self, left: int) -> None:
        now_s = self._clock.monotonic_s()
        if self._drain is None:
            self._drain = (now_s, left)
        if self.is_due(now_s):
            began_s, at_first = self._drain
            rate = (at_first - left) / max(now_s - began_s, 0.001)
            eta = human_seconds(left / rate) if rate > 0 else "unknown"
            self.show(f"{left} jobs left, {rate:.0f}/s, done in {eta}")


def _print(document: dict[str, Any]) -> None:
    verb = "would be queued" if document["dry_run"] else "queued"
    for row in document["destinations"]:
        passed = ", ".join(
            f"{row[choice]} {choice.replace('_', ' ')}"
            for choice in Choice
            if choice is not Choice.QUEUE and row[choice]
        )
        print_line(
            f"{row['name']}: {row['queue']} {verb} ({human_bytes(row['queued_bytes'])}, about "
            f"{row['requests']} requests)" + (f"; {passed}" if passed else "")
        )
    again = ", gone on from a checkpoint" if document["resumed"] else ""
    print_note(f"{document['items']} objects in {human_seconds(document['took_s'])}{again}")
