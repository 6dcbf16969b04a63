"""What every queue must do, the one in memory included."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job, JobState
from s3fanout.ports.ledger import FailureSelection
from tests.conformance.journals import (
    BROKEN,
    START_MS,
    World,
    new_job,
    settlement,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.model.jobs import NewJob

ODD_KEYS = [
    "nul\0inside",
    "\0",
    "line\nbreak\r\ttab",
    "quotes \"' back\\slash",
    "a//b/../c/./",
    "%2F+ &?#",
    "grün/日本/🪣",
    "\u2028\u2029\ufeff\uffff\U0010ffff",
    "\x01\x1f\x7f\x80",
    "null",
    "ü" * 512,
]


async def test_a_claimed_job_says_what_was_accepted(world: World) -> None:
    offered = new_job("k", etag="e", size_bytes=7, version_id="v", kind=ChangeKind.REMOVED)
    assert await world.accept(offered) == (1, 0, 0)
    job = await world.claim_one()
    assert job == Job(
        destination="a",
        key="k",
        fence=job.fence,
        kind=ChangeKind.REMOVED,
        event_at_ms=offered.event_at_ms,
        etag="e",
        size_bytes=7,
        version_id="v",
        attempts=0,
    )


async def test_a_job_is_leased_once(world: World) -> None:
    await world.accept(new_job())
    assert len(await world.claim()) == 1
    assert await world.claim() == []


async def test_a_claim_gives_no_more_than_asked_and_all_in_the_end(world: World) -> None:
    await world.accept(*(new_job(f"k{n}") for n in range(7)))
    claimed: list[Job] = []
    while jobs := await world.journal.claim("a", 3, now_ms=world.now_ms):
        assert len(jobs) <= 3
        claimed += jobs
    assert sorted(job.key for job in claimed) == [f"k{n}" for n in range(7)]


async def test_older_jobs_come_first(world: World) -> None:
    for n in range(6):
        await world.accept(new_job(f"k{n}"))
        world.clock.advance(1)
    assert [(await world.claim_one()).key for _ in range(6)] == [f"k{n}" for n in range(6)]


async def test_destinations_have_queues_of_their_own(world: World) -> None:
    await world.accept(new_job(destination="a"), new_job(destination="b"))
    assert [job.destination for job in await world.claim("b")] == ["b"]
    assert [job.destination for job in await world.claim("a")] == ["a"]
    assert await world.claim("c") == []


async def test_an_empty_offer_is_nothing(world: World) -> None:
    assert await world.accept() == (0, 0, 0)


ORDERS: list[tuple[str, Sequence[NewJob], tuple[int, int, int]]] = [
    ("no order", [new_job(), new_job()], (2, 0, 0)),
    ("order after none", [new_job(), new_job(token="1")], (2, 0, 0)),
    ("none after order", [new_job(token="1"), new_job()], (2, 0, 0)),
    ("other scheme", [new_job(token="2"), new_job(token="1", scheme="x")], (2, 0, 0)),
    ("same", [new_job(token="1"), new_job(token="1")], (1, 1, 0)),
    ("same, no etag", [new_job(token="1", etag=None)] * 2, (1, 1, 0)),
    ("same, size differs", [new_job(token="1"), new_job(token="1", size_bytes=9)], (1, 1, 0)),
    ("etag differs", [new_job(token="1"), new_job(token="1", etag="x")], (2, 0, 0)),
    ("etag goes", [new_job(token="1"), new_job(token="1", etag=None)], (2, 0, 0)),
    ("version differs", [new_job(token="1"), new_job(token="1", version_id="v")], (2, 0, 0)),
    (
        "kind differs",
        [new_job(token="1"), new_job(token="1", kind=ChangeKind.REMOVED)],
        (2, 0, 0),
    ),
    ("greater", [new_job(token="1"), new_job(token="2")], (2, 0, 0)),
    ("smaller, trusted", [new_job(token="2"), new_job(token="1")], (1, 0, 1)),
    ("smaller, not trusted", [new_job(token="2"), new_job(token="1", trusted=False)], (2, 0, 0)),
    (
        "trust is the offer's",
        [new_job(token="2", trusted=False), new_job(token="1")],
        (1, 0, 1),
    ),
    ("tokens are text", [new_job(token="9"), new_job(token="10")], (1, 0, 1)),
    ("tokens are compared by code point", [new_job(token="Z"), new_job(token="a")], (2, 0, 0)),
    (
        "three of one key",
        [new_job(token="1"), new_job(token="3"), new_job(token="2"), new_job(token="3")],
        (2, 1, 1),
    ),
]


@pytest.mark.parametrize("at_once", [True, False], ids=["one call", "many calls"])
@pytest.mark.parametrize(
    ("offers", "counts"), [row[1:] for row in ORDERS], ids=[r[0] for r in ORDERS]
)
async def test_the_newest_change_wins(
    world: World, offers: Sequence[NewJob], counts: tuple[int, int, int], at_once: bool
) -> None:
    if at_once:
        assert await world.accept(*offers) == counts
    else:
        results = [await world.accept(offer) for offer in offers]
        assert tuple(map(sum, zip(*results, strict=True))) == counts
    (job,) = await world.claim()
    record = await world.journal.get("a", "k")
    assert record is not None
    assert record.fence == job.fence


@pytest.mark.parametrize("state", [JobState.SETTLED, JobState.SUPERSEDED, JobState.DEAD])
async def test_a_duplicate_of_a_finished_job_is_not_done_again(
    world: World, state: JobState
) -> None:
    await world.accept(new_job(token="2"))
    job = await world.claim_one()
    await world.journal.settle([settlement(job, state)])
    await world.journal.finish([job])
    assert await world.accept(new_job(token="2"), new_job(token="1")) == (0, 1, 1)
    assert await world.claim() == []
    assert await world.accept(new_job(token="3")) == (1, 0, 0)
    assert len(await world.claim()) == 1


async def test_a_newer_change_replaces_a_waiting_job(world: World) -> None:
    await world.accept(new_job(etag="old"))
    job = await world.claim_one()
    await world.journal.settle(
        [settlement(job, JobState.WAITING, due_at_ms=world.now_ms + 60_000, error=BROKEN)]
    )
    assert await world.claim() == []
    await world.accept(new_job(etag="new"))
    (job,) = await world.claim()
    assert (job.etag, job.attempts) == ("new", 0)


@pytest.mark.parametrize("ending", ["settle", "finish", "release", "postpone"])
async def test_a_newer_change_of_a_leased_key_waits_for_the_end_of_the_lease(
    world: World, ending: str
) -> None:
    await world.accept(new_job(etag="old"))
    old = await world.claim_one()
    await world.accept(new_job(etag="new"))
    assert await world.claim() == []
    if ending in {"settle", "postpone"}:
        state = JobState.SETTLED if ending == "settle" else JobState.WAITING
        assert list(await world.journal.settle([settlement(old, state)])) == [False]
        assert await world.claim() == []
    if ending == "release":
        await world.journal.release([old], due_at_ms=world.now_ms + 60_000)
    else:
        await world.journal.finish([old])
    (new,) = await world.claim()
    assert new.etag == "new"
    assert new.fence > old.fence


async def test_fences_grow_over_restarts(world: World) -> None:
    fences = []
    for n in range(4):
        await world.accept(new_job("same"), new_job(f"k{n}"))
        jobs = await world.claim()
        fences += [job.fence for job in jobs]
        assert min(job.fence for job in jobs if job.key in {"same", f"k{n}"}) > max(
            fences[: -len(jobs)], default=0
        )
        await world.journal.settle([settlement(job) for job in jobs])
        await world.start()


async def test_unfinished_jobs_are_claimed_again_after_a_restart(world: World) -> None:
    await world.accept(*(new_job(f"k{n}") for n in range(5)))
    jobs = await world.claim()
    await world.journal.settle([settlement(jobs[0])])
    await world.journal.finish([jobs[0]])
    await world.journal.settle([settlement(jobs[1], JobState.DEAD, error=BROKEN)])
    await world.start()
    assert await world.claim() == jobs[2:]


async def test_a_finished_job_is_done(world: World) -> None:
    """The contract of the queue alone: without a settlement, finish is the final state."""
    await world.accept(new_job())
    job = await world.claim_one()
    await world.journal.finish([job])
    await world.journal.finish([job])
    await world.start()
    assert await world.claim() == []
    record = await world.journal.get("a", "k")
    assert record is not None
    assert (record.state, record.settled_at_ms) == (JobState.SETTLED, START_MS)


async def test_a_released_job_is_unchanged_and_claimed_when_due(world: World) -> None:
    await world.accept(new_job())
    job = await world.claim_one()
    await world.journal.release([job], due_at_ms=world.now_ms + 1000)
    assert await world.claim() == []
    world.clock.advance(999)
    assert await world.claim() == []
    world.clock.advance(1)
    assert await world.claim() == [job]


async def test_a_postponed_job_is_claimed_when_due(world: World) -> None:
    await world.accept(new_job())
    job = await world.claim_one()
    due_at_ms = world.now_ms + 1000
    await world.journal.settle(
        [settlement(job, JobState.WAITING, due_at_ms=due_at_ms, attempts=3, error=BROKEN)]
    )
    assert await world.claim() == []
    world.clock.advance(1000)
    again = await world.claim_one()
    assert again == job._replace(fence=again.fence, attempts=3)


async def test_late_words_of_a_postponed_attempt_change_nothing(world: World) -> None:
    """Its lease ended with the settlement; the next attempt has a lease and a fence of its own."""
    await world.accept(new_job())
    old = await world.claim_one()
    await world.journal.settle([settlement(old, JobState.WAITING, due_at_ms=world.now_ms)])
    new = await world.claim_one()
    await world.journal.finish([old])
    await world.journal.release([old], due_at_ms=world.now_ms)
    assert list(await world.journal.settle([settlement(old)])) == [False]
    assert await world.claim() == []
    assert list(await world.journal.settle([settlement(new)])) == [True]


async def test_due_jobs_do_not_wait_for_jobs_that_are_not(world: World) -> None:
    await world.accept(*(new_job(f"later{n}") for n in range(6)))
    await world.journal.release(await world.claim(), due_at_ms=world.now_ms + 60_000)
    await world.accept(new_job("now"))
    assert [job.key for job in await world.claim()] == ["now"]


async def test_ready_jobs_are_due_when_the_clock_jumps_back(world: World) -> None:
    await world.accept(*(new_job(f"wait{n}") for n in range(4)))
    await world.journal.release(await world.claim(), due_at_ms=world.now_ms - 1000)
    await world.accept(*(new_job(f"k{n}") for n in range(4)))
    world.clock.advance(-3_600_000)
    await world.start()
    assert [job.key for job in await world.claim()] == [f"k{n}" for n in range(4)]


async def test_a_paused_destination_has_nothing_to_claim(world: World) -> None:
    await world.accept(new_job(), new_job(destination="b"))
    await world.journal.pause("a", now_ms=world.now_ms, reason="maintenance")
    assert await world.claim("a") == []
    assert len(await world.claim("b")) == 1
    await world.start()
    assert await world.claim("a") == []
    assert await world.journal.resume("a")
    assert not await world.journal.resume("a")
    assert len(await world.claim("a")) == 1


async def test_a_pause_for_a_time_ends_by_itself_and_wakes(world: World) -> None:
    await world.accept(new_job())
    ends_at_ms = world.now_ms + 300
    await world.journal.pause("a", now_ms=world.now_ms, reason="r", ends_at_ms=ends_at_ms)
    await world.start()  # Restarts do not end it.
    assert await world.claim("a") == []
    waiting = asyncio.create_task(world.journal.wait("a", now_ms=world.now_ms, timeout_s=3600))
    await world.clock.somebody_sleeps()
    world.clock.advance(299)
    assert await world.claim("a") == []
    assert not waiting.done()
    world.clock.advance(1)
    await asyncio.wait_for(waiting, 60)
    assert len(await world.claim("a")) == 1


@pytest.mark.parametrize("cause", ["accept", "finish", "release", "settle", "redrive", "resume"])
async def test_what_can_be_claimed_wakes(world: World, cause: str) -> None:
    journal, now_ms = world.journal, world.now_ms
    await world.accept(new_job("held"))
    held = await world.claim_one()
    if cause == "finish":
        await world.accept(new_job("held", etag="newer"))
    if cause == "redrive":
        await journal.settle([settlement(held, JobState.DEAD)])
        await journal.finish([held])
    if cause == "resume":
        await journal.pause("a", now_ms=now_ms, reason="")
        await world.accept(new_job("other"))
    waiting = asyncio.create_task(journal.wait("a", now_ms=now_ms, timeout_s=3600))
    await world.clock.somebody_sleeps()
    assert not waiting.done()
    match cause:
        case "accept":
            await world.accept(new_job("other"))
        case "finish":
            await journal.finish([held])
        case "release":
            await journal.release([held], due_at_ms=now_ms)
        case "settle":
            await journal.settle([settlement(held, JobState.WAITING, due_at_ms=now_ms)])
        case "redrive":
            await journal.redrive(FailureSelection(), now_ms=now_ms)
        case _:
            await journal.resume("a")
    await asyncio.wait_for(waiting, 60)
    assert len(await world.claim()) == 1


@pytest.mark.parametrize("restart", [False, True])
async def test_a_due_time_wakes(world: World, restart: bool) -> None:
    await world.accept(*(new_job(f"k{n}") for n in range(4)))
    await world.journal.release(await world.claim(), due_at_ms=world.now_ms + 300)
    if restart:
        await world.start()
    assert await world.claim() == []
    waiting = asyncio.create_task(world.journal.wait("a", now_ms=world.now_ms, timeout_s=3600))
    await world.clock.somebody_sleeps()
    world.clock.advance(300)
    await asyncio.wait_for(waiting, 60)
    assert len(await world.claim()) == 4


async def test_a_wait_ends_with_its_time(world: World) -> None:
    waiting = asyncio.create_task(world.journal.wait("a", now_ms=world.now_ms, timeout_s=0.25))
    await world.clock.somebody_sleeps()
    world.clock.advance(250)
    await asyncio.wait_for(waiting, 60)


async def test_a_wait_for_something_that_is_there_returns_at_once(world: World) -> None:
    await world.accept(new_job())
    await world.journal.wait("a", now_ms=world.now_ms, timeout_s=3600)


@pytest.mark.parametrize("key", ODD_KEYS, ids=range(len(ODD_KEYS)))
async def test_keys_are_verbatim(world: World, key: str) -> None:
    offered = new_job(key, token="1", etag='"\\\0', version_id="\n")
    assert await world.accept(offered) == (1, 0, 0)
    assert await world.accept(offered) == (0, 1, 0)
    await world.start()  # Claimed from the file, not from memory.
    (job,) = await world.claim()
    assert (job.key, job.etag, job.version_id) == (key, '"\\\0', "\n")
    assert list(await world.journal.settle([settlement(job)])) == [True]
    record = await world.journal.get("a", key)
    assert record is not None
    assert (record.key, record.state) == (key, JobState.SETTLED)


async def test_keys_that_look_alike_are_different(world: World) -> None:
    keys = sorted({"k", "k\0", "k\0\0", "K", "k ", "é", "e\u0301"})
    assert await world.accept(*(new_job(key) for key in keys)) == (len(keys), 0, 0)
    assert [job.key for job in await world.claim()] == keys


async def test_calls_at_the_same_time_all_count(world: World) -> None:
    """64 senders: what one is told holds for its own jobs."""
    calls = [
        world.accept(new_job(f"k{n}", token="1"), new_job("hot", token=f"{n:03}"))
        for n in range(64)
    ]
    results = await asyncio.gather(*calls)
    assert all(queued + duplicate + stale == 2 for queued, duplicate, stale in results)
    assert len(await world.claim()) == 65
    record = await world.journal.get("a", "hot")
    assert record is not None
    assert record.order is not None
    assert record.order.token == "063"


async def test_the_jobs_of_one_call_share_a_fence_and_those_of_the_next_have_a_greater(
    world: World,
) -> None:
    """Shared reads rely on it: a read is good for all jobs that came with the one that began it."""
    await world.accept(new_job("a"), new_job("b"))
    await world.accept(new_job("c"))
    fences = {job.key: job.fence for job in await world.claim()}
    assert fences["a"] == fences["b"] < fences["c"]


async def test_calls_at_the_same_time_share_no_fence(world: World) -> None:
    """Also where one transaction serves many of them."""
    await asyncio.gather(
        *(
            world.accept(new_job(f"{n}", destination="a"), new_job(f"{n}", destination="b"))
            for n in range(64)
        )
    )
    fences = {name: {job.key: job.fence for job in await world.claim(name)} for name in ("a", "b")}
    assert fences["a"] == fences["b"]
    assert len(set(fences["a"].values())) == 64
