"""``s3fanout reconcile``: queue what repairs the differences that ``verify`` finds."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import click

from s3fanout.cli.comparison_view import ComparisonProgress
from s3fanout.cli.options import (
    config_option,
    depth_of,
    destination_option,
    json_option,
    known_destination,
    load_config,
    need_daemon,
    prefix_option,
)
from s3fanout.cli.output import print_json, print_line
from s3fanout.config.settings import Settings
from s3fanout.deploy.deployment import Deployment, open_deployment
from s3fanout.deploy.session import at_endpoint
from s3fanout.engine.backfill import BackfillBooks
from s3fanout.engine.examiner import Depth
from s3fanout.ports.ledger import Ledger
from s3fanout.service.reconcile import Reconciled, reconcile_destinations, reconcile_document
from s3fanout.wiring import Stores, daemon_pid, event_loop_factory, open_ledger, system_clock


@click.command()
@config_option
@json_option
@destination_option
@prefix_option
@click.option(
    "--attributes",
    is_flag=True,
    help="Also what differs in attributes, tags, checksums or storage class (HEAD).",
)
@click.option(
    "--deep", is_flag=True, help="Also what differs in bytes that no etag tells: reads all."
)
@click.option(
    "--repair-drift", is_flag=True, help="Also what somebody else changed, whatever the rule."
)
@click.option("--dry-run", is_flag=True, help="Count what would be queued; queue nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reconcile(
    config_path: Path,
    *,
    as_json: bool,
    destination: str | None,
    prefix: str,
    attributes: bool,
    deep: bool,
    repair_drift: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Compare as verify does, and queue what repairs the differences.

    The daemon repairs them; on AWS the deployed functions do.

    Extra objects are only removed where the rule replicates deletes, and only our own replicas of
    objects that are gone; the mass-delete guard applies.
    """
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    depth = depth_of(attributes=attributes, deep=deep)
    names = [destination] if destination else list(settings.enabled)
    deployment = open_deployment(settings, os.environ) if settings.aws else None
    if not dry_run and deployment is None:
        need_daemon(settings, "start it: s3fanout run")
    if not (yes or dry_run) and sys.stdin.isatty():
        click.confirm(f"Queue repairs for {', '.join(names)}?", abort=True, err=True)
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        done = runner.run(
            _reconciled(
                settings,
                deployment,
                names,
                prefix=prefix,
                dry_run=dry_run,
                repair_drift=repair_drift,
                depth=depth,
            )
        )
    document = reconcile_document(done, prefix, dry_run=dry_run, depth=depth)
    if as_json:
        print_json(document)
        return
    for each in done:
        left = ", ".join(f"{count} left ({why})" for why, count in each.repairs.left.items())
        print_line(
            f"{each.destination}: {each.repairs.queued} "
            f"{'would be queued' if dry_run else 'queued'}, {each.repairs.busy} had a job"
            + (f", {left}" if left else "")
        )


async def _reconciled(
    settings: Settings,
    deployment: Deployment | None,
    names: list[str],
    *,
    prefix: str,
    dry_run: bool,
    repair_drift: bool,
    depth: Depth,
) -> list[Reconciled]:
    clock = system_clock()
    settings = settings if deployment is None else at_endpoint(settings)
    async with AsyncExitStack() as opened:
        stores = Stores(settings, os.environ, clock=clock)
        opened.push_async_callback(stores.close)
        books: BackfillBooks
        ledger: Ledger
        if deployment is None:
            journal = await open_ledger(settings, exclusive=daemon_pid(settings) is None)
            opened.push_async_callback(journal.close)
            books = ledger = journal
        else:
            books = on_aws = await opened.enter_async_context(deployment.books())
            ledger = on_aws.ledger
        ticker = ComparisonProgress(clock)
        try:
            return await reconcile_destinations(
                settings,
                stores,
                books,
                ledger,
                names,
                prefix=prefix,
                clock=clock,
                dry_run=dry_run,
                repair_drift=repair_drift,
                depth=depth,
                progress=ticker.tell,
            )
        finally:
            ticker.clear()
