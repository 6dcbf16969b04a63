"""Every parser gets a small budget in every run, and every input that crashed one, for ever."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import CRASHES
from tests.fuzz.fuzzer import Fuzzer
from tests.fuzz.targets import TARGETS
from tests.simulation.test_simulation import FRESH

INPUTS = 400


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_crashes_a_parser(name: str) -> None:
    target = TARGETS[name]
    outcome = Fuzzer(target.run, target.seeds, number=FRESH).fuzz(lambda inputs: inputs < INPUTS)
    assert outcome.crash is None, (FRESH, outcome.crash, outcome.error)
    assert len(outcome.lines) > 10, "it does reach the parser"


@pytest.mark.parametrize(
    ("name", "crash"),
    [(path.parent.name, path.name) for path in sorted(CRASHES.glob("*/*"))],
)
def test_what_crashed_a_parser_once_does_not_again(name: str, crash: str) -> None:
    TARGETS[name].run((CRASHES / name / crash).read_bytes())


def planted(body: bytes) -> None:
    if body.startswith(b"ke") and b"\xff" in body:
        raise KeyError("planted")


def test_the_fuzzer_finds_a_defect() -> None:
    outcome = Fuzzer(planted, (b"key",), number=1).fuzz(lambda inputs: inputs < 20_000)
    assert isinstance(outcome.error, KeyError)
    again = Fuzzer(planted, (b"key",), number=1).fuzz(lambda inputs: inputs < 20_000)
    assert again.crash == outcome.crash
