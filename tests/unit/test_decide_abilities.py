"""How far what a store once showed is believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.decide.abilities import AGE_S, is_current, trusts_conditions
from s3fanout.model.abilities import NO, YES, Ability, AbilityRecord

DAY_MS = 24 * 3600 * 1000
AGE_MS = round(AGE_S * 1000)
FOUND_MS = 1_800_000_000_000
SHOWN = AbilityRecord("http://here/a", Ability.CONDITIONS, YES, FOUND_MS, "check", "1.0", "Sea 4")


@pytest.mark.parametrize(
    ("record", "server", "program", "after_ms", "trusted"),
    [
        (SHOWN, "Sea 4", "1.0", DAY_MS, True),
        (SHOWN, "Sea 4", "1.0", AGE_MS, True),
        (SHOWN, "Sea 4", "1.0", AGE_MS + 1, False),
        (SHOWN, "Sea 4", "1.0", -1, False),
        (SHOWN, "Sea 4", "1.1", DAY_MS, False),
        (SHOWN, "Sea 5", "1.0", DAY_MS, False),
        (SHOWN, "", "1.0", DAY_MS, False),
        (SHOWN, None, "1.0", DAY_MS, False),
        (replace(SHOWN, server=""), "", "1.0", DAY_MS, True),
        (replace(SHOWN, server=""), None, "1.0", DAY_MS, False),
        (replace(SHOWN, value=NO), "Sea 4", "1.0", DAY_MS, False),
        (None, "Sea 4", "1.0", DAY_MS, False),
    ],
)
def test_a_copy_is_trusted_only_while_all_is_as_it_was_shown(
    record: AbilityRecord | None, server: str | None, program: str, after_ms: int, trusted: bool
) -> None:
    now_ms = FOUND_MS + after_ms
    assert trusts_conditions(record, server=server, program=program, now_ms=now_ms) is trusted


def test_an_answer_is_current_for_its_time_and_its_program() -> None:
    assert is_current(SHOWN, program="1.0", now_ms=FOUND_MS)
    assert not is_current(SHOWN, program="1.0", now_ms=FOUND_MS + AGE_MS + 1)
    assert not is_current(SHOWN, program="0.9", now_ms=FOUND_MS)
