"""Promises about objects that are too large for one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from s3fanout.adapters.checksums import checksum_of
from s3fanout.adapters.store.faulty import Call, Fault, Line, Script, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.decide.plan import Way
from s3fanout.engine.copier import Outcome
from s3fanout.engine.part_reads import PATIENCE_S
from s3fanout.engine.uploader import Unfinished
from s3fanout.model.errors import Refused, ReplicaMismatch, Unavailable, UploadGone
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job, JobState
from s3fanout.model.limits import Limits
from s3fanout.model.objects import (
    Checksum,
    ChecksumAlgorithm,
    ObjectAttributes,
    PartBody,
    Present,
    UploadedPart,
    Written,
)
from s3fanout.model.vendors import OTHER
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.world import To, World, no_fault

MakeWorld = Callable[..., World]
PART = 10
LIMITS = Limits(
    part_bytes=PART,
    part_bytes_min=1,
    copy_bytes_max=PART,
    copy_part_bytes=PART,
    stream_bytes=8 * PART,
    parts_in_flight=2,
)
CONTENT = bytes(range(95))
PARTS = 10
ATTRIBUTES = ObjectAttributes(
    {"content-type": "text/plain", "cache-control": "no-store"}, {"owner": "me"}, {"k": "v"}
)
COMPLETE = "CompleteMultipartUpload"
WAYS = pytest.mark.parametrize("way", Way)


def count(world: World, operation: str) -> int:
    return world.requests()[operation]


def part_operation(way: Way) -> str:
    return "UploadPartCopy" if way is Way.SERVER else "UploadPart"


def assert_exact(world: World, key: str = "key") -> None:
    """Bytes and attributes are the source's, the job is settled, and no upload is left."""
    of = world.source.objects[key]
    for name, bucket in world.buckets.items():
        assert bucket.objects[key].content == of.content
        assert bucket.objects[key].attributes == of.attributes
        assert world.known(name, key).state is JobState.SETTLED
        assert not bucket._stores.uploads
    assert not world.journal._uploads


@WAYS
async def test_a_large_object_arrives_with_all_its_attributes(
    world_of: MakeWorld, way: Way
) -> None:
    world = world_of(To("a", way=way), limits=LIMITS)
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await world.rest()
    assert_exact(world)
    assert count(world, part_operation(way)) == PARTS


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
async def test_a_deadline_hands_over_and_nothing_is_copied_twice(
    world_of: MakeWorld, way: Way
) -> None:
    """Another process goes on with the same ``ports.uploads``; the clock decides when to stop."""
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
        stop_at_s = world.clock.monotonic_s() + 1.5
        attempt = asyncio.ensure_future(world.copiers["a"].attempt(job, stop_at_s=stop_at_s))
        await world.clock.run_until(attempt.done, within_s=60)
        outcomes.append(attempt.result())
    assert [o.parts_done for o in outcomes if isinstance(o, Unfinished)] == [4, 8]
    assert count(world, part_operation(way)) == PARTS
    assert world.buckets["a"].objects["key"].content == CONTENT


@WAYS
@pytest.mark.parametrize("honoured", [True, False])
async def test_an_object_overwritten_meanwhile_is_never_torn(
    world_of: MakeWorld, way: Way, honoured: bool
) -> None:
    gate = asyncio.Event()
    operation = part_operation(way) if way is Way.SERVER else "GetObject"
    half = written([Line(Fault(pause=gate.wait), operation=operation, first=6, last=7)])
    world = world_of(
        To(
            "a",
            way=way,
            script=half,
            conditions_honoured=honoured,
            wrap=(lambda store: store) if honoured else ignoring,
        ),
        source_script=half,
        limits=LIMITS,
    )
    await world.receive(world.put("key", CONTENT))
    await quiet()
    event = world.put("key", CONTENT[::-1], ATTRIBUTES)
    gate.set()
    await world.receive(event)
    await world.rest()
    assert_exact(world)
    seen = [of.error for of in world.reports.settlements if of.error is not None]
    assert not [error for error in seen if error.code == "replica-mismatch"]


