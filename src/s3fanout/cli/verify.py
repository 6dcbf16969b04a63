"""``s3fanout verify``: is every replica what its source object is? Never writes."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import click

from s3fanout.adapters.store.s3_headers import CONTENT_HEADERS
from s3fanout.cli.comparison_view import ComparisonProgress
from s3fanout.cli.options import (
    config_option,
    depth_of,
    destination_option,
    known_destination,
    load_config,
    prefix_option,
)
from s3fanout.cli.output import human_seconds, print_note, write_pieces
from s3fanout.config.settings import Settings
from s3fanout.decide.compare_attributes import COMPARED
from s3fanout.deploy.deployment import Deployment, open_deployment
from s3fanout.deploy.session import at_endpoint
from s3fanout.engine.examiner import Depth
from s3fanout.model.errors import ExitCode
from s3fanout.ports.ledger import Ledger
from s3fanout.service.verify import (
    Compared,
    Findings,
    ReportFormat,
    Scope,
    compare_destinations,
    report,
)
from s3fanout.wiring import Stores, event_loop_factory, open_ledger, system_clock

IGNORABLE = sorted(map(str, (*COMPARED, *CONTENT_HEADERS)))


class Share(click.ParamType[float]):
    """A share: ``0.01`` or ``1%``."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0.0 < share <= 1.0:
            self.fail(f"{text!r} is no share between 0 and 1: write 0.01 or 1%", param, ctx)
        return share


@click.command()
@config_option
@destination_option
@prefix_option
@click.option(
    "--attributes", is_flag=True, help="Compare all attributes, tags and checksums (HEAD)."
)
@click.option("--deep", is_flag=True, help="Compare bytes and all attributes: reads all.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    type=click.Choice(IGNORABLE),
    metavar="NAME",
    help=f"What may differ, any number of times: {', '.join(IGNORABLE)}.",
)
@click.option(
    "--sample",
    type=Share(),
    default="1",
    help="With --attributes or --deep: only this share of the objects, 0.01 or 1%.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in ReportFormat]),
    default=ReportFormat.TEXT.value,
    show_default=True,
    help="Form of the report.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file."
)
def verify(
    config_path: Path,
    *,
    destination: str | None,
    prefix: str,
    attributes: bool,
    deep: bool,
    ignored: tuple[str, ...],
    sample: float,
    form: str,
    output: Path | None,
) -> int:
    """Compare every replica with its source object and report. Never writes to a store.

    Ends with 4 if anything differs, is missing, is extra, or could not be compared.
    """
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    depth = depth_of(attributes=attributes, deep=deep)
    if sample < 1 and depth is Depth.LISTING:
        raise click.UsageError("--sample goes with --attributes or --deep")
    names = [destination] if destination else list(settings.enabled)
    scope = Scope(names, prefix, depth, sample, frozenset(ignored))
    with Findings() as findings, asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        deployment = open_deployment(settings, os.environ) if settings.aws else None
        compared = runner.run(_compared(settings, deployment, scope, findings))
        pieces = report(ReportFormat(form), compared, findings.documents(), scope)
        write_pieces(pieces, output)
    for each in compared:
        rate = each.tally.keys / max(each.took_s, 0.001)
        print_note(
            f"{each.destination}: {each.tally.keys} keys listed in {human_seconds(each.took_s)}, "
            f"{rate:.0f} keys/s"
        )
    equal = all(each.tally.is_equal for each in compared)
    return ExitCode.OK if equal else ExitCode.DIFFERENT


async def _compared(
    settings: Settings, deployment: Deployment | None, scope: Scope, findings: Findings
) -> list[Compared]:
    clock = system_clock()
    settings = settings if deployment is None else at_endpoint(settings)
    async with AsyncExitStack() as opened:
        stores = Stores(settings, os.environ, clock=clock)
        opened.push_async_callback(stores.close)
        ledger: Ledger | None = None
        if deployment is not None:
            if deployment.names.table is not None:
                ledger = await opened.enter_async_context(deployment.ledger())
        elif settings.ledger.path.exists():
            journal = await open_ledger(settings, exclusive=False)
            opened.push_async_callback(journal.close)
            ledger = journal
        ticker = ComparisonProgress(clock)
        try:
            return await compare_destinations(
                settings, stores, ledger, scope, findings, clock=clock, progress=ticker.tell
            )
        finally:
            ticker.clear()
