"""Looks for lost events among what was written lately, between the passes of the sweep.

One listing of the source serves all destinations: what was modified within ``RECENT_S`` and is
older than the grace is compared with the ledger, not with the replicas. So it costs a part of a
pass and can be made often, and finds what a pass finds, except removals, drift, and objects whose
time of modification is older than they are (an upload in parts carries that of its beginning).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from itertools import compress

from s3fanout.decide.backfill import Choice, choose, job_of
from s3fanout.engine.backfill import Books, listed, wait_for_room
from s3fanout.model.errors import LedgerUnavailable, S3FanoutError, StoreError
from s3fanout.model.items import Item
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.objects import Present, is_text
from s3fanout.model.rules import Rule
from s3fanout.model.sweeps import RECENT, SweepRecord
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock
from s3fanout.ports.telemetry import RecentTelemetry

LOG = logging.getLogger(__name__)

RECENT_S = 86_400.0


class RecentLook:
    """Compares what is young in the source with the ledger, again and again."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        source: ObjectStore,
        books: Books,
        clock: Clock,
        telemetry: RecentTelemetry,
        every_s: float,
        grace_s: float,
        keys_per_s: float | None,
    ) -> None:
        """Prepare.

        Args:
            rules: Of the destinations.
            source: The source bucket.
            books: Jobs, records, checkpoints.
            clock: Time.
            telemetry: Told what each look healed.
            every_s: Rest between two looks.
            grace_s: Younger objects are left to their events.
            keys_per_s: Most rows of the listing in a second.
        """
        self._rules = tuple(rules)
        self._source = source
        self._books = books
        self._clock = clock
        self._telemetry = telemetry
        self._every_s = every_s
        self._grace_ms = round(grace_s * 1000)
        self._keys_per_s = keys_per_s

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.look()
            except S3FanoutError as error:
                LOG.warning(
                    "look at what is recent failed, again in %.0f s: %s", self._every_s, error
                )
            await self._clock.sleep(self._every_s)

    async def look(self) -> int:
        """Once; how many jobs it queued.

        Raises:
            StoreError, LedgerUnavailable: It is not complete; what it queued stays.
        """
        kept = await self._books.checkpoint(RECENT)
        before = SweepRecord() if kept is None else SweepRecord.of(kept.position)
        began_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        keys = healed = 0
        try:
            async with aclosing(listed(self._source, self._clock, "", None)) as batches:
                async for batch in batches:
                    keys += len(batch.items)
                    healed += await self._take(batch.items, now_ms)
                    await self._rest(keys, began_s)
        except S3FanoutError as error:
            failed = replace(
                before,
                failure=f"{error.code}: {error.message}",
                healed_total=before.healed_total + healed,
            )
            with suppress(LedgerUnavailable):
                await self._keep(failed)
            raise
        took_ms = round((self._clock.monotonic_s() - began_s) * 1000)
        await self._keep(
            SweepRecord(
                began_at_ms=now_ms,
                keys=keys,
                ended_at_ms=now_ms + took_ms,
                took_ms=took_ms,
                keys_all=keys,
                healed=healed,
                healed_total=before.healed_total + healed,
            )
        )
        return healed

    async def _keep(self, record: SweepRecord) -> None:
        checkpoint = Checkpoint("", self._clock.now_ms(), record.position())
        await self._books.keep_checkpoint(RECENT, checkpoint)

    async def _rest(self, keys: int, began_s: float) -> None:
        if self._keys_per_s is not None:
            early_s = keys / self._keys_per_s - (self._clock.monotonic_s() - began_s)
            if early_s > 0:
                await self._clock.sleep(early_s)

    async def _take(self, items: Sequence[Item], now_ms: int) -> int:
        since_ms, until_ms = now_ms - round(RECENT_S * 1000), now_ms - self._grace_ms
        recent = [
            item
            for item in items
            if is_text(item.key) and since_ms <= (item.last_modified_at_ms or 0) <= until_ms
        ]
        suspects: dict[str, Item] = {}
        for rule in self._rules if recent else ():
            suspects |= {item.key: item for item in await self._lost(rule, recent)}
        # A page is older than what is known by now.
        stands = await asyncio.gather(*(self._stands(item) for item in suspects.values()))
        return await self._queue(list(compress(suspects.values(), stands)))

    async def _lost(self, rule: Rule, items: Sequence[Item]) -> list[Item]:
        records = await self._books.records(rule.destination, [item.key for item in items])
        return [item for item in items if _is_lost(item, rule, records.get(item.key))]

    async def _queue(self, certain: Sequence[Item]) -> int:
        healed = 0
        for rule in self._rules if certain else ():
            now_ms, name = self._clock.now_ms(), rule.destination
            # Once more: what a pass or an event saw to meanwhile is not to be counted twice.
            lost = await self._lost(rule, certain)
            if lost:
                jobs = [job_of(item, name, now_ms=now_ms) for item in lost]
                accepted = await self._books.accept(jobs, now_ms=now_ms)
                self._telemetry.healed(name, accepted.queued)
                healed += accepted.queued
        if healed:
            LOG.warning(
                "a look at what is recent healed what events missed",
                extra={"action": "sweep", "healed": healed},
            )
            names = [rule.destination for rule in self._rules]
            await wait_for_room(self._books, names, self._clock)
        return healed

    async def _stands(self, item: Item) -> bool:
        try:
            facts = await self._source.head(item.key)
        except StoreError:
            return False  # The next look sees it again.
        return isinstance(facts, Present) and facts.etag == item.etag


def _is_lost(item: Item, rule: Rule, record: ReplicaRecord | None) -> bool:
    """Whether the ledger knows nothing of the object as it is, and nothing stopped it."""
    if choose(item, rule, record, since_at_ms=None) is not Choice.QUEUE:
        return False
    is_dead = record is not None and record.state is JobState.DEAD
    return not (is_dead and record is not None and record.etag == item.etag)
