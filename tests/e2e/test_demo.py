"""The first thing that anybody runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.installation import run_installed

pytestmark = pytest.mark.stores


def test_the_demo_copies_compares_and_ends(tmp_path: Path) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(tmp_path)}
    done = run_installed(["demo", "--exit", "--objects", "100", "--json"], env=environment)
    assert done.code == 0, done.err
    document = done.json
    assert document["kind"] == "demo"
    assert document["equal"] is True
    assert (document["objects"], document["replicas"]) == (100, 300)
    assert document["different"] == []
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the functions' wheels are Linux's"
)
@pytest.mark.parametrize(
    "topology",
    [
        "durable",
        pytest.param(
            "classic",
            marks=pytest.mark.skipif(
                "S3FANOUT_LONG" not in os.environ, reason="set S3FANOUT_LONG=1 for both"
            ),
        ),
    ],
)
def test_the_demo_deploys_validates_replicates_and_destroys(tmp_path: Path, topology: str) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(tmp_path)}
    environment["HOME"] = os.environ.get("HOME", str(tmp_path))
    arguments = ["demo", "--aws", "--exit", "--json", "--objects", "10", "--topology", topology]
    done = run_installed(arguments, env=environment)
    assert done.code == 0, done.err
    document = done.json
    assert (document["kind"], document["equal"]) == ("demo", True)
    assert (document["objects"], document["replicas"]) == (10, 30)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
