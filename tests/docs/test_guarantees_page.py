"""The numbers in docs/guarantees.md are those that the program works with."""

from __future__ import annotations

import pytest

from s3fanout.decide.guard import DELETES_FREE
from s3fanout.engine.leftovers import AGE_S
from s3fanout.model.jobs import EARLIER_ETAGS_MAX
from s3fanout.model.limits import COPY_BYTES_MAX, GIB, PARTS_MAX, Limits
from s3fanout.ports.ledger import MALFORMED_ROWS_MAX
from tests.docs.pages import page

LIMITS = Limits()
IN_WORDS = {8: "eight", 10: "ten"}


@pytest.mark.parametrize(
    "sentence",
    [
        f"Outcomes are kept in memory (up to {LIMITS.unsettled_max:,};",
        f"that finds {MALFORMED_ROWS_MAX:,} others kept already is answered with 503",
        f"may have written, of the last {IN_WORDS[EARLIER_ETAGS_MAX]} changes",
        f"`limits.deletes_percent_max` of the replicas (but more than {IN_WORDS[DELETES_FREE]})",
        f"in parts above {COPY_BYTES_MAX // GIB} GiB in the same store",
        f"No streamed objects of more than {PARTS_MAX:,} parts",
        f"objects above {LIMITS.stream_bytes // 4 * PARTS_MAX // GIB} GiB cannot be streamed",
    ],
)
def test_a_number_is_the_one_that_counts(sentence: str) -> None:
    assert sentence in " ".join(page("guarantees.md").split())


def test_an_upload_that_nobody_finishes_is_aborted_a_day_later() -> None:
    assert AGE_S == 24 * 3600


def test_a_job_is_tried_for_about_a_quarter_of_an_hour() -> None:
    """On average: each wait is a random part of its cap."""
    waits = (
        min(LIMITS.retry_cap_s, LIMITS.retry_base_s * 2**n) for n in range(LIMITS.attempts_max - 1)
    )
    assert 14 * 60 < sum(waits) / 2 < 18 * 60
