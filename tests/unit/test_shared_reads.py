"""A body serves the jobs that came with the one that began its read, and no others."""

from __future__ import annotations

import pytest

from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.adapters.system import SystemClock
from s3fanout.engine.reads import SharedReads
from s3fanout.model.errors import SourceChanged
from s3fanout.model.objects import Body, ObjectAttributes
from tests.functional.world import tells_all


async def read(
    reads: SharedReads, key: str, etag: str, *, fence: int = 7, takers: int
) -> tuple[Body, int]:
    """What one destination gets, which is done with it at once."""
    options = {"taker": "to", "takers": takers, "fence": fence, "size_bytes": 5}
    return await reads.read(key, handed_over, etag=etag, **options)  # type: ignore[arg-type]


async def handed_over(body: Body, number: int) -> tuple[Body, int]:
    return body, number


@pytest.mark.parametrize(("first", "second", "gets"), [(7, 7, 1), (7, 8, 2), (1_048_577, 3, 2)])
async def test_only_an_equal_fence_shares_a_read(first: int, second: int, gets: int) -> None:
    """Also a smaller one reads again: a redrive beside the daemon takes fences from far ahead."""
    clock = SystemClock()
    stores = MemoryStores(clock=clock)
    stores.create_bucket("source")
    store = stores.open("source")
    store.objects["k"] = StoredObject.of(b"bytes", ObjectAttributes(tags={"v": "old"}), now_ms=1)
    etag = store.objects["k"].etag
    reads = SharedReads(
        store,
        budget_bytes=1 << 21,
        part_bytes=1 << 20,
        destinations=3,
        vendor=tells_all,
        clock=clock,
    )
    await read(reads, "k", etag, fence=first, takers=3)
    store.objects["k"] = StoredObject.of(b"bytes", ObjectAttributes(tags={"v": "new"}), now_ms=2)
    body, _ = await read(reads, "k", etag, fence=second, takers=3)
    assert store.requests["GetObject"] == gets
    assert body.facts.attributes.tags == {"v": "old" if gets == 1 else "new"}
    await reads.close()


async def test_what_was_kept_is_not_given_out_after_another_state_was_written() -> None:
    """What was written may be newer: the replica must not go back."""
    clock = SystemClock()
    stores = MemoryStores(clock=clock)
    stores.create_bucket("source")
    store = stores.open("source")
    store.objects["k"] = store.objects["other"] = StoredObject.of(b"older")
    etag = store.objects["k"].etag
    reads = SharedReads(
        store,
        budget_bytes=1 << 21,
        part_bytes=1 << 20,
        destinations=3,
        vendor=tells_all,
        clock=clock,
    )
    _, first = await read(reads, "k", etag, takers=3)
    await read(reads, "other", etag, takers=2)
    reads.wrote("k", first)
    store.objects["k"] = StoredObject.of(b"newer")
    await read(reads, "k", etag, takers=9)
    reads.wrote("k", reads.next_number)
    with pytest.raises(SourceChanged):
        await read(reads, "k", etag, takers=2)
    await read(reads, "other", etag, takers=2)
    assert store.requests["GetObject"] == 3
    await reads.close()
