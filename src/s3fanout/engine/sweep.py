"""Compares and heals: once for ``reconcile``, and again and again in the daemon (the sweep).

A lost event leaves no trace but the difference itself. The sweep finds it at the latest one
interval, two passes and the grace after the change. The grace is for events that are on their way:
an object younger than it is left to its event. For a store that sends none the sweep is the
intake.

A pass that fails is not counted, heals what it found before, and is made again after the interval.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from s3fanout.decide.repair import Left, repair_of
from s3fanout.engine.backfill import Books, wait_for_room
from s3fanout.engine.verify import Finding, Tally, Verifier
from s3fanout.model.errors import S3FanoutError
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.objects import is_text
from s3fanout.model.rules import Rule
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.ports.system import Clock
from s3fanout.ports.telemetry import SweepTelemetry

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Repairs:
    """What was done about findings.

    Attributes:
        queued: Jobs that were accepted: each is a difference that no event told of.
        busy: Differences that have a job already.
        left: Others, by reason.
    """

    queued: int = 0
    busy: int = 0
    left: dict[Left, int] = field(default_factory=dict)


class Repairer:
    """Queues what repairs the findings of one comparison; its ``found`` is a ``verify.Found``."""

    def __init__(
        self,
        *,
        rule: Rule,
        books: Books,
        clock: Clock,
        grace_s: float,
        revives: bool,
        dry_run: bool = False,
    ) -> None:
        """Prepare.

        Args:
            rule: Of the destination.
            books: Jobs and records.
            clock: Time.
            grace_s: Younger objects are left to their events.
            revives: Dead letters are put back too; otherwise they wait for a person.
            dry_run: Only count.
        """
        self._revives = revives
        self._rule = rule
        self._books = books
        self._clock = clock
        self._grace_ms = round(grace_s * 1000)
        self._dry_run = dry_run
        self.repairs = Repairs()

    async def found(self, findings: Sequence[Finding]) -> None:
        """Queue their repairs, durable on return; waits while the queue is long."""
        now_ms = self._clock.now_ms()
        jobs = []
        dead = {} if self._revives else await self._dead([finding.key for finding in findings])
        for finding in findings:
            repair = repair_of(
                finding.key,
                finding.verdict,
                finding.source,
                dead=dead.get(finding.key),
                rule=self._rule,
                now_ms=now_ms,
                grace_ms=self._grace_ms,
            )
            if isinstance(repair, Left):
                self.repairs.left[repair] = self.repairs.left.get(repair, 0) + 1
            else:
                jobs.append(repair)
        if not jobs or self._dry_run:
            self.repairs.queued += len(jobs)
            return
        accepted = await self._books.accept(jobs, now_ms=now_ms)
        self.repairs.queued += accepted.queued
        self.repairs.busy += accepted.duplicate + accepted.stale
        await wait_for_room(self._books, [self._rule.destination], self._clock)

    async def _dead(self, keys: Sequence[str]) -> dict[str, ReplicaRecord]:
        """Those of the keys that are dead letters."""
        known = [key for key in keys if is_text(key)]
        records = await self._books.records(self._rule.destination, known)
        return {key: record for key, record in records.items() if record.state is JobState.DEAD}


class Sweeper:
    """The daemon's sweep."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        verifier_of: Callable[[Rule], Verifier],
        books: Books,
        clock: Clock,
        telemetry: SweepTelemetry,
        interval_s: float,
        grace_s: float,
    ) -> None:
        """Prepare.

        Args:
            rules: Of the destinations.
            verifier_of: A fresh comparison of a destination.
            books: Jobs, records, checkpoints.
            clock: Time.
            telemetry: Told about each complete pass.
            interval_s: Rest between the end of a pass and the next.
            grace_s: Younger objects are left to their events.
        """
        self._rules = tuple(rules)
        self._verifier_of = verifier_of
        self._books = books
        self._clock = clock
        self._telemetry = telemetry
        self._interval_s = interval_s
        self._grace_s = grace_s

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            for rule in self._rules:
                try:
                    await self.sweep(rule)
                except S3FanoutError as error:
                    LOG.warning(
                        "sweep of %s failed, again in %.0f s: %s",
                        rule.destination,
                        self._interval_s,
                        error,
                    )
            await self._clock.sleep(self._interval_s)

    async def sweep(self, rule: Rule) -> tuple[Tally, Repairs]:
        """One pass over one destination.

        Raises:
            StoreError, LedgerUnavailable: The pass is not complete.
        """
        began_at_ms = self._clock.now_ms()
        repairer = Repairer(
            rule=rule,
            books=self._books,
            clock=self._clock,
            grace_s=self._grace_s,
            revives=False,
        )
        tally = await self._verifier_of(rule).run("", repairer.found)
        repairs, ended_at_ms = repairer.repairs, self._clock.now_ms()
        drifted = repairs.left.get(Left.DRIFT, 0)
        position = {
            "began_at_ms": began_at_ms,
            "ended_at_ms": ended_at_ms,
            "healed": repairs.queued,
            "drifted": drifted,
        }
        await self._books.keep_checkpoint(
            f"sweep {rule.destination}", Checkpoint("", ended_at_ms, json.dumps(position))
        )
        self._telemetry.swept(rule.destination, healed=repairs.queued, drifted=drifted)
        if repairs.queued or drifted:
            LOG.warning(
                "sweep healed what events missed",
                extra={
                    "action": "sweep",
                    "destination": rule.destination,
                    "healed": repairs.queued,
                    "drifted": drifted,
                },
            )
        return tally, repairs
