"""A composite checksum, of those of the parts, is kept where the replica can have equal parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from s3fanout.adapters.checksums import checksum_of
from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.decide.checksums import composite_of_parts
from s3fanout.decide.plan import Way
from s3fanout.model.errors import Unavailable, UploadGone
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import (
    Checksum,
    ChecksumAlgorithm,
    ObjectAttributes,
    UploadedPart,
)
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.test_checksums import CONTENT, KEEPS_NONE, LIMITS, Unfamiliar, alter
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
PART = 20
SIZES = (PART, PART, PART, PART, len(CONTENT) - 4 * PART)
"""Not the size that is wanted (10): it has to be asked for."""
FAR = To("a", way=Way.STREAM)
COPIED = replace(LIMITS, copy_bytes_max=4, copy_part_bytes=10)
CRC32 = ChecksumAlgorithm.CRC32
ALGORITHMS = pytest.mark.parametrize(
    "algorithm",
    [CRC32, ChecksumAlgorithm.CRC32C, ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256],
)


async def put(
    world: World, algorithm: ChecksumAlgorithm, sizes: Sequence[int] = SIZES
) -> tuple[bytes, Checksum]:
    """A source object of such parts; its event, and its checksum."""
    pieces = [CONTENT[sum(sizes[:at]) :][:size] for at, size in enumerate(sizes)]
    kind = Checksum(algorithm, "", full_object=False)
    upload_id = await world.source.create_upload("key", ObjectAttributes(), checksum=kind)
    parts = [
        await world.source.upload_part(
            "key", upload_id, number, part_of(piece, algorithm), checksum=algorithm
        )
        for number, piece in enumerate(pieces, 1)
    ]
    made = await world.source.complete_upload("key", upload_id, parts, checksum=kind)
    told = composite_of_parts(algorithm, [checksum_of(algorithm, piece) for piece in pieces])
    assert world.source.objects["key"].checksums == (told,)
    return world.message("key", etag=made.etag, size_bytes=len(CONTENT)), told


def codes(world: World) -> list[str]:
    return [of.error.code for of in world.reports.settlements if of.error is not None]


@ALGORITHMS
async def test_a_streamed_replica_of_an_object_in_parts_has_its_composite_checksum(
    world_of: MakeWorld, algorithm: ChecksumAlgorithm
) -> None:
    world = world_of(FAR, To("b", way=Way.STREAM), limits=LIMITS)
    message, told = await put(world, algorithm)
    await world.receive(message)
    await world.rest()
    for name in "ab":
        stored = world.buckets[name].objects["key"]
        assert (stored.content, stored.checksums) == (CONTENT, (told,))
        assert stored.etag == world.source.objects["key"].etag
        assert world.known(name, "key").reason == "written in parts, checked by checksum"
        assert world.known(name, "key").differences == ()
    assert world.source.requests["GetObject"] == len(SIZES)


async def test_an_upload_that_goes_on_has_the_checksums_of_the_parts_that_are_there(
    world_of: MakeWorld,
) -> None:
    broken = Line(
        Fault(Unavailable("reset", operation="x")), operation="UploadPart", first=4, last=4
    )
    world = world_of(To("a", way=Way.STREAM, script=written([broken])), limits=LIMITS)
    message, told = await put(world, CRC32)
    await world.receive(message)
    await world.rest()
    assert codes(world) == ["unavailable"]
    assert world.buckets["a"].objects["key"].checksums == (told,)
    requests = world.buckets["a"].requests
    assert (requests["CreateMultipartUpload"], requests["UploadPart"]) == (1, len(SIZES))


class ListsNoChecksums:
    """A store that wants the checksums of all parts, and does not list them, as SeaweedFS."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def list_parts(self, *words: str) -> list[UploadedPart]:
        return [replace(part, checksum="") for part in await self._inner.list_parts(*words)]


@pytest.mark.parametrize("is_another_process", [False, True])
async def test_parts_whose_checksums_are_not_listed_are_sent_again_by_another_process_only(
    world_of: MakeWorld, is_another_process: bool
) -> None:
    broken = Line(
        Fault(Unavailable("reset", operation="x")), operation="UploadPart", first=4, last=4
    )
    to = To("a", way=Way.STREAM, script=written([broken]), wrap=ListsNoChecksums)  # type: ignore[arg-type]
    world = world_of(to, limits=LIMITS)
    message, told = await put(world, CRC32)
    await world.receive(message)
    await quiet()
    assert codes(world) == ["unavailable"]
    if is_another_process:
        await world.crash()
    await world.rest()
    assert world.buckets["a"].objects["key"].checksums == (told,)
    sent_again = 3 if is_another_process else 0
    assert world.buckets["a"].requests["UploadPart"] == len(SIZES) + sent_again


