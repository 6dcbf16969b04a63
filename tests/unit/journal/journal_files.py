"""A journal on a file, open as long as a test needs it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.model.jobs import Job, NewJob
from tests.conformance.journals import START_MS, StandingClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def opened(
    path: Path, clock: StandingClock, *, exclusive: bool = True, pages_max: int | None = None
) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(path, clock=clock, exclusive=exclusive, pages_max=pages_max)
    try:
        yield journal
    finally:
        await journal.close()


async def claim(journal: SqliteJournal, limit: int = 1000) -> list[Job]:
    return list(await journal.claim("a", limit, now_ms=START_MS))


async def accept(journal: SqliteJournal, *jobs: NewJob) -> int:
    return (await journal.accept(jobs, now_ms=START_MS)).queued
