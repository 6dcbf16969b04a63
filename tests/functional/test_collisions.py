"""Promises about key templates that may give two objects one key: the first one keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3fanout.model.jobs import JobState
from s3fanout.model.rules import Deletes, KeyMap
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
FLAT = KeyMap(template="flat/{name}")


async def test_the_second_key_is_refused_with_both_keys_named(world_of: MakeWorld) -> None:
    world = world_of(To("a", key_map=FLAT))
    await world.receive(world.put("one/x", b"first"))
    await world.rest()
    await world.receive(world.put("two/x", b"second"))
    await world.receive(world.put("two/y", b"other"))
    await world.rest()
    replicas = {key: stored.content for key, stored in world.buckets["a"].objects.items()}
    assert replicas == {"flat/x": b"first", "flat/y": b"other"}
    refused = world.known("a", "two/x")
    assert refused.state is JobState.DEAD
    assert refused.error is not None
    assert refused.error.code == "key-collision"
    assert refused.error.message == (
        "'two/x' and 'one/x' have one replica key, 'flat/x', and 'one/x' has it"
    )


@pytest.mark.parametrize(("template", "commits"), [("flat/{name}", 2), ("archive/{key}", 0)])
async def test_only_a_template_that_may_collide_costs_a_commit_for_each_attempt(
    world_of: MakeWorld, monkeypatch: pytest.MonkeyPatch, template: str, commits: int
) -> None:
    world, claimed = world_of(To("a", key_map=KeyMap(template=template))), list[str]()
    claim = world.journal.claim_replica_key

    async def counted(destination: str, target: str, key: str, **options: str) -> str:
        claimed.append(target)
        return await claim(destination, target, key, **options)

    monkeypatch.setattr(world.journal, "claim_replica_key", counted)
    for content in (b"first", b"second"):
        await world.receive(world.put("one/x", content))
        await world.rest()
    assert len(claimed) == commits


async def test_the_owner_goes_on_being_replicated_also_after_a_restart(world_of: MakeWorld) -> None:
    world = world_of(To("a", key_map=FLAT))
    await world.receive(world.put("one/x", b"first"))
    await world.rest()
    await world.crash()
    await world.receive(world.put("two/x", b"second"))
    await world.receive(world.put("one/x", b"newer"))
    await world.rest()
    assert world.buckets["a"].objects["flat/x"].content == b"newer"
    assert world.known("a", "two/x").state is JobState.DEAD


async def test_a_removal_of_the_refused_key_deletes_nothing(world_of: MakeWorld) -> None:
    """Even where both have the same bytes, and so the same etag."""
    world = world_of(To("a", key_map=FLAT, deletes=Deletes.REPLICATE))
    await world.receive(world.put("one/x", b"same"))
    await world.rest()
    await world.receive(world.put("two/x", b"same"))
    await world.rest()
    world.source.objects.pop("two/x")
    await world.receive(world.message_of(world.record("two/x", name="ObjectRemoved:Delete")))
    await world.rest()
    assert "flat/x" in world.buckets["a"].objects
    assert world.known("a", "two/x").state is JobState.SUPERSEDED


async def test_the_key_is_free_again_after_its_replica_was_deleted(world_of: MakeWorld) -> None:
    world = world_of(To("a", key_map=FLAT, deletes=Deletes.REPLICATE))
    await world.receive(world.put("one/x", b"first"))
    await world.rest()
    world.source.objects.pop("one/x")
    await world.receive(world.message_of(world.record("one/x", name="ObjectRemoved:Delete")))
    await world.rest()
    await world.receive(world.put("two/x", b"second"))
    await world.rest()
    assert world.buckets["a"].objects["flat/x"].content == b"second"


async def test_a_key_that_is_no_longer_mapped_there_gives_way(world_of: MakeWorld) -> None:
    """The template was changed: what the old one wrote is nobody's now."""
    world = world_of(To("a", key_map=FLAT))
    await world.journal.claim_replica_key("a", "flat/x", "x.old")
    await world.receive(world.put("two/x", b"second"))
    await world.rest()
    assert world.buckets["a"].objects["flat/x"].content == b"second"
