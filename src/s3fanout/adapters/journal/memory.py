"""A journal that keeps everything in this process: the reference for the durable one.

It follows the contracts word by word and favours being obviously right over being quick. Nothing
survives the process; ``reopened`` plays a restart.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from s3fanout.adapters.journal.letters import check_room
from s3fanout.adapters.journal.local_uploads import LocalUploads
from s3fanout.adapters.journal.memory_abilities import MemoryAbilities
from s3fanout.adapters.journal.memory_checkpoints import MemoryCheckpoints
from s3fanout.adapters.journal.memory_histories import MemoryHistories
from s3fanout.adapters.journal.memory_records import (
    Pause,
    earlier_etags,
    is_selected,
    settled_record,
    with_replica,
)
from s3fanout.adapters.journal.states import UNSETTLED, check_settleable, is_due, is_later
from s3fanout.adapters.journal.wakeups import Wakeups
from s3fanout.decide.guard import admit, release
from s3fanout.decide.order import Order, compare, is_served_already
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import (
    DestinationSummary,
    ErrorRecord,
    Job,
    JobState,
    MalformedRecord,
    NewJob,
    ReplicaRecord,
    Settlement,
)
from s3fanout.model.removals import DELETES_HELD, DeleteGuard
from s3fanout.ports.queue import Accepted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from s3fanout.model.events import Malformed
    from s3fanout.model.limits import Limits
    from s3fanout.ports.ledger import FailureSelection
    from s3fanout.ports.system import Clock


RecordId = tuple[str, str]
"""(destination, source key)."""


@dataclass(slots=True)
class _Kept:
    """What outlives the process in a durable journal."""

    records: dict[RecordId, ReplicaRecord] = field(default_factory=dict)
    error_at_ms: dict[RecordId, int] = field(default_factory=dict)
    unsettled: defaultdict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """By destination: keys with a job, oldest first."""
    last_settled_at_ms: dict[str, int] = field(default_factory=dict)
    """By destination: the newest settlement ever, also of a record that has a newer job now."""
    paused: dict[str, Pause] = field(default_factory=dict)
    guards: dict[str, DeleteGuard] = field(default_factory=dict)
    replica_keys: dict[tuple[str, str], str] = field(default_factory=dict)
    letters: list[MalformedRecord] = field(default_factory=list)
    letter_id: int = 0
    fence: int = 0


class MemoryJournal(MemoryCheckpoints, MemoryHistories, MemoryAbilities, LocalUploads):
    """``Queue`` and ``Ledger`` without a disk.

    Args:
        clock: Times ``wait``, and tells ``summaries`` which waiting jobs are due.
    """

    def __init__(self, *, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._kept = _Kept()
        self._leases: dict[RecordId, int] = {}
        self._wakeups = Wakeups(clock)

    def reopened(self) -> MemoryJournal:
        """What a process finds that starts over: every record, no lease. Drop the old one."""
        fresh = MemoryJournal(clock=self._clock)
        fresh._kept, fresh._checkpoints = self._kept, self._checkpoints
        fresh._versions, fresh._abilities = self._versions, self._abilities
        fresh._uploads, fresh._asked = self._uploads, self._asked
        return fresh

    async def close(self) -> None:
        """Wake everybody who waits. Idempotent."""
        self._wakeups.wake_all()

    # Queue

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        count = dict.fromkeys(Order, 0)
        fence = self._next_fence()
        seen: set[RecordId] = set()
        for job in jobs:
            if (job.destination, job.key) in seen:
                fence = self._next_fence()
                seen.clear()
            seen.add((job.destination, job.key))
            recorded = self._kept.records.get((job.destination, job.key))
            order = Order.NEWER if recorded is None else compare(job, recorded)
            if recorded is not None and is_served_already(job, recorded.state):
                order = Order.DUPLICATE
            count[order] += 1
            if order is Order.NEWER:
                self._replace(job, recorded, now_ms, fence)
        return Accepted(count[Order.NEWER], count[Order.DUPLICATE], count[Order.STALE])

    def _replace(
        self, job: NewJob, recorded: ReplicaRecord | None, now_ms: int, fence: int
    ) -> None:
        """What is known of the replica stays; what was known of the old job goes."""
        self._put(
            ReplicaRecord(
                destination=job.destination,
                key=job.key,
                fence=fence,
                state=JobState.READY,
                kind=job.kind,
                event_at_ms=job.event_at_ms,
                accepted_at_ms=now_ms,
                due_at_ms=now_ms,
                attempts=0,
                order=job.order,
                etag=job.etag,
                size_bytes=job.size_bytes,
                version_id=job.version_id,
                reason="",
                settled_at_ms=None,
                source_etag=recorded.source_etag if recorded else None,
                source_version_id=recorded.source_version_id if recorded else None,
                replica_etag=recorded.replica_etag if recorded else None,
                error=None,
                earlier_etags=earlier_etags(recorded) if recorded else (),
                differences=recorded.differences if recorded else (),
            )
        )

    async def claim(
        self, destination: str, limit: int, *, now_ms: int, later_max: int | None = None
    ) -> Sequence[Job]:
        if self._pause_of(destination, now_ms) is not None:
            return ()
        claimed: list[Job] = []
        later = 0
        found = (self._kept.records[destination, key] for key in self._kept.unsettled[destination])
        # A stable sort: those seen in a listing last, otherwise the order of acceptance.
        for record in sorted(found, key=lambda record: record.kind is ChangeKind.EXISTS):
            if len(claimed) >= limit:
                break
            is_later = record.kind is ChangeKind.EXISTS
            if is_later and later == later_max:
                break
            if (destination, record.key) not in self._leases and is_due(record, now_ms):
                claimed.append(_job_of(record))
                later += is_later
        for job in claimed:
            self._leases[job.destination, job.key] = job.fence
        return claimed

    async def wait(
        self, destination: str, *, now_ms: int, timeout_s: float, later: bool = True
    ) -> None:
        seconds = timeout_s
        paused = self._pause_of(destination, now_ms)
        if paused is not None:
            seconds = min(seconds, (paused.ends_at_ms - now_ms) / 1000)
        else:
            for key in self._kept.unsettled[destination]:
                record = self._kept.records[destination, key]
                if (destination, key) in self._leases:
                    continue
                if not later and record.kind is ChangeKind.EXISTS:
                    continue
                if is_due(record, now_ms):
                    return
                seconds = min(seconds, (record.due_at_ms - now_ms) / 1000)
        await self._wakeups.sleep(destination, seconds)

    async def finish(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            record = self._end_lease(job)
            if record is not None:
                self._put(
                    replace(
                        record,
                        state=JobState.SETTLED,
                        due_at_ms=0,
                        settled_at_ms=self._clock.now_ms(),
                        reason="finished",
                        error=None,
                    )
                )

    async def release(self, jobs: Sequence[Job], *, due_at_ms: int) -> None:
        for job in jobs:
            record = self._end_lease(job)
            if record is not None:
                self._put(replace(record, state=JobState.WAITING, due_at_ms=due_at_ms))

    def _end_lease(self, job: Job) -> ReplicaRecord | None:
        """End the lease of ``job``; its record if the job is still what is to be done."""
        at = (job.destination, job.key)
        if self._leases.get(at) != job.fence:
            return None
        del self._leases[at]
        self._wakeups.wake(job.destination)
        record = self._kept.records[at]
        return record if record.fence == job.fence and record.state in UNSETTLED else None

    # Ledger

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        check_settleable(settlements)
        return [self._settle(settlement) for settlement in settlements]

    def _settle(self, settlement: Settlement) -> bool:
        job = settlement.job
        at = (job.destination, job.key)
        record = self._kept.records.get(at)
        if record is None:
            return False
        if record.fence != job.fence:
            if settlement.replica_etag is not None:
                # It settles nothing, but the replica is what this attempt made of it.
                self._put(with_replica(record, settlement))
            return False
        fence = job.fence
        if settlement.state is JobState.WAITING:
            fence = self._next_fence()  # A late word of this attempt must not touch the next one.
            if self._leases.get(at) == job.fence:
                del self._leases[at]
        if settlement.error is not None:
            self._kept.error_at_ms[at] = settlement.at_ms
        self._put(settled_record(record, settlement, fence))
        return True

    async def get(self, destination: str, key: str) -> ReplicaRecord | None:
        record = self._kept.records.get((destination, key))
        if record is None or record.state not in UNSETTLED:
            return record
        leased = self._leases.get((destination, key)) == record.fence
        return replace(record, state=JobState.LEASED) if leased else record

    async def records_of_key(self, key: str) -> Sequence[ReplicaRecord]:
        names = sorted(name for name, of in self._kept.records if of == key)
        return [record for name in names if (record := await self.get(name, key)) is not None]

    async def records(self, destination: str, keys: Sequence[str]) -> Mapping[str, ReplicaRecord]:
        return {key: record for key in keys if (record := await self.get(destination, key))}

    async def owners(self, destination: str, replica_keys: Sequence[str]) -> Mapping[str, str]:
        claimed = self._kept.replica_keys
        return {
            key: claimed[destination, key] for key in replica_keys if (destination, key) in claimed
        }

    async def failures(
        self, selection: FailureSelection, *, limit: int, offset: int = 0
    ) -> Sequence[ReplicaRecord]:
        dead = sorted(
            self._dead(selection),
            key=lambda record: (-(record.settled_at_ms or 0), record.destination, record.key),
        )
        return dead[offset : offset + limit]

    def _dead(self, selection: FailureSelection) -> Iterable[ReplicaRecord]:
        return (
            record
            for record in self._kept.records.values()
            if record.state is JobState.DEAD and is_selected(record, selection)
        )

    async def redrive(self, selection: FailureSelection, *, now_ms: int) -> int:
        dead = tuple(self._dead(selection))
        for record in dead:
            self._put(
                replace(
                    record,
                    fence=self._next_fence(),
                    state=JobState.READY,
                    due_at_ms=now_ms,
                    attempts=0,
                    settled_at_ms=None,
                )
            )
        return len(dead)

    async def summaries(self) -> Sequence[DestinationSummary]:
        records: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
        for record in self._kept.records.values():
            records[record.destination].append(record)
        now_ms = self._clock.now_ms()
        paused = {name for name in self._kept.paused if self._pause_of(name, now_ms)}
        names = sorted(records.keys() | paused)
        return [self._summary(name, records[name]) for name in names]

    def _summary(self, name: str, records: list[ReplicaRecord]) -> DestinationSummary:
        now_ms = self._clock.now_ms()
        backlog = [record for record in records if record.state in UNSETTLED]
        ready = sum(is_due(record, now_ms) for record in backlog)
        error, error_at_ms = self._last_error(records)
        paused = self._pause_of(name, now_ms)
        return DestinationSummary(
            destination=name,
            ready=ready,
            waiting=len(backlog) - ready,
            later=sum(map(is_later, backlog)),
            backlog_bytes=sum(record.size_bytes or 0 for record in backlog),
            settled=sum(record.state is JobState.SETTLED for record in records),
            superseded=sum(record.state is JobState.SUPERSEDED for record in records),
            dead=sum(record.state is JobState.DEAD for record in records),
            different=sum(bool(record.differences) for record in records),
            oldest_event_at_ms=min(
                (record.event_at_ms for record in backlog if not is_later(record)), default=None
            ),
            last_settled_at_ms=self._kept.last_settled_at_ms.get(name),
            last_error=error,
            last_error_at_ms=error_at_ms,
            paused_at_ms=paused.at_ms if paused else None,
            paused_reason=paused.reason if paused else "",
            pause_ends_at_ms=paused.known_end if paused else None,
        )

    def _last_error(self, records: list[ReplicaRecord]) -> tuple[ErrorRecord | None, int | None]:
        """Newest error and its time; of several at one time, that of the smallest key."""
        failed = sorted(
            (-self._kept.error_at_ms[record.destination, record.key], record.key)
            for record in records
            if record.error is not None
        )
        if not failed:
            return None, None
        at_ms, key = failed[0]
        return self._kept.records[records[0].destination, key].error, -at_ms

    async def pause(
        self, destination: str, *, now_ms: int, reason: str, ends_at_ms: int | None = None
    ) -> None:
        before = self._pause_of(destination, now_ms)
        at_ms = now_ms if before is None else before.at_ms
        ends = math.inf if ends_at_ms is None else ends_at_ms
        self._kept.paused[destination] = Pause(at_ms, reason, ends)

    async def resume(self, destination: str) -> bool:
        was_paused = self._pause_of(destination, self._clock.now_ms()) is not None
        self._kept.paused.pop(destination, None)
        self._wakeups.wake(destination)
        return was_paused

    def _pause_of(self, destination: str, now_ms: int) -> Pause | None:
        """The pause that is not over."""
        paused = self._kept.paused.get(destination)
        return paused if paused is not None and now_ms < paused.ends_at_ms else None

    # Replica keys

    async def claim_replica_key(
        self, destination: str, replica_key: str, key: str, *, instead_of: str | None = None
    ) -> str:
        owner = self._kept.replica_keys.get((destination, replica_key), instead_of)
        if owner == instead_of:
            owner = self._kept.replica_keys[destination, replica_key] = key
        return owner or key

    async def release_replica_key(self, destination: str, replica_key: str, key: str) -> None:
        if self._kept.replica_keys.get((destination, replica_key)) == key:
            del self._kept.replica_keys[destination, replica_key]

    # Removals

    async def admit_delete(
        self, destination: str, *, accepted_at_ms: int, now_ms: int, limits: Limits
    ) -> bool:
        guard, admitted = admit(
            self._kept.guards.get(destination, DeleteGuard()),
            accepted_at_ms=accepted_at_ms,
            now_ms=now_ms,
            replicas=lambda: sum(
                record.destination == destination
                and (
                    record.state is JobState.SETTLED
                    or (record.state in UNSETTLED and bool(record.replica_etag))
                )
                for record in self._kept.records.values()
            ),
            limits=limits,
        )
        self._kept.guards[destination] = guard
        return admitted

    async def delete_guards(self) -> Mapping[str, DeleteGuard]:
        return dict(self._kept.guards)

    async def release_deletes(self, destination: str, *, now_ms: int) -> int:
        guard = self._kept.guards.get(destination, DeleteGuard())
        self._kept.guards[destination] = release(guard, now_ms=now_ms)
        held = [
            record
            for key in self._kept.unsettled[destination]
            if (record := self._kept.records[destination, key]).state is JobState.WAITING
            and record.error is not None
            and record.error.code == DELETES_HELD
        ]
        for record in held:
            self._put(
                replace(record, fence=self._next_fence(), state=JobState.READY, due_at_ms=now_ms)
            )
        return len(held)

    # Letters

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        check_room(kept=len(self._kept.letters), offered=len(letters))
        for letter in letters:
            self._kept.letter_id += 1
            self._kept.letters.append(
                MalformedRecord(
                    id=self._kept.letter_id,
                    received_at_ms=now_ms,
                    route=route,
                    reason=letter.reason,
                    detail=letter.detail,
                    payload=letter.payload,
                )
            )

    async def malformed(self, *, limit: int) -> Sequence[MalformedRecord]:
        return self._kept.letters[::-1][:limit]

    async def malformed_count(self) -> int:
        return len(self._kept.letters)

    async def discard_malformed(self) -> int:
        count = len(self._kept.letters)
        self._kept.letters.clear()
        return count

    # Both

    def _next_fence(self) -> int:
        self._kept.fence += 1
        return self._kept.fence

    def _put(self, record: ReplicaRecord) -> None:
        self._kept.records[record.destination, record.key] = record
        unsettled = self._kept.unsettled[record.destination]
        if record.state in UNSETTLED:
            unsettled[record.key] = None
            self._wakeups.wake(record.destination)
        else:
            unsettled.pop(record.key, None)
        if record.state is JobState.SETTLED and record.settled_at_ms is not None:
            newest = self._kept.last_settled_at_ms
            newest[record.destination] = max(
                newest.get(record.destination, 0), record.settled_at_ms
            )


def _job_of(record: ReplicaRecord) -> Job:
    return Job(
        destination=record.destination,
        key=record.key,
        fence=record.fence,
        kind=record.kind,
        event_at_ms=record.event_at_ms,
        etag=record.etag,
        size_bytes=record.size_bytes,
        version_id=record.version_id,
        attempts=record.attempts,
    )
