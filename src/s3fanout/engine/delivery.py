"""One delivery of one job by a queue that others own: attempt, judge, record, and say what to do.

The decisions are the lane's: the same copier, the same classification, the same retries. What is
missing is what needs a process that stays: the pace and the circuit. Lambda's concurrency cap and
the queue's delays stand in for them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from s3fanout.decide.plan import Refuse, Skip
from s3fanout.decide.retry import decide_retry
from s3fanout.decide.turns import Relation
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.lane import error_record
from s3fanout.engine.turns import TurnTaker
from s3fanout.engine.uploader import Unfinished
from s3fanout.model.errors import S3FanoutError, Unavailable
from s3fanout.model.jobs import ErrorRecord, Job, JobState, Settlement
from s3fanout.model.limits import Limits
from s3fanout.ports.system import Clock, Rand
from s3fanout.ports.telemetry import Telemetry
from s3fanout.ports.turn_ledger import TurnLedger

LOG = logging.getLogger(__name__)

UNFINISHED = "unfinished"
"""Error code of a copy in parts that another delivery goes on with; it is no failure."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery came to.

    Attributes:
        settlement: How the attempt ended; recorded, where there is a ledger.
        relation: Where the change stood to what was recorded before.
        unfinished: A copy in parts that another delivery goes on with.
    """

    settlement: Settlement
    relation: Relation | None = None
    unfinished: Unfinished | None = None


class Deliverer:
    """Works jobs of one destination off, as they are delivered."""

    def __init__(
        self,
        *,
        taker: TurnTaker,
        ledger: TurnLedger | None,
        clock: Clock,
        rand: Rand,
        telemetry: Telemetry,
        limits: Limits,
    ) -> None:
        self._taker = taker
        self._ledger = ledger
        self._clock = clock
        self._rand = rand
        self._telemetry = telemetry
        self._limits = limits

    async def deliver(self, job: Job, *, stop_at_s: float | None = None) -> Delivered:
        """Attempt ``job``; ``job.attempts`` are the deliveries before this one.

        Copies in parts stop after ``stop_at_s`` of the clock's monotonic time: then the settlement
        waits with the code ``UNFINISHED``, and another delivery goes on.

        Raises:
            LedgerUnavailable: What it came to could not be recorded: deliver it again.
        """
        relation: Relation | None = None
        unfinished: Unfinished | None = None
        recorded = False
        try:
            turned = await self._taker.attempt(
                job, settlement_of=self._settled, stop_at_s=stop_at_s
            )
        except S3FanoutError as error:
            settlement = self._after_error(job, error)
        except Exception as error:
            # Our own defect must not loop for ever: a dead letter names it.
            LOG.exception("attempt failed by a defect of s3fanout")
            defect = ErrorRecord("defect", f"{type(error).__name__}: {error}", "please report this")
            settlement = self._dead(job, defect, attempts=job.attempts + 1)
        else:
            relation, recorded = turned.relation, turned.recorded
            if isinstance(turned.outcome, Unfinished):
                unfinished = turned.outcome
            settlement = self._after_outcome(job, turned.outcome)
        if not recorded and self._ledger is not None:
            await self._ledger.record(settlement, turn=None)
        lag_s = max(0.0, (settlement.at_ms - job.event_at_ms) / 1000)
        self._telemetry.settled(settlement, lag_s=lag_s)
        return Delivered(settlement, relation, unfinished)

    def _after_outcome(self, job: Job, outcome: Outcome) -> Settlement:
        if isinstance(outcome, Replicated):
            return self._settled(job, outcome)
        if isinstance(outcome, Refuse):
            error = ErrorRecord(outcome.code, outcome.reason, outcome.hint)
            return self._dead(job, error, attempts=job.attempts)
        if isinstance(outcome, Unfinished):
            return self._waiting(
                job,
                ErrorRecord(UNFINISHED, outcome.reason, "nothing to do: it goes on"),
                attempts=job.attempts,
                delay_s=0.0,
            )
        assert isinstance(outcome, Skip), "functions delete nothing"
        now_ms = self._clock.now_ms()
        return Settlement(job, JobState.SUPERSEDED, now_ms, outcome.reason, attempts=job.attempts)

    def _settled(self, job: Job, outcome: Replicated) -> Settlement:
        return Settlement(
            job,
            JobState.SETTLED,
            self._clock.now_ms(),
            outcome.reason,
            attempts=job.attempts,
            source_etag=outcome.source_etag,
            size_bytes=outcome.size_bytes,
            source_version_id=job.version_id if outcome.source_etag == job.etag else None,
            replica_etag=outcome.replica_etag,
            wrote=outcome.wrote,
            differences=outcome.differences,
        )

    def _dead(self, job: Job, error: ErrorRecord, *, attempts: int) -> Settlement:
        return Settlement(
            job,
            JobState.DEAD,
            self._clock.now_ms(),
            error.message,
            attempts=attempts,
            error=error,
        )

    def _after_error(self, job: Job, error: S3FanoutError) -> Settlement:
        decision = decide_retry(
            error,
            attempts=job.attempts,
            # No process stays that could tell an outage by its circuit: so no answer never counts.
            circuit_closed=not isinstance(error, Unavailable),
            jitter=self._rand.uniform(0.0, 1.0),
            limits=self._limits,
        )
        record = error_record(error, dead=decision.dead)
        attempts = job.attempts + 1
        if decision.dead:
            return self._dead(job, record, attempts=attempts)
        return self._waiting(job, record, attempts=attempts, delay_s=decision.delay_s)

    def _waiting(
        self, job: Job, error: ErrorRecord, *, attempts: int, delay_s: float
    ) -> Settlement:
        now_ms = self._clock.now_ms()
        return Settlement(
            job,
            JobState.WAITING,
            now_ms,
            error.message,
            attempts=attempts,
            due_at_ms=now_ms + round(delay_s * 1000),
            error=error,
        )
