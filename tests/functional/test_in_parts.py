"""Promises about objects that are too large for one request."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

import pytest

from s3fanout.adapters.store.faulty import Call, Fault, Line, Script, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.plan import Way
from s3fanout.engine.copier import Outcome
from s3fanout.engine.part_reads import PATIENCE_S
from s3fanout.engine.uploader import Unfinished
from s3fanout.model.errors import AccessDenied
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job, JobState
from s3fanout.model.limits import MIB, Limits
from s3fanout.model.objects import (
    ObjectAttributes,
)
from s3fanout.model.vendors import OTHER
from tests.functional.clock import quiet
from tests.functional.in_parts import (
    ATTRIBUTES,
    CONTENT,
    LIMITS,
    PART,
    PARTS,
    WAYS,
    MakeWorld,
    assert_exact,
    count,
    part_operation,
)
from tests.functional.world import To, World, no_fault


@WAYS
async def test_a_large_object_arrives_with_all_its_attributes(
    world_of: MakeWorld, way: Way
) -> None:
    world = world_of(To("a", way=way), limits=LIMITS)
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await world.rest()
    assert_exact(world)
    assert count(world, part_operation(way)) == PARTS
    assert not world.journal._asked, "the store answered: no upload is in doubt"


async def test_three_destinations_read_every_byte_once(world_of: MakeWorld) -> None:
    far = [To(name, way=Way.STREAM) for name in "abc"]
    world = world_of(*far, limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert_exact(world)
    assert world.source.requests["GetObject"] == PARTS
    assert count(world, "UploadPart") == 3 * PARTS


async def test_a_slow_destination_is_detached_and_finishes_alone(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    slow = written([Line(Fault(pause=gate.wait), operation="UploadPart")])
    world = world_of(
        To("slow", way=Way.STREAM, script=slow),
        To("a", way=Way.STREAM),
        To("b", way=Way.STREAM),
        limits=LIMITS,
    )
    await world.receive(world.put("key", CONTENT))
    await world.clock.run_until(
        lambda: all("key" in world.buckets[name].objects for name in "ab"), within_s=60
    )
    assert "key" not in world.buckets["slow"].objects
    gate.set()
    await world.rest()
    assert_exact(world)
    # The fast ones shared every read; the slow one read again what was not kept for it.
    assert PARTS < world.source.requests["GetObject"] < 2 * PARTS


async def test_memory_for_parts_is_bounded(world_of: MakeWorld) -> None:
    used: list[int] = []
    world: World

    def measure(_call: Call) -> None:
        used.append(world.reads.held_bytes)

    world = world_of(
        *(To(name, way=Way.STREAM) for name in "abc"), source_script=measure, limits=LIMITS
    )
    for number in range(4):
        await world.receive(world.put(f"key-{number}", CONTENT + bytes([number])))
    await world.rest()
    assert max(used) <= LIMITS.stream_bytes // 2
    for number in range(4):
        assert_exact(world, f"key-{number}")


@pytest.mark.parametrize("stalled", [1, 6, 9])
async def test_many_destinations_that_stand_still_take_no_more_memory_and_hold_nobody_up(
    world_of: MakeWorld, stalled: int
) -> None:
    """Each one in the middle of other parts, and of an object of its own."""
    gate = asyncio.Event()
    used: list[int] = []
    world: World

    def measured(script: Script) -> Script:
        def measure(call: Call) -> Fault | None:
            used.append(world.reads.held_bytes)
            return script(call)

        return measure

    def stands_still(number: int) -> Script:
        stuck = Line(
            Fault(pause=gate.wait),
            operation="UploadPart",
            key=f"key-{number % 3}",
            first=1 + 3 * number,
        )
        return measured(written([stuck]))

    limits = replace(LIMITS, stream_bytes=2 * 11 * PART)
    names = [f"to-{number}" for number in range(10)]
    world = world_of(
        *(
            To(name, way=Way.STREAM, script=stands_still(number))
            for number, name in enumerate(names[:stalled])
        ),
        *(To(name, way=Way.STREAM, script=measured(no_fault)) for name in names[stalled:]),
        source_script=measured(no_fault),
        limits=limits,
    )
    for number in range(6):
        await world.receive(world.put(f"key-{number}", bytes([number]) * 40 * PART))
    others = [world.buckets[name] for name in names[stalled:]]
    await world.clock.run_until(lambda: all(len(b.objects) == 6 for b in others), within_s=60)
    assert all("key-0" not in world.buckets[name].objects for name in names[:stalled:3])
    gate.set()
    await world.rest()
    assert max(used) <= limits.stream_bytes // 2
    assert world.reads.held_bytes == 0
    for number in range(6):
        assert_exact(world, f"key-{number}")


async def test_a_destination_that_does_not_come_is_waited_for_once(world_of: MakeWorld) -> None:
    world = world_of(*(To(name, way=Way.STREAM) for name in "abc"), limits=LIMITS)
    await world.journal.pause("c", now_ms=world.clock.now_ms(), reason="for the test")
    took_s = []
    for number in range(3):
        began_s = world.clock.monotonic_s()
        key = f"key-{number}"
        await world.receive(world.put(key, bytes([number]) * 95))
        await world.clock.run_until(
            lambda key=key: all(key in world.buckets[name].objects for name in "ab"),  # type: ignore[misc]
            within_s=60,
        )
        took_s.append(world.clock.monotonic_s() - began_s)
    assert took_s[0] > PATIENCE_S
    assert took_s[1:] == [0, 0]
    assert world.source.requests["GetObject"] == 3 * PARTS
    began_s = world.clock.monotonic_s()
    await world.journal.resume("c")
    await world.rest()
    assert world.clock.monotonic_s() == began_s, "nor does it wait for those that were there before"
    reads = world.source.requests["GetObject"]
    await world.receive(world.put("after", CONTENT))
    await world.rest()
    assert world.source.requests["GetObject"] == reads + PARTS, "it is expected again"
    assert_exact(world, "after")


@WAYS
async def test_a_crash_sends_again_only_what_was_in_flight(world_of: MakeWorld, way: Way) -> None:
    gate = asyncio.Event()
    half = written([Line(Fault(pause=gate.wait), operation=part_operation(way), first=6, last=7)])
    world = world_of(To("a", way=way, script=half), limits=LIMITS)
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await quiet()
    done = count(world, part_operation(way))
    await world.crash()
    await world.rest()
    assert_exact(world)
    assert done == 5
    assert count(world, part_operation(way)) == PARTS
    assert count(world, "CreateMultipartUpload") == 1


@WAYS
@pytest.mark.parametrize(
    ("time_s", "handed_over"),
    [(1.5, [4, 8]), (0.5, [2, 4, 6, 8, PARTS])],
    ids=["in time", "the last part lands late"],
)
async def test_a_deadline_hands_over_and_nothing_is_copied_twice(
    world_of: MakeWorld, way: Way, time_s: float, handed_over: list[int]
) -> None:
    """Another process goes on with the same ``ports.uploads``; the clock decides when to stop.

    Where the last part lands late, who goes on has nothing left to do but to complete the object.
    """
    world = world_of(To("a", way=way), limits=LIMITS)
    await world.journal.pause("a", now_ms=0, reason="attempts are made by hand")
    world.put("key", CONTENT, ATTRIBUTES)
    etag = world.source.objects["key"].etag
    job = Job("a", "key", 1, ChangeKind.CREATED, 0, etag=etag, size_bytes=len(CONTENT))
    world.ports["a"]._script = written(
        [Line(Fault(pause=lambda: world.clock.sleep(1)), operation=part_operation(way))]
    )
    outcomes: list[Outcome] = []
    while not outcomes or isinstance(outcomes[-1], Unfinished):
        stop_at_s = world.clock.monotonic_s() + time_s
        attempt = asyncio.ensure_future(world.copiers["a"].attempt(job, stop_at_s=stop_at_s))
        await world.clock.run_until(attempt.done, within_s=60)
        outcomes.append(attempt.result())
    assert [o.parts_done for o in outcomes if isinstance(o, Unfinished)] == handed_over
    assert count(world, part_operation(way)) == PARTS
    assert world.buckets["a"].objects["key"].content == CONTENT


@WAYS
async def test_who_goes_on_by_a_deadline_and_may_not_list_parts_fails_and_keeps_them(
    world_of: MakeWorld, way: Way
) -> None:
    """Begun anew by each, an object that takes several would never come to an end."""
    world = world_of(To("a", way=way), limits=LIMITS)
    await world.journal.pause("a", now_ms=0, reason="attempts are made by hand")
    world.put("key", CONTENT, ATTRIBUTES)
    etag = world.source.objects["key"].etag
    job = Job("a", "key", 1, ChangeKind.CREATED, 0, etag=etag, size_bytes=len(CONTENT))
    now_s = world.clock.monotonic_s()
    denied = Fault(AccessDenied("no", status=403, s3_code="AccessDenied"))
    world.ports["a"]._script = written([Line(denied, operation="ListParts")])
    begun = await world.copiers["a"].attempt(job, stop_at_s=now_s)
    assert isinstance(begun, Unfinished)
    for _ in range(2):
        with pytest.raises(AccessDenied):
            await world.copiers["a"].attempt(job, stop_at_s=now_s + 60)
    assert await world.journal.upload_of("a", "key") == begun.upload
    assert world.buckets["a"]._stores.uploads.keys() == {begun.upload.upload_id}
    assert count(world, "CreateMultipartUpload") == 1


@WAYS
async def test_the_etag_of_an_object_uploaded_in_parts_is_kept(
    world_of: MakeWorld, way: Way
) -> None:
    """Its layout is told by the source: parts of 20 bytes although 10 are wanted."""
    world = world_of(To("a", way=way), limits=LIMITS)
    etag = await _uploaded_in_five_parts(world)
    await world.receive(world.message("key", etag=etag, size_bytes=len(CONTENT)))
    await world.rest()
    assert world.buckets["a"].objects["key"].etag == etag
    assert etag.endswith("-5")
    assert "checked by the etag that both sides have" in world.known("a", "key").reason


@WAYS
async def test_a_part_size_that_is_not_told_is_guessed_from_the_usual_ones(
    world_of: MakeWorld, way: Way
) -> None:
    """11 MiB in three parts: by the etag they can be of 5 MiB, and 8 MiB are wanted."""
    world = world_of(To("a", way=way), limits=Limits(part_bytes=8 * MIB, copy_bytes_max=MIB))
    content = b"x" * (11 * MIB)
    parts = [content[at : at + 5 * MIB] for at in range(0, len(content), 5 * MIB)]
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-3"
    stored = StoredObject.of(content, ATTRIBUTES, now_ms=world.clock.now_ms())
    world.source.objects["key"] = replace(stored, etag=etag)
    await world.receive(world.message("key", etag=etag, size_bytes=len(content)))
    await world.rest()
    assert world.buckets["a"].objects["key"].etag == etag


async def test_where_copied_parts_have_other_etags_the_sources_layout_is_not_asked_for(
    world_of: MakeWorld,
) -> None:
    """The etag would be another one with its parts too, and there may be many of them."""
    store = replace(OTHER, copied_parts_have_digests=False)
    world = world_of(To("a", way=Way.SERVER, store=store), limits=LIMITS)
    etag = await _uploaded_in_five_parts(world)
    await world.receive(world.message("key", etag=etag, size_bytes=len(CONTENT)))
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert count(world, "UploadPartCopy") == PARTS
    assert world.known("a", "key").state is JobState.SETTLED


async def _uploaded_in_five_parts(world: World) -> str:
    """Puts the source object there. Returns its etag."""
    upload_id = await world.source.create_upload("key", ObjectAttributes())
    parts = []
    for number in range(5):
        body = await _part(world, CONTENT[number * 20 : number * 20 + 20])
        parts.append(await world.source.upload_part("key", upload_id, number + 1, body))
    await world.source.complete_upload("key", upload_id, parts)
    return world.source.objects["key"].etag


async def _part(world: World, content: bytes):  # type: ignore[no-untyped-def]
    world.source.objects["piece"] = stored = StoredObject.of(content)
    return await world.source.get_range(
        "piece", first=0, last=len(content) - 1, if_match=stored.etag
    )
