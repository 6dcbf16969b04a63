"""Finds what events missed, a piece at a time: the listing of the source against the ledger.

Where no process stays (functions on AWS), a pass over all keys is made by many short runs. Each
goes on behind the page where the one before ended, which the ledger keeps, and ends after its time.
Two runs at one time do the same work twice, and that is harmless.

The ledger is believed: a replica that somebody else changed or removed is not looked for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from types import NoneType

from s3fanout.decide.backfill import job_of
from s3fanout.decide.heal import is_overdue
from s3fanout.engine.backfill import BackfillBooks
from s3fanout.engine.listing import Partition, Side, list_page
from s3fanout.model.items import Item
from s3fanout.model.objects import is_text
from s3fanout.model.rules import Rule
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

LATER_MAX = 1_000
"""Jobs in the destination's queue, of any kind; with more a run ends, and the next one goes on."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How far a pass came.

    Attributes:
        began_at_ms: When.
        ended_at_ms: ``None`` while keys are left.
        token: Of the page to go on with.
        seen: Objects so far.
        healed: Jobs that were queued so far: each is a change that no event told of.
    """

    began_at_ms: int
    ended_at_ms: int | None = None
    token: str | None = None
    seen: int = 0
    healed: int = 0

    @classmethod
    def of(cls, position: str) -> Pass | None:
        """What ``position`` made; ``None``, so that a new one begins, if it is damaged."""
        try:
            kept = cls(**json.loads(position))
        except (ValueError, TypeError, RecursionError):
            return None
        is_sound = (
            all(type(each) is int for each in (kept.began_at_ms, kept.seen, kept.healed))
            and type(kept.ended_at_ms) in {int, NoneType}
            and type(kept.token) in {str, NoneType}
        )
        return kept if is_sound else None


class LedgerSweep:
    """The sweep of one destination."""

    def __init__(
        self,
        *,
        rule: Rule,
        source: ObjectStore,
        books: BackfillBooks,
        clock: Clock,
        interval_s: float,
        grace_s: float,
    ) -> None:
        """Prepare.

        Args:
            rule: What the destination wants.
            source: What is listed.
            books: Jobs, records, checkpoints.
            clock: Time.
            interval_s: Rest between the end of a pass and the next.
            grace_s: Younger objects are left to their events.
        """
        self._rule = rule
        self._source = source
        self._books = books
        self._clock = clock
        self._interval_ms = round(interval_s * 1000)
        self._grace_ms = round(grace_s * 1000)
        self._name = f"ledger sweep {rule.destination}"
        wanted = json.dumps([source.bucket, asdict(rule)], sort_keys=True)
        self._fingerprint = hashlib.sha256(wanted.encode()).hexdigest()

    async def run(self, *, stop_at_s: float) -> tuple[Pass, int]:
        """Go on with the pass until ``stop_at_s`` of the clock's monotonic time; one page at least.

        Costs a request for each page of the listing, and what the books take for its keys.

        Returns:
            How far the pass came, and how many jobs this run queued.

        Raises:
            StoreError, LedgerUnavailable: The pass stays where it is.
        """
        now = await self._last()
        at_ms = self._clock.now_ms()
        if now is not None and now.ended_at_ms is not None:
            if at_ms < now.ended_at_ms + self._interval_ms:
                return now, 0
            now = None
        now = now or Pass(began_at_ms=at_ms)
        healed_before = now.healed
        while now.ended_at_ms is None and await self._has_room():
            now = await self._page(now)
            await self._keep(now)
            if self._clock.monotonic_s() >= stop_at_s:
                break
        return now, now.healed - healed_before

    async def _page(self, now: Pass) -> Pass:
        page = await list_page(Side(self._source), self._clock, Partition(""), now.token)
        items = [Item(row[0], row[1], row[2], row[3]) for row in page.objects]
        at_ms = self._clock.now_ms()
        keys = [item.key for item in items if is_text(item.key)]
        records = await self._books.records(self._rule.destination, keys)
        jobs = [
            job_of(item, self._rule.destination, now_ms=at_ms)
            for item in items
            if is_overdue(
                item, self._rule, records.get(item.key), now_ms=at_ms, grace_ms=self._grace_ms
            )
        ]
        if jobs:
            await self._books.accept(jobs, now_ms=at_ms)
        return replace(
            now,
            token=page.next_token,
            seen=now.seen + len(items),
            healed=now.healed + len(jobs),
            ended_at_ms=None if page.next_token is not None else at_ms,
        )

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
