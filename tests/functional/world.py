"""A source bucket, destinations and an engine, wired by hand on memory adapters.

Destinations that are copied to by the store share the source's endpoint; each destination that is
streamed to has an endpoint of its own. Everything between the engine and the world can be made to
fail: stores by ``FaultyStore`` scripts, the journal by gates that are awaited around its calls.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.faulty import Call, Fault, FaultyStore, Script
from s3fanout.adapters.store.memory import MemoryStore, MemoryStores, StoredObject
from s3fanout.decide.match import may_collide
from s3fanout.decide.plan import Way
from s3fanout.engine.copier import Copier, Outcome
from s3fanout.engine.engine import Engine
from s3fanout.engine.exclusive import Attempts, ExclusiveCopier
from s3fanout.engine.history import HistoryCopier
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.lane import Lane, LaneView
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.receive import Receipt, Receiver
from s3fanout.engine.remover import Remover
from s3fanout.engine.settler import Settler
from s3fanout.model.events import Malformed
from s3fanout.model.histories import VersionRecord
from s3fanout.model.jobs import Job, JobState, NewJob, ReplicaRecord, Settlement
from s3fanout.model.keeping import Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import ObjectAttributes
from s3fanout.model.rules import Deletes, KeyFilter, KeyMap, Rule, Versions
from s3fanout.model.vendors import Vendor, VendorName
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.queue import Accepted
from tests.functional.clock import VirtualClock, quiet

SOURCE = "source"
Gate = Callable[[str], Awaitable[None]]


PLAIN = Vendor(
    VendorName.OTHER, "one whose copies keep all", copies_keep_class=True, loses=frozenset()
)
"""Its copies cost one request."""
TELLS_ALL = replace(PLAIN, tags=False)
"""Of a source: whatever it tells no count of has no tags, and is not asked for any."""


async def tells_all() -> Vendor:
    """Which kind of store a source is that no tags are hidden in."""
    return TELLS_ALL


def no_fault(_call: Call) -> Fault | None:
    return None


async def open_gate(_name: str) -> None:
    """Let everything through."""


@dataclass(frozen=True, slots=True)
class To:
    """A destination of a test."""

    name: str
    way: Way = Way.SERVER
    script: Script = no_fault
    filter: KeyFilter = field(default_factory=KeyFilter)
    key_map: KeyMap = field(default_factory=KeyMap)
    conditions_honoured: bool = True
    concurrency: int = 8
    deletes: Deletes = Deletes.IGNORE
    keeping: Keeping = field(default_factory=Keeping)
    store: Vendor = PLAIN
    versions: Versions = Versions.LATEST
    version_deletes: Deletes = Deletes.IGNORE
    wrap: Callable[[ObjectStore], ObjectStore] = field(default=lambda store: store)

    @property
    def rule(self) -> Rule:
        return Rule(
            self.name,
            self.filter,
            self.key_map,
            self.deletes,
            keeping=self.keeping,
            versions=self.versions,
            version_deletes=self.version_deletes,
        )

    async def vendor(self) -> Vendor:
        return self.store


def holding(call: str, until: asyncio.Event) -> Gate:
    """A gate that holds one kind of call until the event is set."""

    async def gate(name: str) -> None:
        if name == call:
            await until.wait()

    return gate


class GatedJournal(MemoryJournal):
    """A journal whose calls pass gates: ``before`` they take effect and ``after`` they did."""

    def __init__(self, *, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self._time = clock
        self.before: Gate = open_gate
        self.after: Gate = open_gate

    def reopened(self) -> GatedJournal:
        fresh = GatedJournal(clock=self._time)
        fresh._kept, fresh._checkpoints = self._kept, self._checkpoints
        fresh._versions = self._versions
        fresh._uploads, fresh._asked = self._uploads, self._asked
        return fresh

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        await self.before("accept")
        answer = await super().accept(jobs, now_ms=now_ms)
        await self.after("accept")
        return answer

    async def claim(
        self, destination: str, limit: int, *, now_ms: int, later_max: int | None = None
    ) -> Sequence[Job]:
        await self.before("claim")
        answer = await super().claim(destination, limit, now_ms=now_ms, later_max=later_max)
        await self.after("claim")
        return answer

    async def finish(self, jobs: Sequence[Job]) -> None:
        await self.before("finish")
        await super().finish(jobs)
        await self.after("finish")

    async def release(self, jobs: Sequence[Job], *, due_at_ms: int) -> None:
        await self.before("release")
        await super().release(jobs, due_at_ms=due_at_ms)
        await self.after("release")

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        await self.before("settle")
        answer = await super().settle(settlements)
        await self.after("settle")
        return answer

    async def keep_versions(
        self, destination: str, key: str, records: Sequence[VersionRecord]
    ) -> None:
        await self.before("keep_versions")
        await super().keep_versions(destination, key, records)
        await self.after("keep_versions")

    async def forget_version(self, destination: str, key: str, source_version_id: str) -> None:
        await self.before("forget_version")
        await super().forget_version(destination, key, source_version_id)
        await self.after("forget_version")

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        await self.before("keep_malformed")
        await super().keep_malformed(letters, route=route, now_ms=now_ms)
        await self.after("keep_malformed")


@dataclass(slots=True)
class Reports:
    """``Telemetry`` that remembers."""

    settlements: list[Settlement] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)
    throttles: list[tuple[str, int]] = field(default_factory=list)
    circuits: list[tuple[str, bool]] = field(default_factory=list)
    source_circuits: list[tuple[str, bool]] = field(default_factory=list)
    messages: list[tuple[str, int, int, int]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)

    def received(self, route: str, *, events: int, ignored: int, malformed: int) -> None:
        self.messages.append((route, events, ignored, malformed))

    def unwanted(self, reason: str, count: int) -> None:
        self.refusals[reason] += count

    def settled(self, settlement: Settlement, *, lag_s: float) -> None:
        self.settlements.append(settlement)
        self.lags_s.append(lag_s)

    def throttled(self, destination: str, *, concurrency: int) -> None:
        self.throttles.append((destination, concurrency))

    def asked_again(self, operation: str) -> None:
        raise AssertionError("memory stores are asked once")

    def circuit(self, destination: str, *, is_open: bool, of_source: bool) -> None:
        circuits = self.source_circuits if of_source else self.circuits
        circuits.append((destination, is_open))


class HighRand:
    """Always the longest wait: what a test expects is then one number."""

    def uniform(self, low: float, high: float) -> float:
        return high


class WatchedCopier(Copier):
    """Fails the moment that two attempts of one key overlap; counts attempts by key."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.attempts: Counter[str] = Counter()
        self.running: set[str] = set()

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        assert job.key not in self.running, f"two attempts of {job.key!r} overlap"
        self.running.add(job.key)
        self.attempts[job.key] += 1
        try:
            return await super().attempt(job, stop_at_s=stop_at_s)
        finally:
            self.running.discard(job.key)


