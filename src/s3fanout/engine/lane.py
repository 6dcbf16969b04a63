"""The lane of one destination: claims its jobs, runs attempts, and keeps its own pace and circuit.

Lanes share nothing but the queue, the ledger and the reads of the source: a slow, throttled, broken
or paused destination is nobody else's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from s3fanout.decide import circuit as circuits
from s3fanout.decide import pace as paces
from s3fanout.decide.plan import Refuse, Skip
from s3fanout.decide.retry import asks_for_bucket, blames_destination, decide_retry
from s3fanout.engine.copier import Outcome
from s3fanout.engine.exclusive import Attempts
from s3fanout.engine.remover import Held, Removed
from s3fanout.engine.settler import Settler
from s3fanout.engine.uploader import Unfinished
from s3fanout.model.errors import (
    AccessDenied,
    LedgerUnavailable,
    NoSuchBucket,
    S3FanoutError,
    StoreError,
    Throttled,
    Unavailable,
)
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import ErrorRecord, Job, JobState, Settlement
from s3fanout.model.limits import Limits
from s3fanout.model.removals import DELETES_HELD
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.queue import Queue
from s3fanout.ports.system import Clock, Rand
from s3fanout.ports.telemetry import Telemetry

LOG = logging.getLogger(__name__)

HELD_RECHECK_MS = 600_000
"""A release puts held jobs back at once, but for those that are held in that very moment."""

LATER_SHARE = 0.75
"""Of the attempts that the pace allows: the most that a backfill or a sweep may have in flight."""

IDLE_WAIT_S = 5.0
"""How long an idle lane sleeps before it asks the queue again by itself."""


@dataclass(frozen=True, slots=True)
class LaneView:
    """How a lane is doing, for status and readiness.

    Attributes:
        destination: Name.
        in_flight: Attempts running now.
        concurrency: Attempts that its pace allows now.
        circuit_open: No attempts because too many failed in a row.
        circuit_retry_in_s: When the next one probes, if open.
    """

    destination: str
    in_flight: int
    concurrency: int
    circuit_open: bool
    circuit_retry_in_s: float


class Lane:
    """Works one destination's queue off."""

    def __init__(
        self,
        destination: str,
        *,
        store: ObjectStore,
        copier: Attempts,
        queue: Queue,
        settler: Settler,
        clock: Clock,
        rand: Rand,
        telemetry: Telemetry,
        limits: Limits,
        concurrency: int,
    ) -> None:
        self.destination = destination
        self._store = store
        self._copier = copier
        self._queue = queue
        self._settler = settler
        self._clock = clock
        self._rand = rand
        self._telemetry = telemetry
        self._limits = limits
        self._pace = paces.Pace(float(concurrency), concurrency)
        self._circuit = circuits.CLOSED
        self._attempts: dict[asyncio.Task[None], Job] = {}
        self._later_in_flight = 0
        self._slot_freed = asyncio.Event()
        self._stopping = False

    def view(self) -> LaneView:
        """A snapshot."""
        now_s = self._clock.monotonic_s()
        return LaneView(
            destination=self.destination,
            in_flight=len(self._attempts),
            concurrency=int(self._pace.limit),
            circuit_open=not self._circuit.is_closed,
            circuit_retry_in_s=max(0.0, self._circuit.open_until_s - now_s),
        )

    async def run(self) -> None:
        """Claim and start attempts until ``stop``."""
        while not self._stopping:
            room = self._room()
            if room <= 0:
                await self._wait_for_room()
                continue
            later_max = self._room_for_later()
            try:
                jobs = await self._queue.claim(
                    self.destination, room, now_ms=self._clock.now_ms(), later_max=later_max
                )
            except LedgerUnavailable as error:
                LOG.warning("cannot claim jobs of %s: %s", self.destination, error)
                await self._clock.sleep(1.0)
                continue
            for job in jobs:
                self._start(job)
            if not jobs:
                await self._wait_for_jobs(later=later_max > 0)

    async def stop(self, *, timeout_s: float) -> int:
        """Let attempts in hand finish, up to ``timeout_s``; cancel and release the rest.

        The caller has ended ``run``. Returns how many were released.
        """
        self._stopping = True
        if self._attempts:
            await asyncio.wait(set(self._attempts), timeout=timeout_s)
        left = dict(self._attempts)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            await self._queue.release(list(left.values()), due_at_ms=self._clock.now_ms())
        return len(left)

    def _room(self) -> int:
        now_s = self._clock.monotonic_s()
        if now_s < self._pace.hold_until_s:
            return 0
        return circuits.admitted(
            self._circuit,
            now_s=now_s,
            in_flight=len(self._attempts),
            limit=int(self._pace.limit),
        )

    def _room_for_later(self) -> int:
        """How many jobs of objects that were only seen in a listing may begin now.

        The rest of the slots is for changes: objects of a backfill may take long, and a change
        would wait until one of them is copied.
        """
        return max(1, int(self._pace.limit * LATER_SHARE)) - self._later_in_flight

    async def _wait_for_jobs(self, *, later: bool) -> None:
        """Until there may be something to claim.

        Args:
            later: Jobs seen in a listing were asked for; otherwise an attempt of one has to end.
        """
        self._slot_freed.clear()
        if not later and self._room_for_later() > 0:
            return  # One ended meanwhile.
        told = self._queue.wait(
            self.destination,
            now_ms=self._clock.now_ms(),
            timeout_s=IDLE_WAIT_S,
            later=later,
        )
        if later:
            await told
        else:
            await _first_of(told, self._slot_freed.wait())

    async def _wait_for_room(self) -> None:
        """Until an attempt ends, or the hold or the circuit's pause is over."""
        now_s = self._clock.monotonic_s()
        until_s = max(self._pace.hold_until_s, self._circuit.open_until_s)
        self._slot_freed.clear()
        if until_s > now_s:
            await _first_of(self._slot_freed.wait(), self._clock.sleep(until_s - now_s))
        elif self._attempts:
            await self._slot_freed.wait()
        # Else the pause ended since it was looked at: nothing is there that could end.

    def _start(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._attempt(job))
        self._attempts[task] = job
        self._later_in_flight += job.kind is ChangeKind.EXISTS
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._attempts.pop(task)
        self._later_in_flight -= job.kind is ChangeKind.EXISTS
        self._slot_freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("attempt ended by a defect of s3fanout", exc_info=error)

    async def _attempt(self, job: Job) -> None:
        try:
            settlement = await self._tried(job)
        except Exception as error:
            # Our own defect must not stop the lane or lose the job: a dead letter names it.
            LOG.exception("attempt failed by a defect of s3fanout")
            settlement = _dead(
                job,
                self._clock.now_ms(),
                ErrorRecord("defect", f"{type(error).__name__}: {error}", "please report this"),
            )
        written_etag = self._copier.take_written(job)
        if settlement.replica_etag is None and written_etag is not None:
            settlement = replace(settlement, replica_etag=written_etag)
        lag_s = max(0.0, (settlement.at_ms - job.event_at_ms) / 1000)
        self._telemetry.settled(settlement, lag_s=lag_s)
        await self._settler.put(settlement)

    async def _tried(self, job: Job) -> Settlement:
        try:
            outcome = await self._copier.attempt(job)
        except S3FanoutError as error:
            return self._after_error(job, await self._cause(job, error))
        return self._after_outcome(job, outcome)

    async def _cause(self, job: Job, error: S3FanoutError) -> S3FanoutError:
        """``error``, or that the bucket is missing, which one request tells before a job dies."""
        if asks_for_bucket(error, attempts=job.attempts, limits=self._limits):
            try:
                await self._store.head(job.key)  # Whatever the key: the bucket is the question.
            except NoSuchBucket as missing:
                return missing
            except S3FanoutError:
                pass  # It does not say: the error stands.
        return error

    def _after_outcome(self, job: Job, outcome: Outcome) -> Settlement:
        now_ms = self._clock.now_ms()
        self._close_circuit()
        self._pace = paces.after_success(self._pace)
        if isinstance(outcome, Skip):
            return Settlement(
                job, JobState.SUPERSEDED, now_ms, outcome.reason, attempts=job.attempts
            )
        if isinstance(outcome, Removed):
            return Settlement(
                job,
                JobState.SUPERSEDED,
                now_ms,
                outcome.reason,
                attempts=job.attempts,
                source_etag="",
                replica_etag="",
            )
        if isinstance(outcome, Held):
            return _held(job, now_ms)
        if isinstance(outcome, Unfinished):
            return Settlement(
                job,
                JobState.WAITING,
                now_ms,
                outcome.reason,
                attempts=job.attempts,
                due_at_ms=now_ms,
                error=ErrorRecord("unfinished", outcome.reason, "nothing to do: it goes on"),
            )
        if isinstance(outcome, Refuse):
            return _dead(job, now_ms, ErrorRecord(outcome.code, outcome.reason, outcome.hint))
        return Settlement(
            job,
            JobState.SETTLED,
            now_ms,
            outcome.reason,
            attempts=job.attempts,
            source_etag=outcome.source_etag,
            size_bytes=outcome.size_bytes,
            source_version_id=outcome.source_version_id
            or (job.version_id if outcome.source_etag == job.etag else None),
            replica_etag=outcome.replica_etag,
            differences=outcome.differences,
            wrote=outcome.wrote,
        )

    def _close_circuit(self) -> None:
        if not self._circuit.is_closed:
            self._telemetry.circuit(self.destination, is_open=False, reason="")
        self._circuit = circuits.CLOSED

    def _after_error(self, job: Job, error: S3FanoutError) -> Settlement:
        now_ms, now_s = self._clock.now_ms(), self._clock.monotonic_s()
        was_closed = self._circuit.is_closed
        if isinstance(error, Throttled):
            self._pace = paces.after_throttle(
                self._pace, now_s=now_s, retry_after_s=error.retry_after_s
            )
            self._telemetry.throttled(self.destination, concurrency=int(self._pace.limit))
        blames = blames_destination(error)
        if blames or isinstance(error, Unavailable | AccessDenied):
            self._circuit = circuits.after_failure(
                self._circuit,
                key=job.key,
                answered=isinstance(error, StoreError) and error.status > 0,
                blames_destination=blames,
                now_s=now_s,
                jitter=self._rand.uniform(0.0, 1.0),
                limits=self._limits,
            )
            if was_closed and not self._circuit.is_closed:
                self._telemetry.circuit(self.destination, is_open=True, reason=error.message)
        else:
            self._close_circuit()  # any other answer proves the destination alive
        decision = decide_retry(
            error,
            attempts=job.attempts,
            circuit_closed=self._circuit.is_closed,
            jitter=self._rand.uniform(0.0, 1.0),
            limits=self._limits,
        )
        record = error_record(error)
        attempts = job.attempts + (1 if decision.counted else 0)
        if decision.dead:
            return _dead(job, now_ms, record, attempts=attempts)
        return Settlement(
            job,
            JobState.WAITING,
            now_ms,
            error.message,
            attempts=attempts,
            due_at_ms=now_ms + round(decision.delay_s * 1000),
            error=record,
        )


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Until one of ``waits`` is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def error_record(error: S3FanoutError) -> ErrorRecord:
    """The part of an error that is kept and printed."""
    code = error.code
    if isinstance(error, StoreError) and error.s3_code:
        code = f"{error.code}:{error.s3_code}"
    return ErrorRecord(code, error.message, error.hint)


def _held(job: Job, now_ms: int) -> Settlement:
    error = ErrorRecord(
        DELETES_HELD,
        "the mass-delete guard holds the deletes of this destination back",
        f"are they meant? then: s3fanout release-deletes -d {job.destination}",
    )
    return Settlement(
        job,
        JobState.WAITING,
        now_ms,
        error.message,
        attempts=job.attempts,
        due_at_ms=now_ms + HELD_RECHECK_MS,
        error=error,
    )


def _dead(job: Job, now_ms: int, error: ErrorRecord, *, attempts: int | None = None) -> Settlement:
    return Settlement(
        job,
        JobState.DEAD,
        now_ms,
        error.message,
        attempts=job.attempts if attempts is None else attempts,
        error=error,
    )
