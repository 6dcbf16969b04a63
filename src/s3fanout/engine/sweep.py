"""Compares and heals: once for ``reconcile``, and again and again in the daemon (the sweep).

A lost event leaves no trace but the difference itself. The sweep finds it at the latest one
interval, two passes and the grace after the change. The grace is for events that are on their way:
an object younger than it is left to its event. For a store that sends none the sweep is the
intake.

A pass that fails is not counted, heals what it found before, and is made again after the interval.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from s3fanout.decide.repair import Left, is_seen_to, repair_of
from s3fanout.engine.backfill import BackfillBooks, Books, wait_for_room
from s3fanout.engine.verify import Finding, Tally, Verifier
from s3fanout.model.errors import LedgerUnavailable, S3FanoutError
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.objects import is_text
from s3fanout.model.rules import Rule
from s3fanout.model.sweeps import SweepRecord, checkpoint_name
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.ports.system import Clock
from s3fanout.ports.telemetry import SweepTelemetry

LOG = logging.getLogger(__name__)

TELL_S = 5.0
"""How often a pass says how far it is."""


@dataclass(slots=True)
class Repairs:
    """What was done about findings.

    Attributes:
        queued: Jobs that were accepted: each is a difference that no event told of.
        busy: Differences that have a job already, or that one made good since they were seen.
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
        books: BackfillBooks,
        clock: Clock,
        grace_s: float,
        revives: bool,
        dry_run: bool = False,
        waits: bool = True,
    ) -> None:
        """Prepare.

        Args:
            rule: Of the destination.
            books: Jobs and records.
            clock: Time.
            grace_s: Younger objects are left to their events.
            revives: Dead letters are put back too; otherwise they wait for a person.
            dry_run: Only count.
            waits: Go on only when the queue is short enough.
        """
        self._waits = waits
        self._revives = revives
        self._rule = rule
        self._books = books
        self._clock = clock
        self._grace_ms = round(grace_s * 1000)
        self._dry_run = dry_run
        self.repairs = Repairs()

    async def found(self, findings: Sequence[Finding]) -> None:
        """Queue their repairs, durable on return."""
        now_ms = self._clock.now_ms()
        jobs = []
        records = await self._records([finding.key for finding in findings])
        for finding in findings:
            record = records.get(finding.key)
            if is_seen_to(finding.verdict, finding.source, finding.replica, record):
                self.repairs.busy += 1
                continue
            is_dead = record is not None and record.state is JobState.DEAD
            repair = repair_of(
                finding.key,
                finding.verdict,
                finding.source,
                dead=record if is_dead and not self._revives else None,
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
        if self._waits:
            await wait_for_room(self._books, [self._rule.destination], self._clock)

    async def _records(self, keys: Sequence[str]) -> Mapping[str, ReplicaRecord]:
        known = [key for key in keys if is_text(key)]
        return await self._books.records(self._rule.destination, known)


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
        """One pass over one destination; how far it is, is kept every ``TELL_S``.

        Raises:
            StoreError, LedgerUnavailable: The pass is not complete.
        """
        before = await self._record(rule)
        began = replace(
            before, began_at_ms=self._clock.now_ms(), is_running=True, keys=0, failure=""
        )
        repairer = Repairer(
            rule=rule,
            books=self._books,
            clock=self._clock,
            grace_s=self._grace_s,
            revives=False,
        )
        verifier = self._verifier_of(rule)
        telling = asyncio.ensure_future(self._tell(rule, began, verifier))
        try:
            tally = await verifier.run("", repairer.found)
        except S3FanoutError as error:
            await _ended(telling)
            with suppress(LedgerUnavailable):
                # What it queued stays queued.
                await self._keep(
                    rule,
                    replace(
                        before,
                        began_at_ms=began.began_at_ms,
                        failure=f"{error.code}: {error.message}",
                        healed_total=before.healed_total + repairer.repairs.queued,
                    ),
                )
            raise
        finally:
            await _ended(telling)
        await self._end(rule, began, tally, repairer.repairs)
        return tally, repairer.repairs

    async def _end(self, rule: Rule, began: SweepRecord, tally: Tally, repairs: Repairs) -> None:
        ended_at_ms = self._clock.now_ms()
        drifted = repairs.left.get(Left.DRIFT, 0)
        record = SweepRecord(
            began_at_ms=began.began_at_ms,
            keys=tally.keys,
            ended_at_ms=ended_at_ms,
            took_ms=ended_at_ms - began.began_at_ms,
            keys_all=tally.keys,
            healed=repairs.queued,
            drifted=drifted,
            foreign=repairs.left.get(Left.FOREIGN, 0),
            healed_total=began.healed_total + repairs.queued,
        )
        await self._keep(rule, record)
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

    async def _tell(self, rule: Rule, began: SweepRecord, verifier: Verifier) -> None:
        """Keep how far the pass is, until cancelled."""
        while True:
            with suppress(LedgerUnavailable):  # The pass itself will say so.
                await self._keep(rule, replace(began, keys=verifier.tally.keys))
            await self._clock.sleep(TELL_S)

    async def _record(self, rule: Rule) -> SweepRecord:
        kept = await self._books.checkpoint(checkpoint_name(rule.destination))
        return SweepRecord() if kept is None else SweepRecord.of(kept.position)

    async def _keep(self, rule: Rule, record: SweepRecord) -> None:
        checkpoint = Checkpoint("", self._clock.now_ms(), record.position())
        await self._books.keep_checkpoint(checkpoint_name(rule.destination), checkpoint)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is over."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
