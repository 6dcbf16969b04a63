"""``s3fanout cost``: what a described workload costs on AWS, by four designs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from s3fanout.cli.options import config_option, json_option, load_config
from s3fanout.cli.output import print_json, print_line, print_note, print_table
from s3fanout.config.units import format_size, parse_size
from s3fanout.decide.cost import Design, Estimate, Load, Prices, Workload, estimates, unlisted
from s3fanout.deploy.prices import shipped_prices
from s3fanout.model.keeping import Carry
from s3fanout.service.status import SCHEMA_VERSION, Json

TITLES = {
    Design.DURABLE: "s3fanout, durable",
    Design.CLASSIC: "s3fanout, classic",
    Design.REPLICATION: "S3 Replication",
    Design.REPLICATION_RTC: "S3 Replication, RTC",
}

_OBJECTS = re.compile(r"0*[1-9][0-9]{0,14}")
"""Objects in a day, in no more digits than a price can be counted with."""


def _loads(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> list[Load]:
    """``OBJECTS:SIZE``, objects per day and the size of each."""
    found = []
    for value in values:
        objects, _, size = value.partition(":")
        if not _OBJECTS.fullmatch(objects):
            raise click.BadParameter(
                "expected OBJECTS:SIZE, as in 1000000:100KiB", context, parameter
            )
        try:
            found.append(Load(int(objects), parse_size(size)))
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error
    return found


@click.command()
@config_option
@click.option(
    "--load",
    "loads",
    multiple=True,
    callback=_loads,
    metavar="OBJECTS:SIZE",
    default=["1000000:100KiB"],
    show_default=True,
    help="Objects per day and their size, repeatable.",
)
@click.option("--from", "source", metavar="REGION", help="Region of the source.")
@click.option(
    "--to", "destinations", multiple=True, metavar="REGION", help="Of a destination, repeatable."
)
@click.option("--event-route", type=click.Choice(["sns", "eventbridge"]), default="sns")
@click.option("--architecture", type=click.Choice(["arm64", "x86_64"]), default="arm64")
@click.option("--memory", "memory_mib", default=512, type=click.IntRange(128, 10_240))
@click.option("--copy-seconds", "copy_s", default=0.15, type=click.FloatRange(0.001, 900))
@click.option("--messages-per-invocation", default=1.0, type=click.FloatRange(1, 10_000))
@json_option
def cost(
    config_path: Path,
    *,
    loads: Sequence[Load],
    source: str | None,
    destinations: Sequence[str],
    as_json: bool,
    **function: Any,
) -> None:
    """Estimate dollars per month and per million objects, beside S3 Replication.

    Regions are those of the configuration unless --from and --to name others. Storage is left out:
    it costs the same whoever writes the replicas.
    """
    if (source is None) != (not destinations):
        raise click.UsageError("--from and --to go together")
    if source is None:
        settings = load_config(config_path).settings
        source = settings.source.region
        enabled = settings.enabled.values()
        destinations = [to.region for to in enabled]
        looking = [to for to in enabled if to.attributes is not Carry.COPIED]
        function["looks"] = len(looking) / len(enabled)
    workload = Workload(loads=loads, source=source, destinations=tuple(destinations), **function)
    prices = shipped_prices()
    found = estimates(workload, prices)
    if as_json:
        print_json(cost_document(workload, prices, found))
        return
    _print(workload, prices, found)


def cost_document(workload: Workload, prices: Prices, found: Sequence[Estimate]) -> Json:
    """The document of ``s3fanout cost --json``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "cost",
        "currency": "USD",
        "prices_read_on": prices.read_on,
        "prices_to_confirm": list(prices.unconfirmed),
        "regions_not_listed": unlisted(workload, prices),
        "workload": {
            "source_region": workload.source,
            "destination_regions": list(workload.destinations),
            "objects_per_month": workload.objects_per_month,
            "bytes_per_month": workload.gib_per_month * 2**30,
            "loads": [
                {"objects_per_day": load.objects_per_day, "size_bytes": load.size_bytes}
                for load in workload.loads
            ],
        },
        "estimates": [
            {
                "design": each.design.value,
                "dollars_per_month": each.dollars_per_month,
                "dollars_per_million_objects": each.dollars_per_million_objects,
                "overhead_dollars_per_month": each.overhead_per_month,
                "items": [
                    {
                        "name": item.name,
                        "quantity": item.quantity,
                        "unit": item.unit,
                        "dollars_per_month": item.dollars,
                    }
                    for item in each.items
                ],
            }
            for each in found
        ],
    }


def _print(workload: Workload, prices: Prices, found: Sequence[Estimate]) -> None:
    loads = " + ".join(
        f"{load.objects_per_day:,.0f} objects of {format_size(load.size_bytes)}"
        for load in workload.loads
    )
    print_line(f"{loads} a day, from {workload.source} to {', '.join(workload.destinations)}")
    print_line(f"US dollars per month, list prices read {prices.read_on}, without storage")
    print_line()
    lines: dict[str, None] = {item.name: None for each in found for item in each.items}
    rows = [[name, *(_dollars(each, name) for each in found)] for name in lines]
    rows.append(["total", *(f"{each.dollars_per_month:,.2f}" for each in found)])
    rows.append(
        ["per million objects", *(f"{each.dollars_per_million_objects:,.2f}" for each in found)]
    )
    rows.append(
        ["beyond writes and transfer", *(f"{each.overhead_per_month:,.2f}" for each in found)]
    )
    print_table(
        (("item", "left"), *((TITLES[each.design], "right") for each in found)),
        rows,
    )
    for region in unlisted(workload, prices):
        print_note(f"{region} is not in the price list: priced as {prices.fallback}")
    print_note("prices to compare with AWS's pages: " + ", ".join(prices.unconfirmed))


def _dollars(estimate: Estimate, name: str) -> str:
    found = [item.dollars for item in estimate.items if item.name == name]
    return f"{sum(found):,.2f}" if found else "-"
