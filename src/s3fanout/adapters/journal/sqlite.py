"""The durable journal: queue and ledger in one SQLite file.

What is confirmed survives kill -9 and loss of power. Leases are not written: one process owns the
file, so a process that starts over may claim every unsettled job again. Beside the owner, other
processes (commands) may open the file to read, pause, resume, redrive and discard; the owner
notices within ``OUTSIDE_POLL_S``.

Parts: ``schema`` (the file), ``ownership`` (its lock), ``writer`` (one thread, group commit),
``file`` and ``statements`` (what it writes), ``reads``, ``backlog`` (what is in memory),
``session`` (how they are tied together).
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from s3fanout.adapters.journal import abilities, histories, reads, removals, uploads
from s3fanout.adapters.journal.backlog import LATER_JOBS_MAX, NOW, Backlog
from s3fanout.adapters.journal.file import DUPLICATE, REFUSED, STALE
from s3fanout.adapters.journal.session import (
    JOBS_IN_MEMORY_MAX,
    OUTSIDE_POLL_S,
    Opened,
    Session,
    outside,
)
from s3fanout.adapters.journal.states import UNSETTLED, check_settleable
from s3fanout.adapters.journal.writer import Accept, Change, Look, Settle
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.jobs import Job, JobState
from s3fanout.ports.queue import Accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from s3fanout.adapters.journal.backlog import Page
    from s3fanout.adapters.journal.file import LedgerFile
    from s3fanout.model.abilities import AbilityRecord
    from s3fanout.model.events import Malformed
    from s3fanout.model.histories import VersionRecord
    from s3fanout.model.jobs import (
        DestinationSummary,
        MalformedRecord,
        NewJob,
        ReplicaRecord,
        Settlement,
    )
    from s3fanout.model.limits import Limits
    from s3fanout.model.removals import DeleteGuard
    from s3fanout.model.uploads import AskedUpload, ReplicaUpload
    from s3fanout.ports.checkpoints import Checkpoint
    from s3fanout.ports.ledger import FailureSelection
    from s3fanout.ports.system import Clock


class SqliteJournal(Session):
    """``Queue`` and ``Ledger`` in a file. Made by ``open``; used on one event loop."""

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        exclusive: bool = True,
        jobs_in_memory_max: int = JOBS_IN_MEMORY_MAX,
        pages_max: int | None = None,
    ) -> SqliteJournal:
        """Open the ledger at ``path``.

        Args:
            path: The file; ``-wal``, ``-shm`` and ``.lock`` files stand beside it.
            clock: Times ``wait``, and tells ``summaries`` which waiting jobs are due.
            exclusive: Own the file: create or upgrade it if need be, and claim jobs. Otherwise
                look and change things beside the owner.
            jobs_in_memory_max: See ``JOBS_IN_MEMORY_MAX``.
            pages_max: Largest size of the file in pages of 4 KiB; for tests of a full disk.

        Raises:
            AlreadyRunning: Another process owns it (``exclusive`` only).
            Misconfigured: It is not a ledger, is missing (without ``exclusive``), or has a version
                that this program does not know; or SQLite is too old.
            LedgerUnavailable: It cannot be opened.
        """
        opened = await asyncio.to_thread(Opened.at, path, exclusive=exclusive, pages_max=pages_max)
        return cls(opened, clock=clock, jobs_in_memory_max=jobs_in_memory_max)

    # Queue

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        if not jobs:
            return Accepted(0, 0, 0)
        offered = tuple(jobs)
        return await self._through(
            partial(Accept, offered, now_ms), partial(self._accepted, offered)
        )

    def _accepted(self, jobs: Sequence[NewJob], fences: Sequence[int]) -> Accepted:
        for new, fence in zip(jobs, fences, strict=True):
            if fence > 0:
                job = Job(
                    new.destination,
                    new.key,
                    fence,
                    new.kind,
                    new.event_at_ms,
                    new.etag,
                    new.size_bytes,
                    new.version_id,
                )
                self._backlog(new.destination).offer(job)
        for name in {new.destination for new in jobs}:
            self._wakeups.wake(name)
        duplicate, stale = fences.count(DUPLICATE), fences.count(STALE)
        return Accepted(len(fences) - duplicate - stale, duplicate, stale)

    async def claim(
        self, destination: str, limit: int, *, now_ms: int, later_max: int | None = None
    ) -> Sequence[Job]:
        """See the port. Waits for a read of the file only when nothing due is in memory.

        Raises:
            LedgerUnavailable: The backlog had to be read and could not be.
            RuntimeError: This journal does not own the file.
        """
        if self._ownership is None:
            raise RuntimeError("only the owner of the ledger may claim jobs")
        self._look_outside()
        backlog = self._backlogs.get(destination)
        if backlog is None or self._is_paused(destination, now_ms):
            return ()
        left = backlog.left_due_at_ms
        wants_later = later_max != 0 and backlog.must_read_later
        if (left is not None and left <= now_ms) or wants_later:
            ready = backlog.ready_count(now_ms=now_ms)
            if ready <= self._jobs_max // 4:
                page = self._read_page(destination, backlog, now_ms)
                if not ready:
                    await asyncio.shield(page)
                    if self._is_paused(destination, now_ms):
                        return ()
        return backlog.take(limit, now_ms=now_ms, later_max=later_max)

    def _read_page(self, destination: str, backlog: Backlog, now_ms: int) -> asyncio.Future[None]:
        """Read the backlog's next jobs into memory; at most one read of a destination at a time."""
        page = self._pages.get(destination)
        if page is not None:
            return page
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def deliver(outcome: Page | Exception) -> None:
            del self._pages[destination]
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
                done.exception()  # Nobody may be waiting for it.
            else:
                backlog.refill(outcome)
                self._wakeups.wake(destination)
                done.set_result(None)

        leased = len(backlog.leases)
        limit, later_limit = self._jobs_max + leased, LATER_JOBS_MAX + leased
        self._submit(
            Look(
                lambda connection: reads.page(connection, destination, limit, later_limit, now_ms),
                deliver,
            )
        )
        self._pages[destination] = done
        return done

    async def wait(
        self, destination: str, *, now_ms: int, timeout_s: float, later: bool = True
    ) -> None:
        began_s = self._clock.monotonic_s()
        passed_s = 0.0
        while not self._closed:
            self._look_outside()
            due_in_s = self._due_in_s(destination, now_ms + int(passed_s * 1000), later=later)
            left_s = min(due_in_s, timeout_s - passed_s)
            if left_s <= 0:
                return
            slice_s = min(left_s, OUTSIDE_POLL_S)
            if await self._wakeups.sleep(destination, slice_s):
                return
            passed_s = self._clock.monotonic_s() - began_s

    def _due_in_s(self, destination: str, now_ms: int, *, later: bool) -> float:
        """Until ``claim`` may have something; infinite when nothing is known to come."""
        backlog = self._backlogs.get(destination)
        due_at_ms = None if backlog is None else backlog.due_at_ms(later=later)
        if due_at_ms is None:
            return math.inf
        due_in_s = 0.0 if due_at_ms == NOW else (due_at_ms - now_ms) / 1000
        return max(due_in_s, (self._paused.get(destination, now_ms) - now_ms) / 1000)

    def _is_paused(self, destination: str, now_ms: int) -> bool:
        return now_ms < self._paused.get(destination, now_ms)

    async def finish(self, jobs: Sequence[Job]) -> None:
        """See the port. Costs nothing for jobs whose settlement this journal has seen.

        Raises:
            LedgerUnavailable: Jobs without a settlement could not be written; they will be claimed
                again.
        """
        unsettled = self._end_leases(jobs)
        if unsettled:
            now_ms = self._clock.now_ms()
            await self._put_back(
                unsettled,
                lambda file: file.finish(unsettled, now_ms),
                lambda backlog, job: backlog.settled(job),
            )

    async def release(self, jobs: Sequence[Job], *, due_at_ms: int) -> None:
        """See the port. If the due time cannot be written, the jobs are due at once."""
        unsettled = self._end_leases(jobs)
        if unsettled:
            with suppress(LedgerUnavailable):
                await self._put_back(
                    unsettled,
                    lambda file: file.release(unsettled, due_at_ms),
                    lambda backlog, job: backlog.postponed(job, job, due_at_ms),
                )

    def _end_leases(self, jobs: Sequence[Job]) -> list[Job]:
        """End the leases that nothing is to be done for. Returns the other leased jobs."""
        unsettled = []
        ended = set()
        for job in jobs:
            backlog = self._backlog(job.destination)
            lease = backlog.lease_of(job)
            if lease is None:
                continue
            if lease.over or lease.successor is not None:
                backlog.end(job)
                ended.add(job.destination)
            else:
                unsettled.append(job)
        for name in ended:
            self._wakeups.wake(name)
        return unsettled

    async def _put_back(
        self,
        jobs: Sequence[Job],
        write: Callable[[LedgerFile], bool],
        written: Callable[[Backlog, Job], None],
    ) -> None:
        """End the leases of ``jobs`` with a write; if it fails they are as before the claim."""

        def apply(all_written: bool) -> None:  # noqa: FBT001 - what ``write`` returned
            for job in jobs:
                backlog = self._backlog(job.destination)
                if all_written:
                    written(backlog, job)
                else:
                    backlog.leave()  # Read again what the file says.
                backlog.end(job)
                self._wakeups.wake(job.destination)

        await self._through(partial(Change, write), apply, failed=partial(apply, all_written=False))

    # Ledger

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        offered = tuple(settlements)
        check_settleable(offered)
        if not offered:
            return []
        return await self._through(partial(Settle, offered), partial(self._settled, offered))

    def _settled(self, settlements: Sequence[Settlement], fences: Sequence[int]) -> list[bool]:
        for settlement, fence in zip(settlements, fences, strict=True):
            job = settlement.job
            backlog = self._backlog(job.destination)
            if fence == REFUSED:
                backlog.refused(job)
            elif settlement.state is JobState.WAITING:
                size_bytes = job.size_bytes
                if settlement.size_bytes is not None:
                    size_bytes = settlement.size_bytes
                retry = job._replace(
                    fence=fence, attempts=settlement.attempts, size_bytes=size_bytes
                )
                backlog.postponed(job, retry, settlement.due_at_ms)
                self._wakeups.wake(job.destination)
            else:
                backlog.settled(job)
        return [fence != REFUSED for fence in fences]

    async def get(self, destination: str, key: str) -> ReplicaRecord | None:
        record = await self._read(reads.record, destination, key)
        return None if record is None else self._with_lease(record)

    async def records_of_key(self, key: str) -> Sequence[ReplicaRecord]:
        return [self._with_lease(found) for found in await self._read(reads.records_of_key, key)]

    async def records(self, destination: str, keys: Sequence[str]) -> Mapping[str, ReplicaRecord]:
        found = await self._read(reads.records, destination, tuple(keys))
        return {record.key: self._with_lease(record) for record in found}

    async def owners(self, destination: str, replica_keys: Sequence[str]) -> Mapping[str, str]:
        return await self._read(reads.owners, destination, tuple(replica_keys))

    def _with_lease(self, record: ReplicaRecord) -> ReplicaRecord:
        """The file does not know leases; the process that holds one does."""
        backlog = self._backlogs.get(record.destination)
        lease = backlog.leases.get(record.key) if backlog is not None else None
        if lease is None or lease.fence != record.fence or record.state not in UNSETTLED:
            return record
        return replace(record, state=JobState.LEASED)

    async def failures(
        self, selection: FailureSelection, *, limit: int, offset: int = 0
    ) -> Sequence[ReplicaRecord]:
        return await self._read(reads.failures, selection, limit, offset)

    async def redrive(self, selection: FailureSelection, *, now_ms: int) -> int:
        def apply(count: int) -> None:
            for name, backlog in self._backlogs.items() if count else ():
                backlog.leave()
                self._wakeups.wake(name)

        return await self._change(lambda file: file.redrive(selection, now_ms), apply)

    async def summaries(self) -> Sequence[DestinationSummary]:
        now_ms = self._clock.now_ms()
        found = await self._read(reads.summaries, now_ms)
        if self._ownership is not None and any(
            (each.paused_at_ms is not None) != self._is_paused(each.destination, now_ms)
            for each in found
        ):
            # Paused or resumed by another process a moment ago: what is told here is so.
            await self._through(partial(Look, outside), self._looked)
        return found

    async def pause(
        self, destination: str, *, now_ms: int, reason: str, ends_at_ms: int | None = None
    ) -> None:
        def apply(_: None) -> None:
            self._paused[destination] = math.inf if ends_at_ms is None else ends_at_ms

        await self._change(lambda file: file.pause(destination, now_ms, reason, ends_at_ms), apply)

    async def resume(self, destination: str) -> bool:
        def apply(_: bool) -> None:  # noqa: FBT001 - what ``resume`` returned
            self._paused.pop(destination, None)
            self._wakeups.wake(destination)

        now_ms = self._clock.now_ms()
        return await self._change(lambda file: file.resume(destination, now_ms), apply)

    # Removals

    async def admit_delete(
        self, destination: str, *, accepted_at_ms: int, now_ms: int, limits: Limits
    ) -> bool:
        return await self._change(
            lambda file: file.admit_delete(destination, accepted_at_ms, now_ms, limits), _nothing
        )

    async def delete_guards(self) -> Mapping[str, DeleteGuard]:
        return await self._read(removals.guards)

    async def release_deletes(self, destination: str, *, now_ms: int) -> int:
        def apply(_: int) -> None:
            self._backlog(destination).forget()  # What it holds of them has an old fence.
            self._wakeups.wake(destination)

        return await self._change(lambda file: file.release_deletes(destination, now_ms), apply)

    # Replica keys

    async def claim_replica_key(
        self, destination: str, replica_key: str, key: str, *, instead_of: str | None = None
    ) -> str:
        return await self._change(
            lambda file: file.claim_replica_key(destination, replica_key, key, instead_of), _nothing
        )

    async def release_replica_key(self, destination: str, replica_key: str, key: str) -> None:
        await self._change(
            lambda file: file.release_replica_key(destination, replica_key, key), _nothing
        )

    # Uploads

    async def upload_of(self, destination: str, key: str) -> ReplicaUpload | None:
        return await self._read(uploads.upload_of, destination, key)

    async def uploads_of(self, destination: str) -> Sequence[ReplicaUpload]:
        return await self._read(uploads.uploads_of, destination)

    async def keep_upload(self, upload: ReplicaUpload) -> None:
        await self._change(lambda file: file.keep_upload(upload), _nothing)

    async def forget_upload(self, destination: str, key: str) -> None:
        await self._change(lambda file: file.forget_upload(destination, key), _nothing)

    async def asked_of(self, destination: str) -> Sequence[AskedUpload]:
        return await self._read(uploads.asked_of, destination)

    async def ask_upload(self, destination: str, replica_key: str, *, at_ms: int) -> None:
        await self._change(lambda file: file.ask_upload(destination, replica_key, at_ms), _nothing)

    async def answer_upload(self, destination: str, replica_key: str, *, asked_at_ms: int) -> None:
        await self._change(
            lambda file: file.answer_upload(destination, replica_key, asked_at_ms), _nothing
        )

    async def forget_asked(self, asked: AskedUpload) -> None:
        await self._change(lambda file: file.forget_asked(asked), _nothing)

    # Histories

    async def versions_kept(
        self, destination: str, key: str, *, limit: int | None = None
    ) -> Sequence[VersionRecord]:
        return await self._read(histories.versions_kept, destination, key, limit)

    async def keep_versions(
        self, destination: str, key: str, records: Sequence[VersionRecord]
    ) -> None:
        kept = tuple(records)
        await self._change(lambda file: file.keep_versions(destination, key, kept), _nothing)

    async def forget_version(self, destination: str, key: str, source_version_id: str) -> None:
        await self._change(
            lambda file: file.forget_version(destination, key, source_version_id), _nothing
        )

    # Abilities

    async def abilities(self) -> Sequence[AbilityRecord]:
        return await self._read(abilities.abilities)

    async def keep_abilities(self, records: Sequence[AbilityRecord]) -> None:
        kept = tuple(records)
        await self._change(lambda file: file.keep_abilities(kept), _nothing)

    # Letters

    async def checkpoint(self, name: str) -> Checkpoint | None:
        return await self._read(reads.checkpoint, name)

    async def keep_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        await self._change(lambda file: file.keep_checkpoint(name, checkpoint), _nothing)

    async def drop_checkpoint(self, name: str) -> None:
        await self._change(lambda file: file.drop_checkpoint(name), _nothing)

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        kept = tuple(letters)
        await self._change(lambda file: file.keep_malformed(kept, route, now_ms), _nothing)

    async def malformed(self, *, limit: int) -> Sequence[MalformedRecord]:
        return await self._read(reads.malformed, limit)

    async def malformed_count(self) -> int:
        return await self._read(reads.malformed_count)

    async def discard_malformed(self) -> int:
        return await self._change(lambda file: file.discard_malformed(), _nothing)


def _nothing(_: object) -> None:
    """Nothing in memory depends on it."""
