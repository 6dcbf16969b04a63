"""What every journal must do with what stores showed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from s3fanout.model.abilities import NO, YES, Ability, AbilityRecord
from tests.conformance.journals import JOURNALS, World, world_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HERE = AbilityRecord(
    "http://here:9000/a", Ability.CONDITIONS, YES, 7, "check", "0.1.0", "SeaweedFS 4.48"
)


@pytest.fixture(params=JOURNALS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = world_of(request.param, tmp_path)
    await world.start()
    yield world
    await world.stop()


async def test_nothing_is_known_at_first(world: World) -> None:
    assert list(await world.journal.abilities()) == []


async def test_the_newest_answer_takes_the_place_of_the_one_before(world: World) -> None:
    order = replace(HERE, ability=Ability.ORDER, value=NO)
    other = replace(HERE, store="http://here:9000/b", server="")
    await world.journal.keep_abilities([other, HERE, order])
    newer = replace(HERE, value=NO, found_at_ms=8, found_by="daemon")
    await world.journal.keep_abilities([newer])
    assert list(await world.journal.abilities()) == [newer, order, other]


async def test_what_stores_showed_survives_a_restart(world: World) -> None:
    await world.journal.keep_abilities([HERE])
    await world.start()
    assert list(await world.journal.abilities()) == [HERE]
