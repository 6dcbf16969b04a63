"""Promises about deletes: only what is gone, only what is ours, never in masses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3fanout.adapters.store.faulty import Call, Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.plan import Way
from s3fanout.model.errors import AccessDenied, StoreError, Throttled, Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from s3fanout.model.removals import DELETES_HELD
from s3fanout.model.rules import Deletes, KeyMap
from tests.functional.clock import quiet
from tests.functional.versions import versioned
from tests.functional.world import To, World, holding

MakeWorld = Callable[..., World]


def replicating(name: str = "a", **more: object) -> To:
    return To(name, deletes=Deletes.REPLICATE, **more)  # type: ignore[arg-type]


def removed(world: World, key: str) -> bytes:
    """Remove a source object. Returns the message that its store sends."""
    world.source.objects.pop(key, None)
    return world.message_of(world.record(key, name="ObjectRemoved:Delete"))


async def test_by_default_nothing_is_deleted(world_of: MakeWorld) -> None:
    """Neither by a removal, nor by an attempt that finds its source gone."""
    world = world_of(To("a"))
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await world.receive(world.message("key"))
    await world.rest()
    assert world.states("key") == {"a": JobState.SUPERSEDED}
    assert "key" in world.buckets["a"].objects
    assert world.requests()["DeleteObject"] == 0


@pytest.mark.parametrize("way", Way)
async def test_a_removal_deletes_the_replica(world_of: MakeWorld, way: Way) -> None:
    to = replicating(way=way, key_map=KeyMap("", "copy/"))
    world = world_of(to, To("b"))
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await world.rest()
    assert dict(world.buckets["a"].objects) == {}
    assert "key" in world.buckets["b"].objects
    record = world.known("a", "key")
    assert record.state is JobState.SUPERSEDED
    assert record.reason == "the source object is gone, and the replica was deleted"
    assert not record.replica_etag
    await world.receive(world.put("key"))  # and it comes back
    await world.rest()
    assert "copy/key" in world.buckets["a"].objects


async def test_a_versioned_bucket_gets_a_delete_marker_and_loses_nothing(
    world_of: MakeWorld,
) -> None:
    world = world_of(replicating())
    world.buckets["a"]._stores.keep_versions("a")
    await world.receive(world.put("key", b"kept"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await world.rest()
    assert "key" not in world.buckets["a"].objects
    kept = [entry.stored for entry in versioned(world.buckets["a"]).history["key"]]
    assert [stored and stored.content for stored in kept] == [b"kept", None]


async def test_a_removal_of_what_is_not_there_is_no_error(world_of: MakeWorld) -> None:
    world = world_of(replicating())
    await world.receive(removed(world, "key"))
    await world.rest()
    assert world.known("a", "key").state is JobState.SUPERSEDED
    assert world.requests()["DeleteObject"] == 0


@pytest.mark.parametrize(
    "error", [Unavailable("503", status=503), AccessDenied("403", status=403), Throttled("slow")]
)
async def test_an_unknown_source_deletes_nothing(world_of: MakeWorld, error: StoreError) -> None:
    broken = True

    def script(call: Call) -> Fault | None:
        return Fault(error) if broken and call.operation == "HeadObject" else None

    world = world_of(replicating(), source_script=script)
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await world.clock.advance(0.01)
    assert "key" in world.buckets["a"].objects
    broken = False
    await world.rest()
    assert "key" not in world.buckets["a"].objects


async def test_a_removal_of_what_exists_again_copies_it(world_of: MakeWorld) -> None:
    world = world_of(replicating())
    await world.receive(world.put("key"))
    await world.rest()
    late = removed(world, "key")
    world.put("key", b"again")
    await world.receive(late)
    await world.rest()
    world.assert_equal()


async def test_a_removal_that_is_overtaken_deletes_nothing(world_of: MakeWorld) -> None:
    """The object is there again before the attempt that saw it absent comes to the replica."""
    gate = asyncio.Event()
    slow_answer = Fault(pause=gate.wait, applied=True)
    world = world_of(
        replicating(), source_script=written([Line(slow_answer, operation="HeadObject", last=1)])
    )
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await quiet()
    await world.receive(world.put("key", b"again"))
    gate.set()
    await world.rest()
    world.assert_equal()
    assert world.requests()["DeleteObject"] == 0


async def test_a_late_creation_of_what_is_gone_deletes_the_replica(world_of: MakeWorld) -> None:
    """A route without trusted order may bring the creation after the removal."""
    world = world_of(replicating())
    created = world.put("key")
    await world.receive(created)
    await world.rest()
    world.source.objects.pop("key")
    await world.receive(world.message("key"))
    await world.rest()
    assert "key" not in world.buckets["a"].objects


async def test_what_somebody_else_wrote_is_never_deleted(world_of: MakeWorld) -> None:
    world = world_of(replicating())
    await world.receive(world.put("key"))
    await world.rest()
    world.buckets["a"].objects["key"] = StoredObject.of(b"theirs")
    world.buckets["a"].objects["other"] = StoredObject.of(b"theirs too")
    await world.receive(removed(world, "key"))
    await world.receive(removed(world, "other"))
    await world.rest()
    assert set(world.buckets["a"].objects) == {"key", "other"}
    for key in ("key", "other"):
        error = world.known("a", key).error
        assert error is not None
        assert error.code == "foreign-replica"


async def test_what_was_replaced_in_between_is_not_deleted(world_of: MakeWorld) -> None:
    """Where the store honours the condition of the delete."""
    world: World

    def script(call: Call) -> Fault | None:
        if call.operation == "DeleteObject":
            world.buckets["a"].objects["key"] = StoredObject.of(b"theirs")
        return None

    world = world_of(replicating(script=script))
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await world.rest()
    assert world.buckets["a"].objects["key"].content == b"theirs"
    assert world.known("a", "key").state is JobState.DEAD


async def test_a_replica_whose_settlement_was_lost_is_known_as_ours(world_of: MakeWorld) -> None:
    world = world_of(replicating())
    never = asyncio.Event()
    world.journal.before = holding("settle", never)
    await world.receive(world.put("key"))
    await quiet()
    assert "key" in world.buckets["a"].objects
    await world.receive(world.put("key", b"newer, and never copied"))
    message = removed(world, "key")
    await world.crash()
    await world.receive(message)
    await world.rest()
    assert "key" not in world.buckets["a"].objects


async def test_a_replica_of_an_overtaken_attempt_is_known_as_ours(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    slow = Line(Fault(pause=gate.wait, applied=True), operation="CopyObject", last=1)
    world = world_of(replicating(script=written([slow])))
    world.put("key", b"1")
    await world.receive(world.message("key"))  # no hints: the etag is not known from it
    await quiet()
    await world.receive(removed(world, "key"))
    gate.set()
    await world.rest()
    assert "key" not in world.buckets["a"].objects


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_later_state_whose_copy_was_not_answered_is_known_by_its_message(
    world_of: MakeWorld, is_told: bool
) -> None:
    lost = Line(
        Fault(Unavailable("the answer got lost", operation="CopyObject"), applied=True),
        operation="CopyObject",
        first=2,
        last=2,
    )
    world = world_of(replicating(script=written([lost])))
    first = world.put("key", b"1")
    second = world.put("key", b"2")  # The copy is pinned to the first, and then finds this one.
    await world.receive(first)
    await quiet()
    assert world.buckets["a"].objects["key"].content == b"2"
    if is_told:
        await world.receive(second)
    await world.receive(removed(world, "key"))
    await world.rest()
    assert ("key" in world.buckets["a"].objects) is not is_told
    record = world.known("a", "key")
    assert record.state is (JobState.SUPERSEDED if is_told else JobState.DEAD)
    assert (record.error.code if record.error else "") == ("" if is_told else "foreign-replica")


async def test_masses_of_deletes_wait_for_a_person(world_of: MakeWorld) -> None:
    world = world_of(replicating(), replicating("b"), limits=Limits(deletes_max=12))
    keys = [f"key-{number}" for number in range(100)]
    for key in keys:
        await world.receive(world.put(key))
    await world.rest()
    world.buckets["b"].objects.clear()  # what is not there needs no guard
    for key in keys[:30]:
        await world.receive(removed(world, key))
    await world.receive(world.put("other"))
    await world.clock.advance(10)
    assert len(world.buckets["a"].objects) == 100 - 12 + 1
    assert set(world.buckets["b"].objects) == {"other"}
    held = world.unsettled()
    assert {record.destination for record in held} == {"a"}
    assert {record.error.code for record in held if record.error} == {DELETES_HELD}
    assert len(held) == 18
    guard = (await world.journal.delete_guards())["a"]
    assert guard.held_reason == "more than 12 deletes within 3600 s"

    assert await world.journal.release_deletes("a", now_ms=world.clock.now_ms()) == 18
    await world.rest(within_s=60)
    assert len(world.buckets["a"].objects) == 100 - 30 + 1


async def test_a_restart_forgets_no_hold(world_of: MakeWorld) -> None:
    world = world_of(replicating(), limits=Limits(deletes_max=0))
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await world.clock.advance(1)
    await world.crash()
    await world.clock.advance(7200)
    assert "key" in world.buckets["a"].objects
    assert (await world.journal.delete_guards())["a"].held_at_ms is not None


async def test_a_share_of_few_replicas_is_held_too(world_of: MakeWorld) -> None:
    world = world_of(replicating(), limits=Limits(deletes_percent_max=25))
    for number in range(60):
        await world.receive(world.put(f"key-{number}"))
    await world.rest()
    for number in range(60):
        await world.receive(removed(world, f"key-{number}"))
    await world.clock.advance(10)
    assert len(world.buckets["a"].objects) == 45


async def test_a_lost_answer_of_a_delete_is_made_good(world_of: MakeWorld) -> None:
    lost = Fault(Unavailable("no answer"), applied=True)
    world = world_of(replicating(script=written([Line(lost, operation="DeleteObject", last=1)])))
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(removed(world, "key"))
    await world.rest()
    assert "key" not in world.buckets["a"].objects
    assert world.known("a", "key").state is JobState.SUPERSEDED
