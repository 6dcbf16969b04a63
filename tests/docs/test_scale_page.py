"""The plan for a hundred million keys in docs/verify.md is the one that is computed."""

from __future__ import annotations

import pytest

from benchmarks.scale import Rates, spoken, table
from tests.docs.pages import page


def test_the_page_has_the_computed_table() -> None:
    assert table(Rates()) in page("verify.md"), "run: python -m benchmarks.scale"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(29, "0 min"), (5400, "90 min"), (7200, "2.0 h"), (100_000, "27.8 h")]
)
def test_times_are_told_in_minutes_or_hours(seconds: float, expected: str) -> None:
    assert spoken(seconds) == expected