class World:
    """One source, some destinations, one engine; ``restart`` plays a new process."""

    def __init__(
        self,
        *to: To,
        source_script: Script = no_fault,
        limits: Limits | None = None,
        clock: VirtualClock | None = None,
        source_store: Vendor = TELLS_ALL,
        wrap_source: Callable[[ObjectStore], ObjectStore] = lambda store: store,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.limits = limits or Limits()
        self.reports = Reports()
        self.copiers: dict[str, WatchedCopier] = {}
        self.to = {one.name: one for one in to}
        home = MemoryStores(self.clock, part_bytes_min=1)
        versioned = any(one.versions is Versions.ALL for one in to)
        self.source = home.create_bucket(SOURCE, versioned=versioned)
        self.buckets: dict[str, MemoryStore] = {}
        for one in to:
            near = one.way is Way.SERVER
            stores = home if near else MemoryStores(self.clock, part_bytes_min=1)
            versioned = one.versions is Versions.ALL
            self.buckets[one.name] = stores.create_bucket(one.name, versioned=versioned)
        self.source_store = source_store
        self.source_port = FaultyStore(wrap_source(self.source), source_script, is_source=True)
        self.ports = {
            one.name: FaultyStore(one.wrap(self.buckets[one.name]), one.script) for one in to
        }
        self.journal = GatedJournal(clock=self.clock)
        self._sequence = 0
        self._wire()

    # What happens in the world

    def put(
        self, key: str, content: bytes = b"content", attributes: ObjectAttributes | None = None
    ) -> bytes:
        """Write a source object. Returns the message that its store sends."""
        stored = StoredObject.of(content, attributes, now_ms=self.clock.now_ms())
        self.source.objects[key] = stored
        return self.message(key, etag=stored.etag, size_bytes=len(content))

    def record(
        self,
        key: str,
        *,
        etag: str | None = None,
        size_bytes: int | None = None,
        name: str = "ObjectCreated:Put",
        bucket: str = SOURCE,
    ) -> dict[str, object]:
        """A record of an S3 event; every one has a greater sequencer than the one before."""
        self._sequence += 1
        content: dict[str, object] = {
            "key": quote_plus(key),
            "sequencer": f"{self._sequence:016X}",
        }
        if etag is not None:
            content["eTag"] = etag
        if size_bytes is not None:
            content["size"] = size_bytes
        at = datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventTime": at.isoformat(timespec="milliseconds"),
            "eventName": name,
            "s3": {"bucket": {"name": bucket}, "object": content},
        }

    def message(self, key: str, *, etag: str | None = None, size_bytes: int | None = None) -> bytes:
        """A message with one record."""
        return self.message_of(self.record(key, etag=etag, size_bytes=size_bytes))

    def message_of(self, *records: object) -> bytes:
        return json.dumps({"Records": records}).encode()

    # What s3fanout does

    async def receive(self, body: bytes) -> Receipt:
        return await self.receiver.receive(body, route="webhook")

    async def rest(self, *, within_s: float = 3600.0) -> None:
        """Let time pass until there is no backlog."""
        await self.clock.run_until(lambda: not self.unsettled(), within_s=within_s)

    def unsettled(self) -> list[ReplicaRecord]:
        kept = self.journal._kept
        return [kept.records[name, key] for name, keys in kept.unsettled.items() for key in keys]

    def known(self, destination: str, key: str) -> ReplicaRecord:
        """The ledger's record, which must exist."""
        return self.journal._kept.records[destination, key]

    def states(self, key: str) -> dict[str, JobState]:
        return {name: self.known(name, key).state for name in self.to}

    def view(self, destination: str) -> LaneView:
        return next(view for view in self.engine.views() if view.destination == destination)

    def assert_equal(self) -> None:
        """Every replica is what the source is now, and the ledger says so."""
        for name, bucket in self.buckets.items():
            for key, of in self.source.objects.items():
                replica = bucket.objects[key]
                assert (name, replica.content) == (name, of.content)
                assert (name, replica.attributes) == (name, of.attributes)
                record = self.known(name, key)
                assert (name, record.state) == (name, JobState.SETTLED)
                assert (name, record.source_etag) == (name, of.etag)

    def requests(self) -> Counter[str]:
        """All requests to all stores so far."""
        total = Counter(self.source.requests)
        for bucket in self.buckets.values():
            total.update(bucket.requests)
        return total

    async def crash(self) -> None:
        """End everything at once, as ``kill -9`` does, and start over with what was durable."""
        doomed = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        self.restart()

    def restart(self) -> None:
        """A new process on the ledger that the last one left."""
        self.journal = self.journal.reopened()
        self._wire()
        self.engine.start()

    async def shut(self) -> None:
        await self.engine.stop(drain_s=0)
        await self.journal.close()
        await quiet()

    async def vendor(self) -> Vendor:
        return self.source_store

    def _wire(self) -> None:
        limits = self.limits
        rules = [to.rule for to in self.to.values()]
        self.settler = Settler(
            queue=self.journal,
            ledger=self.journal,
            clock=self.clock,
            unsettled_max=limits.unsettled_max,
        )
        self.reads = SharedReads(
            self.source_port,
            budget_bytes=limits.stream_bytes,
            part_bytes=limits.part_bytes,
            destinations=len(self.to),
            vendor=self.vendor,
            clock=self.clock,
        )
        self.engine = Engine(
            [self._lane(to) for to in self.to.values()], settler=self.settler, reads=self.reads
        )
        self.receiver = Receiver(
            source_bucket=SOURCE,
            rules=rules,
            queue=self.journal,
            ledger=self.journal,
            clock=self.clock,
            telemetry=self.reports,
        )

    def _lane(self, to: To) -> Lane:
        takers = [other.name for other in self.to.values() if other.way is to.way]
        copier = WatchedCopier(
            # What deletes is the history, where there is one.
            rule=replace(to.rule, deletes=Deletes.IGNORE)
            if to.versions is Versions.ALL
            else to.rule,
            way=to.way,
            source=self.source_port,
            destination=self.ports[to.name],
            reads=self.reads,
            keeper=Keeper(
                to.keeping, destination=self.ports[to.name], vendor=to.vendor, clock=self.clock
            ),
            remover=Remover(
                destination=self.ports[to.name],
                ledger=self.journal,
                removals=self.journal,
                clock=self.clock,
                limits=self.limits,
            ),
            takers_of=lambda _key: takers,
            uploads=self.journal,
            conditions_honoured=lambda: to.conditions_honoured,
            clock=self.clock,
            limits=self.limits,
        )
        self.copiers[to.name] = copier
        attempts: Attempts = copier
        if may_collide(to.key_map):
            attempts = ExclusiveCopier(copier, rule=to.rule, replica_keys=self.journal)
        if to.versions is Versions.ALL:
            attempts = HistoryCopier(
                copier,
                rule=to.rule,
                source=self.source_port,
                destination=self.ports[to.name],
                ledger=self.journal,
                histories=self.journal,
                removals=self.journal,
                clock=self.clock,
                limits=self.limits,
            )
        return Lane(
            to.name,
            store=self.ports[to.name],
            copier=attempts,
            queue=self.journal,
            settler=self.settler,
            clock=self.clock,
            rand=HighRand(),
            telemetry=self.reports,
            limits=self.limits,
            concurrency=to.concurrency,
        )
