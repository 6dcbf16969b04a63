"""``scripts/soak`` counts right, adds sittings up, and fails if one run did."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.tidy.repository import ROOT

SCRIPT = ROOT / "scripts" / "soak"
REPORT = """<testsuites><testsuite>
<testcase file="tests/a/test_b.py" classname="tests.a.test_b" name="test_c[1.5]"/>
<testcase file="tests/a/test_b.py" classname="tests.a.test_b.D" name="test_e"><failure/></testcase>
<testcase file="tests/a/test_b.py" classname="tests.a.test_b.D" name="test_e"><error/></testcase>
<testcase file="tests/a/test_b.py" classname="tests.a.test_b" name="test_f"><skipped/></testcase>
<testcase classname="" name="tests.a.test_g"><error/></testcase>
</testsuite></testsuites>"""


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("soak", str(SCRIPT))
    spec = importlib.util.spec_from_loader("soak", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


def test_a_report_is_counted(soak: ModuleType) -> None:
    failures = ["tests/a/test_b.py::D::test_e", "tests.a.test_g"]
    assert soak.outcomes(REPORT) == (1, 1, failures)


def test_the_table_says_how_often_and_how_many_in_a_row(soak: ModuleType) -> None:
    def run(*failures: str) -> object:
        return soak.Run("c", [], "2026-11-25T10:00:00", 60.0, 9, 0, list(failures), "1")

    text = soak.table([run(), run("t"), run("t", "u"), run(), run()])
    assert "failed in 2 of 5: t\nfailed in 1 of 5: u\n" in text
    assert "5 runs, 3 without a failure, the last 2 in a row\n300 s, each" in text
    assert "2 runs, 2 without a failure, the last 2 in a row" in soak.table([run(), run()])


def test_runs_of_two_sittings_are_added_up_and_one_failure_fails_them_all(
    soak: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a folder whose ``scripts/test`` is pytest and nothing else."""
    script, test = tmp_path / "scripts" / "test", tmp_path / "test_flaky.py"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest "$@"\n', "utf-8")
    script.chmod(0o755)
    test.write_text(f"def test_it(): assert open({str(tmp_path / 'is_good')!r})\n", "utf-8")
    monkeypatch.setattr(soak, "ROOT", tmp_path)
    monkeypatch.setattr(soak, "commit_of", lambda _: "c0ffee")
    told = ["1", f"--folder={tmp_path / 'kept'}", "-n0", "-pno:cacheprovider", str(test)]
    told.append(f"--rootdir={tmp_path}")  # not a folder that is above this checkout, too

    assert soak.main(told) == 1
    assert "1 of 1: test_flaky.py::test_it" in capsys.readouterr().out
    (tmp_path / "is_good").touch()
    assert soak.main(told) == 1, "the first run is in the table"
    assert "2 runs, 1 without a failure, the last 1 in a row" in capsys.readouterr().out
    runs = (tmp_path / "kept" / "runs.jsonl").read_text("utf-8").splitlines()
    assert [(each["passed"], len(each["failures"])) for each in map(json.loads, runs)] == [
        (0, 1),
        (1, 0),
    ]
    (log,) = (tmp_path / "kept").glob("*.log")
    assert "is_good" in log.read_text("utf-8"), "of the run that failed"

    monkeypatch.setattr(soak, "commit_of", lambda _: "decade")
    assert soak.main(["0", *told[1:]]) == 0
    assert "no runs of this commit" in capsys.readouterr().out
