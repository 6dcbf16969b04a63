"""``x`` and ``x/y`` are never written in one moment, and nobody waits for anything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from s3fanout.adapters.store.neighbours import Neighbours
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.s3_multipart import examined_part
from s3fanout.adapters.store.transport import Response
from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import UploadedPart, Written
from tests.conformance.object_stores import PLAIN, body_of
from tests.unit.reciting import COPIED, Reciting, answer, store_of

COMPLETED = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"


@dataclass(slots=True)
class Writes:
    """Writes that are begun in order, and end when they are told to."""

    neighbours: Neighbours = field(default_factory=Neighbours)
    under_way: list[str] = field(default_factory=list)
    ends: dict[str, asyncio.Event] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def begin(self, *keys: str) -> list[str]:
        """Begin them; those that are under way now."""
        for key in keys:
            self.ends[key] = asyncio.Event()
            self.tasks[key] = asyncio.create_task(self._write(key))
        await settled()
        return list(self.under_way)

    async def end(self, *keys: str) -> list[str]:
        """End them; those that are under way then."""
        for key in keys:
            self.ends[key].set()
            await self.tasks[key]
        await settled()
        return list(self.under_way)

    async def cancel(self, key: str) -> list[str]:
        """Give it up; those that are under way then."""
        self.tasks[key].cancel()
        await asyncio.wait([self.tasks[key]])
        await settled()
        return list(self.under_way)

    async def _write(self, key: str) -> None:
        async with self.neighbours.apart(key):
            self.under_way.append(key)
            try:
                await self.ends[key].wait()
            finally:
                self.under_way.remove(key)


@asynccontextmanager
async def writes() -> AsyncIterator[Writes]:
    made = Writes()
    yield made
    left = [key for key, task in made.tasks.items() if not task.done()]
    assert not await made.end(*left)
    assert not any(vars(made.neighbours).values()), "nothing is kept of what has ended"


async def settled() -> None:
    """Let everybody go on until they wait for something."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x", "x/y"),
        ("x/y", "x"),
        ("x", "x/y/z"),
        ("x/y/z", "x"),
        ("x/y", "x/y/z"),
        ("x/", "x/y"),
        ("x/y/z", "x/"),
        ("x/", "x"),
    ],
)
async def test_a_key_waits_for_one_that_is_its_folder_or_in_it(first: str, second: str) -> None:
    async with writes() as each:
        assert await each.begin(first, second) == [first]
        assert await each.end(first) == [second]


async def test_no_other_keys_wait_for_each_other() -> None:
    keys = ["x", "xx", "x-y", "x y/z", "y/x", "y/z/x", "y/z/y", "z/", "\N{SNOWMAN}/x"]
    async with writes() as each:
        assert await each.begin(*keys) == keys


async def test_they_come_in_the_order_in_which_they_asked() -> None:
    async with writes() as each:
        assert await each.begin("x/1", "x", "x/2", "y") == ["x/1", "y"]
        assert await each.end("x/1") == ["y", "x"]
        assert await each.end("x") == ["y", "x/2"]


async def test_one_that_waits_and_is_given_up_keeps_nobody_waiting() -> None:
    async with writes() as each:
        assert await each.begin("x/1", "x", "x/2") == ["x/1"]
        assert await each.cancel("x") == ["x/1", "x/2"]


async def test_one_that_is_given_up_in_the_middle_lets_the_next_one_begin() -> None:
    async with writes() as each:
        assert await each.begin("x/1", "x") == ["x/1"]
        assert await each.cancel("x/1") == ["x"]


class Overlapping(Reciting):
    """A transport that knows how many requests were under way at once."""

    now = 0
    most = 0

    async def request(self, *args: Any, **named: Any) -> Response:
        self.now += 1
        self.most = max(self.most, self.now)
        await settled()
        self.now -= 1
        return await super().request(*args, **named)


def put(store: S3Store, key: str) -> Awaitable[object]:
    return store.put(key, body_of(b"1"), PLAIN)


def copy(store: S3Store, key: str) -> Awaitable[object]:
    return store.copy(key, source_bucket="source", source_key="s", if_match=None)


def complete(store: S3Store, key: str) -> Awaitable[object]:
    return store.complete_upload(key, "id", [UploadedPart(1, "e", 1)])


def delete(store: S3Store, key: str) -> Awaitable[object]:
    return store.delete(key)


def delete_version(store: S3Store, key: str) -> Awaitable[object]:
    return store.delete_version(key, "v")


def part(store: S3Store, key: str) -> Awaitable[object]:
    return store.upload_part(key, "id", 1, examined_part(b"1", None))


@pytest.mark.parametrize(
    ("write", "document", "key", "most"),
    [
        (put, b"", "x", 1),
        (copy, COPIED, "x", 1),
        (complete, COMPLETED, "x", 1),
        (delete, b"", "x", 1),
        (delete_version, b"", "x", 1),
        (part, b"", "x", 2),
        (put, b"", "z", 2),
    ],
)
async def test_whatever_makes_or_removes_an_object_is_kept_apart(
    write: Callable[[S3Store, str], Awaitable[object]], document: bytes, key: str, most: int
) -> None:
    transport = Overlapping([answer(body=document, etag='"e"'), answer(etag='"e"')])
    store, _ = store_of(transport=transport)
    await asyncio.gather(write(store, key), put(store, "x/y"))
    assert transport.most == most


async def test_a_write_that_fails_lets_the_next_one_begin() -> None:
    transport = Overlapping([Unavailable("reset"), answer(etag='"e"')])
    store, _ = store_of(transport=transport)
    failed, written = await asyncio.gather(
        put(store, "x"), put(store, "x/y"), return_exceptions=True
    )
    assert isinstance(failed, Unavailable)
    assert written == Written("e", None)
