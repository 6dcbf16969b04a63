"""What a comparison shows while it goes on."""

from __future__ import annotations

from s3fanout.cli.comparison_view import progress_line
from s3fanout.decide.compare import Standing
from s3fanout.engine.verify import Tally


def test_the_line_says_how_far_how_fast_and_what_was_found() -> None:
    tally = Tally(keys=12_000)
    tally.counts |= {Standing.SAME: 5_990, Standing.MISSING: 8, Standing.UNKNOWN: 2}
    line = "paris: 12,000 keys listed, 6,000 keys/s; 5,990 same, 10 others"
    assert progress_line("paris", tally, passed_s=2.0) == line
    tally.read = 1_500
    assert ", 1,500 looked at closely; " in progress_line("paris", tally, passed_s=2.0)
