"""The part of one destination's backlog that is in memory: no I/O, no time of its own.

The database holds every unsettled job. This holds up to ``jobs_max`` of them, so that a claim
normally reads nothing, and it alone knows the leases. What does not fit is *left behind* in the
database; once something was left behind, newer jobs are left behind too, or the oldest would never
be read.

Every change is made in the order of the database's commits, which is what keeps the two equal.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from s3fanout.model.events import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3fanout.model.jobs import Job

NOW = -1
"""Due time of a ready job: due whatever the clock says."""

LATER_JOBS_MAX = 1000
"""Jobs of objects seen in a listing, per destination, in memory; the file has the rest."""

_STALE_ENTRIES_MAX = 64


@dataclass(slots=True)
class Lease:
    """An attempt in hand.

    Attributes:
        fence: Of the claimed job.
        over: Its job needs nothing more: the ledger has a final state, or refused a settlement.
        successor: The newer job of the key and its due time, if there is one.
    """

    fence: int
    over: bool = False
    successor: tuple[Job, int] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What was read of a destination's backlog.

    Attributes:
        jobs: The jobs that are due first and their due times, by due time.
        rest_due_at_ms: No job that was not read is due before; ``None`` when all were read.
        later: Ready jobs that come after all others.
        has_more_later: There are more of them.
    """

    jobs: tuple[tuple[Job, int], ...]
    rest_due_at_ms: int | None
    later: tuple[Job, ...] = ()
    has_more_later: bool = False


