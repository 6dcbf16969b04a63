"""Backfill queues what was there before, once, behind live changes, and goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3fanout.adapters.inventory import keys_of_file
from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.faulty import Call, Fault
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.decide.backfill import Choice
from s3fanout.engine.backfill import LATER_MAX, Backfill, listed
from s3fanout.model.errors import (
    AccessDenied,
    CheckpointMismatch,
    InventoryBroken,
    Refused,
    Unavailable,
)
from s3fanout.model.events import ChangeKind
from s3fanout.model.items import Batch, Item
from s3fanout.model.jobs import JobState, NewJob, Settlement
from s3fanout.model.objects import ListPage
from s3fanout.model.rules import KeyFilter, Rule
from tests.functional.clock import VirtualClock, quiet
from tests.functional.world import To, World

RULES = (Rule("paris"), Rule("tokyo", KeyFilter(exclude_prefixes=("tmp/",))))


class Walk:
    """A source of ``count`` objects and a journal."""

    def __init__(self, count: int = 2500) -> None:
        self.clock = VirtualClock()
        self.source = MemoryStores(self.clock).create_bucket("source")
        self.journal = MemoryJournal(clock=self.clock)
        for number in range(count):
            self.source.objects[f"k{number:05}"] = StoredObject.of(b"%d" % number)

    def backfill(
        self, *, fingerprint: str = "f", dry_run: bool = False, later_max: int = LATER_MAX
    ) -> Backfill:
        return Backfill(
            rules=RULES,
            books=self.journal,
            clock=self.clock,
            fingerprint=fingerprint,
            later_max=later_max,
            dry_run=dry_run,
        )

    def batches(self, position: str | None) -> AsyncGenerator[Batch]:
        return listed(self.source, self.clock, "", position)

    async def settle_all(self) -> None:
        """Play the engine: everything becomes equal."""
        for rule in RULES:
            while jobs := await self.journal.claim(rule.destination, 1000, now_ms=1):
                await self.journal.settle(
                    [
                        Settlement(job, JobState.SETTLED, 2, "copied", 0, source_etag=job.etag)
                        for job in jobs
                    ]
                )
                await self.journal.finish(jobs)


async def test_everything_is_queued_once_and_what_is_equal_is_passed_over() -> None:
    walk = Walk()
    walk.source.objects["tmp/x"] = StoredObject.of(b"x")
    tally = await walk.backfill().run(walk.batches(None))
    assert tally.choices == {
        "paris": {Choice.QUEUE: 2501},
        "tokyo": {Choice.QUEUE: 2500, Choice.UNWANTED: 1},
    }
    (job, *_) = await walk.journal.claim("paris", 1, now_ms=1)
    assert (job.kind, job.key, job.size_bytes) == (ChangeKind.EXISTS, "k00000", 1)
    await walk.journal.release([job], due_at_ms=1)
    busy = await walk.backfill().run(walk.batches(None))
    assert busy.choices["paris"] == {Choice.BUSY: 2501}
    await walk.settle_all()
    walk.source.objects["k00007"] = StoredObject.of(b"changed, and the event was lost")
    again = await walk.backfill().run(walk.batches(None))
    assert again.choices["paris"] == {Choice.EQUAL: 2500, Choice.QUEUE: 1}


async def test_a_long_queue_makes_the_listing_wait_until_it_is_worked_off() -> None:
    walk = Walk()
    page = 1000
    running = asyncio.ensure_future(walk.backfill(later_max=page - 1).run(walk.batches(None)))
    for waiting in (page, page, 500):
        await walk.clock.advance(60)
        assert [each.later for each in await walk.journal.summaries()] == [waiting] * 2
        await walk.settle_all()
    await walk.clock.advance(60)
    assert (await running).items == 2500


async def test_killed_it_goes_on_behind_the_last_page_and_repeats_one_at_most() -> None:
    walk = Walk()

    async def dies_after(pages: int) -> AsyncGenerator[Batch]:
        async for batch in walk.batches(None):
            if pages == 0:
                raise Unavailable("killed")
            pages -= 1
            yield batch

    with pytest.raises(Unavailable):
        await walk.backfill().run(dies_after(2))
    walk.source.requests.clear()
    resumed = walk.backfill()
    position = await resumed.resume()
    tally = await resumed.run(walk.batches(position))
    assert (tally.resumed, tally.items, walk.source.requests["ListObjectsV2"]) == (True, 2500, 1)
    assert await walk.journal.checkpoint("backfill") is None
    summaries = await walk.journal.summaries()
    assert {summary.destination: summary.later for summary in summaries} == {
        "paris": 2500,
        "tokyo": 2500,
    }


async def test_prefixes_are_listed_side_by_side_and_each_is_gone_on_with() -> None:
    walk = Walk(count=0)
    keys = [f"p{number % 7}/k{number:05}" for number in range(9000)] + ["at the top"]
    for key in keys:
        walk.source.objects[key] = StoredObject.of(b"x")
    first: list[Batch] = []
    async for batch in walk.batches(None):
        first.append(batch)
        if len(first) == 5:
            break
    seen = [item.key for batch in first for item in batch.items]
    assert len({key[:2] for key in seen}) > 1
    rest = [batch async for batch in walk.batches(first[-1].position)]
    seen += [item.key for batch in rest for item in batch.items]
    assert sorted(seen) == sorted(keys)
    assert rest[-1].position is None
    assert [batch.share for batch in rest] == sorted(batch.share or 0 for batch in rest)


async def test_a_prefix_that_cannot_be_listed_ends_the_walk() -> None:
    walk = Walk(count=0)
    for number in range(4000):
        walk.source.objects[f"p{number % 4}/{number}"] = StoredObject.of(b"x")
    whole = walk.source.list_page

    async def torn(prefix: str = "", **options: Any) -> ListPage:
        if prefix == "p3/" and not options["delimiter"]:
            raise AccessDenied("no", operation="ListObjectsV2")
        return await whole(prefix, **options)

    walk.source.list_page = torn  # type: ignore[method-assign]
    with pytest.raises(AccessDenied):
        await walk.backfill().run(walk.batches(None))
    walk.source.list_page = whole  # type: ignore[method-assign]
    resumed = walk.backfill()
    tally = await resumed.run(walk.batches(await resumed.resume()))
    summaries = await walk.journal.summaries()
    assert [summary.later for summary in summaries] == [4000, 4000]
    assert tally.items >= 4000


async def test_a_place_that_the_store_no_longer_knows_is_named() -> None:
    walk = Walk()
    (first, *_) = [batch async for batch in walk.batches(None)]

    async def forgetful(*_: object, **__: object) -> ListPage:
        raise Refused("The continuation token provided is incorrect", status=400)

    walk.source.list_page = forgetful  # type: ignore[method-assign]
    with pytest.raises(CheckpointMismatch, match="token provided is incorrect") as raised:
        await walk.backfill().run(walk.batches(first.position))
    assert "--restart" in raised.value.hint


async def test_bytes_are_queued_no_faster_than_asked_for() -> None:
    walk = Walk(count=0)
    for number in range(2000):
        walk.source.objects[f"k{number}"] = StoredObject.of(b"x" * 100)
    backfill = Backfill(
        rules=RULES,
        books=walk.journal,
        clock=walk.clock,
        fingerprint="f",
        bytes_per_s=10_000,
    )
    began_s = walk.clock.monotonic_s()
    running = asyncio.ensure_future(backfill.run(walk.batches(None)))
    await walk.clock.run_until(running.done, within_s=60)
    assert walk.clock.monotonic_s() - began_s == pytest.approx(20, abs=1)


async def test_a_checkpoint_of_another_configuration_is_refused() -> None:
    walk = Walk(count=1500)

    async def dies() -> AsyncGenerator[Batch]:
        yield Batch([Item("k")], "more")
        raise Unavailable("killed")

    with pytest.raises(Unavailable):
        await walk.backfill().run(dies())
    before = await walk.journal.summaries()
    with pytest.raises(CheckpointMismatch):
        await walk.backfill(fingerprint="other").resume()
    assert await walk.journal.summaries() == before


async def test_a_dry_run_counts_and_queues_nothing() -> None:
    walk = Walk(count=5)
    tally = await walk.backfill(dry_run=True).run(walk.batches(None))
    assert tally.choices["paris"] == {Choice.QUEUE: 5}
    assert tally.queued_bytes == {"paris": 5, "tokyo": 5}
    assert tally.pages == 1
    assert await walk.journal.summaries() == []


async def test_a_change_that_arrives_is_not_overtaken() -> None:
    walk = Walk(count=3)
    await walk.journal.accept(
        [NewJob("paris", "k00001", ChangeKind.CREATED, 5, etag="e")], now_ms=5
    )
    await walk.backfill().run(walk.batches(None))
    (first, *_) = await walk.journal.claim("paris", 1, now_ms=9)
    assert (first.key, first.kind, first.etag) == ("k00001", ChangeKind.CREATED, "e")


async def test_large_objects_of_a_backfill_leave_attempts_for_live_changes(
    world_of: Callable[..., World],
) -> None:
    gate = asyncio.Event()

    def hold_old(call: Call) -> Fault | None:
        return Fault(pause=gate.wait) if call.key.startswith("old/") else None

    world = world_of(To("paris", script=hold_old, concurrency=8))
    for number in range(20):
        world.put(f"old/{number}")
    backfill = Backfill(
        rules=[world.to["paris"].rule], books=world.journal, clock=world.clock, fingerprint="f"
    )
    await backfill.run(listed(world.source, world.clock, "", None))
    await quiet()
    assert world.view("paris").in_flight == 6
    for number in range(3):
        await world.receive(world.put(f"live/{number}"))
    await quiet()
    assert {world.known("paris", f"live/{n}").state for n in range(3)} == {JobState.SETTLED}
    assert world.view("paris").in_flight == 6
    gate.set()
    await world.rest()
    world.assert_equal()


def keys_of(batches: Iterator[Batch]) -> list[str]:
    return [item.key for batch in batches for item in batch.items]


def test_a_file_of_keys_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("".join(f"k {n}\n" for n in range(1200)) + "last", "utf-8")
    first = next(keys_of_file(path, None))
    assert (len(first.items), first.position) == (1000, "1000")
    assert keys_of(keys_of_file(path, first.position))[-1] == "last"
    path.write_bytes(b"k\n" * 5000 + b"\xff\n")
    with pytest.raises(InventoryBroken):
        next(keys_of_file(path, None))
    with pytest.raises(InventoryBroken):
        keys_of(keys_of_file(tmp_path / "none", None))
