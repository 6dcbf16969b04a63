"""Compares a destination with the source and reports. Never writes, to no store and no ledger.

Both listings are read in step, partition by partition, some partitions at a time. What the rows
prove to be equal is counted and forgotten; every other pair is looked at again with a ``HEAD`` of
both sides (up to ``LOOKS_MAX`` of them), because a listing of a bucket in use is never of one
moment. Requests: one listing of each side per 1,000 keys, two for each pair that is not equal, and
with ``Depth.BYTES`` two reads for each pair of the sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from zlib import crc32

from s3fanout.decide.compare import (
    Standing,
    Verdict,
    compare,
    compare_attributes,
)
from s3fanout.decide.match import refusal
from s3fanout.decide.reconcile import Join, Pair
from s3fanout.engine.listing import Partition, Side, in_order, partitions
from s3fanout.model.errors import ListingUnordered, SourceAbsent, SourceChanged, StoreError
from s3fanout.model.jobs import ReplicaRecord
from s3fanout.model.objects import Listed, Present, is_text
from s3fanout.model.rules import Rule
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

PARTITIONS_AT_ONCE = 4
LOOKS_AT_ONCE = 16
LOOKS_MAX = 10_000
_SAMPLE_STEPS = 1_000_000


class Depth(StrEnum):
    """What is compared beyond listings and ledger."""

    LISTING = "listing"
    ATTRIBUTES = "attributes"
    """Content headers, metadata and tags: two ``HEAD`` and the tags of each pair."""
    BYTES = "bytes"
    """The bytes too: each pair is read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A pair that is not proven equal.

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
"""Is told about pairs that are not proven equal; the comparison waits for it."""


