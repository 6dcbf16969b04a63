"""A command starts with what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

SEEN = "import sys, click; import s3fanout.cli.{}; print(*sorted(sys.modules))"


@pytest.mark.parametrize(
    ("module", "heavy"), [("main", {"pydantic", "aiohttp", "boto3"}), ("status", {"boto3"})]
)
def test_what_is_slow_to_import_waits_until_it_is_used(module: str, heavy: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEEN.format(module)], capture_output=True, text=True, check=True
    )
    assert heavy.isdisjoint(done.stdout.split())
