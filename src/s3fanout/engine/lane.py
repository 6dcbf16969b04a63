"""The lane of one destination: claims its jobs, runs attempts, and keeps its own pace and circuits.

Lanes share nothing but the queue, the ledger and the reads of the source: a slow, throttled, broken
or paused destination is nobody else's business. Nor is the source any destination's: what a lane
cannot read there opens a circuit of its own. A lane whose store copies by itself reads nothing, and
goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from s3fanout.decide import circuit as circuits
from s3fanout.decide import pace as paces
from s3fanout.decide.plan import Skip
from s3fanout.decide.retry import asks_for_bucket, blames_store, decide_retry
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.exclusive import Attempts
from s3fanout.engine.remover import Held, Removed
from s3fanout.engine.settler import Settler
from s3fanout.engine.uploader import Unfinished
from s3fanout.model.errors import (
    AccessDenied,
    LedgerUnavailable,
    NoSuchBucket,
    S3FanoutError,
    SourceChanged,
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

OF_SOURCE = "the source could not be read"
"""With this begins the text of an error that no destination is to blame for."""

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
        source_circuit_open: No attempts because the source could not be read, likewise.
        circuit_retry_in_s: When the next one probes, if one of them is open.
    """

    destination: str
    in_flight: int
    concurrency: int
    circuit_open: bool
    source_circuit_open: bool
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
        self._source_circuit = circuits.CLOSED
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
            source_circuit_open=not self._source_circuit.is_closed,
            circuit_retry_in_s=max(0.0, self._open_until_s() - now_s),
        )

    async def run(self) -> None:
        """Claim and start attempts until ``stop``."""
        loop = asyncio.get_running_loop()
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
                self._start(job, loop)
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
        in_flight, limit = len(self._attempts), int(self._pace.limit)
        return min(
            circuits.admitted(circuit, now_s=now_s, in_flight=in_flight, limit=limit)
            for circuit in (self._circuit, self._source_circuit)
        )

    def _open_until_s(self) -> float:
        """When both circuits let an attempt through."""
        return max(self._circuit.open_until_s, self._source_circuit.open_until_s)

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
        """Until an attempt ends, or the hold or a circuit's pause is over."""
        now_s = self._clock.monotonic_s()
        until_s = max(self._pace.hold_until_s, self._open_until_s())
        self._slot_freed.clear()
        if until_s > now_s:
            await _first_of(self._slot_freed.wait(), self._clock.sleep(until_s - now_s))
        elif self._attempts:
            await self._slot_freed.wait()
        # Else the pause ended since it was looked at: nothing is there that could end.

    def _start(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._attempt(job))
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
            settlement = settlement._replace(replica_etag=written_etag)
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
        self._close_source_circuit()
        self._pace = paces.after_success(self._pace)
        if isinstance(outcome, Replicated):
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
        return _dead(job, now_ms, ErrorRecord(outcome.code, outcome.reason, outcome.hint))

    def _close_circuit(self) -> None:
        if not self._circuit.is_closed:
            self._telemetry.circuit(self.destination, is_open=False, of_source=False)
        self._circuit = circuits.CLOSED

    def _close_source_circuit(self) -> None:
        if not self._source_circuit.is_closed:
            self._telemetry.circuit(self.destination, is_open=False, of_source=True)
        self._source_circuit = circuits.CLOSED

    def _after_error(self, job: Job, error: S3FanoutError) -> Settlement:
        now_ms = self._clock.now_ms()
        if isinstance(error, Throttled):
            self._pace = paces.after_throttle(
                self._pace,
                now_s=self._clock.monotonic_s(),
                retry_after_s=error.retry_after_s,
            )
            self._telemetry.throttled(self.destination, concurrency=int(self._pace.limit))
        # An error of the source tells nothing of the destination, and the other way round.
        if isinstance(error, StoreError) and error.of_source:
            if _is_failure(error):
                self._source_circuit = self._after_failure(self._source_circuit, job, error)
            else:
                self._close_source_circuit()
        elif _is_failure(error):
            self._circuit = self._after_failure(self._circuit, job, error)
        else:
            self._close_circuit()  # any other answer proves the destination alive
        decision = decide_retry(
            error,
            attempts=job.attempts,
            circuit_closed=self._circuit.is_closed and self._source_circuit.is_closed,
            jitter=self._rand.uniform(0.0, 1.0),
            limits=self._limits,
        )
        record = error_record(error, dead=decision.dead)
        attempts = job.attempts + (1 if decision.counted else 0)
        if decision.dead:
            return _dead(job, now_ms, record, attempts=attempts)
        return Settlement(
            job,
            JobState.WAITING,
            now_ms,
            record.message,
            attempts=attempts,
            due_at_ms=now_ms + round(decision.delay_s * 1000),
            error=record,
        )

    def _after_failure(
        self, circuit: circuits.Circuit, job: Job, error: S3FanoutError
    ) -> circuits.Circuit:
        of_source = isinstance(error, StoreError) and error.of_source
        failed = circuits.after_failure(
            circuit,
            key=job.key,
            answered=isinstance(error, StoreError) and error.status > 0,
            blames_store=blames_store(error),
            now_s=self._clock.monotonic_s(),
            jitter=self._rand.uniform(0.0, 1.0),
            limits=self._limits,
        )
        if circuit.is_closed and not failed.is_closed:
            self._telemetry.circuit(self.destination, is_open=True, of_source=of_source)
        return failed


def _is_failure(error: S3FanoutError) -> bool:
    """Whether it counts towards a circuit: any other answer proves the store alive."""
    return blames_store(error) or isinstance(error, Unavailable | AccessDenied)


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Until one of ``waits`` is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def error_record(error: S3FanoutError, *, dead: bool) -> ErrorRecord:
    """The part of an error that is kept and printed; its hint says how it goes on."""
    code, message, hint = error.code, error.message, error.hint
    goes_on = ""
    if dead and "redrive" not in hint:
        goes_on = "once the cause is gone: s3fanout redrive"
    elif not dead and not isinstance(error, Throttled | SourceChanged):
        goes_on = "it is tried again by itself"
    if goes_on:
        hint = f"{hint}{'' if hint.endswith('?') else ';'} {goes_on}" if hint else goes_on
    if isinstance(error, StoreError):
        if error.s3_code:
            code = f"{error.code}:{error.s3_code}"
        if error.of_source:
            message = f"{OF_SOURCE}: {message}"
    return ErrorRecord(code, message, hint)


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
