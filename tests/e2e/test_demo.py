"""The first thing that anybody runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.installation import run_program

pytestmark = pytest.mark.stores


def test_the_demo_copies_compares_and_ends(tmp_path: Path) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(tmp_path)}
    done = run_program(["demo", "--exit", "--objects", "100", "--json"], env=environment)
    assert done.code == 0, done.err
    document = done.json
    assert document["kind"] == "demo"
    assert document["equal"] is True
    assert (document["objects"], document["replicas"]) == (100, 300)
    assert document["different"] == []
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
