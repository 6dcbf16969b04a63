"""What only the durable journal can get wrong: other processes, its thread, its memory."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.journal.backlog import Backlog
from s3fanout.adapters.journal.file import LedgerFile
from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.adapters.journal.writer import Change
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.events import ChangeKind, Malformed
from s3fanout.model.jobs import Job, JobState
from s3fanout.ports.ledger import FailureSelection
from tests.conformance.journals import BROKEN, START_MS, StandingClock, new_job, settlement
from tests.unit.journal.journal_files import accept, claim, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

ROOT = Path(__file__).parents[3]


# Beside the owner


@pytest.fixture
async def beside(
    journal: SqliteJournal, path: Path, clock: StandingClock
) -> AsyncIterator[SqliteJournal]:
    """A command that runs while the daemon, ``journal``, does."""
    async with opened(path, clock, exclusive=False) as beside:
        yield beside


async def noticed(
    journal: SqliteJournal,
    clock: StandingClock,
    change: Callable[[], Awaitable[object]],
    *,
    waits_for: str = "a",
) -> None:
    """Return when the owner, who waits for jobs, was woken by ``change``."""
    waiting = asyncio.create_task(journal.wait(waits_for, now_ms=START_MS, timeout_s=3600))
    await clock.somebody_sleeps()
    await change()
    while not waiting.done():
        clock.advance(500)
        await asyncio.wait((waiting,), timeout=0.01)
    assert clock.at_ms - START_MS < 3_600_000
    await waiting


async def test_only_the_owner_claims(beside: SqliteJournal) -> None:
    with pytest.raises(RuntimeError, match="owner"):
        await claim(beside)


async def test_the_owner_does_what_its_summaries_say_of_pauses(
    journal: SqliteJournal, beside: SqliteJournal
) -> None:
    await accept(journal, new_job())
    await beside.pause("a", now_ms=START_MS, reason="moving")
    (summary,) = await journal.summaries()
    assert summary.paused_reason == "moving"
    assert await claim(journal) == []
    await beside.resume("a")
    (summary,) = await journal.summaries()
    assert summary.paused_at_ms is None
    assert len(await claim(journal)) == 1


async def test_the_owner_notices_a_pause_and_a_resumption(
    journal: SqliteJournal, beside: SqliteJournal, clock: StandingClock
) -> None:
    await noticed(journal, clock, lambda: beside.pause("a", now_ms=START_MS, reason="r"))
    await accept(journal, new_job())
    assert await claim(journal) == []
    await noticed(journal, clock, lambda: beside.resume("a"))
    assert len(await claim(journal)) == 1


async def test_a_busy_owner_notices_too(
    journal: SqliteJournal, beside: SqliteJournal, clock: StandingClock
) -> None:
    """Claims look by themselves, at most every half second."""
    await accept(journal, *(new_job(str(n)) for n in range(3)))
    await beside.pause("a", now_ms=START_MS, reason="r")
    assert len(await claim(journal, 1)) == 1
    clock.advance(500)
    assert len(await claim(journal, 1)) == 1  # This one has the file looked at …
    assert await journal.redrive(FailureSelection(), now_ms=START_MS) == 0  # … before this.
    assert await claim(journal, 1) == []


async def test_the_owner_notices_a_redrive(
    journal: SqliteJournal, beside: SqliteJournal, clock: StandingClock
) -> None:
    await accept(journal, new_job())
    (job,) = await claim(journal)
    await journal.settle([settlement(job, JobState.DEAD, error=BROKEN)])
    await journal.finish([job])
    await noticed(journal, clock, lambda: beside.redrive(FailureSelection(), now_ms=START_MS))
    (again,) = await claim(journal)
    assert again.fence > job.fence
    assert list(await journal.settle([settlement(again)])) == [True]
    await accept(journal, new_job(etag="later"))
    assert await claim(journal) == []  # The lease of the key was not ended yet.
    await journal.finish([again])
    assert [job.etag for job in await claim(journal)] == ["later"]


async def test_a_job_from_outside_is_found_before_the_file_was_looked_at(
    journal: SqliteJournal, beside: SqliteJournal
) -> None:
    """The settlement of the job that it replaced is refused, which says that there is another."""
    await accept(journal, new_job(etag="old"))
    (old,) = await claim(journal)
    await accept(beside, new_job(etag="new"))
    assert list(await journal.settle([settlement(old)])) == [False]
    assert await claim(journal) == []
    await journal.finish([old])
    assert [job.etag for job in await claim(journal)] == ["new"]


async def test_a_release_does_not_postpone_a_job_from_outside(
    journal: SqliteJournal, beside: SqliteJournal
) -> None:
    await accept(journal, new_job(etag="old"))
    old = await claim(journal)
    await accept(beside, new_job(etag="new"))
    await journal.release(old, due_at_ms=START_MS + 60_000)
    assert [job.etag for job in await claim(journal)] == ["new"]


async def test_a_job_from_outside_replaces_the_one_in_memory(
    journal: SqliteJournal, beside: SqliteJournal, clock: StandingClock
) -> None:
    await accept(journal, new_job(etag="old"))
    offers = [new_job(etag="new"), new_job("other")]
    await noticed(journal, clock, lambda: beside.accept(offers, now_ms=START_MS), waits_for="b")
    assert sorted((job.key, job.etag) for job in await claim(journal)) == [
        ("k", "new"),
        ("other", "e1"),
    ]


async def test_fences_of_two_processes_differ(
    journal: SqliteJournal, beside: SqliteJournal
) -> None:
    fences = []
    for turn in range(4):
        await accept((journal, beside)[turn % 2], new_job())
        record = await beside.get("a", "k")
        assert record is not None
        fences.append(record.fence)
    assert len(set(fences)) == 4


# The writer


async def held_up(journal: SqliteJournal) -> threading.Event:
    """Keep the writer from going on until the event is set; returns once it stands still."""
    go, standing = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stand(_: LedgerFile) -> None:
        loop.call_soon_threadsafe(standing.set)
        go.wait(60)

    journal._submit(Change(stand, lambda _: None))
    await standing.wait()
    return go


async def test_calls_that_wait_together_are_committed_together_in_few_statements(
    journal: SqliteJournal,
) -> None:
    """Each statement may cost a wait of 5 ms for the interpreter: see ``statements``."""
    traced: list[str] = []
    await journal._change(
        lambda file: file.connection.set_trace_callback(traced.append), lambda _: None
    )
    go = await held_up(journal)
    calls = [
        asyncio.create_task(accept(journal, *(new_job(f"{n}-{m}") for m in range(3))))
        for n in range(200)
    ]
    await asyncio.sleep(0)
    traced.clear()
    go.set()
    assert sum(await asyncio.gather(*calls)) == 600
    assert traced.count("COMMIT") <= 2  # The one that stood, and all others.
    # A statement is traced once more for the trigger of each row, word for word.
    texts = [text.split(None, 1)[0] for text in set(traced)]
    assert texts.count("INSERT") <= 8
    assert len(texts) <= 14

    jobs = await claim(journal)
    traced.clear()
    assert all(await journal.settle([settlement(job) for job in jobs]))
    await journal.finish(jobs)
    assert len(set(traced)) <= 7


async def test_values_that_cannot_be_stored_harm_nobody_else(journal: SqliteJournal) -> None:
    go = await held_up(journal)
    calls = [
        asyncio.create_task(accept(journal, new_job(key)))
        for key in ("good", "bad\ud800", "better", "best")
    ]
    await asyncio.sleep(0)
    go.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[1], UnicodeEncodeError)
    assert [results[0], *results[2:]] == [1, 1, 1]
    assert sorted(job.key for job in await claim(journal)) == ["best", "better", "good"]


async def test_a_refused_call_harms_nobody_in_its_group(journal: SqliteJournal) -> None:
    letters = [Malformed("r", "d", b"")] * 10_001
    go = await held_up(journal)
    refused = asyncio.create_task(journal.keep_malformed(letters, route="r", now_ms=1))
    accepted = asyncio.create_task(accept(journal, new_job()))
    await asyncio.sleep(0)
    go.set()
    assert await accepted == 1
    with pytest.raises(LedgerUnavailable, match="10000"):
        await refused


async def test_a_caller_who_left_leaves_no_gap(journal: SqliteJournal) -> None:
    """What was submitted is written; its job can be claimed at once, not only after a restart."""
    go = await held_up(journal)
    call = asyncio.create_task(accept(journal, new_job()))
    await asyncio.sleep(0)
    call.cancel()
    go.set()
    assert await accept(journal, new_job("k2")) == 1
    assert call.cancelled()
    assert len(await claim(journal)) == 2


async def test_close_writes_what_was_submitted_and_ends_waits(
    path: Path, clock: StandingClock
) -> None:
    async with opened(path, clock) as journal:
        waiting = asyncio.create_task(journal.wait("b", now_ms=START_MS, timeout_s=3600))
        call = asyncio.create_task(accept(journal, new_job()))
        await clock.somebody_sleeps()
        await journal.close()
        assert await call == 1
        await waiting
        for late in (accept(journal, new_job()), journal.summaries()):
            with pytest.raises(LedgerUnavailable, match="closed"):
                await late
    async with opened(path, clock) as journal:
        assert len(await claim(journal)) == 1


# Memory


async def test_memory_does_not_grow_with_the_backlog(path: Path, clock: StandingClock) -> None:
    journal = await SqliteJournal.open(path, clock=clock, jobs_in_memory_max=100)
    for start in range(0, 3000, 500):
        await accept(journal, *(new_job(f"{start + n:05}") for n in range(500)))
        assert len(journal._backlogs["a"]._ready) <= 100
    claimed: list[Job] = []
    while jobs := await journal.claim("a", 30, now_ms=START_MS):
        claimed += jobs
        assert len(journal._backlogs["a"]._ready) <= 100
        if len(claimed) % 2:
            await journal.release(jobs[:1], due_at_ms=START_MS + 1)
    assert {job.key for job in claimed} == {f"{n:05}" for n in range(3000)}
    assert len(claimed) == 3000
    await journal.close()


async def test_new_jobs_do_not_overtake_those_left_in_the_file(
    path: Path, clock: StandingClock
) -> None:
    """With a steady stream of new ones, those would never be read."""
    journal = await SqliteJournal.open(path, clock=clock, jobs_in_memory_max=2)
    await accept(journal, *(new_job(f"old{n}") for n in range(5)))
    keys = []
    for n in range(5):
        keys += [job.key for job in await claim(journal, 1)]
        clock.advance(1)
        await journal.accept([new_job(f"new{n}")], now_ms=clock.at_ms)
    assert keys == [f"old{n}" for n in range(5)]
    await journal.close()


def test_replaced_waiting_jobs_leave_nothing_behind() -> None:
    backlog = Backlog(10, left_due_at_ms=None)
    for fence in range(1000):
        backlog.offer(Job("a", "k", fence, ChangeKind.CREATED, 1), START_MS + fence)
    assert len(backlog._by_due) < 100
    assert backlog.due_at_ms() == START_MS + 999
    assert [job.fence for job in backlog.take(9, now_ms=START_MS + 999)] == [999]


@pytest.mark.parametrize("restart", [False, True])
async def test_what_failed_while_the_clock_was_ahead_is_due_when_it_is_right(
    path: Path, clock: StandingClock, *, restart: bool
) -> None:
    clock.advance(20 * 60_000)
    async with opened(path, clock) as journal:
        await journal.accept([new_job("k")], now_ms=clock.now_ms())
        (job,) = await journal.claim("a", 1, now_ms=clock.now_ms())
        now_ms = clock.now_ms()
        later = settlement(
            job, JobState.WAITING, at_ms=now_ms, due_at_ms=now_ms + 5000, error=BROKEN
        )
        await journal.settle([later])
        clock.advance(-20 * 60_000)
        if not restart:
            await claimed_at_last(journal, clock)
    if restart:
        async with opened(path, clock) as journal:
            await claimed_at_last(journal, clock)


async def claimed_at_last(journal: SqliteJournal, clock: StandingClock) -> None:
    async with asyncio.timeout(60):
        while not await journal.claim("a", 1, now_ms=clock.now_ms()):
            await asyncio.sleep(0)
