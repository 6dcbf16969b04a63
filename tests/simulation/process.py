"""One process of s3fanout in the simulation: the production engine, built by hand."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from s3fanout.engine.backfill import Backfill, listed
from s3fanout.engine.copier import Copier
from s3fanout.engine.engine import Engine
from s3fanout.engine.history import HistoryCopier
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.lane import Lane
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.receive import Receiver
from s3fanout.engine.remover import Remover
from s3fanout.engine.settler import Settler
from s3fanout.engine.sweep import Sweeper
from s3fanout.engine.verify import Verifier
from s3fanout.model.errors import LedgerUnavailable, S3FanoutError
from s3fanout.model.jobs import Settlement
from s3fanout.model.keeping import Keeping
from s3fanout.model.rules import Deletes, Drift, KeyMap, Rule
from s3fanout.model.vendors import OTHER, Vendor
from s3fanout.ports.object_store import ObjectStore
from tests.functional.world import tells_all
from tests.simulation.audit import SOURCE
from tests.simulation.journal import SimJournal
from tests.simulation.options import Place
from tests.simulation.stores import SimStore

if TYPE_CHECKING:
    from tests.simulation.world import World


async def _keeps_all() -> Vendor:
    return replace(OTHER, copies_keep_class=True, loses=frozenset())


class Parts:
    """What the engine is built of; mutants put their own in."""

    copier: type[Copier] = Copier
    history: type[HistoryCopier] = HistoryCopier
    remover: type[Remover] = Remover
    receiver: type[Receiver] = Receiver
    settler: type[Settler] = Settler
    lane: type[Lane] = Lane
    reads: type[SharedReads] = SharedReads
    journal: type[SimJournal] = SimJournal
    sweeper: type[Sweeper] = Sweeper
    backfill: type[Backfill] = Backfill


class Process:
    """One process of s3fanout, from its start to its end."""

    def __init__(self, world: World, journal: SimJournal | None) -> None:
        self.world = world
        self.alive = False
        self.killed = False
        parts, options = world.parts, world.options
        self.journal = parts.journal(world, self) if journal is None else journal.reopened_by(self)
        self.settler = parts.settler(
            queue=self.journal,
            ledger=self.journal,
            clock=world.clock,
            unsettled_max=options.limits.unsettled_max,
            gather_s=options.gather_s,
        )
        self.source = cast("ObjectStore", SimStore(world, self, world.source, None))
        self.reads = parts.reads(
            self.source,
            budget_bytes=options.limits.stream_bytes,
            part_bytes=options.limits.part_bytes,
            destinations=len(options.places),
            vendor=tells_all,
            clock=world.clock,
        )
        self.engine = Engine(
            [self._lane(place) for place in options.places], settler=self.settler, reads=self.reads
        )
        self.receiver = parts.receiver(
            source_bucket=SOURCE,
            rules=[rule_of(place) for place in options.places],
            queue=self.journal,
            ledger=self.journal,
            clock=world.clock,
            telemetry=self,
        )
        self.sweeper = parts.sweeper(
            rules=[rule_of(place) for place in options.places],
            verifier_of=self._verifier,
            books=self.journal,
            clock=world.clock,
            telemetry=self,
            interval_s=options.sweep_s,
            grace_s=options.grace_s,
        )
        self._walks: list[asyncio.Task[None]] = []
        self._first_task = len(world.loop.tasks)
        self._inbox: list[asyncio.Task[Any]] = []

    def check(self) -> None:
        if self.killed:
            raise asyncio.CancelledError

    def start(self) -> None:
        self.alive = True
        self.engine.start()
        if self.world.options.sweep_s:
            self._walks.append(self.world.loop.create_task(self.sweeper.run()))
        if not self.world.backfilled:
            self._walks.append(self.world.loop.create_task(self._backfill()))

    async def stop(self) -> None:
        """SIGTERM: intake ends first, then the engine."""
        self.alive = False
        await asyncio.gather(*self._inbox, return_exceptions=True)
        for walk in self._walks:
            walk.cancel()
        await asyncio.gather(*self._walks, return_exceptions=True)
        await self.engine.stop(drain_s=self.world.options.limits.drain_s)
        await self.journal.close()
        self.killed = True

    def kill(self) -> None:
        """Nothing of the process runs any more, from now on."""
        self.alive = False
        self.killed = True
        for task in self.world.loop.tasks[self._first_task :]:
            if not task.done() and is_engines(task):
                task.cancel()

    async def receive(self, body: bytes) -> bool:
        """Hand a message in. Returns whether it was acknowledged."""
        task = self.world.loop.create_task(self.receiver.receive(body, route="webhook"))
        self._inbox.append(task)
        try:
            await asyncio.wait([task])
        finally:
            self._inbox.remove(task)
        if task.cancelled():
            return False
        error = task.exception()
        if error is None:
            return True
        if isinstance(error, LedgerUnavailable):
            return False
        raise error

    async def _backfill(self) -> None:
        """What a person does who wants what was there before: again, until it went through."""
        world = self.world
        while True:
            backfill = world.parts.backfill(
                rules=[rule_of(place) for place in world.options.places],
                books=self.journal,
                clock=world.clock,
                fingerprint="sim",
            )
            try:
                position = await backfill.resume()
                await backfill.run(listed(self._walked(None), world.clock, "", position))
            except S3FanoutError:
                await asyncio.sleep(0.5)
            else:
                world.backfilled = True
                return

    def _walked(self, place: Place | None) -> ObjectStore:
        """A bucket as those see it who list it."""
        world = self.world
        bucket = world.source if place is None else world.buckets[place.name]
        return cast("ObjectStore", SimStore(world, self, bucket, place, is_engines=False))

    def _verifier(self, rule: Rule) -> Verifier:
        return Verifier(
            rule=rule,
            source=self._walked(None),
            replica=self._walked(self.world.places[rule.destination]),
            ledger=self.journal,
            clock=self.world.clock,
        )

    def _lane(self, place: Place) -> Lane:
        world, limits = self.world, self.world.options.limits
        destination = cast("ObjectStore", SimStore(world, self, world.buckets[place.name], place))
        alike = [other.name for other in world.options.places if other.way is place.way]
        rule = rule_of(place)
        copier = world.parts.copier(
            rule=replace(rule, deletes=Deletes.IGNORE) if world.options.histories else rule,
            way=place.way,
            source=self.source,
            destination=destination,
            reads=self.reads,
            keeper=Keeper(Keeping(), destination=destination, vendor=_keeps_all, clock=world.clock),
            remover=world.parts.remover(
                destination=destination,
                ledger=self.journal,
                removals=self.journal,
                clock=world.clock,
                limits=limits,
            ),
            takers_of=lambda _key: alike,
            uploads=self.journal,
            conditions_honoured=lambda: not place.lies and not place.opaque,
            clock=world.clock,
            limits=limits,
        )
        return world.parts.lane(
            place.name,
            store=destination,
            copier=self._history(place, copier, destination) if world.options.histories else copier,
            queue=self.journal,
            settler=self.settler,
            clock=world.clock,
            rand=world.rng,
            telemetry=self,
            limits=limits,
            concurrency=place.concurrency,
        )

    def _history(self, place: Place, copier: Copier, destination: ObjectStore) -> HistoryCopier:
        return self.world.parts.history(
            copier,
            rule=rule_of(place),
            source=self.source,
            destination=destination,
            ledger=self.journal,
            histories=self.journal,
            removals=self.journal,
            clock=self.world.clock,
            limits=self.world.options.limits,
        )

    # Telemetry

    def received(self, route: str, *, events: int, ignored: int, malformed: int) -> None:
        """Receipts are audited where they arrive."""

    def unwanted(self, reason: str, count: int) -> None:
        """Nothing depends on it."""

    def settled(self, settlement: Settlement, *, lag_s: float) -> None:
        self.world.audit.attempted(settlement, lag_s)

    def throttled(self, destination: str, *, concurrency: int) -> None:
        assert concurrency >= 1

    def asked_again(self, operation: str) -> None:
        """What asks again is below the store that is simulated."""

    def circuit(self, destination: str, *, is_open: bool, of_source: bool) -> None:
        self.world.audit.circuit(destination, is_open=is_open, of_source=of_source)

    def swept(self, destination: str, *, healed: int, drifted: int) -> None:
        self.world.note(destination, "swept", healed, drifted)


def rule_of(place: Place) -> Rule:
    return Rule(
        place.name,
        key_map=KeyMap("", place.prefix),
        deletes=Deletes(place.deletes),
        drift=Drift.REPAIR,
        versions=place.versions,
        version_deletes=place.version_deletes,
    )


def is_engines(task: asyncio.Task[Any]) -> bool:
    """Whether a task belongs to a process and not to the world around it."""
    name = getattr(task.get_coro(), "__qualname__", "")
    return not name.startswith("World.")
