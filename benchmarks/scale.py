"""A hundred million keys on paper: requests, time and dollars, from rates and the price list.

``python -m benchmarks.scale`` prints the table of ``docs/verify.md``, and a test holds that page to
it. Whoever measures again changes the rates here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from s3fanout.deploy.prices import shipped_prices
from s3fanout.engine.verify import LOOKS_AT_ONCE, PARTITIONS_AT_ONCE

KEYS = 100_000_000
DESTINATIONS = 3
PAGE_KEYS = 1000
REGION = "us-east-1"

ROWS_PER_S = 191_653
"""Measured: rows of both sides listed and compared by one process, where the server is not the
limit (``python -m benchmarks.listing``, a quiet machine of two cores, 2026-11-25; 77 MiB)."""
PAGE_S = 0.1
"""Assumed of a store: one page of 1,000 keys."""
LOOK_S = 0.02
"""Assumed of a store: one ``HEAD``."""
COPIES_PER_S = 1000
"""Assumed of a store: objects copied into each destination."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table.

    Attributes:
        name: What is done.
        requests: How many, and of which kind.
        dollars: Their price.
        own_s: What our process needs at the measured rate; ``None`` where it is not the limit.
        store_s: What the store needs at the assumed rates.
    """

    name: str
    requests: str
    dollars: float
    own_s: float | None
    store_s: float


def steps() -> Iterator[Step]:
    """The lines of the table."""
    prices = shipped_prices()
    put, get = prices.put(REGION), prices.flat["s3_get_per_thousand"] / 1000
    pages = KEYS // PAGE_KEYS
    listed_s, own_s = pages * PAGE_S / PARTITIONS_AT_ONCE, 2 * KEYS / ROWS_PER_S
    copies = KEYS * DESTINATIONS
    yield Step(
        "`backfill`, listing, while copies run", f"{pages:,} LIST", pages * put, None, listed_s
    )
    yield Step(
        f"`backfill`, copies to {DESTINATIONS} destinations of one store",
        f"{copies:,} COPY",
        copies * put,
        None,
        KEYS / COPIES_PER_S,
    )
    yield Step("`verify`, a destination", f"{2 * pages:,} LIST", 2 * pages * put, own_s, listed_s)
    yield Step(
        "`verify` of one bucket without prefixes",
        f"{2 * pages:,} LIST",
        2 * pages * put,
        own_s,
        pages * PAGE_S,
    )
    for name, share in (
        ("`verify --attributes`", 1.0),
        ("`verify --attributes --sample 1%`", 0.01),
    ):
        looks = round(2 * KEYS * share)
        yield Step(
            f"{name}, untagged objects",
            f"{2 * pages:,} LIST, {looks:,} HEAD",
            2 * pages * put + looks * get,
            own_s if share < 1 else None,
            listed_s + looks * LOOK_S / LOOKS_AT_ONCE,
        )
    month = 30 * DESTINATIONS * 2 * pages
    yield Step(
        f"a sweep every day, {DESTINATIONS} destinations, a month",
        f"{month:,} LIST",
        month * put,
        30 * DESTINATIONS * own_s,
        30 * DESTINATIONS * listed_s,
    )


def table() -> str:
    """The table, as in ``docs/verify.md``."""
    lines = [
        "| step | requests | dollars | our own time, measured | the store's time, assumed |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {step.name} | {step.requests} | {step.dollars:,.2f} | "
        f"{'–' if step.own_s is None else spoken(step.own_s)} | {spoken(step.store_s)} |"
        for step in steps()
    ]
    return "\n".join(lines)


def spoken(seconds: float) -> str:
    """Minutes or hours."""
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    print(table())
