"""Promises about versions: every one, in order, once; and nobody else's is touched."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from s3fanout.adapters.store.faulty import Call, Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.plan import Way
from s3fanout.model.errors import Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.rules import Deletes, KeyFilter, KeyMap
from s3fanout.ports.ledger import FailureSelection
from tests.functional.clock import quiet
from tests.functional.versions import (
    LIMITS,
    WRITES,
    MakeWorld,
    a_life,
    all_of,
    assert_equal,
    deleted,
    history,
    ids,
    removed_version,
    versioned,
)


@pytest.mark.parametrize("way", Way)
async def test_every_version_and_marker_comes_in_order(world_of: MakeWorld, way: Way) -> None:
    world = world_of(all_of(way=way), all_of("b", way=Way.STREAM), limits=LIMITS)
    for message in a_life(world):
        await world.receive(message)
    await world.rest()
    assert_equal(world)
    record = world.known("a", "key")
    assert record.state is JobState.SETTLED
    assert record.source_version_id == ids(world.source, "key")[-1]


@pytest.mark.parametrize("way", Way)
async def test_versions_come_as_they_are_written(world_of: MakeWorld, way: Way) -> None:
    world = world_of(all_of(way=way, key_map=KeyMap("", "copy/")), limits=LIMITS)
    for number in range(5):
        await world.receive(world.put("key", b"%d" % number))
        await world.rest()
    await world.receive(deleted(world))
    await world.rest()
    assert history(world.buckets["a"], "copy/key") == history(world.source, "key")
    assert world.known("a", "key").state is JobState.SUPERSEDED
    assert [
        record.source_version_id for record in await world.journal.versions_kept("a", "key")
    ] == ids(world.source, "key")[::-1]


async def test_a_repeated_event_changes_nothing(world_of: MakeWorld) -> None:
    world = world_of(all_of())
    message = a_life(world)[0]
    for _ in range(3):
        await world.receive(message)
        await world.receive(world.message("key"))
        await world.rest()
    assert_equal(world)


async def test_without_deletes_markers_are_left_out(world_of: MakeWorld) -> None:
    world = world_of(all_of(deletes=Deletes.IGNORE), limits=LIMITS)
    for message in a_life(world):
        await world.receive(message)
    await world.rest()
    expected = [each for each in history(world.source, "key") if each is not None]
    assert history(world.buckets["a"], "key") == expected


async def test_a_version_of_a_size_that_is_not_wanted_is_left_out(world_of: MakeWorld) -> None:
    world = world_of(all_of(filter=KeyFilter(size_bytes_max=5)))
    for content in (b"small", b"too large", b"tiny"):
        await world.receive(world.put("key", content))
    await world.rest()
    objects = versioned(world.buckets["a"]).history["key"]
    assert [each.stored and each.stored.content for each in objects] == [b"small", b"tiny"]


class CrashAt:
    """Lets the process hang at its n-th effect, before or after it happened."""

    def __init__(self, nth: int, *, after: bool) -> None:
        self.reached = False
        self._left = nth
        self._after = after

    def _is_it(self) -> bool:
        self._left -= 1
        if self._left == 0:
            self.reached = True
            return True
        return False

    def script(self, call: Call) -> Fault | None:
        if call.operation not in WRITES or not self._is_it():
            return None
        return Fault(pause=asyncio.Event().wait, applied=self._after)

    async def gate(self, name: str) -> None:
        if name in ("keep_versions", "forget_version") and self._is_it():
            await asyncio.Event().wait()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("way", Way)
async def test_a_crash_at_any_effect_neither_loses_nor_doubles_a_version(
    world_of: MakeWorld, way: Way, opaque: bool, after: bool
) -> None:
    for nth in itertools.count(1):
        crash = CrashAt(nth, after=after)
        to = all_of(way=way, script=crash.script, version_deletes=Deletes.REPLICATE)
        world = world_of(to, limits=LIMITS)
        setattr(world.journal, "after" if after else "before", crash.gate)
        messages = a_life(world, opaque=opaque)
        await world.receive(messages[-1])
        await quiet()
        if crash.reached:
            await world.crash()
        await world.rest()
        assert_equal(world)
        await world.receive(removed_version(world, 1))
        await quiet()
        if crash.reached and world.unsettled():
            await world.crash()
        await world.rest()
        assert_equal(world)
        if not crash.reached:
            assert nth > 15
            return


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("way", Way)
async def test_a_lost_answer_doubles_nothing(world_of: MakeWorld, way: Way, opaque: bool) -> None:
    def script(call: Call) -> Fault | None:
        lost = Unavailable("no answer", maybe_applied=True)
        return Fault(lost, applied=True) if call.operation in WRITES and call.nth % 2 else None

    world = world_of(all_of(way=way, script=script), limits=LIMITS)
    for message in a_life(world, opaque=opaque):
        await world.receive(message)
        await world.rest()
    assert_equal(world)


async def test_a_version_that_comes_meanwhile_comes_too(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    pause = written([Line(Fault(pause=gate.wait), operation="CopyObject", last=1)])
    world = world_of(all_of(script=pause))
    await world.receive(world.put("key", b"1"))
    await quiet()
    late = [world.put("key", b"2"), deleted(world), world.put("key", b"3")]
    for message in late:
        await world.receive(message)
    gate.set()
    await world.rest()
    assert_equal(world)


@pytest.mark.parametrize("way", Way)
async def test_a_version_that_goes_meanwhile_stops_nothing(world_of: MakeWorld, way: Way) -> None:
    gate = asyncio.Event()
    operation = "CopyObject" if way is Way.SERVER else "PutObject"
    pause = written([Line(Fault(pause=gate.wait), operation=operation, last=1)])
    world = world_of(all_of(way=way, script=pause))
    world.put("key", b"1")
    world.put("key", b"2")
    await world.receive(world.put("key", b"3"))
    await quiet()
    removed_version(world, 1)
    gate.set()
    await world.rest()
    assert_equal(world)


async def test_one_new_version_costs_one_page_of_each_history(world_of: MakeWorld) -> None:
    world = world_of(all_of())
    for number in range(3000):
        world.put("key", b"%d" % number)
    await world.receive(world.message("key"))
    await world.rest()
    assert_equal(world)
    before, kept = world.requests(), list[str]()

    async def note(name: str) -> None:
        if name == "keep_versions":
            kept.append(name)

    world.journal.before = note
    await world.receive(world.put("key", b"one more"))
    await world.rest()
    assert_equal(world)
    assert world.requests() - before == {"ListObjectVersions": 2, "CopyObject": 1}
    assert len(kept) == 2, "before it is written, and after"


async def test_what_was_there_before_stays_below(world_of: MakeWorld) -> None:
    world = world_of(all_of())
    world.buckets["a"].objects["key"] = StoredObject.of(b"somebody's")
    for message in a_life(world):
        await world.receive(message)
    await world.rest()
    assert history(world.buckets["a"], "key")[1:] == history(world.source, "key")


@pytest.mark.parametrize("below", [0, 1])
async def test_a_lost_ledger_is_made_up_for_by_what_is_equal(
    world_of: MakeWorld, below: int
) -> None:
    world = world_of(all_of())
    for _ in range(below):
        world.buckets["a"].objects["key"] = StoredObject.of(b"somebody's")
    for message in a_life(world):
        await world.receive(message)
    await world.rest()
    world.journal._versions.clear()
    await world.receive(world.put("key", b"and one more"))
    await world.rest()
    assert history(world.buckets["a"], "key")[below:] == history(world.source, "key")


@pytest.mark.parametrize("on_top", [b"somebody's", b"1", None], ids=["other", "late", "marker"])
async def test_somebody_elses_version_on_top_is_a_dead_letter_until_it_is_gone(
    world_of: MakeWorld, on_top: bytes | None
) -> None:
    """Likewise one of our own that the store carried out late, when it was there already."""
    world = world_of(all_of())
    await world.receive(world.put("key", b"1"))
    await world.rest()
    objects = versioned(world.buckets["a"])
    if on_top is None:
        objects.pop("key", None)
    else:
        objects["key"] = StoredObject.of(on_top)
    await world.receive(world.put("key", b"2"))
    await world.rest()
    record = world.known("a", "key")
    assert record.state is JobState.DEAD
    assert record.error is not None
    assert record.error.code == "foreign-version"
    assert ids(world.buckets["a"], "key")[-1] in record.error.message
    assert len(objects.history["key"]) == 2
    objects.remove_version("key", ids(world.buckets["a"], "key")[-1])
    await world.journal.redrive(FailureSelection(), now_ms=world.clock.now_ms())
    await world.rest()
    assert_equal(world)


async def test_a_bucket_without_versions_is_refused_and_not_written(world_of: MakeWorld) -> None:
    world = world_of(all_of())
    world.buckets["a"]._stores.buckets["a"] = {}
    await world.receive(world.put("key"))
    await world.rest()
    error = world.known("a", "key").error
    assert error is not None
    assert error.code == "not-versioned"
    assert world.buckets["a"].objects == {}


async def test_a_version_that_somebody_removed_from_the_top_is_copied_again(
    world_of: MakeWorld,
) -> None:
    world = world_of(all_of())
    for content in (b"1", b"2"):
        await world.receive(world.put("key", content))
        await world.rest()
    versioned(world.buckets["a"]).remove_version("key", ids(world.buckets["a"], "key")[-1])
    await world.receive(world.put("key", b"3"))
    await world.rest()
    assert_equal(world)


async def test_an_object_that_is_there_again_is_shown_again(world_of: MakeWorld) -> None:
    world = world_of(all_of())
    await world.receive(world.put("key", b"1"))
    await world.receive(deleted(world))
    await world.rest()
    assert "key" not in world.buckets["a"].objects
    await world.receive(removed_version(world, -1))
    await world.rest()
    assert world.buckets["a"].objects["key"].content == b"1"
    assert_equal(world)


async def test_a_marker_that_expires_with_all_versions_shows_nothing_again(
    world_of: MakeWorld,
) -> None:
    world = world_of(all_of())
    await world.receive(world.put("key", b"1"))
    await world.receive(deleted(world))
    await world.rest()
    removed_version(world, 0)
    await world.receive(removed_version(world, 0))
    await world.rest()
    assert len(history(world.buckets["a"], "key")) == 2
    assert "key" not in world.buckets["a"].objects
    assert world.known("a", "key").state is JobState.SUPERSEDED


async def test_a_look_that_finds_all_there_records_the_replicas_own_etag(
    world_of: MakeWorld,
) -> None:
    """Else a comparison by the ledger would say for ever that somebody changed the replica."""
    world = world_of(all_of(), limits=LIMITS)
    for message in a_life(world, opaque=True):
        await world.receive(message)
    await world.rest()
    await world.receive(world.message("key"))
    await world.rest()
    record = world.known("a", "key")
    assert record.reason.endswith("all were there")
    assert record.replica_etag == world.buckets["a"].objects["key"].etag != record.source_etag


async def test_what_was_written_before_the_source_kept_versions_is_its_oldest_version(
    world_of: MakeWorld,
) -> None:
    world = world_of(all_of())
    stores = world.source._stores
    stores.buckets[world.source.bucket] = {"key": StoredObject.of(b"before")}
    stores.keep_versions(world.source.bucket)
    await world.receive(world.put("key", b"after"))
    await world.rest()
    assert ids(world.source, "key")[0] == "null"
    assert_equal(world)
    await world.receive(removed_version(world, 0))
    await world.rest()
    assert len(ids(world.buckets["a"], "key")) == 2


@pytest.mark.parametrize("version_deletes", Deletes)
async def test_what_was_there_before_is_not_taken_for_what_was_begun(
    world_of: MakeWorld, version_deletes: Deletes
) -> None:
    """It has the size of the first version, whose first copy fails."""
    fails = written([Line(Fault(Unavailable("no", status=500)), operation="CopyObject", last=1)])
    world = world_of(all_of(script=fails, version_deletes=version_deletes))
    world.buckets["a"].objects["key"] = StoredObject.of(b"theirs")
    await world.receive(world.put("key", b"oldest"))
    await world.receive(world.put("key", b"newest"))
    await world.rest()
    theirs, *ours = history(world.buckets["a"], "key")
    assert ours == history(world.source, "key")
    await world.receive(removed_version(world, 0))
    await world.rest()
    assert history(world.buckets["a"], "key")[0] == theirs
