"""Bytes that an etag speaks against are looked at twice, and never settled altered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.plan import Way
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import Body, ObjectAttributes, Written
from s3fanout.ports.object_store import ObjectStore
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
FAR = To("a", way=Way.STREAM)


class AltersReads:
    """A way to a store on which bytes change: of the first reads, or of all."""

    def __init__(self, inner: ObjectStore, times: int) -> None:
        self._inner = inner
        self._times = times

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def get(self, key: str, **options: object) -> Body:
        body = await self._inner.get(key, **options)  # type: ignore[arg-type]
        if not self._times:
            return body
        self._times -= 1
        content = bytes([self._times % 256]) + body.content[1:]
        return Body(
            body.facts,
            content,
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            hashlib.sha256(content).hexdigest(),
        )


@pytest.mark.parametrize("times", [1, 3, 10_000])
async def test_what_was_altered_on_its_way_here_is_read_again(
    world_of: MakeWorld, times: int
) -> None:
    world = world_of(FAR)
    world.source_port._store = AltersReads(world.source, times)  # type: ignore[assignment]
    await world.receive(world.put("key", b"the true content"))
    await world.rest()
    if times < 10_000:
        world.assert_equal()
        return
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "unavailable:WrongDigest")
    assert "key" not in world.buckets["a"].objects


async def test_a_store_whose_etags_are_no_digests_is_found_out_once(world_of: MakeWorld) -> None:
    world = world_of(FAR)
    for number in range(5):
        key = f"key-{number}"
        world.put(key, key.encode())
        world.source.objects[key] = stored = replace(
            world.source.objects[key], etag=f"{number:032x}"
        )
        await world.receive(world.message(key, etag=stored.etag, size_bytes=len(key)))
        await world.rest()
        assert world.buckets["a"].objects[key].content == key.encode()
    assert world.source.requests["GetObject"] == 6


class Careless:
    """A store that compares no digest: it keeps the first object with another byte in it."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self._puts = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        written = await self._inner.put(key, body, attributes)
        self._puts += 1
        if self._puts > 1:
            return written
        altered = StoredObject.of(b"!" + body.content[1:], attributes)
        self._inner.objects[key] = altered  # type: ignore[attr-defined]
        return Written(altered.etag)


async def test_what_was_altered_on_its_way_there_is_removed_and_written_again(
    world_of: MakeWorld,
) -> None:
    world = world_of(replace(FAR, wrap=Careless))  # type: ignore[arg-type]
    await world.receive(world.put("key", b"the true content"))
    await world.rest()
    world.assert_equal()
    codes = [of.error.code for of in world.reports.settlements if of.error is not None]
    assert codes == ["replica-mismatch"]
    assert world.requests()["DeleteObject"] == 1


class Opaque:
    """A store whose etags look like digests, and are none."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self._puts = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        await self._inner.put(key, body, attributes)
        self._puts += 1
        objects = self._inner.objects  # type: ignore[attr-defined]
        objects[key] = replace(objects[key], etag=f"{self._puts:032x}")
        return Written(objects[key].etag)


async def test_a_replica_is_read_back_once_where_etags_are_no_digests(world_of: MakeWorld) -> None:
    world = world_of(replace(FAR, wrap=Opaque))  # type: ignore[arg-type]
    for number in range(5):
        await world.receive(world.put(f"key-{number}"))
        await world.rest()
    world.assert_equal()
    assert world.buckets["a"].requests["GetObject"] == 1