@dataclass(slots=True)
class Tally:
    """What a comparison has found so far.

    Attributes:
        counts: Pairs by standing.
        size_bytes: Of the source objects that were compared.
        keys: Rows of both listings.
        read, read_wrong: Pairs whose bytes or attributes were compared, and those that differed.
        unlooked: Pairs that were reported as listed, because ``LOOKS_MAX`` were looked at.
    """

    counts: dict[Standing, int] = field(default_factory=lambda: dict.fromkeys(Standing, 0))
    size_bytes: int = 0
    keys: int = 0
    read: int = 0
    read_wrong: int = 0
    unlooked: int = 0

    @property
    def is_equal(self) -> bool:
        """Every pair is proven equal."""
        return not any(count for at, count in self.counts.items() if at is not Standing.SAME)


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
        part_bytes: int,
        depth: Depth = Depth.LISTING,
        sample: float = 1.0,
    ) -> None:
        """Bind to a destination.

        Args:
            rule: What it wants.
            source: The source bucket.
            replica: The destination bucket.
            ledger: What was copied, where there is one.
            clock: Times retries.
            part_bytes: Larger objects are not read as a whole.
            depth: How far to look.
            sample: Which share of the pairs is looked at in depth, 0 to 1; chosen by a checksum of
                the key, so that the same keys are chosen every time.
        """
        self._rule = rule
        self._source = Side(source, rule.key_map.strip_prefix)
        self._replica = Side(replica, rule.key_map.add_prefix)
        self._ledger = ledger
        self._clock = clock
        self._part_bytes = part_bytes
        self._depth = depth
        self._chosen_below = round(sample * _SAMPLE_STEPS)
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._looks_left = LOOKS_MAX
        self._sort = [False, False]
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
        while True:
            known = list(self._sort)
            try:
                await self._compare_all(names, found, progress)
            except ExceptionGroup as group:
                error = _first(group)
                if not isinstance(error, ListingUnordered) or known == self._sort:
                    raise error from group
                self.tally = Tally()
                restarted()
            else:
                return self.tally

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
                doubtful = self._pass_equal(join)
                for start in range(0, len(doubtful), _BATCH):
                    await self._judge(doubtful[start : start + _BATCH], found)
                progress(self.tally)

    async def _next(
        self, side: int, listing: AsyncGenerator[Sequence[Listed]]
    ) -> Sequence[Listed] | None:
        try:
            rows = await anext(listing, None)
        except ListingUnordered:
            self._sort[side] = True
            raise
        self.tally.keys += len(rows or ())
        return rows

    def _pass_equal(self, join: Join) -> list[Pair]:
        """Count the pairs that their rows prove equal; the others."""
        doubtful: list[Pair] = []
        rule, deep = self._rule, self._depth is not Depth.LISTING
        same = size_bytes = 0
        for pair in join.pairs():
            source, replica = pair
            if (
                source is not None
                and replica is not None
                and source.etag == replica.etag
                and source.etag
                and source.size_bytes == replica.size_bytes
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
        told: list[Finding] = []
        for finding in findings:
            if finding is None:
                continue
            self.tally.counts[finding.verdict.standing] += 1
            if finding.source is not None:
                self.tally.size_bytes += finding.source.size_bytes
            if finding.verdict.standing is not Standing.SAME:
                told.append(finding)
        if told:
            await found(told)

    async def _records(self, keys: Sequence[str]) -> dict[str, ReplicaRecord]:
        if self._ledger is None:
            return {}
        known = [key for key in keys if is_text(key)]
        return dict(await self._ledger.records(self._rule.destination, known)) if known else {}

    async def _finding(self, pair: Pair, record: ReplicaRecord | None) -> Finding | None:
        key = self._key_of(pair)
        target = self._replica.front + key[len(self._source.front) :]
        verdict = compare(*pair, record, rule=self._rule)
        if verdict is None:
            return None
        try:
            if verdict.standing not in {Standing.SAME, Standing.UNKNOWN}:
                if self._looks_left > 0:
                    self._looks_left -= 1
                    async with self._looks:
                        pair, verdict = await self._look_again(key, target, pair)
                    if verdict is None:
                        return None
                else:
                    self.tally.unlooked += 1
            source, replica = pair
            if (
                self._depth is not Depth.LISTING
                and source is not None
                and replica is not None
                and verdict.standing in {Standing.SAME, Standing.UNKNOWN}
                and self._is_chosen(key)
            ):
                async with self._looks:
                    verdict = await self._in_depth(source, target, verdict)
                self.tally.read += 1
                self.tally.read_wrong += verdict.standing is Standing.DIFFERS
        except StoreError as error:
            verdict = Verdict(Standing.ERROR, error.code, error.message)
        return Finding(self._rule.destination, key, target, verdict, *pair)

    async def _look_again(self, key: str, target: str, listed: Pair) -> tuple[Pair, Verdict | None]:
        """The pair as it is now. The replica first: what is written meanwhile then looks newer."""
        records = await self._records([key])
        replica = await self._replica.store.head(target)
        source = await self._source.store.head(key)
        pair = (_row(source, listed[0]), _row(replica, listed[1]))
        return pair, compare(*pair, records.get(key), rule=self._rule)

    async def _in_depth(self, source: Listed, target: str, verdict: Verdict) -> Verdict:
        """Bytes or attributes compared; ``verdict`` where they say nothing new."""
        if self._depth is Depth.BYTES:
            return await self._by_bytes(source, target)
        ours = await self._source.store.head(source.key)
        theirs = await self._replica.store.head(target)
        if not isinstance(ours, Present) or not isinstance(theirs, Present):
            return Verdict(Standing.UNKNOWN, "moved", "changed while it was compared")
        if ours.tag_count != theirs.tag_count:
            return Verdict(
                Standing.DIFFERS,
                "tags",
                f"{ours.tag_count} tags at the source, {theirs.tag_count} on the replica",
            )
        return compare_attributes(ours.attributes, theirs.attributes) or verdict

    async def _by_bytes(self, source: Listed, target: str) -> Verdict:
        if source.size_bytes > self._part_bytes:
            return Verdict(
                Standing.UNKNOWN,
                "too-large",
                f"{source.size_bytes} bytes, more than limits.part_size: not read",
            )
        try:
            ours = await self._source.store.get(
                source.key, if_match=source.etag or None, size_bytes_max=self._part_bytes
            )
            theirs = await self._replica.store.get(
                target, if_match=None, size_bytes_max=self._part_bytes
            )
        except (SourceChanged, SourceAbsent):
            return Verdict(Standing.UNKNOWN, "moved", "changed while it was compared")
        if ours.sha256_hex != theirs.sha256_hex:
            return Verdict(
                Standing.DIFFERS,
                "bytes",
                f"SHA-256 {ours.sha256_hex[:16]}… and {theirs.sha256_hex[:16]}…",
            )
        return compare_attributes(ours.facts.attributes, theirs.facts.attributes) or Verdict(
            Standing.SAME, "bytes", "equal bytes and attributes"
        )

    def _is_chosen(self, key: str) -> bool:
        return crc32(key.encode("utf-8", "surrogatepass")) % _SAMPLE_STEPS < self._chosen_below

    def _key_of(self, pair: Pair) -> str:
        source, replica = pair
        if source is not None:
            return source.key
        assert replica is not None
        return self._source.front + replica.key[len(self._replica.front) :]


def name_prefix(rule: Rule, prefix: str) -> str | None:
    """What the names start with whose source keys start with ``prefix``; ``None`` if none do."""
    front = rule.key_map.strip_prefix
    if prefix.startswith(front):
        return prefix[len(front) :]
    return "" if front.startswith(prefix) else None


def _row(seen: object, listed: Listed | None) -> Listed | None:
    if not isinstance(seen, Present):
        return None
    row = Listed(seen.key, seen.size_bytes, seen.etag, seen.last_modified_at_ms)
    return row if listed is None else row._replace(storage_class=listed.storage_class)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


_BATCH = 500
