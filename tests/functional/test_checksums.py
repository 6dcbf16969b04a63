"""Checksums of the whole object travel where the destination's store keeps them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.plan import Way
from s3fanout.model.errors import Refused
from s3fanout.model.keeping import Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Body, Checksum, ChecksumAlgorithm
from s3fanout.model.vendors import VendorName, vendor_named
from s3fanout.ports.object_store import ObjectStore
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
LIMITS = Limits(part_bytes=10, copy_bytes_max=10, copy_part_bytes=10, part_bytes_min=1)
CONTENT = bytes(range(95))


def crc32(content: bytes) -> Checksum:
    value = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode("ascii")
    return Checksum(ChecksumAlgorithm.CRC32, value, full_object=True)


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


def put(world: World, key: str, content: bytes) -> bytes:
    """A source object that has a checksum."""
    message = world.put(key, content)
    stored = world.source.objects[key]
    world.source.objects[key] = StoredObject.of(
        content, stored.attributes, checksums=(crc32(content),)
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
