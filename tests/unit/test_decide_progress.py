"""How far, how fast, and until when: rows of the table of ``decide.progress``; prices of copies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.cli.backfill_view import progress_line
from s3fanout.decide.backfill import requests_of
from s3fanout.decide.cost import copies_dollars
from s3fanout.decide.progress import Sample, speed
from s3fanout.deploy.prices import shipped_prices
from s3fanout.model.limits import GIB, MIB, Limits

FIRST = Sample(100.0, 0, 0, 0, 0, 0, None)
NOW = Sample(110.0, 1000, 3000, 3_000_000, 1000, 1_000_000, 1.0)


def test_what_is_left_takes_as_long_as_it_did_so_far() -> None:
    found = speed(FIRST, NOW)
    assert (found.items_per_s, found.jobs_per_s, found.bytes_per_s) == (100, 200, 200_000)
    assert found.left_s == pytest.approx(5)


def test_what_is_still_to_be_read_counts() -> None:
    assert speed(FIRST, replace(NOW, share=0.5)).left_s == pytest.approx((1000 + 3000) / 200)


def test_without_an_end_or_a_rate_nothing_is_foretold() -> None:
    assert speed(FIRST, replace(NOW, share=None)).left_s is None
    assert speed(FIRST, replace(NOW, left=3000)).left_s is None
    assert speed(FIRST, replace(NOW, queued=0, left=0)).left_s == 0


def test_what_an_earlier_run_did_is_no_rate_of_this_one() -> None:
    resumed = replace(FIRST, items=5000, queued=15_000, queued_bytes=15_000_000)
    now = replace(NOW, items=6000, queued=18_000, queued_bytes=18_000_000)
    assert speed(resumed, now).jobs_per_s == 200
    assert speed(resumed, replace(now, left=20_000)).jobs_per_s == 0


def test_the_line_says_all_of_it() -> None:
    assert progress_line(FIRST, NOW, equal=7, dry_run=False) == (
        "1,000 objects seen, about 100%, 100/s; 3,000 jobs (2.9 MiB), 7 equal; "
        "1,000 left (976.6 KiB), 200/s (195.3 KiB/s), done in 5.0s"
    )
    assert progress_line(FIRST, replace(NOW, share=None), equal=0, dry_run=True) == (
        "1,000 objects seen, 100/s; 3,000 jobs (2.9 MiB), 0 equal; done in unknown"
    )


@pytest.mark.parametrize(
    ("size_bytes", "on_server", "requests"),
    [
        (None, True, 1),
        (5 * GIB, True, 1),
        (5 * GIB + 1, True, 2 + 21),
        (None, False, 2),
        (8 * MIB, False, 2),
        (8 * MIB + 1, False, 2 + 2 * 2),
    ],
)
def test_requests_of_a_copy(size_bytes: int | None, on_server: bool, requests: int) -> None:
    found = requests_of(size_bytes, on_server=on_server, part_bytes=8 * MIB, limits=Limits())
    assert found == requests


def test_dollars_are_requests_and_transfer_between_regions() -> None:
    prices = shipped_prices()
    near = copies_dollars(
        prices,
        source="us-east-1",
        destination="us-east-1",
        requests=1_000_000,
        looks=1_000_000,
        size_bytes=GIB,
    )
    far = copies_dollars(
        prices,
        source="us-east-1",
        destination="eu-west-1",
        requests=1_000_000,
        looks=0,
        size_bytes=GIB,
    )
    assert near == pytest.approx(5.0 + 0.4), "a million COPY and a million HEAD in us-east-1"
    assert far == pytest.approx(
        1_000_000 * prices.put("eu-west-1") + prices.transfer("us-east-1", "eu-west-1")
    )
