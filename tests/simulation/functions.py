"""Concurrent invocations of one function over one queue and one turn ledger, in virtual time.

The production code from the batch that Lambda hands over to the recorded turn. What is simulated is
AWS: a queue that delivers twice, late, in any order and again after the visibility timeout; copies
that read the source now and land later, whatever became of who asked; a ledger that refuses and
whose answers get lost; invocations that are killed, or frozen past the visibility of their messages
and thawed again when others have worked those off.

What is not, because ``docs/guarantees.md`` says that it is not promised: of two deliveries of one
message at the same time one ends in the middle of a copy, which lands only after the other has
deleted the message. So in a run invocations end early, or messages are delivered to two at once.
Nor are its record and its replica, if one of the two fails behind the other: it says that it waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from s3fanout.adapters.journal.local_uploads import LocalUploads
from s3fanout.adapters.journal.memory_turns import MemoryTurnLedger
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.awslambda.environment import FunctionSettings
from s3fanout.awslambda.invocation import Invocations
from s3fanout.awslambda.report import Report as FunctionReport
from s3fanout.decide.plan import Way
from s3fanout.engine.copier import Copier
from s3fanout.engine.delivery import Deliverer
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.turns import TurnTaker
from s3fanout.model.errors import (
    LedgerUnavailable,
)
from s3fanout.model.events import Malformed
from s3fanout.model.jobs import JobState
from s3fanout.model.keeping import Carry, Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import ObjectAttributes
from s3fanout.model.rules import Rule
from s3fanout.model.topology import Topology
from s3fanout.model.vendors import OTHER, Vendor
from s3fanout.ports.object_store import ObjectStore
from tests.functional.world import tells_all
from tests.simulation.function_ports import TIME_S, SimTurnLedger, SteppedStore
from tests.simulation.loop import SimClock, SimLoop, Stuck

VISIBILITY_S = 6 * TIME_S
LANDS_S = 20.0
"""The longest that a copy takes to land: less than is left of the visibility at a timeout."""
REST_S_MAX = 3000.0
QUEUE, DEAD_LETTERS = "queue", "dead-letters"
READS = {"budget_bytes": 1, "part_bytes": 1, "destinations": 1}


async def _other() -> Vendor:
    return OTHER


@dataclass(frozen=True, slots=True)
class FunctionOptions:
    """What one run is like; numbers named for a fault are probabilities."""

    seed: int
    keys: int
    writes: int
    span_s: float
    retags: float
    removes: float
    ordered: bool
    hints: bool
    batch: int
    concurrency: int
    duplicates: float
    latency_s: float
    slow: float
    fails: float
    lost_after: float
    ledger_fails: float
    kills: float
    freezes: float
    clock_jumps: int

    @property
    def ends_early(self) -> bool:
        """Whether invocations are killed, and end at their time in the middle of attempts."""
        return not (self.duplicates or self.freezes)


def draw_function(seed: int) -> FunctionOptions:
    """The options of a seed."""
    rng = random.Random(f"function {seed}")

    def maybe(high: float) -> float:
        return round(rng.uniform(0, high), 3) if rng.random() < 0.5 else 0.0

    at_once = rng.random() < 0.5
    return FunctionOptions(
        seed=seed,
        keys=rng.choice((1, 1, 2, 4)),
        writes=rng.randint(2, 12),
        span_s=rng.choice((1.0, 30.0, 300.0)),
        retags=maybe(0.5),
        removes=maybe(0.2),
        ordered=rng.random() < 0.7,
        hints=rng.random() < 0.8,
        batch=rng.choice((1, 3, 10)),
        concurrency=rng.choice((1, 2, 5)),
        duplicates=maybe(0.5) if at_once else 0.0,
        latency_s=rng.choice((0.01, 0.1, 0.5)),
        slow=maybe(0.3),
        fails=maybe(0.3),
        lost_after=maybe(0.3),
        ledger_fails=maybe(0.2),
        kills=maybe(0.5),
        freezes=maybe(0.6) if at_once else 0.0,
        clock_jumps=rng.choice((0, 0, 1, 3)),
    )


@dataclass
class Message:
    """One message of the queue, as often as it is delivered."""

    id: str
    body: str
    visible_at_s: float
    received: int = 0


@dataclass(frozen=True, slots=True)
class FunctionParts:
    """What mutants replace."""

    ledger: type[SimTurnLedger] = SimTurnLedger
    store: type[SteppedStore] = SteppedStore
    taker: type[TurnTaker] = TurnTaker
    invocations: type[Invocations] = Invocations


class FunctionWorld:
    """One run."""

    def __init__(
        self, options: FunctionOptions, loop: SimLoop, parts: FunctionParts | None = None
    ) -> None:
        self.options, self.loop = options, loop
        self.parts = parts or FunctionParts()
        self.rng = random.Random(options.seed)
        self.clock = SimClock(loop)
        self.calm = False
        stores = MemoryStores(self.clock)
        self.source, self.replica = stores.create_bucket("source"), stores.create_bucket("replica")
        self.turns = MemoryTurnLedger()
        self.history: defaultdict[str, list[StoredObject]] = defaultdict(list)
        self.messages: list[Message] = []
        self.dead: list[str] = []
        self.orphans: list[str] = []
        """Bodies of messages that an attempt gave back after its twin had deleted them."""
        self.running = 0
        self.landing = 0
        self.copies = 0
        self.deliveries = 0
        self.counts: Counter[str] = Counter()
        self.trace = hashlib.sha256()
        self.story: list[str] | None = None
        self._numbers = 0

    def chance(self, probability: float) -> bool:
        return not self.calm and probability > 0 and self.rng.random() < probability

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def latency_s(self) -> float:
        if self.chance(self.options.slow):
            return self.rng.uniform(1.0, LANDS_S)
        return self.options.latency_s * self.rng.random()

    def note(self, *what: object) -> None:
        self.counts[str(what[0])] += 1
        line = f"{self.loop.now_s:.6f} {what}"
        self.trace.update(line.encode())
        if self.story is not None:
            self.story.append(line)

    # The source and the queue

    def change(self) -> None:
        """Write, retag or remove a source object; a message about it enters the queue."""
        key = f"k{self.rng.randrange(self.options.keys)}"
        had, name = self.source.objects.get(key), "ObjectCreated:Put"
        attributes = ObjectAttributes(tags={"n": str(self.number())})
        if had is not None and self.chance(self.options.removes):
            del self.source.objects[key]
            return
        if had is not None and self.chance(self.options.retags):
            stored, name = replace(had, attributes=attributes), "ObjectTagging:Put"
        else:
            content = f"{key} {self.number()}".encode()
            stored = StoredObject.of(content, attributes, now_ms=self.clock.now_ms())
        self.source.objects[key] = stored
        self.history[key].append(stored)
        self.note("changed", key, stored.etag)
        self.send(json.dumps({"Records": [self._record(key, stored, name)]}))

    def _record(self, key: str, stored: StoredObject, name: str) -> dict[str, object]:
        content: dict[str, object] = {"key": key}
        if self.options.ordered:
            content["sequencer"] = f"{self.number():016X}"
        if self.options.hints:
            content |= {"eTag": stored.etag, "size": len(stored.content)}
        at = datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)
        return {
            "eventVersion": "2.3",
            "eventSource": "aws:s3",
            "eventTime": at.isoformat(timespec="milliseconds"),
            "eventName": name,
            "s3": {"bucket": {"name": "source"}, "object": content},
        }

    def send(self, body: str) -> None:
        delay_s = 0.0 if self.calm else self.rng.random() * self.options.latency_s * 4
        self.messages.append(Message(str(self.number()), body, self.loop.now_s + delay_s))

    async def poll(self) -> None:
        """What Lambda does: takes what is visible and starts invocations, for ever."""
        while True:
            await asyncio.sleep(0.1)
            now_s = self.loop.now_s
            visible = [each for each in self.messages if each.visible_at_s <= now_s]
            if not visible or self.running >= self.options.concurrency:
                continue
            self.rng.shuffle(visible)
            batch = visible[: self.options.batch]
            for message in batch:
                again = self.chance(self.options.duplicates)
                message.visible_at_s = now_s if again else now_s + VISIBILITY_S
                message.received += 1
                self.deliveries += 1
                self.note("delivered", message.id, message.received)
            self.running += 1
            invocation = Invocation(self)
            self.loop.create_task(self._invoke(invocation, batch))

    async def _invoke(self, invocation: Invocation, batch: list[Message]) -> None:
        task = asyncio.ensure_future(invocation.run(batch))
        if self.options.ends_early and self.chance(self.options.kills):
            # Most invocations are short: a moment of the whole time would rarely be within one.
            await asyncio.wait([task], timeout=TIME_S * self.rng.random() ** 4)
            self.note("killed" if not task.done() else "done")
            invocation.is_killed = True
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.running -= 1
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            if not isinstance(error, LedgerUnavailable):
                raise cast("BaseException", error)

    # The run

    async def run(self) -> None:
        """A safety phase with faults, a liveness phase without, and rest."""
        poller = self.loop.create_task(self.poll())
        await asyncio.gather(
            *(self._later(self.change) for _ in range(self.options.writes)),
            *(self._later(self._jump) for _ in range(self.options.clock_jumps)),
        )
        self.calm = True
        self.note("calm")
        until_s = self.loop.now_s + REST_S_MAX
        while self.messages or self.running or self.landing or self.dead:
            if self.loop.now_s > until_s:
                raise Stuck(f"no rest: {len(self.messages)} messages, {self.dead}")
            for body in self.dead:  # a person redrives
                self.send(body)
            self.dead.clear()
            await asyncio.sleep(0.5)
        poller.cancel()
        self._audit()

    async def _later(self, act: Callable[[], None]) -> None:
        await asyncio.sleep(self.rng.random() * self.options.span_s)
        act()

    def _jump(self) -> None:
        self.clock.jumped_ms += self.rng.randint(-3_600_000, 3_600_000)

    def said(self, line: str) -> None:
        """A function's log line."""
        if '"error_code": "defect"' in line:
            self.loop.fail(f"no defects: {line}")

    def landed(self, key: str, stored: StoredObject) -> None:
        """A replica appeared."""
        if stored not in self.history[key]:
            self.loop.fail(f"never torn: {key} is no state of the source")

    def _audit(self) -> None:
        for key, states in self.history.items():
            source, replica = self.source.objects.get(key), self.replica.objects.get(key)
            if source is None:
                continue  # Functions replicate no deletes.
            is_orphaned = any(f'"{key}"' in body for body in self.orphans)
            if is_orphaned and self.turns.states.get(("a", key)) is JobState.WAITING:
                continue  # It waits for a message that is gone: docs/guarantees.md.
            if replica != source:
                at = states.index(replica) if replica in states else None
                self.loop.fail(f"converges: {key} holds state {at} of {len(states)}")
            recorded = self.turns.records.get(("a", key))
            if recorded is not None and is_orphaned:
                continue  # Its record may be of an older state then.
            if recorded is None or recorded.source_etag != source.etag:
                self.loop.fail(f"ledger agrees: {key}: {recorded}")
        if self.copies > (most := self._copies_max()):
            self.loop.fail(f"bounded: {self.copies} copies, {most} at most")

    def _copies_max(self) -> int:
        """Copies for which there can have been a reason.

        A delivery by itself costs three at most: one that was pinned to an outdated hint, one that
        is recorded, and one because the record had the same etag. More only if somebody disturbs
        it: a change of the source each attempt that runs, a record each of the others.
        """
        at_once = self.options.concurrency
        changes, records = self.counts["changed"], self.counts["recorded"]
        return 3 * self.deliveries + changes * at_once + records * (at_once - 1)


