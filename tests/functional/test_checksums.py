"""Checksums of the whole object travel where the destination's store keeps them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from s3fanout.adapters.checksums import checksum_of
from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.plan import Way
from s3fanout.model.errors import Refused
from s3fanout.model.jobs import JobState
from s3fanout.model.keeping import Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Body, Checksum, ChecksumAlgorithm, PartBody
from s3fanout.model.vendors import VendorName, vendor_named
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
LIMITS = Limits(part_bytes=10, copy_bytes_max=10, copy_part_bytes=10, part_bytes_min=1)
CONTENT = bytes(range(95))


def of_whole(content: bytes, algorithm: ChecksumAlgorithm = ChecksumAlgorithm.CRC32) -> Checksum:
    return Checksum(algorithm, checksum_of(algorithm, content), full_object=True)


class Unfamiliar:
    """A store that refuses checksums, as it does all that it does not know."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self.refused = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def _no(self) -> None:
        self.refused += 1
        raise Refused("not implemented", status=501, s3_code="NotImplemented")

    async def put(self, key: str, body: Body, *words: object) -> object:
        if body.facts.checksums:
            self._no()
        return await self._inner.put(key, body, *words)  # type: ignore[arg-type]

    async def create_upload(self, key: str, *words: object, **options: object) -> object:
        if options.get("checksum"):
            self._no()
        return await self._inner.create_upload(key, *words, **options)  # type: ignore[arg-type]

    async def complete_upload(self, key: str, *words: object, **options: object) -> object:
        if options.get("checksum"):
            self._no()
        return await self._inner.complete_upload(key, *words, **options)  # type: ignore[arg-type]


def put(
    world: World,
    key: str,
    content: bytes,
    algorithm: ChecksumAlgorithm = ChecksumAlgorithm.CRC32,
) -> bytes:
    """A source object that has a checksum."""
    message = world.put(key, content)
    stored = world.source.objects[key]
    world.source.objects[key] = StoredObject.of(
        content, stored.attributes, checksums=(of_whole(content, algorithm),)
    )
    return message


@pytest.mark.parametrize("size", [5, 95], ids=["in one piece", "in parts"])
async def test_a_store_that_refuses_checksums_gets_none_and_the_difference_is_named(
    world_of: MakeWorld, size: int
) -> None:
    stores: list[Unfamiliar] = []

    def unfamiliar(inner: ObjectStore) -> ObjectStore:
        stores.append(Unfamiliar(inner))
        return stores[0]  # type: ignore[return-value]

    world = world_of(To("a", way=Way.STREAM, wrap=unfamiliar), limits=LIMITS)
    for key in ("first", "second"):
        await world.receive(put(world, key, CONTENT[:size]))
        await world.rest()
        assert world.buckets["a"].objects[key].content == CONTENT[:size]
        assert world.known("a", key).differences == ("checksum",)
        assert not [of.error for of in world.reports.settlements if of.error is not None]
    assert stores[0].refused == 1, "it is asked once an hour"


async def test_a_strict_destination_that_keeps_no_checksum_is_a_dead_letter(
    world_of: MakeWorld,
) -> None:
    to = To("a", way=Way.STREAM, wrap=Unfamiliar, keeping=Keeping(strict=True))  # type: ignore[arg-type]
    world = world_of(to, limits=LIMITS)
    await world.receive(put(world, "key", CONTENT[:5]))
    await world.rest()
    error = world.known("a", "key").error
    assert error is not None
    assert error.code == "not-exact"
    assert "key" not in world.buckets["a"].objects


R2 = replace(vendor_named(VendorName.R2), loses=frozenset({"checksum"}))


async def test_a_store_is_asked_for_no_checksum_that_it_keeps_of_parts_only(
    world_of: MakeWorld,
) -> None:
    """Cloudflare R2 lists CRC32 for parts only, so none is asked for, and nothing is refused."""
    stores: list[Unfamiliar] = []

    def unfamiliar(inner: ObjectStore) -> ObjectStore:
        stores.append(Unfamiliar(inner))
        return stores[0]  # type: ignore[return-value]

    world = world_of(To("a", way=Way.STREAM, wrap=unfamiliar, store=R2), limits=LIMITS)
    await world.receive(put(world, "key", CONTENT))
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert stores[0].refused == 0


@pytest.mark.parametrize("size", [5, 95], ids=["in one piece", "in parts"])
async def test_a_store_that_is_known_to_keep_no_checksums_is_sent_none_and_the_difference_is_named(
    world_of: MakeWorld, size: int
) -> None:
    """Google Cloud Storage may answer one as if the signature were wrong, which stops it all."""
    stores: list[Unfamiliar] = []

    def unfamiliar(inner: ObjectStore) -> ObjectStore:
        stores.append(Unfamiliar(inner))
        return stores[0]  # type: ignore[return-value]

    gcs = vendor_named(VendorName.GCS)
    world = world_of(To("a", way=Way.STREAM, wrap=unfamiliar, store=gcs), limits=LIMITS)
    await world.receive(put(world, "key", CONTENT[:size]))
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT[:size]
    assert world.known("a", "key").differences == ("checksum",)
    assert stores[0].refused == 0


