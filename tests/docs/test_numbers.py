"""Numbers that the guides say in words are those of the program."""

from __future__ import annotations

import pytest

from s3fanout.adapters.store.s3_client import _PASSING, AGAIN_S_MAX
from s3fanout.decide.circuit import CLOSED, after_failure
from s3fanout.decide.guard import DELETES_FREE
from s3fanout.decide.pace import DECREASE_EVERY_S
from s3fanout.decide.retry import backoff_cap_s
from s3fanout.engine.leftovers import AGE_S, INTERVAL_S
from s3fanout.engine.shares import Shares
from s3fanout.model.jobs import EARLIER_ETAGS_MAX
from s3fanout.model.limits import COPY_BYTES_MAX, GIB, MIB, PARTS_MAX, Limits
from s3fanout.ports.ledger import MALFORMED_ROWS_MAX
from s3fanout.service.abilities import LOOK_S
from s3fanout.service.check import UPLOAD_AGE_S
from s3fanout.service.heads import HeadLimits
from s3fanout.service.http import BODY_S
from tests.docs.pages import page

LIMITS = Limits()
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def first_pause_s(jitter: float) -> float:
    """How long a destination is left alone when its circuit opens."""
    opened = after_failure(
        CLOSED, key="k", answered=True, blames_store=True, now_s=0.0, jitter=jitter, limits=LIMITS
    )
    return opened.open_until_s


def quarters_of_an_hour_of_attempts() -> float:
    """How long all attempts take where nothing answers; of each wait half, as chance has it."""
    waits_s = [backoff_cap_s(attempt, LIMITS) / 2 for attempt in range(1, LIMITS.attempts_max)]
    return sum(waits_s) / (HOUR_S / 4)


@pytest.mark.parametrize(
    ("name", "text", "said", "found"),
    [
        ("operating.md", "when it starts and every six hours", 6 * HOUR_S, INTERVAL_S),
        ("operating.md", "aborts those that its ledger knows a day after", DAY_S, AGE_S),
        ("operating.md", "check` counts those that are older than a day", DAY_S, UPLOAD_AGE_S),
        ("operating.md", "within the hour the daemon sees", HOUR_S, LOOK_S),
        ("operating.md", "a body that takes longer than a minute", 60.0, BODY_S),
        ("operating.md", "a head that takes longer than 20 seconds", 20.0, HeadLimits().head_s),
        (
            "operating.md",
            "16 MiB with three destinations and the default",
            16 * MIB,
            Shares(LIMITS.stream_bytes // 2, destinations=3).of("a")._bytes_max,
        ),
        ("concepts.md", "at most four times in one attempt", 4, LIMITS.replans_max),
        ("concepts.md", "(at most once a second)", 1.0, DECREASE_EVERY_S),
        ("concepts.md", "without an answer within two seconds", 2.0, AGAIN_S_MAX),
        ("concepts.md", "or with a 500, 502 or 504", {500, 502, 504}, _PASSING),
        (
            "concepts.md",
            "left alone: 0.5 to 1 second first",
            (0.5, 1.0),
            (first_pause_s(0.0), first_pause_s(1.0)),
        ),
        ("concepts.md", "(16: over about", 16, LIMITS.attempts_max),
        (
            "concepts.md",
            "about a quarter of an hour",
            1.0,
            pytest.approx(quarters_of_an_hour_of_attempts(), rel=0.2),
        ),
        ("guarantees.md", "kept in memory (up to 4,096;", 4096, LIMITS.unsettled_max),
        ("guarantees.md", "that finds 10,000 others kept already", 10_000, MALFORMED_ROWS_MAX),
        ("guarantees.md", "of the last eight changes", 8, EARLIER_ETAGS_MAX),
        ("guarantees.md", "of the replicas (but more than ten)", 10, DELETES_FREE),
        ("guarantees.md", "in parts above 5 GiB in the same store", 5 * GIB, COPY_BYTES_MAX),
        ("guarantees.md", "objects of more than 10,000 parts", 10_000, PARTS_MAX),
        (
            "guarantees.md",
            "objects above 312 GiB cannot be streamed",
            312,
            LIMITS.stream_bytes // 4 * PARTS_MAX // GIB,
        ),
    ],
)
def test_a_number_is_that_of_the_program(name: str, text: str, said: object, found: object) -> None:
    assert text in " ".join(page(name).split())
    assert said == found
