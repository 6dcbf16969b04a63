"""Compares a destination with the source and reports. Never writes, to no store and no ledger.

Both listings are read in step, partition by partition, some partitions at a time. What the rows
prove to be equal is counted and forgotten; every other pair is looked at again with a ``HEAD`` of
both sides (up to ``LOOKS_MAX`` of them), because a listing of a bucket in use is never of one
moment. Requests: one listing of each side per 1,000 keys, two for each pair that is not equal, and
for each pair of the sample what ``engine.examiner`` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from zlib import crc32

from s3fanout.decide.compare import Standing, Verdict, class_difference, compare
from s3fanout.decide.match import common_prefix, may_collide, name_prefix, refusal, replica_key
from s3fanout.decide.reconcile import Join, Pair
from s3fanout.engine.by_target import by_target, source_key_of
from s3fanout.engine.deleted_keys import DeletedKeys
from s3fanout.engine.examiner import STEP_BYTES, Depth, Examiner, goes_deeper
from s3fanout.engine.listing import ListOrder, Partition, Side, in_order, partitions
from s3fanout.model.errors import ListingUnordered, StoreError
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.keeping import Difference
from s3fanout.model.objects import Listed, is_text
from s3fanout.model.rules import Rule, Versions
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

PARTITIONS_AT_ONCE = 4
LOOKS_AT_ONCE = 16
LOOKS_MAX = 10_000
_SAMPLE_STEPS = 1_000_000
_BATCH = 500
_COLLISION = "key-collision"


@dataclass(frozen=True, slots=True)
class Finding:
    """A pair that is not proven equal, or that is the same but for what the ledger knows.

    Attributes:
        destination: Name.
        key: Source key; of an extra the key that its source object would have.
        replica_key: What the destination calls it.
        verdict: The answer.
        source, replica: As last seen; ``None`` where there is none.
    """

    destination: str
    key: str
    replica_key: str
    verdict: Verdict
    source: Listed | None
    replica: Listed | None


Found = Callable[[Sequence[Finding]], Awaitable[None]]
"""Is told what was found; the comparison waits for it."""


@dataclass(slots=True)
class Tally:
    """What a comparison has found so far.

    Attributes:
        counts: Pairs by standing.
        size_bytes: Of the source objects that were compared.
        keys: Rows of both listings.
        known: Of the same ones those with a difference that the ledger knows.
        read, read_wrong: Pairs whose bytes or attributes were compared, and those that differed.
        unlooked: Pairs that were reported as listed, because ``LOOKS_MAX`` were looked at.
        extras_unlooked: Replicas without a source object were not looked for, because a key
            template does not tell whose they are, and there is no ledger that does.
    """

    counts: dict[Standing, int] = field(default_factory=lambda: dict.fromkeys(Standing, 0))
    size_bytes: int = 0
    keys: int = 0
    known: int = 0
    read: int = 0
    read_wrong: int = 0
    unlooked: int = 0
    extras_unlooked: bool = False

    @property
    def is_equal(self) -> bool:
        """Every pair is proven equal, and all of them were looked for."""
        others = (count for at, count in self.counts.items() if at is not Standing.SAME)
        return not (any(others) or self.extras_unlooked)


class Verifier:
    """Compares one destination."""

    def __init__(
        self,
        *,
        rule: Rule,
        source: ObjectStore,
        replica: ObjectStore,
        ledger: Ledger | None,
        clock: Clock,
        depth: Depth = Depth.LISTING,
        sample: float = 1.0,
        ignored: Collection[str] = (),
        step_bytes: int = STEP_BYTES,
        keys_per_s: float | None = None,
        orders: Sequence[ListOrder] = (),
    ) -> None:
        """Bind to a destination.

        Args:
            rule: What it wants.
            source: The source bucket.
            replica: The destination bucket.
            ledger: What was copied, where there is one.
            clock: Times retries.
            depth: How far to look.
            sample: Which share of the pairs is looked at in depth, 0 to 1; chosen by a checksum of
                the key, so that the same keys are chosen every time.
            ignored: What may differ, by ``Difference`` or name of a content header.
            step_bytes: How much of an object is read at once.
            keys_per_s: Most rows of both listings in a second.
            orders: What is known of the orders that source and replica list in; nothing if empty:
                then both are expected to list by bytes until they do not.
        """
        self._orders = orders
        self._keys_per_s = keys_per_s
        self._began_s = clock.monotonic_s()
        self._rule = rule
        self._source = Side(source, rule.key_map.strip_prefix)
        self._replica = Side(replica, common_prefix(rule.key_map))
        self._ledger = ledger
        self._clock = clock
        self._depth = depth
        self._chosen_below = round(sample * _SAMPLE_STEPS)
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._looks_left = LOOKS_MAX
        self._sort = [False, False]
        self._ignored = frozenset(ignored)
        self._examiner = Examiner(
            rule=rule,
            source=source,
            replica=replica,
            records=self._records,
            clock=clock,
            ignored=self._ignored,
            step_bytes=step_bytes,
        )
        self._owners: Mapping[str, str] = {}
        """Source keys by replica key, where only the ledger knows them: of the pairs in hand."""
        self.tally = Tally()

    async def run(
        self,
        prefix: str,
        found: Found,
        *,
        restarted: Callable[[], None] = lambda: None,
        progress: Callable[[Tally], None] = lambda _: None,
    ) -> Tally:
        """Compare all objects whose source key starts with ``prefix``.

        Args:
            prefix: Of source keys.
            found: As ``Found``, in no order.
            restarted: Everything that ``found`` was told is void: a store turned out to list in
                another order, and the comparison begins again.
            progress: Told now and then.

        Raises:
            StoreError: A listing failed: nothing can be said about the whole.
        """
        names = name_prefix(self._rule, prefix)
        if names is None:
            return self.tally
        for side, order in enumerate(self._orders):
            self._sort[side] = self._sort[side] or await order.is_unordered()
        await self._compare_listings(names, found, restarted, progress)
        if self._rule.versions is Versions.ALL and self._depth is not Depth.LISTING:
            await self._compare_deleted(self._source.front + names, found, progress)
        return self.tally

    async def _compare_listings(
        self,
        names: str,
        found: Found,
        restarted: Callable[[], None],
        progress: Callable[[Tally], None],
    ) -> None:
        while True:
            known = list(self._sort)
            try:
                if self._rule.key_map.template:
                    await self._compare_by_target(names, found, progress)
                else:
                    await self._compare_all(names, found, progress)
            except ListingUnordered:
                if known == self._sort:
                    raise
                await self._sort_from_now_on(known)
                restarted()
            except ExceptionGroup as group:
                error = _first(group)
                if not isinstance(error, ListingUnordered) or known == self._sort:
                    raise error from group
                await self._sort_from_now_on(known)
                restarted()
            else:
                return

    async def _sort_from_now_on(self, known: Sequence[bool]) -> None:
        self.tally = Tally()
        for order, before, now in zip(self._orders, known, self._sort, strict=False):
            if now and not before:
                await order.seen_unordered()

    async def _compare_deleted(
        self, prefix: str, found: Found, progress: Callable[[Tally], None]
    ) -> None:
        deleted = DeletedKeys(
            rule=self._rule,
            source=self._source.store,
            examiner=self._examiner,
            clock=self._clock,
            looks=self._looks,
            is_chosen=self._is_chosen,
        )
        async with aclosing(deleted.judged(prefix)) as pieces:
            async for piece in pieces:
                self.tally.read += len(piece)
                findings = []
                for row, target, verdict in piece:
                    self.tally.read_wrong += verdict.standing in {
                        Standing.DIFFERS,
                        Standing.MISSING,
                    }
                    marker = Listed(row.key, 0, "", row.deleted_at_ms)
                    name = self._rule.destination
                    findings.append(Finding(name, row.key, target, verdict, marker, None))
                await self._tell(findings, found)
                progress(self.tally)

    async def _compare_all(
        self, names: str, found: Found, progress: Callable[[Tally], None]
    ) -> None:
        parts = await partitions((self._source, self._replica), self._clock, names)
        turns = asyncio.Semaphore(PARTITIONS_AT_ONCE)

        async def compare_one(part: Partition) -> None:
            async with turns:
                await self._compare_partition(part, found, progress)

        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(compare_one(part))

    async def _compare_partition(
        self,
        part: Partition,
        found: Found,
        progress: Callable[[Tally], None],
    ) -> None:
        join = Join(source_cut=len(self._source.front), replica_cut=len(self._replica.front))
        async with (
            aclosing(in_order(self._source, self._clock, part, sort=self._sort[0])) as sources,
            aclosing(in_order(self._replica, self._clock, part, sort=self._sort[1])) as replicas,
        ):
            while join.wants_source or join.wants_replica:
                if join.wants_source:
                    join.offer_source(await self._next(0, sources))
                if join.wants_replica:
                    join.offer_replica(await self._next(1, replicas))
                await self.judge(join.pairs(), found)
                progress(self.tally)

    async def _compare_by_target(
        self, names: str, found: Found, progress: Callable[[Tally], None]
    ) -> None:
        """As ``_compare_all``, where replica keys are not in the order of source keys."""
        join, owners, clock = Join(), dict[str, Listed](), self._clock
        self.tally.extras_unlooked = may_collide(self._rule.key_map) and self._ledger is None
        whole = Partition("")
        async with (
            aclosing(by_target(self._rule, self._source, clock, names, self._records)) as sources,
            aclosing(in_order(self._replica, clock, whole, sort=self._sort[1])) as replicas,
        ):
            while join.wants_source or join.wants_replica:
                if join.wants_source:
                    piece = await anext(sources, None)
                    join.offer_source(None if piece is None else piece.rows)
                    if piece is not None:
                        owners = piece.owners
                        self.tally.keys += piece.listed
                        await self._tell([self._refused(*each) for each in piece.refused], found)
                if join.wants_replica:
                    join.offer_replica(await self._next(1, replicas))
                told = list(join.pairs())
                await self._learn_owners(told)
                pairs = [
                    (source and owners[source.key], replica)
                    for source, replica in told
                    if source is not None or self._is_asked_for(replica, names)
                ]
                await self.judge(pairs, found)
                progress(self.tally)

    async def _learn_owners(self, pairs: Sequence[Pair]) -> None:
        """Ask the ledger whose the replicas are whose keys do not tell it."""
        if self._ledger is None or not may_collide(self._rule.key_map):
            return
        keys = [
            replica.key
            for source, replica in pairs
            if source is None and replica is not None and is_text(replica.key)
        ]
        self._owners = await self._ledger.owners(self._rule.destination, keys) if keys else {}

    def _owner_of(self, replica: Listed) -> str | None:
        """The source key of a replica; ``None`` if there is none that is known."""
        owner = source_key_of(self._rule.key_map, replica.key)
        return self._owners.get(replica.key) if owner is None else owner

    def _is_asked_for(self, replica: Listed | None, names: str) -> bool:
        """Whether a replica without a source object is to be told: not if it may be of others."""
        if replica is None or self.tally.extras_unlooked:
            return False
        key = self._owner_of(replica)
        return key.startswith(self._source.front + names) if key is not None else not names

    def _refused(self, row: Listed, owner: str) -> Finding:
        target = replica_key(self._rule.key_map, row.key)
        verdict = Verdict(Standing.MISSING, _COLLISION, f"its replica key is that of {owner}")
        return Finding(self._rule.destination, row.key, target, verdict, row, None)

    def _by_template(self, pair: Pair, record: ReplicaRecord | None) -> Finding | None:
        """What is to be said of a pair of which one side has no other."""
        (source, replica), key_map = pair, self._rule.key_map
        if source is not None:
            refused = may_collide(key_map) and record is not None and _is_refused(record)
            return self._refused(source, "another object") if refused else None
        assert replica is not None
        if self._owner_of(replica) is not None:
            return None
        verdict = Verdict(Standing.EXTRA, "foreign", "no source key is known of this replica key")
        return Finding(self._rule.destination, replica.key, replica.key, verdict, None, replica)

    async def judge(self, pairs: Iterable[Pair], found: Found) -> None:
        """Compare these pairs, of which no key map with a template made the replica keys."""
        doubtful = self._pass_equal(pairs)
        for start in range(0, len(doubtful), _BATCH):
            await self._judge(doubtful[start : start + _BATCH], found)

    async def _next(
        self, side: int, listing: AsyncGenerator[Sequence[Listed]]
    ) -> Sequence[Listed] | None:
        try:
            rows = await anext(listing, None)
        except ListingUnordered:
            self._sort[side] = True
            raise
        self.tally.keys += len(rows or ())
        if self._keys_per_s is not None:
            passed_s = self._clock.monotonic_s() - self._began_s
            early_s = self.tally.keys / self._keys_per_s - passed_s
            if early_s > 0:
                await self._clock.sleep(early_s)
        return rows

    def _pass_equal(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Count the pairs that their rows prove equal; the others."""
        doubtful: list[Pair] = []
        rule, deep = self._rule, self._depth is not Depth.LISTING
        any_class = Difference.STORAGE_CLASS in self._ignored
        as_source = any_class or not rule.keeping.storage_class
        same = size_bytes = 0
        for pair in pairs:
            source, replica = pair
            if (
                source is not None
                and replica is not None
                and source.etag == replica.etag
                and source.etag
                and source.size_bytes == replica.size_bytes
                and (
                    (as_source and source.storage_class == replica.storage_class)
                    or any_class
                    or not class_difference(source, replica, rule.keeping)
                )
                and refusal(rule, source.key, source.size_bytes) is None
                and not (deep and self._is_chosen(source.key))
            ):
                same += 1
                size_bytes += source.size_bytes
            else:
                doubtful.append(pair)
        self.tally.counts[Standing.SAME] += same
        self.tally.size_bytes += size_bytes
        return doubtful

    async def _judge(self, pairs: Sequence[Pair], found: Found) -> None:
        records = await self._records([self._key_of(pair) for pair in pairs])
        findings = await asyncio.gather(
            *(self._finding(pair, records.get(self._key_of(pair))) for pair in pairs)
        )
        await self._tell([finding for finding in findings if finding is not None], found)

    async def _tell(self, findings: Sequence[Finding], found: Found) -> None:
        told: list[Finding] = []
        for finding in findings:
            self.tally.counts[finding.verdict.standing] += 1
            if finding.source is not None:
                self.tally.size_bytes += finding.source.size_bytes
            if not finding.verdict.is_plainly_same:
                told.append(finding)
                self.tally.known += finding.verdict.standing is Standing.SAME
        if told:
            await found(told)

    async def _records(self, keys: Sequence[str]) -> dict[str, ReplicaRecord]:
        if self._ledger is None:
            return {}
        known = [key for key in keys if is_text(key)]
        return dict(await self._ledger.records(self._rule.destination, known)) if known else {}

    async def _finding(self, pair: Pair, record: ReplicaRecord | None) -> Finding | None:
        if self._rule.key_map.template:
            told = self._by_template(pair, record)
            if told is not None:
                return told
        return await self._compared(pair, record)

    async def _compared(self, pair: Pair, record: ReplicaRecord | None) -> Finding | None:
        key, name = self._key_of(pair), self._rule.destination
        target = replica_key(self._rule.key_map, key) if pair[1] is None else pair[1].key
        verdict = compare(*pair, record, rule=self._rule, ignored=self._ignored)
        if verdict is None:
            return None
        depth = Depth.LISTING
        if None not in pair and goes_deeper(verdict) and self._is_chosen(key):
            depth = self._depth
        doubted = verdict.standing not in {Standing.SAME, Standing.UNKNOWN}
        if depth is Depth.LISTING:
            if not doubted:
                return Finding(name, key, target, verdict, *pair)
            if self._looks_left <= 0:
                self.tally.unlooked += 1
                return Finding(name, key, target, verdict, *pair)
            self._looks_left -= 1
        try:
            async with self._looks:
                pair, verdict = await self._examiner.examine(key, target, pair, depth)
        except StoreError as error:
            verdict = Verdict(Standing.ERROR, error.code, error.message)
        if verdict is None:
            return None
        if depth is not Depth.LISTING:
            self.tally.read += 1
            self.tally.read_wrong += verdict.standing is Standing.DIFFERS
        return Finding(name, key, target, verdict, *pair)

    def _is_chosen(self, key: str) -> bool:
        return crc32(key.encode("utf-8", "surrogatepass")) % _SAMPLE_STEPS < self._chosen_below

    def _key_of(self, pair: Pair) -> str:
        source, replica = pair
        if source is not None:
            return source.key
        assert replica is not None
        if self._rule.key_map.template:
            return self._owner_of(replica) or replica.key
        return self._source.front + replica.key[len(self._replica.front) :]


def _is_refused(record: ReplicaRecord) -> bool:
    error = record.error
    return record.state is JobState.DEAD and error is not None and error.code == _COLLISION


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
