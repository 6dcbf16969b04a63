"""The memory store beyond the conformance suite, and the wrapper that makes any store fail."""

from __future__ import annotations

import asyncio

import pytest

from s3fanout.adapters.store.faulty import Call, Fault, FaultyStore, Line, written
from s3fanout.adapters.store.memory import MemoryStore, MemoryStores, StoredObject
from s3fanout.model.errors import Refused, Throttled, Unavailable
from s3fanout.model.objects import Absent, Body, ObjectAttributes, Present

ATTRIBUTES = ObjectAttributes({"content-type": "text/plain"}, {"a": "1"}, {"k": "v"})


class FixedClock:
    """Stands still until told."""

    at_ms = 1_700_000_000_999

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)


@pytest.fixture
def stores() -> MemoryStores:
    return MemoryStores(FixedClock())


@pytest.fixture
def store(stores: MemoryStores) -> MemoryStore:
    return stores.create_bucket("source")


async def body_of(store: MemoryStore, content: bytes) -> Body:
    """A body that was read from a store."""
    store.objects["made-for-reading"] = StoredObject.of(content)
    body = await store.get("made-for-reading", if_match=None, size_bytes_max=len(content))
    del store.objects["made-for-reading"]
    store.requests.clear()
    return body


async def test_requests_are_counted_as_a_store_would_bill_them(store: MemoryStore) -> None:
    store.objects["tagged"] = StoredObject.of(b"1", ATTRIBUTES)
    store.objects["plain"] = StoredObject.of(b"1")
    body = await store.get("tagged", if_match=None, size_bytes_max=9)
    await store.get("plain", if_match=None, size_bytes_max=9)
    await store.head("absent")
    await store.put("copy", body, ATTRIBUTES)
    await store.copy("copy2", source_bucket="source", source_key="copy", if_match=None)
    await store.delete("copy")
    await store.list_page()
    assert store.requests == {
        "GetObject": 2,
        "GetObjectTagging": 1,
        "HeadObject": 1,
        "PutObject": 1,
        "CopyObject": 1,
        "DeleteObject": 1,
        "ListObjectsV2": 1,
    }


async def test_a_failed_request_is_counted(store: MemoryStore) -> None:
    store.objects["key"] = StoredObject.of(b"12")
    with pytest.raises(Refused):
        await store.get("key", if_match=None, size_bytes_max=1)
    assert store.requests == {"GetObject": 1}


async def test_what_a_test_plants_is_an_object(store: MemoryStore) -> None:
    store.objects["key"] = StoredObject.of(b"hello", ATTRIBUTES, now_ms=1_700_000_000_999)
    assert await store.head("key") == Present(
        key="key",
        size_bytes=5,
        etag="5d41402abc4b2a76b9719d911017c592",
        last_modified_at_ms=1_700_000_000_000,
        tag_count=1,
        attributes=ObjectAttributes(ATTRIBUTES.headers, ATTRIBUTES.metadata, None),
    )


async def test_writes_carry_the_clock_in_whole_seconds(store: MemoryStore) -> None:
    await store.put("key", await body_of(store, b"1"), ATTRIBUTES)
    assert store.objects["key"].last_modified_at_ms == 1_700_000_000_000


async def test_a_written_object_is_its_own(store: MemoryStore) -> None:
    """Changing what was passed in afterwards changes nothing in the store."""
    metadata = {"a": "1"}
    await store.put("key", await body_of(store, b"1"), ObjectAttributes(metadata=metadata))
    metadata["a"] = "2"
    assert store.objects["key"].attributes.metadata == {"a": "1"}


async def test_the_limit_of_one_copy() -> None:
    stores = MemoryStores(FixedClock(), copy_bytes_max=3)
    store = stores.create_bucket("source")
    store.objects["fits"] = StoredObject.of(b"123")
    store.objects["large"] = StoredObject.of(b"1234")
    await store.copy("copy", source_bucket="source", source_key="fits", if_match=None)
    with pytest.raises(Refused) as refused:
        await store.copy("copy", source_bucket="source", source_key="large", if_match=None)
    assert refused.value.s3_code == "EntityTooLarge"
    assert store.objects["copy"].content == b"123"


async def test_one_page_has_at_most_a_thousand_rows(store: MemoryStore) -> None:
    store.objects.update({f"{number:04}": StoredObject.of(b"") for number in range(1001)})
    first = await store.list_page(limit=5000)
    rest = await store.list_page(token=first.next_token)
    assert (len(first.objects), [row.key for row in rest.objects]) == (1000, ["1000"])