class Forgetful:
    """A store that takes checksums and drops them, as the MinIO front end does."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def create_upload(self, *words: object, checksum: object) -> object:
        return await self._inner.create_upload(*words)  # type: ignore[arg-type]

    async def complete_upload(self, *words: object, checksum: object) -> object:
        return await self._inner.complete_upload(*words)  # type: ignore[arg-type]


KEEPS_NONE = To("a", way=Way.STREAM, wrap=Forgetful)  # type: ignore[arg-type]
WHOLE_CRCS = pytest.mark.parametrize(
    "algorithm", [ChecksumAlgorithm.CRC64NVME, ChecksumAlgorithm.CRC32C, ChecksumAlgorithm.CRC32]
)


class AltersParts:
    """A way to a store on which a byte changes: of the first so many parts, and not of its digests.

    What reads the bytes computes the digests of what it got, and so does this.
    """

    def __init__(self, inner: ObjectStore, times: int) -> None:
        self._inner = inner
        self._times = times
        self.read = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def get_range(self, key: str, **options: object) -> PartBody:
        self.read += 1
        part = await self._inner.get_range(key, **options)  # type: ignore[arg-type]
        if not self._times:
            return part
        self._times -= 1
        content = bytes([part.content[0] ^ 1]) + part.content[1:]
        algorithm = options.get("checksum")
        return PartBody(
            content,
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            hashlib.sha256(content).hexdigest(),
            checksum_of(algorithm, content) if isinstance(algorithm, ChecksumAlgorithm) else "",
        )


def alter(world: World, times: int) -> AltersParts:
    """On the way from the source, for all who read together."""
    altering = AltersParts(world.source, times)
    world.source_port._store = altering  # type: ignore[assignment]
    return altering


@WHOLE_CRCS
async def test_parts_that_were_altered_on_their_way_here_are_read_again_and_never_settled(
    world_of: MakeWorld, algorithm: ChecksumAlgorithm
) -> None:
    """The destinations keep no checksum: nothing but the one of the source shows it."""
    to = [replace(KEEPS_NONE, name=name) for name in "ab"]
    world = world_of(*to, limits=LIMITS)
    altering = alter(world, times=1)
    await world.receive(put(world, "key", CONTENT, algorithm))
    await world.rest()
    for name in "ab":
        assert world.buckets[name].objects["key"].content == CONTENT
        assert world.known(name, "key").reason == (
            "written in parts, read with the source's checksum, and each checked by digest"
        )
        assert not world.buckets[name]._stores.uploads
    codes = {of.error.code for of in world.reports.settlements if of.error is not None}
    assert codes == {"unavailable:WrongChecksum"}
    assert altering.read > 10, "all of it was read again"


async def test_a_source_whose_bytes_are_not_those_of_its_checksum_is_a_dead_letter(
    world_of: MakeWorld,
) -> None:
    world = world_of(KEEPS_NONE, limits=LIMITS)
    alter(world, times=100_000)
    await world.receive(put(world, "key", CONTENT, ChecksumAlgorithm.CRC64NVME))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "unavailable:WrongChecksum")
    assert "CRC64NVME" in record.error.message
    assert "key" not in world.buckets["a"].objects
    assert not world.buckets["a"]._stores.uploads


async def test_what_another_process_sent_is_not_compared_and_not_said_to_be(
    world_of: MakeWorld,
) -> None:
    gate = asyncio.Event()
    half = written([Line(Fault(pause=gate.wait), operation="UploadPart", first=6, last=7)])
    world = world_of(replace(KEEPS_NONE, script=half), limits=LIMITS)
    await world.receive(put(world, "key", CONTENT))
    await quiet()
    await world.crash()
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert world.buckets["a"].requests["CreateMultipartUpload"] == 1
    assert world.known("a", "key").reason == (
        "written in parts, each pinned to the etag, checked by size"
    )


async def test_what_cannot_be_computed_here_is_not_compared_and_not_said_to_be(
    world_of: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without awscrt nothing changes: the proof is the one of an object without a checksum."""
    monkeypatch.setattr("s3fanout.adapters.store.memory_uploads.checksum_of", lambda *_: "")
    world = world_of(KEEPS_NONE, limits=LIMITS)
    await world.receive(put(world, "key", CONTENT, ChecksumAlgorithm.CRC64NVME))
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert world.known("a", "key").reason == "written in parts, each checked by digest"
