"""What the demo ends with."""

from __future__ import annotations

import pytest

from s3fanout.cli.demo_report import report
from s3fanout.model.errors import ExitCode
from s3fanout.service.demo import Comparison

MISSING = (("key", "paris"),)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("different", "complete", "expected"),
    [
        ((), True, ExitCode.OK),
        (MISSING, True, ExitCode.DIFFERENT),
        (MISSING, False, ExitCode.DIFFERENT),
        ((), False, ExitCode.DIFFERENT),
    ],
)
def test_it_ends_with_0_only_if_all_are_equal(
    different: tuple[tuple[str, str], ...], complete: bool, expected: ExitCode, as_json: bool
) -> None:
    result = Comparison(1, 3, different, ())
    assert report(result, complete=complete, took_s=1.0, as_json=as_json) is expected