async def test_a_store_that_refuses_composite_checksums_gets_none_and_the_difference_is_named(
    world_of: MakeWorld,
) -> None:
    stores: list[Unfamiliar] = []

    def unfamiliar(inner: ObjectStore) -> ObjectStore:
        stores.append(Unfamiliar(inner))
        return stores[0]  # type: ignore[return-value]

    world = world_of(To("a", way=Way.STREAM, wrap=unfamiliar), limits=LIMITS)
    for _ in range(2):
        message, _ = await put(world, CRC32)
        await world.receive(message)
        await world.rest()
        assert world.buckets["a"].objects["key"].content == CONTENT
        assert world.known("a", "key").differences == ("checksum",)
    assert codes(world) == []
    assert stores[0].refused == 1, "it is asked once an hour"


async def test_where_a_checksum_cannot_be_computed_none_is_asked_for(
    world_of: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fanout.adapters.store.memory.computable", frozenset)
    world = world_of(FAR, limits=LIMITS)
    message, _ = await put(world, ChecksumAlgorithm.CRC32C)
    await world.receive(message)
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert world.known("a", "key").differences == ("checksum",)


@pytest.mark.parametrize("to", [FAR, KEEPS_NONE], ids=["keeps them", "keeps none"])
async def test_a_part_that_was_altered_on_its_way_here_is_told_by_a_composite_checksum_too(
    world_of: MakeWorld, to: To
) -> None:
    world = world_of(to, limits=LIMITS)
    alter(world, times=1)
    message, _ = await put(world, CRC32)
    await world.receive(message)
    await world.rest()
    assert codes(world) == ["unavailable:WrongChecksum"]
    assert world.buckets["a"].objects["key"].content == CONTENT


async def test_an_object_in_parts_of_several_sizes_is_read_twice_and_the_difference_is_named(
    world_of: MakeWorld,
) -> None:
    """Of five parts the second is shorter: they seem to be of one size, and are not."""
    world = world_of(FAR, limits=LIMITS)
    message, told = await put(world, CRC32, (PART, PART - 5, PART, PART, len(CONTENT) - 75))
    await world.receive(message)
    await world.rest()
    assert codes(world) == ["unavailable:WrongChecksum"]
    stored = world.buckets["a"].objects["key"]
    assert stored.content == CONTENT
    assert stored.checksums[0].algorithm == told.algorithm
    assert stored.checksums != (told,)
    assert world.known("a", "key").differences == ("checksum-type",)


@ALGORITHMS
async def test_a_replica_that_the_store_copies_in_parts_has_the_composite_checksum(
    world_of: MakeWorld, algorithm: ChecksumAlgorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fanout.adapters.store.memory.computable", frozenset)
    world = world_of(To("a"), limits=COPIED)
    message, told = await put(world, algorithm)
    await world.receive(message)
    await world.rest()
    stored = world.buckets["a"].objects["key"]
    assert (stored.content, stored.checksums) == (CONTENT, (told,))
    assert world.known("a", "key").reason == "written in parts, checked by checksum"
    assert world.known("a", "key").differences == ()
    assert world.source.requests["GetObject"] == 0


@pytest.mark.parametrize("wrap", [lambda store: store, ListsNoChecksums])
async def test_a_copy_in_parts_goes_on_with_the_parts_that_are_there(
    world_of: MakeWorld, wrap: Callable[[ObjectStore], ObjectStore]
) -> None:
    broken = Line(
        Fault(Unavailable("reset", operation="x")), operation="UploadPartCopy", first=4, last=4
    )
    world = world_of(To("a", script=written([broken]), wrap=wrap), limits=COPIED)
    message, told = await put(world, CRC32)
    await world.receive(message)
    await world.rest()
    assert codes(world) == ["unavailable"]
    assert world.buckets["a"].objects["key"].checksums == (told,)
    requests = world.buckets["a"].requests
    assert (requests["CreateMultipartUpload"], requests["UploadPartCopy"]) == (1, len(SIZES))


async def test_a_copy_whose_checksums_are_not_listed_comes_to_an_end_in_a_row_of_processes(
    world_of: MakeWorld,
) -> None:
    reset = Fault(Unavailable("reset", operation="x"))
    script = [Line(reset, operation="UploadPartCopy", first=call, last=call) for call in (4, 8)]
    world = world_of(To("a", script=written(script), wrap=ListsNoChecksums), limits=COPIED)  # type: ignore[arg-type]
    message, _ = await put(world, CRC32)
    await world.receive(message)
    for failures in (1, 2):
        await world.clock.run_until(lambda wanted=failures: len(codes(world)) == wanted)  # type: ignore[misc]
        await world.crash()
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert world.known("a", "key").differences == ("checksum",)
    assert world.buckets["a"].requests["CreateMultipartUpload"] == 2
    assert not await world.buckets["a"].list_uploads()


class TellsNoChecksumsOfCopies:
    """A store that tells the checksum of no part that it copied, as ministack."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def upload_part_copy(self, *words: object, **options: object) -> UploadedPart:
        part = await self._inner.upload_part_copy(*words, **options)  # type: ignore[arg-type]
        return replace(part, checksum="")


class SilentFromTheSecondUpload(TellsNoChecksumsOfCopies):
    """It told the checksums of copied parts once, and then no more."""

    async def upload_part_copy(self, *words: object, **options: object) -> UploadedPart:
        if self._inner.requests["CreateMultipartUpload"] > 1:  # type: ignore[attr-defined]
            return await super().upload_part_copy(*words, **options)
        return await self._inner.upload_part_copy(*words, **options)  # type: ignore[arg-type]


async def test_a_store_that_tells_no_checksums_of_copied_parts_is_asked_once_and_it_is_named(
    world_of: MakeWorld,
) -> None:
    world = world_of(To("a", wrap=TellsNoChecksumsOfCopies), limits=COPIED)  # type: ignore[arg-type]
    for uploads in (2, 3):
        message, _ = await put(world, CRC32)
        await world.receive(message)
        await world.rest()
        assert world.buckets["a"].objects["key"].content == CONTENT
        assert world.known("a", "key").differences == ("checksum",)
        assert world.buckets["a"].requests["CreateMultipartUpload"] == uploads
    assert codes(world) == []
    uploads_left = await world.buckets["a"].list_uploads()
    assert not uploads_left


async def test_an_upload_that_expired_and_then_copies_without_checksums_are_one_attempt(
    world_of: MakeWorld,
) -> None:
    gate = asyncio.Event()
    held = written([Line(Fault(pause=gate.wait), operation="UploadPartCopy", first=2, last=3)])
    world = world_of(To("a", script=held, wrap=SilentFromTheSecondUpload), limits=COPIED)  # type: ignore[arg-type]
    message, _ = await put(world, CRC32)
    await world.receive(message)
    await quiet()
    world.buckets["a"]._stores.uploads.clear()
    gate.set()
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert world.known("a", "key").differences == ("checksum",)
    assert codes(world) == []
    assert world.buckets["a"].requests["CreateMultipartUpload"] == 3


class ForgetsFromTheSecondUpload(TellsNoChecksumsOfCopies):
    """A store that tells no checksums of copied parts, and then forgets every upload."""

    async def upload_part_copy(self, *words: object, **options: object) -> UploadedPart:
        if self._inner.requests["CreateMultipartUpload"] > 1:  # type: ignore[attr-defined]
            raise UploadGone("there is no such upload", s3_code="NoSuchUpload")
        return await super().upload_part_copy(*words, **options)


async def test_an_upload_without_checksums_costs_one_more_once_and_forgotten_ones_are_named(
    world_of: MakeWorld,
) -> None:
    world = world_of(To("a", wrap=ForgetsFromTheSecondUpload), limits=COPIED)  # type: ignore[arg-type]
    message, _ = await put(world, CRC32)
    await world.receive(message)
    await world.rest()
    assert codes(world) == ["upload-gone"] * COPIED.attempts_max
    record = world.known("a", "key")
    assert record.error is not None
    assert record.state is JobState.DEAD
    assert "lifecycle rule" in record.error.hint
    requests = world.buckets["a"].requests
    assert requests["CreateMultipartUpload"] == 1 + 2 * COPIED.attempts_max
    assert requests["AbortMultipartUpload"] == 1


async def test_a_copy_of_parts_of_several_sizes_has_another_checksum_and_that_is_named(
    world_of: MakeWorld,
) -> None:
    world = world_of(To("a"), limits=COPIED)
    message, told = await put(world, CRC32, (PART, PART - 5, PART, PART, len(CONTENT) - 75))
    await world.receive(message)
    await world.rest()
    stored = world.buckets["a"].objects["key"]
    assert stored.content == CONTENT
    assert stored.checksums != (told,)
    assert codes(world) == []
    assert world.known("a", "key").differences == ("checksum-type",)
