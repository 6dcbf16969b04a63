"""Seeds of the simulation: a fixed budget, fresh ones, and those that failed once."""

from __future__ import annotations

import os
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation import audit
from tests.simulation import histories as histories_audit
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.options import draw
from tests.simulation.run import run_batch, simulate

KEPT = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "kept_seeds.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
FRESH = int(os.environ.get("S3FANOUT_SEED", random.SystemRandom().randrange(1 << 32)))
"""Another number for every run; the failure prints it."""
MUTANT_SEEDS_MAX = 600


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_a_fixed_budget_of_seeds(first: int) -> None:
    assert [report for report in run_batch(first, 100) if report.error] == []


def test_fresh_seeds() -> None:
    assert [report for report in run_batch(FRESH, 100) if report.error] == []


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_failed_once(seed: int) -> None:
    assert simulate(draw(seed)).error == ""


@pytest.mark.parametrize("seed", [1, 2, 3, *KEPT[:3]])
def test_the_same_seed_leaves_the_same_trace(seed: int) -> None:
    """Else a failure could not be run again: something asked the real world for time or chance."""
    first, second = simulate(draw(seed)), simulate(draw(seed))
    assert first == second
    assert first.trace != simulate(draw(seed + 1)).trace


def test_every_auditor_has_a_mutant_that_it_catches() -> None:
    """Those of the tables, on their own for runs in which every version counts."""
    for module, histories in ((audit, False), (histories_audit, True)):
        named = set(re.findall(r"^\| ([a-z ,]+) \|", module.__doc__ or "", re.MULTILINE))
        caught = {each.auditor for each in MUTANTS if each.histories is histories}
        assert named - {"auditor"} == caught


def test_the_guarantees_name_every_auditor() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guarantees.md").read_text("utf-8")
    rows = page.partition("| auditor |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| ([a-z ,]+) \|", rows, re.MULTILINE)
    assert sorted(named) == sorted({each.auditor for each in MUTANTS})


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_is_caught(mutant: Mutant) -> None:
    found = []
    for seed in range(MUTANT_SEEDS_MAX):
        error = simulate(mutant.options(seed), mutant.parts).error
        if error.startswith(f"Violation: {mutant.auditor}:") and mutant.says in error:
            return
        found.append(error)
    raise AssertionError(f"only {sorted(set(filter(None, found)))[:5]}")


@pytest.mark.parametrize(
    "mutant", [each for each in MUTANTS if each.world], ids=lambda mutant: mutant.name
)
def test_the_world_of_a_mutant_is_one_that_the_engine_survives(mutant: Mutant) -> None:
    assert [simulate(mutant.options(seed)).error for seed in range(60)] == [""] * 60


def test_time_is_virtual() -> None:
    """A run of hours takes no longer than its events do."""
    options = replace(draw(1), pause_s=600.0)
    assert simulate(options).virtual_s > 600
