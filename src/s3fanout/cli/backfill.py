"""``s3fanout backfill``: copy what was there before, behind live changes."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click

from s3fanout.cli.backfill_view import BackfillProgress, print_backfill
from s3fanout.cli.options import (
    config_option,
    destination_option,
    json_option,
    known_destination,
    load_config,
    need_daemon,
    prefix_option,
)
from s3fanout.cli.output import print_json
from s3fanout.cli.times import Instant
from s3fanout.config.settings import Settings
from s3fanout.config.units import parse_size
from s3fanout.deploy.backfill import fill_deployment
from s3fanout.deploy.deployment import Deployment, open_deployment
from s3fanout.deploy.prices import shipped_prices
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


class Size(click.ParamType[int]):
    """A size with its unit; bytes."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            size_bytes = parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not size_bytes:
            self.fail("more than 0 bytes are needed", param, ctx)
        return size_bytes


@click.command()
@config_option
@json_option
@destination_option
@prefix_option
@click.option("--since", type=Instant(), help="Only what was modified then or later (2026-11-24).")
@click.option(
    "--inventory",
    metavar="MANIFEST",
    help="S3 Inventory instead of a listing: manifest.json, a file or s3://bucket/path.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with one source key a line, instead of a listing.",
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Most objects queued in a second."
)
@click.option(
    "--byte-rate",
    type=Size(),
    metavar="SIZE",
    help="Most bytes of objects queued in a second, as in 20MiB.",
)
@click.option(
    "--dry-run", is_flag=True, help="Count objects, bytes, requests and dollars; queue nothing."
)
@click.option("--run", "runs", is_flag=True, help="Without a daemon: also copy, then end.")
@click.option("--wait", "waits", is_flag=True, help="Stay until the daemon has copied it.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def backfill(
    config_path: Path,
    *,
    as_json: bool,
    destination: str | None,
    runs: bool,
    waits: bool,
    yes: bool,
    **chosen: Any,
) -> int:
    """Queue every object that was in the source before, behind live changes.

    What the ledger knows to be equal is passed over. Stopped, it goes on where it was. The daemon
    copies, or on AWS the functions; without a daemon, --run does.
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
        bytes_per_s=chosen["byte_rate"],
        dry_run=chosen["dry_run"],
        restart=chosen["restart"],
    )
    on_aws = settings.aws is not None
    if runs and on_aws:
        raise click.UsageError("--run is for a daemon's ledger: on AWS the functions copy")
    if not runs and not request.dry_run and not on_aws:
        need_daemon(settings, "start it (s3fanout run), or let this command copy: --run")
    if not (yes or request.dry_run) and sys.stdin.isatty():
        names = ", ".join(request.destinations)
        click.confirm(f"Queue all of {settings.source.bucket} for {names}?", abort=True, err=True)
    if runs and not request.dry_run:
        logs.configure(style=str(settings.log.format), level="warning")
    clock = system_clock()
    began_s = clock.monotonic_s()
    # Opened before there is an event loop: it makes one of its own to read the credentials.
    deployment = open_deployment(settings, os.environ) if on_aws else None
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        if deployment is not None:
            tally, dead = runner.run(_filled_on_aws(deployment, request, waits=waits))
        elif runs and not request.dry_run:
            tally, dead = runner.run(_filled_and_drained(settings, request))
        else:
            tally, dead = runner.run(_filled(settings, request, waits=waits))
    document = backfill_document(
        settings,
        tally,
        request,
        prices=shipped_prices(),
        took_s=clock.monotonic_s() - began_s,
    )
    if as_json:
        print_json(document)
    else:
        print_backfill(document)
    return ExitCode.FAILED if dead else ExitCode.OK


async def _filled(
    settings: Settings, request: BackfillRequest, *, waits: bool
) -> tuple[BackfillTally, int]:
    clock = system_clock()
    async with AsyncExitStack() as opened:
        stores = Stores(settings, os.environ, clock=clock)
        opened.push_async_callback(stores.close)
        # Only a daemon may make the ledger; without one this command is one for a moment.
        alone = daemon_pid(settings) is None
        journal = await open_ledger(settings, exclusive=alone)
        opened.push_async_callback(journal.close)
        ticker = BackfillProgress(clock, dry_run=request.dry_run)
        dead = 0
        try:
            tally = await fill(
                settings, stores, journal, request, clock=clock, progress=ticker.tell
            )
            if waits and not request.dry_run:
                dead = await drain(
                    journal,
                    None,
                    request.destinations,
                    clock=clock,
                    tally=tally,
                    progress=ticker.tell,
                )
        finally:
            ticker.clear()
        return tally, dead


async def _filled_on_aws(
    deployment: Deployment, request: BackfillRequest, *, waits: bool
) -> tuple[BackfillTally, int]:
    clock = system_clock()
    ticker = BackfillProgress(clock, dry_run=request.dry_run)
    try:
        return await fill_deployment(
            deployment, os.environ, request, clock=clock, waits=waits, progress=ticker.tell
        )
    finally:
        ticker.clear()


async def _filled_and_drained(
    settings: Settings, request: BackfillRequest
) -> tuple[BackfillTally, int]:
    components = await build(settings, os.environ, telemetry=Metrics())
    ticker = BackfillProgress(components.clock, dry_run=False)
    components.engine.start()
    try:
        tally = await fill(
            settings,
            components.stores,
            components.ledger,
            request,
            clock=components.clock,
            progress=ticker.tell,
        )
        dead = await drain(
            components.ledger,
            components.engine,
            request.destinations,
            clock=components.clock,
            tally=tally,
            progress=ticker.tell,
        )
    finally:
        ticker.clear()
        await components.engine.stop(drain_s=settings.limits.drain_s)
        await components.close()
    return tally, dead
