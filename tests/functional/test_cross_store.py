"""Promises about destinations on other stores: read once, write many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3fanout.adapters.store.faulty import Call, Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.plan import Way
from s3fanout.engine.reads import ENTRY_OVERHEAD_BYTES
from s3fanout.model.errors import ReplicaMismatch, Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Body, ObjectAttributes, Written
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
ATTRIBUTES = ObjectAttributes(
    {"content-type": "text/plain", "content-encoding": "gzip"}, {"owner": "me"}, {"k": "v"}
)


def far(name: str, **options: object) -> To:
    return To(name, way=Way.STREAM, **options)  # type: ignore[arg-type]  # passed on as they came


async def test_three_destinations_cost_one_read(world_of: MakeWorld) -> None:
    world = world_of(far("a"), far("b"), far("c"))
    await world.receive(world.put("key", b"bytes"))
    await world.rest()
    assert world.requests() == {"GetObject": 1, "PutObject": 3}
    world.assert_equal()


async def test_attributes_and_tags_travel_with_the_bytes(world_of: MakeWorld) -> None:
    world = world_of(far("a"), far("b"))
    await world.receive(world.put("key", b"bytes", ATTRIBUTES))
    await world.rest()
    assert world.buckets["a"].objects["key"].attributes == ATTRIBUTES
    assert world.requests() == {"GetObject": 1, "GetObjectTagging": 1, "PutObject": 2}


async def test_a_change_of_attributes_alone_is_read_again(world_of: MakeWorld) -> None:
    """The second change comes while a slow destination still writes the body of the first."""
    gate = asyncio.Event()
    slow = written([Line(Fault(pause=gate.wait), last=1)])
    world = world_of(far("a"), far("b", script=slow), far("c"))
    await world.receive(world.put("key", b"same"))
    await quiet()
    await world.receive(world.put("key", b"same", ATTRIBUTES))
    await quiet()
    gate.set()
    await world.rest()
    assert world.source.requests["GetObject"] == 2
    world.assert_equal()


async def test_a_change_of_attributes_behind_a_kept_read_is_read_again(
    world_of: MakeWorld,
) -> None:
    """The etag is the same: the body kept for a paused destination has the old attributes."""
    world = world_of(far("a"), far("b"))
    await world.journal.pause("b", now_ms=world.clock.now_ms(), reason="for the test")
    await world.receive(world.put("key", b"same"))
    await quiet()
    await world.receive(world.put("key", b"same", ATTRIBUTES))
    await world.journal.resume("b")
    await world.rest()
    world.assert_equal()


async def test_a_destination_that_comes_later_shares_the_read(world_of: MakeWorld) -> None:
    world = world_of(far("a"), far("b"))
    await world.journal.pause("b", now_ms=world.clock.now_ms(), reason="for the test")
    await world.receive(world.put("key"))
    await quiet()
    await world.journal.resume("b")
    await world.rest()
    assert world.source.requests == {"GetObject": 1}
    world.assert_equal()


async def test_a_slow_destination_blocks_nobody(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    slow = written([Line(Fault(pause=gate.wait))])
    world = world_of(far("slow", script=slow, concurrency=2), far("a"), far("b"))
    for number in range(20):
        await world.receive(world.put(f"key-{number}"))
    await quiet()
    assert len(world.buckets["a"].objects) == len(world.buckets["b"].objects) == 20
    assert world.buckets["slow"].objects == {}
    gate.set()
    await world.rest()
    world.assert_equal()


async def test_memory_is_bounded_and_a_late_destination_reads_by_itself(
    world_of: MakeWorld,
) -> None:
    gate = asyncio.Event()
    slow = written([Line(Fault(pause=gate.wait), last=1)])
    room = 3 * (1000 + ENTRY_OVERHEAD_BYTES)
    used: list[int] = []
    world: World

    def measure(_call: Call) -> None:
        used.append(world.reads.held_bytes)

    world = world_of(
        far("a", concurrency=1),
        far("slow", script=slow, concurrency=1),
        source_script=measure,
        limits=Limits(stream_bytes=2 * room, part_bytes=1000),
    )
    for number in range(12):
        await world.receive(world.put(f"key-{number}", b"%1000d" % number))
    await quiet()
    assert len(world.buckets["a"].objects) == 12
    gate.set()
    await world.rest()
    world.assert_equal()
    assert max(used) == room
    # The slow one shares the first; of the others, bodies that were forgotten are read again.
    assert 12 < world.source.requests["GetObject"] < 24
    assert world.source.requests["HeadObject"] == 0


async def test_destinations_that_stand_still_hold_no_more_than_their_share(
    world_of: MakeWorld,
) -> None:
    """What is being sent cannot be let go: the others have what is left, and never wait."""
    gate = asyncio.Event()
    used: list[int] = []
    world: World

    def stands_still(_call: Call) -> Fault:
        used.append(world.reads.held_bytes)
        return Fault(pause=gate.wait)

    stalled, alive = [f"slow-{number}" for number in range(7)], ["a", "b", "c"]
    room = 22 * (1000 + ENTRY_OVERHEAD_BYTES)
    world = world_of(
        *(far(name, script=stands_still) for name in stalled),
        *(far(name) for name in alive),
        source_script=lambda _call: used.append(world.reads.held_bytes),
        limits=Limits(stream_bytes=2 * room, part_bytes=1000),
    )
    for number in range(60):
        await world.receive(world.put(f"key-{number}", b"%1000d" % number))
    await quiet()
    assert [len(world.buckets[name].objects) for name in alive] == [60, 60, 60]
    assert all(len(world.ports[name].calls) == 2 for name in stalled)
    gate.set()
    await world.rest()
    world.assert_equal()
    assert max(used) <= room


async def test_a_budget_smaller_than_an_object_works_one_at_a_time(world_of: MakeWorld) -> None:
    world = world_of(far("a"), far("b"), limits=Limits(stream_bytes=1, part_bytes=1000))
    for number in range(5):
        await world.receive(world.put(f"key-{number}", b"%900d" % number))
    await world.rest()
    world.assert_equal()


async def test_a_read_that_fails_is_not_kept(world_of: MakeWorld) -> None:
    broken = written([Line(Fault(Unavailable("reset")), operation="GetObject", last=1)])
    world = world_of(far("a"), far("b"), source_script=broken)
    await world.receive(world.put("key"))
    await world.rest()
    world.assert_equal()
    # One failed read, then one for each: a retry is never served by a read that began before it.
    assert world.source.requests["GetObject"] + 1 == len(world.source_port.calls) == 3


async def test_an_object_that_changed_before_the_read_is_probed(world_of: MakeWorld) -> None:
    world = world_of(far("a"))
    outdated = world.put("key", b"old")
    world.put("key", b"new")
    await world.receive(outdated)
    await world.rest()
    assert world.source.requests == {"GetObject": 2, "HeadObject": 1}
    world.assert_equal()


async def test_an_object_that_needs_too_many_parts_is_a_dead_letter(world_of: MakeWorld) -> None:
    world = world_of(far("a"), limits=Limits(part_bytes=1, part_bytes_min=1, stream_bytes=4))
    await world.receive(world.put("key", b"x" * 10_001))
    await world.rest()
    dead = world.known("a", "key")
    assert dead.error is not None
    assert (dead.state, dead.error.code) == (JobState.DEAD, "too-large")
    assert "limits.stream_memory" in dead.error.hint
    assert world.requests() == {"HeadObject": 1}


async def test_a_hinted_size_that_is_too_large_is_not_believed(world_of: MakeWorld) -> None:
    world = world_of(far("a"), limits=Limits(part_bytes=4))
    world.put("key", b"1234")
    await world.receive(world.message("key", etag="outdated", size_bytes=5))
    await world.rest()
    world.assert_equal()


class OtherEtags:
    """A store whose etags look like MD5 and are not (KMS); it may cut what it was given."""

    def __init__(self, inner: ObjectStore, *, cut: bool) -> None:
        self._inner = inner
        self._cut = cut

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        await self._inner.put(key, body, attributes)
        if self._cut:
            self._cut = False
            self._inner.objects[key] = StoredObject.of(b"cut")  # type: ignore[attr-defined]
        return Written("f" * 32)


def other_etags(*, cut: bool) -> Callable[[ObjectStore], ObjectStore]:
    return lambda inner: OtherEtags(inner, cut=cut)  # type: ignore[return-value]


async def test_an_etag_that_is_no_digest_is_checked_by_size(world_of: MakeWorld) -> None:
    world = world_of(far("a", wrap=other_etags(cut=False)))
    await world.receive(world.put("key"))
    await world.rest()
    assert world.buckets["a"].requests == {"PutObject": 1, "HeadObject": 1}
    world.assert_equal()


async def test_a_destination_that_alters_objects_is_never_settled(world_of: MakeWorld) -> None:
    world = world_of(far("a", wrap=other_etags(cut=True)))
    await world.receive(world.put("key"))
    await world.rest()
    errors = [of.error.code for of in world.reports.settlements if of.error is not None]
    assert errors == [ReplicaMismatch.code]
    world.assert_equal()


async def test_near_and_far_destinations_are_served_by_one_event(world_of: MakeWorld) -> None:
    world = world_of(To("near"), far("far"))
    await world.receive(world.put("key", b"x", ATTRIBUTES))
    await world.rest()
    assert world.requests() == {
        "CopyObject": 1,
        "GetObject": 1,
        "GetObjectTagging": 1,
        "PutObject": 1,
    }
    world.assert_equal()
