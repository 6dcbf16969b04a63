"""Real processes behind fault proxies: the daemon keeps stores equal that do not behave."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fleet import is_equal, storm

pytestmark = [pytest.mark.stores, pytest.mark.slow]


def test_a_small_fleet_in_a_storm_ends_equal(tmp_path: Path) -> None:
    """Latency, 500, 503, resets, lost and cut answers, corrupt uploads, two times ``kill -9``."""
    report = storm(tmp_path, "s3fanout", 120, seed=7)
    assert is_equal(report), report
    assert (report["failures"], report["kills"]) == ([], 2)
    faults = report["faults"]
    assert all(faults["near"][name] for name in ("slow_down", "internal", "reset", "lost")), faults