class Backlog:
    """Jobs of one destination.

    Args:
        jobs_max: Jobs held, leases not counted (the engine bounds those).
        left_due_at_ms: See the attribute. ``NOW`` for a destination of an existing ledger.

    Attributes:
        leases: By key.
        left_due_at_ms: No job that was left behind is due before; ``None`` when none was. Jobs that
            come later than all others do not count.
        later_left: Of those, too, some were left behind.
    """

    def __init__(self, jobs_max: int, *, left_due_at_ms: int | None) -> None:
        self.leases: dict[str, Lease] = {}
        self.left_due_at_ms = left_due_at_ms
        self.later_left = left_due_at_ms is not None
        self._jobs_max = jobs_max
        self._ready: OrderedDict[str, Job] = OrderedDict()
        self._later: OrderedDict[str, Job] = OrderedDict()
        self._waiting: dict[str, tuple[Job, int]] = {}
        self._by_due: list[tuple[int, int, str]] = []
        """Heap of (due, fence, key); an entry that ``_waiting`` does not confirm is void."""

    def offer(self, job: Job, due_at_ms: int = NOW) -> None:
        """Take in a job that the database has; an older one of the key is replaced in place."""
        lease = self.leases.get(job.key)
        if lease is not None:
            lease.successor = (job, due_at_ms)
        elif due_at_ms == NOW and job.kind is ChangeKind.EXISTS:
            self._hold_later(job)
        elif due_at_ms == NOW and job.key in self._ready:
            self._ready[job.key] = job
        elif self._drop(job.key) or (self.left_due_at_ms is None and self._has_room()):
            self._hold(job, due_at_ms)
        else:
            self.leave(due_at_ms)

    def leave(self, due_at_ms: int = NOW) -> None:
        """Note that the database has a job which is not here."""
        if self.left_due_at_ms is None or due_at_ms < self.left_due_at_ms:
            self.left_due_at_ms = due_at_ms

    def take(self, limit: int, *, now_ms: int, later_max: int | None = None) -> list[Job]:
        """Lease up to ``limit`` due jobs, oldest first, at most ``later_max`` seen in a listing."""
        self._promote(now_ms)
        jobs: list[Job] = []
        left = self.left_due_at_ms
        # Changes that are only in the database come before what is here of the others.
        queues = (
            (self._ready,) if left is not None and left <= now_ms else (self._ready, self._later)
        )
        for ready in queues:
            room = limit - len(jobs)
            if ready is self._later and later_max is not None:
                room = min(room, later_max)
            taken = list(islice(ready.values(), room))
            for job in taken:
                del ready[job.key]
                self.leases[job.key] = Lease(job.fence)
            jobs += taken
        return jobs

    def ready_count(self, *, now_ms: int) -> int:
        """How many jobs ``take`` could give before those that come later."""
        self._promote(now_ms)
        return len(self._ready)

    @property
    def must_read_later(self) -> bool:
        """Jobs that come later are only in the database."""
        return self.later_left and not self._later

    def due_at_ms(self, *, later: bool = True) -> int | None:
        """When the next job is due, ``NOW`` if one is; ``None`` without a job.

        Args:
            later: Ready jobs that come after all others count.
        """
        if self._ready or (later and (self._later or self.later_left)):
            return NOW
        self._forget_void()
        waiting = self._by_due[0][0] if self._by_due else None
        known = [due for due in (waiting, self.left_due_at_ms) if due is not None]
        return min(known, default=None)

    def lease_of(self, job: Job) -> Lease | None:
        """The lease that ``job`` was claimed with, if it was not ended yet."""
        lease = self.leases.get(job.key)
        return lease if lease is not None and lease.fence == job.fence else None

    def end(self, job: Job) -> None:
        """End the lease of ``job``, if there is one; its successor may then be claimed."""
        lease = self.lease_of(job)
        if lease is not None:
            del self.leases[job.key]
            if lease.successor is not None:
                self.offer(*lease.successor)

    def settled(self, job: Job) -> None:
        """The ledger has a final state of ``job``."""
        lease = self.leases.get(job.key)
        if lease is None:
            self._drop(job.key, fence=job.fence)
        elif lease.fence == job.fence:
            lease.over = True
        elif lease.successor is not None and lease.successor[0].fence == job.fence:
            lease.successor = None

    def postponed(self, job: Job, retry: Job, due_at_ms: int) -> None:
        """``job`` ended in waiting; ``retry`` is what is to be done when due.

        If it had ended before, its record may know more than ``retry``: it is read again.
        """
        lease = self.lease_of(job)
        is_first_word = lease is not None and not lease.over
        self.settled(job)
        self.end(job)
        if is_first_word:
            self.offer(retry, due_at_ms)
        else:
            self.leave(due_at_ms)

    def refused(self, job: Job) -> None:
        """The ledger holds a newer job than ``job``."""
        lease = self.lease_of(job)
        if lease is None or lease.successor is None:
            self.leave()  # Another process put it there.
        if lease is not None:
            lease.over = True

    def forget(self) -> None:
        """Leave everything to the database but the leases: another process may have changed it."""
        self._ready.clear()
        self._later.clear()
        self.later_left = True
        self._waiting.clear()
        self._by_due.clear()
        self.leave()

    def refill(self, page: Page) -> None:
        """Hold what was just read, instead of what is held."""
        self.forget()
        self.left_due_at_ms = page.rest_due_at_ms
        self.later_left = page.has_more_later
        for job in page.later:
            lease = self.leases.get(job.key)
            if lease is None:
                self._later[job.key] = job
            elif lease.fence != job.fence:
                lease.successor = (job, NOW)
        for job, due_at_ms in page.jobs:
            lease = self.leases.get(job.key)
            if lease is None:
                if self._has_room():
                    self._hold(job, due_at_ms)
                else:
                    self.leave(due_at_ms)
            elif lease.fence != job.fence:
                lease.successor = (job, due_at_ms)

    def _has_room(self) -> bool:
        return len(self._ready) + len(self._waiting) < self._jobs_max

    def _hold_later(self, job: Job) -> None:
        if not self.later_left and len(self._later) < LATER_JOBS_MAX:
            self._later[job.key] = job
        else:
            self.later_left = True

    def _hold(self, job: Job, due_at_ms: int) -> None:
        if due_at_ms == NOW:
            self._ready[job.key] = job
            return
        self._waiting[job.key] = (job, due_at_ms)
        heapq.heappush(self._by_due, (due_at_ms, job.fence, job.key))
        if len(self._by_due) > 2 * len(self._waiting) + _STALE_ENTRIES_MAX:
            self._by_due = [(due, held.fence, key) for key, (held, due) in self._waiting.items()]
            heapq.heapify(self._by_due)

    def _drop(self, key: str, *, fence: int | None = None) -> bool:
        """Forget the job of ``key`` (if it has ``fence``). Returns whether there was one."""
        for ready in (self._ready, self._later):
            job = ready.get(key)
            if job is not None and fence in {None, job.fence}:
                del ready[key]
                return True
        waiting = self._waiting.get(key)
        if waiting is not None and fence in {None, waiting[0].fence}:
            del self._waiting[key]
            return True
        return False

    def _promote(self, now_ms: int) -> None:
        """Make ready what is due."""
        while self._by_due and self._by_due[0][0] <= now_ms:
            due_at_ms, fence, key = heapq.heappop(self._by_due)
            if self._is_waiting(key, fence, due_at_ms):
                job = self._waiting.pop(key)[0]
                ready = self._later if job.kind is ChangeKind.EXISTS else self._ready
                ready[key] = job

    def _forget_void(self) -> None:
        while self._by_due and not self._is_waiting(
            self._by_due[0][2], self._by_due[0][1], self._by_due[0][0]
        ):
            heapq.heappop(self._by_due)

    def _is_waiting(self, key: str, fence: int, due_at_ms: int) -> bool:
        waiting = self._waiting.get(key)
        return waiting is not None and (waiting[0].fence, waiting[1]) == (fence, due_at_ms)


def page_of(
    ready: Iterable[tuple[Job, int]],
    waiting: Iterable[tuple[Job, int]],
    later: Iterable[Job] = (),
    *,
    limit: int,
    later_limit: int = LATER_JOBS_MAX,
    now_ms: int,
) -> Page:
    """The page that three reads make.

    Args:
        ready: Jobs with the time since which they are ready, by that time.
        waiting: Jobs with their due times, by due time.
        later: Ready jobs that come after all others, by the time since which they are ready.
        limit: What the first two reads were limited to.
        later_limit: What the third was limited to.
        now_ms: Jobs that wait for longer come last: they must not take the place of a ready one.
    """
    since, due = tuple(ready), tuple(waiting)
    rest: list[int] = []
    if len(since) >= limit:
        rest.append(NOW)
    if len(due) >= limit:
        rest.append(due[-1][1])
    jobs = [(False, at_ms, (job, NOW)) for job, at_ms in since]
    jobs += [(at_ms > now_ms, at_ms, (job, at_ms)) for job, at_ms in due]
    jobs.sort(key=lambda entry: entry[:2])
    last = tuple(later)
    return Page(
        tuple(job for _, _, job in jobs),
        min(rest, default=None),
        last,
        len(last) >= later_limit,
    )