class IgnoresConditions:
    """A store that copies parts of whatever is there."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def upload_part_copy(
        self, key: str, upload_id: str, number: int, **options: object
    ) -> UploadedPart:
        source = self._inner._stores.buckets["source"]["key"]  # type: ignore[attr-defined]
        options["if_match"] = source.etag
        return await self._inner.upload_part_copy(key, upload_id, number, **options)  # type: ignore[arg-type]


def ignoring(inner: ObjectStore) -> ObjectStore:
    return IgnoresConditions(inner)  # type: ignore[return-value]


@WAYS
async def test_an_upload_that_expired_is_begun_again(world_of: MakeWorld, way: Way) -> None:
    gate = asyncio.Event()
    half = written([Line(Fault(pause=gate.wait), operation=part_operation(way), first=4, last=5)])
    world = world_of(To("a", way=way, script=half), limits=LIMITS)
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await quiet()
    world.buckets["a"]._stores.uploads.clear()
    gate.set()
    await world.rest()
    assert_exact(world)
    assert count(world, "CreateMultipartUpload") == 2
    assert not [of.error for of in world.reports.settlements if of.error is not None]


@WAYS
async def test_an_upload_that_was_completed_and_not_answered_is_not_made_again(
    world_of: MakeWorld, way: Way
) -> None:
    """Completing is tried again within the transport of many clients: then the upload is gone."""
    world = world_of(To("a", way=way, wrap=completing_twice), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert_exact(world)
    assert count(world, "CreateMultipartUpload") == 1


class CompletesTwice:
    """A client that repeats what may have been applied."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def complete_upload(self, *words: object, **options: object) -> Written:
        await self._inner.complete_upload(*words, **options)  # type: ignore[arg-type]
        return await self._inner.complete_upload(*words, **options)  # type: ignore[arg-type]


def completing_twice(inner: ObjectStore) -> ObjectStore:
    return CompletesTwice(inner)  # type: ignore[return-value]


@WAYS
async def test_a_failed_part_is_tried_again_and_the_others_are_kept(
    world_of: MakeWorld, way: Way
) -> None:
    broken = written(
        [
            Line(
                Fault(Unavailable("reset", operation="x")),
                operation=part_operation(way),
                first=5,
                last=5,
            )
        ]
    )
    world = world_of(To("a", way=way, script=broken), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert_exact(world)
    assert count(world, part_operation(way)) <= PARTS + LIMITS.parts_in_flight
    assert count(world, "CreateMultipartUpload") == 1


@WAYS
async def test_a_store_that_refuses_a_part_leaves_no_upload(world_of: MakeWorld, way: Way) -> None:
    refusing = written(
        [
            Line(
                Fault(Refused("the key is disabled", s3_code="KMS.DisabledException")),
                operation=part_operation(way),
            )
        ]
    )
    world = world_of(To("a", way=way, script=refusing), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "refused:KMS.DisabledException")
    assert not world.buckets["a"]._stores.uploads
    assert not world.journal._uploads


async def test_a_part_that_was_cut_short_is_read_again_alone(world_of: MakeWorld) -> None:
    cut = Fault(Unavailable("body ended early", s3_code="TruncatedBody"))
    world = world_of(
        To("a", way=Way.STREAM),
        source_script=written([Line(cut, operation="GetObject", first=5, last=5)]),
        limits=LIMITS,
    )
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert_exact(world)
    assert world.source.requests["GetObject"] <= PARTS + LIMITS.parts_in_flight
    assert count(world, "UploadPart") == PARTS


@WAYS
@pytest.mark.parametrize("times", [1, None])
async def test_parts_that_do_not_make_the_object_are_sent_again_and_never_settled(
    world_of: MakeWorld, way: Way, times: int | None
) -> None:
    """The store lost one, or its checksum of the whole is another: the same parts cannot help."""
    wrong = Fault(ReplicaMismatch("another checksum", s3_code="BadDigest", status=400))
    world = world_of(
        To("a", way=way, script=written([Line(wrong, operation=COMPLETE, last=times)])),
        limits=LIMITS,
    )
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await world.rest()
    assert not world.buckets["a"]._stores.uploads
    if times is not None:
        assert_exact(world)
        assert count(world, part_operation(way)) == 2 * PARTS
        return
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "replica-mismatch:BadDigest")
    assert "key" not in world.buckets["a"].objects


