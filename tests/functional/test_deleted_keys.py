"""Keys that no listing of objects shows: their histories are backfilled and compared too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

import pytest

from s3fanout.adapters.store.memory_versions import VersionedObjects
from s3fanout.decide.backfill import Choice
from s3fanout.engine.backfill import Backfill, listed
from s3fanout.engine.examiner import Depth
from s3fanout.engine.sweep import Repairer
from s3fanout.engine.verify import Finding, Tally, Verifier
from s3fanout.model.errors import Unavailable
from s3fanout.model.items import Batch
from s3fanout.model.rules import Deletes, Rule, Versions
from tests.functional.versions import all_of, assert_equal, deleted, versioned
from tests.functional.world import To, World

MakeWorld = Callable[..., World]


def backfill_of(world: World) -> Backfill:
    rules = [one.rule for one in world.to.values()]
    return Backfill(rules=rules, books=world.journal, clock=world.clock, fingerprint="f")


def batches(world: World, position: str | None = None) -> AsyncGenerator[Batch]:
    return listed(world.source, world.clock, "", position, with_deleted=True)


def live(world: World, key: str, *, is_deleted: bool) -> None:
    """A history that nobody tells of."""
    for content in (b"first", b"second"):
        world.put(key, content)
    if is_deleted:
        deleted(world, key)


async def test_a_backfill_brings_the_histories_of_deleted_objects_too(world_of: MakeWorld) -> None:
    world = world_of(all_of("a"), all_of("b", deletes=Deletes.IGNORE))
    live(world, "is", is_deleted=False)
    live(world, "was", is_deleted=True)
    tally = await backfill_of(world).run(batches(world))
    assert (tally.items, tally.pages) == (2, 2)
    await world.rest()
    assert isinstance(world.buckets["a"].objects, VersionedObjects)
    for key in ("is", "was"):
        copied, written = (
            versioned(store).history[key] for store in (world.source, world.buckets["a"])
        )
        assert [each.stored for each in copied] == [each.stored for each in written]
    kept = [each.stored for each in versioned(world.buckets["b"]).history["was"]]
    assert [each and each.content for each in kept] == [b"first", b"second"], "markers are ignored"


async def test_who_gets_only_the_latest_version_gets_nothing_of_them(world_of: MakeWorld) -> None:
    world = world_of(all_of("a"), To("b"))
    live(world, "was", is_deleted=True)
    tally = await backfill_of(world).run(batches(world))
    assert tally.choices == {"a": {Choice.QUEUE: 1}, "b": {Choice.UNWANTED: 1}}
    only_latest = world_of(To("b"))
    tally = await backfill_of(only_latest).run(batches(world))
    assert tally.items == 0


async def test_killed_among_deleted_objects_it_goes_on_there(world_of: MakeWorld) -> None:
    world = world_of(all_of("a"))
    for number in range(2500):
        world.put(f"k{number:04}")
        deleted(world, f"k{number:04}")

    async def dies_after(pages: int) -> AsyncGenerator[Batch]:
        async for batch in batches(world):
            if pages == 0:
                raise Unavailable("killed")
            pages -= 1
            yield batch

    with pytest.raises(Unavailable):
        await backfill_of(world).run(dies_after(2))
    world.source.requests.clear()
    resumed = backfill_of(world)
    tally = await resumed.run(batches(world, await resumed.resume()))
    assert tally.items == 2500
    assert world.source.requests["ListObjectsV2"] == 0
    assert world.source.requests["ListObjectVersions"] == 2


async def verified(
    world: World, rule: Rule, depth: Depth = Depth.ATTRIBUTES
) -> tuple[Tally, list[Finding]]:
    findings: list[Finding] = []

    async def found(some: Sequence[Finding]) -> None:
        findings.extend(some)

    verifier = Verifier(
        rule=rule,
        source=world.source,
        replica=world.buckets["a"],
        ledger=world.journal,
        clock=world.clock,
        depth=depth,
    )
    return await verifier.run("", found), findings


async def test_histories_of_deleted_objects_are_compared_and_repaired(world_of: MakeWorld) -> None:
    world = world_of(all_of("a"))
    for key in ("equal", "poor", "none", "is"):
        live(world, key, is_deleted=key != "is")
    await backfill_of(world).run(batches(world))
    await world.rest()
    rule = world.to["a"].rule
    tally, findings = await verified(world, rule)
    assert (findings, tally.is_equal) == ([], True)

    replica = versioned(world.buckets["a"])
    replica.history["poor"] = [replica.history["poor"][-1]]
    del replica.history["none"]
    tally, findings = await verified(world, rule)
    assert {each.key: (each.verdict.standing.value, each.verdict.code) for each in findings} == {
        "poor": ("*", "history"),
        "none": ("+", "missing"),
    }
    assert not tally.is_equal
    assert (await verified(world, rule, Depth.LISTING))[1] == [], "it reads no histories"
    assert (await verified(world, replace(rule, versions=Versions.LATEST)))[1] == []

    repairer = Repairer(
        rule=rule, books=world.journal, clock=world.clock, grace_s=0.0, revives=True
    )
    await repairer.found(findings)
    assert repairer.repairs.queued == 2
    await world.rest()
    assert_equal(world, "none")
