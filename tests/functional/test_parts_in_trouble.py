"""Promises about objects in parts when stores, sources or processes fail meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from s3fanout.adapters.checksums import checksum_of
from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.decide.plan import Way
from s3fanout.model.errors import (
    Refused,
    ReplicaMismatch,
    Unavailable,
)
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import (
    Checksum,
    ChecksumAlgorithm,
    PartBody,
    Present,
    UploadedPart,
)
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.in_parts import (
    ATTRIBUTES,
    COMPLETE,
    CONTENT,
    LIMITS,
    PARTS,
    WAYS,
    MakeWorld,
    assert_exact,
    count,
    part_operation,
)
from tests.functional.world import To


class Remembers(dict[str, StoredObject]):
    """The objects of a bucket, and all that ever were in it."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[StoredObject] = []

    def __setitem__(self, key: str, stored: StoredObject) -> None:
        super().__setitem__(key, stored)
        self.all.append(stored)


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
    made = world.buckets["a"]._stores.buckets["a"] = Remembers()
    await world.receive(world.put("key", CONTENT))
    await world.clock.advance(1.5)
    assert 0 < count(world, operation) < PARTS
    event = world.put("key", CONTENT[::-1], ATTRIBUTES)
    gate.set()
    await world.receive(event)
    await world.rest()
    assert_exact(world)
    assert {stored.content for stored in made.all} == {CONTENT[::-1]}
    seen = [of.error for of in world.reports.settlements if of.error is not None]
    assert not [error for error in seen if error.code == "replica-mismatch"]


@WAYS
async def test_an_object_overwritten_before_another_process_goes_on_is_never_torn(
    world_of: MakeWorld, way: Way
) -> None:
    gate = asyncio.Event()
    half = written([Line(Fault(pause=gate.wait), operation=part_operation(way), first=6, last=7)])
    world = world_of(To("a", way=way, script=half), limits=LIMITS)
    made = world.buckets["a"]._stores.buckets["a"] = Remembers()
    await world.receive(world.put("key", CONTENT))
    await quiet()
    assert count(world, part_operation(way)) == 5
    event = world.put("key", CONTENT[::-1], ATTRIBUTES)
    await world.crash()
    await world.receive(event)
    await world.rest()
    assert_exact(world)
    assert {stored.content for stored in made.all} == {CONTENT[::-1]}


async def test_a_source_that_goes_there_and_back_meanwhile_makes_no_mixture(
    world_of: MakeWorld,
) -> None:
    """Its etag is the same before and after; all of it happens within a second of the store."""
    events: list[bytes] = []

    async def there() -> None:
        events.append(world.put("key", CONTENT[::-1]))

    async def back() -> None:
        events.append(world.put("key", CONTENT))

    world = world_of(
        To(
            "a",
            script=written([Line(Fault(pause=there), operation="UploadPartCopy", first=6, last=6)]),
            conditions_honoured=False,
            wrap=ignoring,
        ),
        source_script=written([Line(Fault(pause=back), operation="HeadObject", first=2, last=2)]),
        limits=LIMITS,
    )
    await world.receive(world.put("key", CONTENT))
    await world.clock.run_until(lambda: len(events) == 2)
    await quiet()
    assert count(world, "CompleteMultipartUpload") == 0
    for event in events:
        await world.receive(event)
    await world.rest()
    assert_exact(world)


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
