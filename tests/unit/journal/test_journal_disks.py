"""The durable journal on disks that are full or fail: nothing is lost, memory and file agree."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.journal import reads
from s3fanout.adapters.journal.file import LedgerFile
from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.jobs import NewJob
from tests.conformance.journals import START_MS, StandingClock, new_job, settlement
from tests.unit.journal.journal_files import accept, claim, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


async def fill(journal: SqliteJournal) -> tuple[int, list[NewJob]]:
    """Accept tens of jobs until the disk is full. Returns how many, and the tens refused."""
    accepted = 0
    while True:
        jobs = [new_job(f"{accepted + n:05}{'x' * 500}") for n in range(10)]
        (outcome,) = await asyncio.gather(accept(journal, *jobs), return_exceptions=True)
        if isinstance(outcome, int):
            accepted += outcome
            continue
        assert isinstance(outcome, LedgerUnavailable)
        assert re.search("full|I/O", outcome.message)
        assert outcome.hint
        assert accepted > 0
        return accepted, jobs


async def test_a_full_disk_loses_nothing_and_sticks_nowhere(
    path: Path, clock: StandingClock
) -> None:
    async with opened(path, clock, pages_max=60) as journal:
        accepted, refused = await fill(journal)
        jobs_in_hand = await claim(journal)
        assert len(jobs_in_hand) == accepted
        await journal._change(  # The disk gets room.
            lambda file: file.connection.execute("PRAGMA max_page_count = 9999").fetchone(),
            lambda _: None,
        )
        assert await accept(journal, *refused) == 10
        assert all(await journal.settle([settlement(job) for job in jobs_in_hand]))
        await journal.finish(jobs_in_hand)
        assert len(await claim(journal)) == 10
    async with opened(path, clock) as journal:
        assert len(await claim(journal)) == 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_disk_that_is_really_full(small_disk: Path, clock: StandingClock) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1024 * 1024))
    async with opened(small_disk / "ledger.db", clock) as journal:
        accepted, _ = await fill(journal)
        jobs = await claim(journal)
        assert len(jobs) == accepted
        with pytest.raises(LedgerUnavailable):
            await journal.settle([settlement(job) for job in jobs])
        await journal.release(jobs, due_at_ms=START_MS)  # Cannot be written; due at once then.
        assert len(await claim(journal)) == accepted
        ballast.unlink()
        assert all(await journal.settle([settlement(job) for job in jobs]))
        await journal.finish(jobs)
        assert await accept(journal, new_job("after")) == 1
        assert [job.key for job in await claim(journal)] == ["after"]


@pytest.fixture
def fail_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the next commit fail."""
    commit = LedgerFile.commit

    def arm() -> None:
        def fail(file: LedgerFile) -> None:
            monkeypatch.setattr(LedgerFile, "commit", commit)
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(LedgerFile, "commit", fail)

    return arm


async def test_a_failed_acceptance_leaves_memory_and_file_equal(
    journal: SqliteJournal, fail_commit: Callable[[], None]
) -> None:
    await accept(journal, new_job(etag="old"))
    fail_commit()
    with pytest.raises(LedgerUnavailable, match="disk I/O error"):
        await accept(journal, new_job(etag="new"), new_job("k2"), new_job(destination="fresh"))
    assert len(await journal.summaries()) == 1
    (job,) = await claim(journal)
    assert job.etag == "old"
    assert list(await journal.settle([settlement(job)])) == [True]
    assert await accept(journal, new_job(etag="new"), new_job(destination="fresh")) == 2
    assert len(await journal.summaries()) == 2


async def test_fences_grow_over_a_failed_commit_and_a_restart(
    path: Path, clock: StandingClock, fail_commit: Callable[[], None]
) -> None:
    """Fences that were set aside in a transaction that failed are not set aside."""
    async with opened(path, clock) as journal:
        fail_commit()
        with pytest.raises(LedgerUnavailable):
            await accept(journal, new_job())
        await accept(journal, new_job())
        (before,) = await claim(journal)
    async with opened(path, clock) as journal:
        await accept(journal, new_job(etag="new"))
        (after,) = await claim(journal)
        assert after.fence > before.fence


async def test_a_failed_settlement_keeps_the_lease(
    journal: SqliteJournal, fail_commit: Callable[[], None]
) -> None:
    await accept(journal, new_job())
    (job,) = await claim(journal)
    fail_commit()
    with pytest.raises(LedgerUnavailable):
        await journal.settle([settlement(job)])
    assert await claim(journal) == []
    assert list(await journal.settle([settlement(job)])) == [True]


async def test_a_job_that_could_not_be_finished_is_claimed_again(
    journal: SqliteJournal, fail_commit: Callable[[], None]
) -> None:
    await accept(journal, new_job())
    (job,) = await claim(journal)
    fail_commit()
    with pytest.raises(LedgerUnavailable):
        await journal.finish([job])
    assert await claim(journal) == [job]


async def test_a_failed_read_is_said_so_and_can_be_tried_again(
    path: Path, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path, clock) as journal:
        await accept(journal, new_job())
    async with opened(path, clock) as journal:

        def fail(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(reads, "page", fail)
            patch.setattr(reads, "summaries", fail)
            for call in (claim(journal), journal.summaries()):
                with pytest.raises(LedgerUnavailable, match="disk I/O error"):
                    await call
        assert len(await claim(journal)) == 1
