"""The journals that the suites run over, a clock that stands until it is told to move, and jobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import ErrorRecord, Job, JobState, NewJob, ReplicaRecord, Settlement
from s3fanout.ports.abilities import Abilities
from s3fanout.ports.checkpoints import Checkpoints
from s3fanout.ports.histories import Histories
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.queue import Queue
from s3fanout.ports.removals import Removals
from s3fanout.ports.replica_keys import ReplicaKeys
from s3fanout.ports.uploads import KnownUploads, Uploads

if TYPE_CHECKING:
    from pathlib import Path

START_MS = 1_700_000_000_000
BROKEN = ErrorRecord(code="unavailable", message="503", hint="wait")


class Journal(
    Queue,
    Ledger,
    Removals,
    ReplicaKeys,
    Uploads,
    KnownUploads,
    Histories,
    Checkpoints,
    Abilities,
    Protocol,
):
    """All ports in one."""

    async def close(self) -> None: ...


@dataclass(slots=True)
class StandingClock:
    """Time moves only by ``advance``, which ends the sleeps that are over then."""

    at_ms: int = START_MS
    sleepers: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return (self.at_ms - START_MS) / 1000

    async def sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self.at_ms + round(seconds * 1000), sleeper)
        self.sleepers.append(entry)
        try:
            await sleeper
        finally:
            self.sleepers.remove(entry)

    def advance(self, milliseconds: int) -> None:
        self.at_ms += milliseconds
        for until_ms, sleeper in self.sleepers:
            if until_ms <= self.at_ms and not sleeper.done():
                sleeper.set_result(None)

    async def somebody_sleeps(self) -> None:
        """Return once a coroutine waits for the clock (it does within a few loop turns)."""
        while not self.sleepers:
            await asyncio.sleep(0)


@dataclass(slots=True)
class World:
    """A journal that can be started over.

    Attributes:
        path: Of the ledger file; ``None`` plays it in memory.
        jobs_in_memory_max: Small numbers make the durable journal read its backlog page by page.
    """

    path: Path | None
    jobs_in_memory_max: int = 5_000
    clock: StandingClock = field(default_factory=StandingClock)
    opened: Journal | None = None

    @property
    def journal(self) -> Journal:
        assert self.opened is not None
        return self.opened

    @property
    def now_ms(self) -> int:
        return self.clock.at_ms

    async def start(self) -> None:
        """Open the journal, after closing it if it is open."""
        if isinstance(self.opened, MemoryJournal):
            self.opened = self.opened.reopened()
        elif self.path is None:
            self.opened = MemoryJournal(clock=self.clock)
        else:
            await self.stop()
            self.opened = await SqliteJournal.open(
                self.path, clock=self.clock, jobs_in_memory_max=self.jobs_in_memory_max
            )

    async def stop(self) -> None:
        if self.opened is not None:
            await self.opened.close()

    async def accept(self, *jobs: NewJob) -> tuple[int, int, int]:
        accepted = await self.journal.accept(jobs, now_ms=self.now_ms)
        return accepted.queued, accepted.duplicate, accepted.stale

    async def claim(self, destination: str = "a") -> list[Job]:
        """Everything that can be claimed, by key."""
        jobs: list[Job] = []
        while claimed := await self.journal.claim(destination, 100, now_ms=self.now_ms):
            jobs += claimed
        return sorted(jobs, key=lambda job: job.key)

    async def claim_one(self, destination: str = "a") -> Job:
        (job,) = await self.journal.claim(destination, 1, now_ms=self.now_ms)
        return job


JOURNALS = ("memory", "sqlite", "sqlite-paged")


def world_of(name: str, folder: Path) -> World:
    """A world for one of ``JOURNALS``; not started."""
    path = None if name == "memory" else folder / "ledger.db"
    return World(path, jobs_in_memory_max=2 if name == "sqlite-paged" else 5_000)


def new_job(
    key: str = "k",
    *,
    destination: str = "a",
    token: str | None = None,
    scheme: str = "aws",
    trusted: bool = True,
    kind: ChangeKind = ChangeKind.CREATED,
    etag: str | None = "e1",
    version_id: str | None = None,
    size_bytes: int | None = 10,
    event_at_ms: int = START_MS - 500,
) -> NewJob:
    return NewJob(
        destination=destination,
        key=key,
        kind=kind,
        event_at_ms=event_at_ms,
        order=None if token is None else OrderPoint(scheme, token, trusted),
        etag=etag,
        size_bytes=size_bytes,
        version_id=version_id,
    )


def settlement(
    job: Job,
    state: JobState = JobState.SETTLED,
    *,
    at_ms: int = START_MS,
    due_at_ms: int = 0,
    error: ErrorRecord | None = None,
    attempts: int = 1,
    source_etag: str | None = None,
    replica_etag: str | None = None,
    differences: tuple[str, ...] = (),
    source_version_id: str | None = None,
    size_bytes: int | None = None,
) -> Settlement:
    return Settlement(
        job=job,
        state=state,
        at_ms=at_ms,
        reason=f"because {state}",
        attempts=attempts,
        due_at_ms=due_at_ms,
        source_etag=source_etag,
        size_bytes=size_bytes,
        source_version_id=source_version_id,
        replica_etag=replica_etag,
        differences=differences,
        error=error,
    )


async def record_of(world: World, key: str = "k", destination: str = "a") -> ReplicaRecord:
    record = await world.journal.get(destination, key)
    assert record is not None
    return record