@pytest.mark.parametrize("key", ["", "é" * 513])
async def test_keys_have_1_to_1024_bytes(store: MemoryStore, key: str) -> None:
    with pytest.raises(Refused) as refused:
        await store.head(key)
    assert refused.value.s3_code == "KeyTooLongError"


# --- faults ---------------------------------------------------------------------------------


async def test_without_a_fault_the_wrapper_is_the_store(store: MemoryStore) -> None:
    faulty = FaultyStore(store, written([]))
    body = await body_of(store, b"hello")
    answered = await faulty.put("a", body, ATTRIBUTES)
    copied = await faulty.copy("b", source_bucket="source", source_key="a", if_match=answered.etag)
    assert copied == answered
    assert await faulty.head("b") == await store.head("b")
    assert await faulty.get("b", if_match=None, size_bytes_max=5) == await store.get(
        "b", if_match=None, size_bytes_max=5
    )
    assert await faulty.list_page("b") == await store.list_page("b")
    await faulty.delete("b")
    await faulty.close()
    assert (faulty.bucket, list(store.objects)) == ("source", ["a"])
    assert [call.operation for call in faulty.calls] == [
        "PutObject",
        "CopyObject",
        "HeadObject",
        "GetObject",
        "ListObjectsV2",
        "DeleteObject",
    ]


async def test_an_error_before_leaves_the_store_alone(store: MemoryStore) -> None:
    error = Unavailable("no answer")
    faulty = FaultyStore(store, written([Line(Fault(error), operation="PutObject")]))
    with pytest.raises(Unavailable) as raised:
        await faulty.put("key", await body_of(store, b"1"), ATTRIBUTES)
    assert raised.value is error
    assert store.objects == {}
    assert store.requests == {}


async def test_an_error_after_has_applied_the_write(store: MemoryStore) -> None:
    lost = Fault(Unavailable("the answer got lost", maybe_applied=True), applied=True)
    faulty = FaultyStore(store, written([Line(lost)]))
    with pytest.raises(Unavailable):
        await faulty.put("key", await body_of(store, b"1"), ATTRIBUTES)
    assert store.objects["key"].content == b"1"


async def test_lines_choose_by_operation_key_and_count(store: MemoryStore) -> None:
    throttled, down = Fault(Throttled("slow down")), Fault(Unavailable("down"))
    faulty = FaultyStore(
        store,
        written(
            [
                Line(throttled, operation="HeadObject", key="a", first=2, last=3),
                Line(down, operation="HeadObject", first=4),
            ]
        ),
    )

    async def head(key: str) -> str:
        try:
            await faulty.head(key)
        except (Throttled, Unavailable) as error:
            return error.code
        return "answered"

    assert [await head("a") for _ in range(5)] == [
        "answered",
        "throttled",
        "throttled",
        "unavailable",
        "unavailable",
    ]
    assert [await head("b") for _ in range(4)] == ["answered"] * 3 + ["unavailable"]
    assert await faulty.list_page("a") == await store.list_page("a")
    assert faulty.calls[-1] == Call("ListObjectsV2", "a", 1)


@pytest.mark.parametrize("applied", [False, True])
async def test_a_pause_before_or_after_the_write(store: MemoryStore, applied: bool) -> None:
    """The moment between a write and its answer is where another writer can come in."""
    paused, go_on = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        paused.set()
        await go_on.wait()

    faulty = FaultyStore(store, lambda _: Fault(pause=pause, applied=applied))
    body = await body_of(store, b"1")
    putting = asyncio.create_task(faulty.put("key", body, ATTRIBUTES))
    await paused.wait()
    assert ("key" in store.objects) == applied
    go_on.set()
    assert (await putting).etag == body.md5_hex
    assert isinstance(await store.head("key"), Present)
    assert store.requests["PutObject"] == 1


async def test_a_slow_failure(store: MemoryStore) -> None:
    clock = FixedClock()
    fault = Fault(Unavailable("timed out"), pause=lambda: clock.sleep(5))
    with pytest.raises(Unavailable):
        await FaultyStore(store, lambda _: fault).delete("key")
    assert clock.monotonic_s() == pytest.approx(FixedClock.at_ms / 1000 + 5)
    assert await store.head("key") == Absent("key")