class Invocation:
    """One container: it may freeze at any request, and thaw."""

    def __init__(self, world: FunctionWorld) -> None:
        self.world = world
        self.is_late = world.chance(world.options.freezes)
        """It will be frozen past the visibility of its messages, once."""
        self._frozen = not self.is_late
        self.is_killed = False
        """It sends nothing more; what it sent goes on."""

    async def breathe(self) -> None:
        """The moments before a request is sent, and after its answer came."""
        if self.is_killed:
            raise asyncio.CancelledError
        if not self._frozen and self.world.rng.random() < 0.3:
            self._frozen = True
            self.world.note("frozen")
            await asyncio.sleep(self.world.rng.uniform(1.0, 3.0) * VISIBILITY_S)

    async def run(self, batch: Sequence[Message]) -> None:
        world = self.world
        records = [
            {
                "messageId": message.id,
                "receiptHandle": message.id,
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": str(message.received)},
            }
            for message in batch
        ]
        time_s = TIME_S if world.options.ends_early else 1e6
        answer = await self._made().batch(records, time_s=time_s)
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        there = {message.id for message in world.messages}
        world.orphans += [each.body for each in batch if each.id in failed - there]
        done = {message.id for message in batch} - failed
        world.messages = [message for message in world.messages if message.id not in done]

    def _made(self) -> Invocations:
        world = self.world
        limits = Limits(retry_base_s=0.5, retry_cap_s=8.0, attempts_max=4)
        settings = FunctionSettings(
            topology=Topology.DURABLE,
            source_bucket="source",
            source_region="r",
            bucket="replica",
            region="r",
            rule=Rule("a"),
            table="table",
            queue_url=QUEUE,
            dead_letter_url=DEAD_LETTERS,
            limits=limits,
        )
        source = cast("ObjectStore", world.parts.store(self, world.source))
        replica = cast("ObjectStore", world.parts.store(self, world.replica))
        ledger = world.parts.ledger(self)
        report = FunctionReport(
            function="f",
            destination="a",
            write=world.said,
            now_ms=world.clock.now_ms,
        )
        keeper = Keeper(
            Keeping(Carry.COPIED), destination=replica, vendor=_other, clock=world.clock
        )
        uploads = LocalUploads()
        copier = Copier(
            rule=settings.rule,
            way=Way.SERVER,
            source=source,
            destination=replica,
            reads=SharedReads(source, vendor=tells_all, clock=world.clock, **READS),
            keeper=keeper,
            takers_of=lambda _key: ("a",),
            remover=None,
            uploads=uploads,
            conditions_honoured=lambda: True,
            clock=world.clock,
            limits=limits,
        )
        taker = world.parts.taker(
            copier=copier,
            source=source,
            destination=replica,
            key_map=settings.rule.key_map,
            ledger=ledger,
        )
        deliverer = Deliverer(
            taker=taker,
            ledger=ledger,
            clock=world.clock,
            rand=world.rng,
            telemetry=report,
            limits=limits,
        )
        return world.parts.invocations(
            settings,
            deliverers={"source": deliverer},
            messages=self,
            send_on=self.send_on,
            uploads=uploads,
            keeper=self,
            clock=world.clock,
            report=report,
        )

    async def send_on(self, body: str) -> None:
        """What topology classic does with a copy that is not finished: durable never asks."""
        raise AssertionError(body)

    # ``Messages`` and ``Keeper``

    async def send(
        self, queue_url: str, bodies: Sequence[str], *, attributes: Mapping[str, str] | None = None
    ) -> None:
        await self.breathe()
        for body in bodies:
            if queue_url == DEAD_LETTERS:
                self.world.dead.append(body)
            else:
                self.world.send(body)

    async def put_off(self, queue_url: str, delays_s: Mapping[str, int]) -> None:
        await self.breathe()
        for message in self.world.messages:
            if message.id in delays_s:
                message.visible_at_s = self.world.loop.now_s + delays_s[message.id]

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        raise AssertionError(f"nothing malformed was sent: {letters}")
