"""A pass of the sweep, a piece at a time: for where no process stays (functions on AWS).

A pass over all keys is made by many short runs. Each goes on behind the page where the one before
ended, which the ledger keeps, and ends after its time. Two runs at one time do the same work twice,
and that is harmless.

What a page is compared with is another module's business: ``engine.sweep_pages``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from types import NoneType
from typing import Protocol

from s3fanout.engine.backfill import BackfillBooks
from s3fanout.model.rules import Rule
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.ports.system import Clock

LATER_MAX = 1_000
"""Jobs in the destination's queue, of any kind; with more a run ends, and the next one goes on."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How far a pass came.

    Attributes:
        began_at_ms: When.
        ended_at_ms: ``None`` while keys are left.
        token: Of the source's page to go on with.
        replica_token: Of the destination's, where that is listed too.
        done: Name up to which everything was compared, where two listings are read in step.
        seen: Source objects so far.
        healed: Jobs that were queued so far: each is a change that no event told of.
        drifted: Replicas so far that somebody else changed or removed, and that were left so.
        foreign: Objects in the destination so far that are not ours.
    """

    began_at_ms: int
    ended_at_ms: int | None = None
    token: str | None = None
    replica_token: str | None = None
    done: str = ""
    seen: int = 0
    healed: int = 0
    drifted: int = 0
    foreign: int = 0

    def since(self, before: Pass) -> Pass:
        """As this, but counts only what came after ``before``."""
        return replace(
            self,
            healed=self.healed - before.healed,
            drifted=self.drifted - before.drifted,
            foreign=self.foreign - before.foreign,
        )

    @classmethod
    def of(cls, position: str) -> Pass | None:
        """What ``position`` made; ``None``, so that a new one begins, if it is damaged."""
        try:
            kept = cls(**json.loads(position))
        except (ValueError, TypeError, RecursionError):
            return None
        is_sound = (
            all(type(each) is int for each in (kept.began_at_ms, kept.seen, kept.healed))
            and all(type(each) is int for each in (kept.drifted, kept.foreign))
            and type(kept.ended_at_ms) in {int, NoneType}
            and all(type(each) in {str, NoneType} for each in (kept.token, kept.replica_token))
            and type(kept.done) is str
        )
        return kept if is_sound else None


class Pages(Protocol):
    """Compares a pass's keys, a page at a time."""

    @property
    def form(self) -> str:
        """What is compared: a pass of another form cannot be gone on with."""
        ...

    async def advance(self, now: Pass) -> Pass:
        """Compare a page more, and queue what is missing; durable on return.

        Raises:
            StoreError, LedgerUnavailable: The pass stays where it is.
        """
        ...


class SweepRuns:
    """The sweep of one destination."""

    def __init__(
        self,
        *,
        rule: Rule,
        source_bucket: str,
        pages: Pages,
        books: BackfillBooks,
        clock: Clock,
        interval_s: float,
    ) -> None:
        """Prepare.

        Args:
            rule: What the destination wants.
            source_bucket: What is listed.
            pages: What compares.
            books: Jobs, records, checkpoints.
            clock: Time.
            interval_s: Rest between the end of a pass and the next.
        """
        self._rule = rule
        self._pages = pages
        self._books = books
        self._clock = clock
        self._interval_ms = round(interval_s * 1000)
        self._name = f"ledger sweep {rule.destination}"
        wanted = json.dumps([source_bucket, pages.form, asdict(rule)], sort_keys=True)
        self._fingerprint = hashlib.sha256(wanted.encode()).hexdigest()

    async def run(self, *, stop_at_s: float) -> tuple[Pass, Pass]:
        """Go on with the pass until ``stop_at_s`` of the clock's monotonic time; one page at least.

        Costs a request for each page of each listing, and what the books take for its keys.

        Returns:
            How far the pass came, and what this run did of it.

        Raises:
            StoreError, LedgerUnavailable: The pass stays where it is.
        """
        now = await self._last()
        at_ms = self._clock.now_ms()
        if now is not None and now.ended_at_ms is not None:
            if at_ms < now.ended_at_ms + self._interval_ms:
                return now, now.since(now)
            now = None
        now = before = now or Pass(began_at_ms=at_ms)
        while now.ended_at_ms is None and await self._has_room():
            now = await self._pages.advance(now)
            await self._keep(now)
            if self._clock.monotonic_s() >= stop_at_s:
                break
        return now, now.since(before)

    async def _has_room(self) -> bool:
        for summary in await self._books.summaries():
            if summary.destination == self._rule.destination:
                return summary.later <= LATER_MAX
        return True

    async def _last(self) -> Pass | None:
        kept = await self._books.checkpoint(self._name)
        if kept is None or kept.fingerprint != self._fingerprint:
            return None
        return Pass.of(kept.position)

    async def _keep(self, now: Pass) -> None:
        position = json.dumps(asdict(now))
        await self._books.keep_checkpoint(
            self._name, Checkpoint(self._fingerprint, self._clock.now_ms(), position)
        )