async def test_a_part_that_the_store_altered_is_noticed_before_the_object_is_made(
    world_of: MakeWorld,
) -> None:
    """Some stores check no digest: the etags of the other parts say that theirs are digests."""
    world = world_of(To("a", way=Way.STREAM, wrap=altering_a_part), limits=LIMITS)
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await world.rest()
    codes = [of.error.code for of in world.reports.settlements if of.error is not None]
    assert codes == ["replica-mismatch"]
    assert_exact(world)
    assert count(world, "UploadPart") == 2 * PARTS
    assert world.known("a", "key").reason == "written in parts, each checked by digest"


class AltersAPart:
    """A store that takes the fourth part for other bytes, without a word."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self._seen = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: PartBody, **options: object
    ) -> UploadedPart:
        self._seen += 1
        if self._seen == 4:
            body = part_of(b"?" * len(body.content))
        return await self._inner.upload_part(key, upload_id, number, body, **options)  # type: ignore[arg-type]


def altering_a_part(inner: ObjectStore) -> ObjectStore:
    return AltersAPart(inner)  # type: ignore[return-value]


@WAYS
async def test_a_store_that_forgets_every_upload_is_named(world_of: MakeWorld, way: Way) -> None:
    gone = Fault(UploadGone("there is no such upload", s3_code="NoSuchUpload"))
    world = world_of(
        To("a", way=way, script=written([Line(gone, operation=part_operation(way))])),
        limits=LIMITS,
    )
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "upload-gone")
    assert "lifecycle rule" in record.error.hint
    assert count(world, "CreateMultipartUpload") == 2 * LIMITS.attempts_max


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


@WAYS
@pytest.mark.parametrize("for_ever", [False, True])
async def test_a_replica_with_another_checksum_is_removed_and_never_settled(
    world_of: MakeWorld, way: Way, for_ever: bool
) -> None:
    """The destination alters the first one, or all; what it made is not left lying there."""
    altering = partial(Alters, once=not for_ever)
    world = world_of(To("a", way=way, wrap=altering), limits=LIMITS)  # type: ignore[arg-type]
    crc = checksum_of(ChecksumAlgorithm.CRC64NVME, CONTENT)
    checksum = Checksum(ChecksumAlgorithm.CRC64NVME, crc, full_object=True)
    message = world.put("key", CONTENT)
    stored = world.source.objects["key"]
    world.source.objects["key"] = StoredObject.of(CONTENT, stored.attributes, checksums=(checksum,))
    await world.receive(message)
    await quiet()
    assert "key" not in world.buckets["a"].objects
    await world.rest()
    codes = [of.error.code for of in world.reports.settlements if of.error is not None]
    if for_ever:
        assert codes == ["replica-mismatch"] * LIMITS.attempts_max
        assert world.known("a", "key").state is JobState.DEAD
        assert "key" not in world.buckets["a"].objects
        return
    assert codes == ["replica-mismatch"]
    assert_exact(world)
    assert world.buckets["a"].objects["key"].checksums == (checksum,)


class Alters:
    """A store whose answers about an object tell another checksum, or only the first one."""

    def __init__(self, inner: ObjectStore, *, once: bool) -> None:
        self._inner = inner
        self._once = once
        self._alters = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def head(self, key: str, *, version_id: str | None = None) -> object:
        facts = await self._inner.head(key, version_id=version_id)
        if self._alters and isinstance(facts, Present):
            self._alters = not self._once
            other = Checksum(ChecksumAlgorithm.CRC64NVME, "BBBBBBBBBBB=", full_object=True)
            return Present(key, facts.size_bytes, facts.etag, checksums=(other,))
        return facts
