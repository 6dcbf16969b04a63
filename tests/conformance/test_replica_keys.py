"""What every journal must do with claims of replica keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.journals import JOURNALS, World, world_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(params=JOURNALS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = world_of(request.param, tmp_path)
    await world.start()
    yield world
    await world.stop()


async def test_the_first_key_has_it_and_the_others_are_told_whose_it_is(world: World) -> None:
    journal = world.journal
    assert await journal.claim_replica_key("a", "x", "1/x") == "1/x"
    assert await journal.claim_replica_key("a", "x", "2/x") == "1/x"
    assert await journal.claim_replica_key("a", "x", "1/x") == "1/x"
    assert await journal.claim_replica_key("b", "x", "2/x") == "2/x"
    assert await journal.claim_replica_key("a", "y", "2/x") == "2/x"


async def test_a_claim_is_taken_over_only_from_the_one_that_is_meant(world: World) -> None:
    journal = world.journal
    await journal.claim_replica_key("a", "x", "1/x")
    assert await journal.claim_replica_key("a", "x", "2/x", instead_of="3/x") == "1/x"
    assert await journal.claim_replica_key("a", "x", "2/x", instead_of="1/x") == "2/x"
    assert await journal.claim_replica_key("a", "x", "1/x") == "2/x"


async def test_only_its_owner_gives_a_replica_key_up(world: World) -> None:
    journal = world.journal
    await journal.claim_replica_key("a", "x", "1/x")
    await journal.release_replica_key("a", "x", "2/x")
    assert await journal.claim_replica_key("a", "x", "2/x") == "1/x"
    await journal.release_replica_key("a", "x", "1/x")
    assert await journal.claim_replica_key("a", "x", "2/x") == "2/x"


async def test_owners_are_told_by_replica_key(world: World) -> None:
    journal = world.journal
    for number in range(1200):
        await journal.claim_replica_key("a", f"x{number}", f"1/x{number}")
    await journal.claim_replica_key("b", "y", "2/y")
    asked = [*(f"x{number}" for number in range(0, 1200, 2)), "y", "z"]
    expected = {f"x{number}": f"1/x{number}" for number in range(0, 1200, 2)}
    assert await journal.owners("a", asked) == expected
    assert await journal.owners("nobody", asked) == {}
    assert await journal.owners("a", []) == {}


async def test_claims_survive_a_restart(world: World) -> None:
    await world.journal.claim_replica_key("a", "x", "1/x")
    await world.start()
    assert await world.journal.claim_replica_key("a", "x", "2/x") == "1/x"
