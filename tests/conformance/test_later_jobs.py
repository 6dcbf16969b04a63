"""Later jobs, checkpoints, many records, all uploads: what only journals of one process have."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import ErrorRecord, JobState
from s3fanout.model.removals import DELETES_HELD
from s3fanout.model.uploads import AskedUpload, ReplicaUpload
from s3fanout.ports.checkpoints import Checkpoint
from tests.conformance.journals import JOURNALS, World, new_job, settlement, world_of
from tests.conformance.test_queue import ODD_KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(params=JOURNALS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = world_of(request.param, tmp_path)
    await world.start()
    yield world
    await world.stop()


EXISTS = ChangeKind.EXISTS


async def test_what_was_only_seen_comes_after_all_changes(world: World) -> None:
    await world.accept(*(new_job(f"seen{n:04}", kind=EXISTS) for n in range(2500)))
    world.clock.advance(1)
    await world.accept(*(new_job(f"live{n}") for n in range(3)))
    first: list[str] = []
    while len(first) < 3:
        first += [job.key for job in await world.journal.claim("a", 3, now_ms=world.now_ms)]
    assert first[:3] == ["live0", "live1", "live2"]
    world.clock.advance(1)
    await world.accept(new_job("live3"))
    assert (await world.claim_one()).key == "live3"
    (summary,) = await world.journal.summaries()
    assert (summary.later, summary.backlog) == (2500, 2504)
    claimed = first[3:] + [
        job.key for job in await world.journal.claim("a", 10, now_ms=world.now_ms)
    ]
    while jobs := await world.journal.claim("a", 1000, now_ms=world.now_ms):
        claimed += [job.key for job in jobs]
    assert len(claimed) == 2500
    assert len(set(claimed)) == 2500


async def test_changes_do_not_wait_for_ever_behind_what_was_only_seen_and_is_tried_again(
    world: World,
) -> None:
    await world.accept(*(new_job(f"seen{n}", kind=EXISTS) for n in range(5)))
    tried = await world.claim()
    due_at_ms = world.now_ms + 1000
    await world.journal.settle(
        [settlement(job, JobState.WAITING, due_at_ms=due_at_ms) for job in tried]
    )
    await world.journal.finish(tried)
    await world.accept(new_job("live0"))
    assert (await world.claim_one()).key == "live0"
    world.clock.advance(2000)
    await world.accept(*(new_job(f"live{n}") for n in range(1, 7)))
    keys = [job.key for job in await world.claim()]
    assert keys == [f"live{n}" for n in range(1, 7)] + [f"seen{n}" for n in range(5)]


async def test_what_was_only_seen_replaces_no_job_that_is_to_be_done(world: World) -> None:
    await world.accept(new_job("k", etag="new", token="2"))
    assert await world.accept(new_job("k", etag="old", kind=EXISTS)) == (0, 1, 0)
    job = await world.claim_one()
    assert (job.kind, job.etag) == (ChangeKind.CREATED, "new")
    assert await world.accept(new_job("k", etag="old", kind=EXISTS)) == (0, 1, 0)
    await world.journal.settle([settlement(job)])
    await world.journal.finish([job])
    assert await world.accept(new_job("k", etag="old", kind=EXISTS)) == (1, 0, 0)
    # A change that arrives is ahead again, and its attempt is the one that is made.
    assert await world.accept(new_job("k", etag="newest", token="3")) == (1, 0, 0)
    job = await world.claim_one()
    assert (job.kind, job.etag) == (ChangeKind.CREATED, "newest")
    assert await world.claim() == []


async def test_what_was_only_seen_is_claimed_and_waited_for_only_as_far_as_wanted(
    world: World,
) -> None:
    await world.accept(*(new_job(f"seen{n:04}", kind=EXISTS) for n in range(1500)))
    claim = partial(world.journal.claim, "a", 10, now_ms=world.now_ms)
    assert len(await claim(later_max=3)) == 3
    await world.accept(new_job("live0"))
    assert [job.key for job in await claim(later_max=0)] == ["live0"]
    assert await claim(later_max=0) == []
    wait = world.journal.wait("a", now_ms=world.now_ms, timeout_s=3600, later=False)
    waiting = asyncio.create_task(wait)
    await world.clock.somebody_sleeps()
    assert not waiting.done()
    await world.accept(new_job("live1"))
    await asyncio.wait_for(waiting, 60)
    assert [job.key for job in await claim(later_max=0)] == ["live1"]
    assert len(await claim()) == 10


async def test_what_was_only_seen_makes_no_lag(world: World) -> None:
    await world.accept(new_job("k", kind=EXISTS))
    (summary,) = await world.journal.summaries()
    assert (summary.oldest_event_at_ms, summary.ready, summary.waiting) == (None, 1, 0)


async def test_deletes_that_are_let_go_are_claimed_as_they_are_on_record(world: World) -> None:
    await world.accept(new_job("held", kind=ChangeKind.REMOVED))
    held = await world.claim_one()
    error = ErrorRecord(code=DELETES_HELD, message="too many", hint="release them")
    due_at_ms = world.now_ms + 1000
    await world.journal.settle(
        [settlement(held, JobState.WAITING, due_at_ms=due_at_ms, error=error)]
    )
    await world.journal.finish([held])
    assert await world.journal.release_deletes("a", now_ms=world.now_ms) == 1
    # By now the job would be due by itself, and something else is ready beside it.
    world.clock.advance(1000)
    await world.accept(new_job("k"))
    claimed = await world.claim()
    assert [job.key for job in claimed] == ["held", "k"]
    assert all(await world.journal.settle([settlement(job) for job in claimed]))


async def test_jobs_that_come_later_survive_a_restart(world: World) -> None:
    await world.accept(*(new_job(f"k{n}", kind=EXISTS) for n in range(1500)))
    await world.journal.claim("a", 10, now_ms=world.now_ms)
    await world.start()
    keys: set[str] = set()
    while jobs := await world.journal.claim("a", 400, now_ms=world.now_ms):
        keys |= {job.key for job in jobs}
    assert len(keys) == 1500


async def test_a_checkpoint_is_kept_and_forgotten(world: World) -> None:
    assert await world.journal.checkpoint("walk") is None
    await world.journal.keep_checkpoint("walk", Checkpoint("f", 1, "{}"))
    await world.journal.keep_checkpoint("walk", Checkpoint("g", 2, "[]"))
    await world.start()
    assert await world.journal.checkpoint("walk") == Checkpoint("g", 2, "[]")
    await world.journal.drop_checkpoint("walk")
    await world.journal.drop_checkpoint("walk")
    assert await world.journal.checkpoint("walk") is None


async def test_many_records_are_read_at_once(world: World) -> None:
    await world.accept(*(new_job(key) for key in ODD_KEYS), new_job("x", destination="b"))
    found = await world.journal.records("a", [*ODD_KEYS, "x", "missing"])
    assert set(found) == set(ODD_KEYS)
    assert all(key == record.key for key, record in found.items())


async def test_all_uploads_into_one_destination_are_known(world: World) -> None:
    uploads = [ReplicaUpload("a", key, f"r/{key}", key, "print", 8) for key in ("x", "\x00", "ü")]
    for upload in (*uploads, replace(uploads[0], destination="b")):
        await world.journal.keep_upload(upload)
    found = await world.journal.uploads_of("a")
    assert sorted(found, key=lambda upload: upload.key) == sorted(
        uploads, key=lambda upload: upload.key
    )
    assert await world.journal.uploads_of("nobody") == []


async def test_what_a_store_was_asked_for_is_remembered_until_it_answers(world: World) -> None:
    key = "r/\x00ü"
    await world.journal.ask_upload("a", key, at_ms=5)
    await world.journal.ask_upload("b", key, at_ms=6)
    assert await world.journal.asked_of("a") == [AskedUpload("a", key, 5, 5)]
    await world.start()
    assert await world.journal.asked_of("a") == [AskedUpload("a", key, 5, 5)]
    await world.journal.answer_upload("a", key, asked_at_ms=5)
    assert await world.journal.asked_of("a") == []
    assert await world.journal.asked_of("b") == [AskedUpload("b", key, 6, 6)]


async def test_an_answer_says_nothing_of_what_was_asked_before(world: World) -> None:
    await world.journal.ask_upload("a", "r", at_ms=5)
    await world.journal.ask_upload("a", "r", at_ms=9)
    await world.journal.answer_upload("a", "r", asked_at_ms=9)
    (asked,) = await world.journal.asked_of("a")
    assert asked == AskedUpload("a", "r", 5, 9)
    await world.journal.ask_upload("a", "r", at_ms=12)
    await world.journal.forget_asked(asked)
    assert await world.journal.asked_of("a") == [AskedUpload("a", "r", 5, 12)]
    await world.journal.forget_asked(AskedUpload("a", "r", 5, 12))
    assert await world.journal.asked_of("a") == []
