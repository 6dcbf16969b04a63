"""A hundred million keys on paper: requests, time and dollars, from rates and the price list.

``python -m benchmarks.scale`` prints the table of ``docs/verify.md``, and a test holds that page to
it. Whoever measures again changes the rates here; whoever knows those of a store gives them:
``python -m benchmarks.scale --page-ms 60 --look-ms 8 --copies 2500``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from s3fanout.decide.cost import Prices
from s3fanout.deploy.prices import shipped_prices
from s3fanout.engine.verify import LOOKS_AT_ONCE, PARTITIONS_AT_ONCE

KEYS = 100_000_000
DESTINATIONS = 3
PAGE_KEYS = 1000
REGION = "us-east-1"
PASSES_A_MONTH = 30

ROWS_PER_S = 462_279
"""Measured: rows of both sides listed and compared by one process, where the server is not the
limit (``python -m benchmarks.listing``, a quiet machine of two cores, 2026-11-25; 79 MiB)."""
SEAWEEDFS_PER_S = 668
"""Measured: objects a second into each of three buckets of one SeaweedFS, which had the same two
cores (``python benchmarks/backfill.py``, 2026-11-25: 302,674 copies in 151 s)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Of a store; the defaults are assumed.

    Attributes:
        page_s: One page of 1,000 keys.
        look_s: One ``HEAD``, or one read of tags.
        copies_per_s: Objects copied into each destination.
    """

    page_s: float = 0.1
    look_s: float = 0.02
    copies_per_s: float = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table.

    Attributes:
        name: What is done.
        requests: How many, and of which kind.
        dollars: Their price.
        own_s: What our process needs at the measured rate; ``None`` where it is not the limit.
        store_s: What the store needs at its rates; ``None`` where a schedule sets the pace.
    """

    name: str
    requests: str
    dollars: float
    own_s: float | None
    store_s: float | None


def steps(rates: Rates) -> Iterator[Step]:
    """The lines of the table."""
    prices = shipped_prices()
    put, get = prices.put(REGION), prices.get()
    pages = KEYS // PAGE_KEYS
    listed_s, own_s = pages * rates.page_s / PARTITIONS_AT_ONCE, 2 * KEYS / ROWS_PER_S
    copies = KEYS * DESTINATIONS
    yield Step(
        "`backfill`, listing, while copies run", f"{pages:,} LIST", pages * put, None, listed_s
    )
    copied = f"{copies:,} COPY, {KEYS:,} HEAD"
    for name, per_s in (
        ("one store", rates.copies_per_s),
        ("one SeaweedFS on two cores (measured)", SEAWEEDFS_PER_S),
    ):
        yield Step(
            f"`backfill`, copies to {DESTINATIONS} destinations of {name}",
            copied,
            copies * put + KEYS * get,
            None,
            KEYS / per_s,
        )
    listed, listed_dollars = f"{2 * pages:,} LIST", 2 * pages * put
    yield Step("`verify`, a destination", listed, listed_dollars, own_s, listed_s)
    yield Step(
        "`verify` of one bucket without prefixes",
        listed,
        listed_dollars,
        own_s,
        pages * rates.page_s,
    )
    for name, share, requests in (
        ("`verify --attributes`, no object tagged", 1.0, 4),
        ("`verify --attributes --ignore tags`", 1.0, 2),
        ("`verify --attributes --sample 1%`", 0.01, 4),
    ):
        looks = round(requests * KEYS * share)
        yield Step(
            name,
            f"{listed}, {looks:,} HEAD or GET",
            listed_dollars + looks * get,
            own_s if share < 1 else None,
            listed_s + looks * rates.look_s / LOOKS_AT_ONCE,
        )
    month = PASSES_A_MONTH * DESTINATIONS
    yield Step(
        f"the daemon's sweep, a pass a day, {DESTINATIONS} destinations, a month",
        f"{month * 2 * pages:,} LIST",
        month * listed_dollars,
        month * own_s,
        month * listed_s,
    )
    yield from _on_aws(prices, month, pages)


def _on_aws(prices: Prices, passes: int, pages: int) -> Iterator[Step]:
    """What functions need for the same; a run of them takes 60 % of ``aws.timeout``."""
    page = (
        prices.flat["dynamodb_write_per_million"] + prices.flat["sqs_request_per_million"]
    ) / 1_000_000
    read = prices.flat["dynamodb_read_per_million"] / 1_000_000
    for name, lists, reads in (("destinations", 2, 0), ("ledger", 1, KEYS)):
        requests = f"{passes * lists * pages:,} LIST, {passes * pages:,} writes"
        yield Step(
            f"the same on AWS, against the {name}",
            requests + (f", {passes * reads:,} reads" if reads else ""),
            passes * (pages * (lists * prices.put(REGION) + page) + reads * read),
            None,
            None,
        )


def table(rates: Rates) -> str:
    """The table, as in ``docs/verify.md``."""
    lines = [
        "| step | requests | dollars | our own time, measured | the store's time |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {step.name} | {step.requests} | {step.dollars:,.2f} | "
        f"{spoken(step.own_s)} | {spoken(step.store_s)} |"
        for step in steps(rates)
    ]
    return "\n".join(lines)


def spoken(seconds: float | None) -> str:
    """Minutes or hours."""
    if seconds is None:
        return "–"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def main() -> None:
    """Print the table for the rates of the command line."""
    usual = Rates()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--page-ms", type=float, default=usual.page_s * 1000)
    parser.add_argument("--look-ms", type=float, default=usual.look_s * 1000)
    parser.add_argument("--copies", type=float, default=usual.copies_per_s, help="a second")
    chosen = parser.parse_args()
    print(table(Rates(chosen.page_ms / 1000, chosen.look_ms / 1000, chosen.copies)))


if __name__ == "__main__":
    main()
