"""What a piece of a sweep is compared with: the ledger, or the destination's own listing.

| compared with | finds | costs for 1,000 keys |
|---|---|---|
| the ledger | what no event told of | a page of the source, and a record for each key |
| the destination | that, and what others did to replicas | a page of each; what ``verify`` costs |

The ledger is believed by the first: a replica that somebody else changed or removed is not looked
for. The second reads two listings in step, so both must come in the order of the keys' bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from s3fanout.decide.backfill import job_of
from s3fanout.decide.heal import is_overdue
from s3fanout.decide.match import common_prefix, refusal
from s3fanout.decide.reconcile import Join, Pair
from s3fanout.decide.repair import REPAIR_IGNORES, Left
from s3fanout.engine.backfill import BackfillBooks
from s3fanout.engine.listing import Partition, Side, list_page, refuse_unordered
from s3fanout.engine.sweep import Repairer, Repairs
from s3fanout.engine.sweep_runs import Pass
from s3fanout.engine.verify import Finding, Verifier
from s3fanout.model.items import Item
from s3fanout.model.objects import Listed, is_text
from s3fanout.model.rules import Rule
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

_ALL = Partition("")


class AgainstLedger:
    """Compares the source's listing with the ledger."""

    form = "ledger"

    def __init__(
        self,
        *,
        rule: Rule,
        source: ObjectStore,
        books: BackfillBooks,
        clock: Clock,
        grace_s: float,
    ) -> None:
        """Prepare.

        Args:
            rule: What the destination wants.
            source: What is listed.
            books: Jobs, records.
            clock: Time.
            grace_s: Younger objects are left to their events.
        """
        self._rule = rule
        self._source = Side(source)
        self._books = books
        self._clock = clock
        self._grace_ms = round(grace_s * 1000)

    async def advance(self, now: Pass) -> Pass:
        """See ``Pages``."""
        page = await list_page(self._source, self._clock, _ALL, now.token)
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


@dataclass(slots=True)
class _Reading:
    """One listing, as far as this run has read it.

    Attributes:
        side: What is listed.
        token: Of the page in hand; before the first one, of the page to begin with.
        next_token: Of the page after it.
        is_begun, is_ended: A page is in hand; it is the last one.
        last: Key of the last row, to see that they come in order.
    """

    side: Side
    token: str | None
    next_token: str | None = None
    is_begun: bool = False
    is_ended: bool = False
    last: str = ""

    async def rows(self, clock: Clock, done: str) -> Sequence[Listed] | None:
        """The next page's rows behind the name ``done``; ``None`` if there is no more."""
        if self.is_ended:
            return None
        if self.is_begun:
            self.token = self.next_token
        page = await list_page(self.side, clock, _ALL, self.token)
        self.is_begun = True
        self.next_token = page.next_token
        self.is_ended = page.next_token is None
        self.last = refuse_unordered(page.objects, self.last, self.side)
        if not done:
            return page.objects
        cut = len(self.side.front)
        return [row for row in page.objects if row.key[cut:] > done]

    def place(self, *, is_read: bool) -> str | None:
        """Token of the page that another run has to begin with."""
        return self.next_token if is_read and not self.is_ended else self.token


class AgainstReplicas:
    """Compares the source's listing with the destination's, as ``verify`` and ``reconcile`` do.

    One run's: it remembers the pages in hand.
    """

    form = "replicas"

    def __init__(
        self,
        *,
        rule: Rule,
        source: ObjectStore,
        replica: ObjectStore,
        ledger: Ledger,
        books: BackfillBooks,
        clock: Clock,
        grace_s: float,
        drifted: Callable[[Finding], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            rule: What the destination wants. Its key map has no template: replica keys must come
                in the order of source keys.
            source: What is listed.
            replica: Likewise, in step.
            ledger: What was copied.
            books: Jobs and records.
            clock: Time.
            grace_s: Younger objects are left to their events.
            drifted: Told of each replica that somebody else changed or removed.
        """
        self._rule = rule
        self._sides = (
            Side(source, rule.key_map.strip_prefix),
            Side(replica, common_prefix(rule.key_map)),
        )
        self._books = books
        self._clock = clock
        self._grace_s = grace_s
        self._drifted = drifted
        self._verifier = Verifier(
            rule=rule,
            source=source,
            replica=replica,
            ledger=ledger,
            clock=clock,
            ignored=REPAIR_IGNORES,
        )
        self._join = Join(
            source_cut=len(self._sides[0].front), replica_cut=len(self._sides[1].front)
        )
        self._readings: tuple[_Reading, _Reading] | None = None

    async def advance(self, now: Pass) -> Pass:
        """See ``Pages``."""
        if self._readings is None:
            ours, theirs = self._sides
            self._readings = (_Reading(ours, now.token), _Reading(theirs, now.replica_token))
        pairs = await self._pairs(self._readings, now.done)
        wanted = [pair for pair in pairs if self._is_wanted(pair[0])]
        repairs = await self._repaired(wanted)
        wants = (self._join.wants_source, self._join.wants_replica)
        source, replica = self._readings
        return replace(
            now,
            token=source.place(is_read=wants[0]),
            replica_token=replica.place(is_read=wants[1]),
            done=self._name_of(pairs[-1]) if pairs else now.done,
            seen=now.seen + sum(pair[0] is not None for pair in pairs),
            healed=now.healed + repairs.queued,
            drifted=now.drifted + repairs.left.get(Left.DRIFT, 0),
            foreign=now.foreign
            + sum(not self._is_wanted(ours) for ours, theirs in pairs if theirs),
            ended_at_ms=None if any(wants) else self._clock.now_ms(),
        )

    async def _pairs(self, readings: tuple[_Reading, _Reading], done: str) -> list[Pair]:
        """What can be told with a page more of each side, or as many as it takes to tell any."""
        join, (source, replica) = self._join, readings

        async def offer_source() -> None:
            join.offer_source(await source.rows(self._clock, done))

        async def offer_replica() -> None:
            join.offer_replica(await replica.rows(self._clock, done))

        pairs: list[Pair] = []
        while join.wants_source or join.wants_replica:
            has_more = (join.wants_source and not source.is_ended) or (
                join.wants_replica and not replica.is_ended
            )
            if pairs and has_more:
                break
            await asyncio.gather(
                *([offer_source()] if join.wants_source else ()),
                *([offer_replica()] if join.wants_replica else ()),
            )
            pairs += join.pairs()
        return pairs

    async def _repaired(self, pairs: Sequence[Pair]) -> Repairs:
        repairer = Repairer(
            rule=self._rule,
            books=self._books,
            clock=self._clock,
            grace_s=self._grace_s,
            revives=False,
            waits=False,
        )

        async def found(findings: Sequence[Finding]) -> None:
            await repairer.found(findings)
            for finding in findings:
                if finding.verdict.drift:
                    self._drifted(finding)

        await self._verifier.judge(pairs, found)
        return repairer.repairs

    def _is_wanted(self, source: Listed | None) -> bool:
        """Whether there is to be a replica. Others are only counted: a function deletes nothing."""
        return source is not None and refusal(self._rule, source.key, source.size_bytes) is None

    def _name_of(self, pair: Pair) -> str:
        source, replica = pair
        if source is not None:
            return source.key[len(self._sides[0].front) :]
        assert replica is not None
        return replica.key[len(self._sides[1].front) :]
