"""A world for one run: a source that is written to, messages on their way, a process that dies.

Time is virtual, chance comes from the seed, the engine is the production engine from
``Receiver.receive`` to the settled record. First the safety phase: faults are on, and nothing wrong
may happen. Then the liveness phase: faults end, a person does what a person would do (redrive,
resume, release), and everything has to come to rest, equal and at peace.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from s3fanout.adapters.store.memory import MemoryStore, MemoryStores, StoredObject
from s3fanout.adapters.store.memory_versions import VersionedObjects
from s3fanout.decide.plan import Way
from s3fanout.model.jobs import ReplicaRecord
from s3fanout.model.objects import ObjectAttributes
from s3fanout.ports.ledger import FailureSelection
from tests.simulation.audit import BELOW, SOURCE, Audit
from tests.simulation.histories import HistoryAudit, entries_of
from tests.simulation.loop import SimClock, SimLoop, Stuck
from tests.simulation.options import Options, Place
from tests.simulation.process import Parts, Process

REST_S_MAX = 1500.0
MOVES_MAX = 500
HISTORY_MOVES_MAX = 12
"""Changes in the middle of requests. Each makes more requests, so more would come than go: sooner
where each change has to be copied."""
PASS_S = 45.0
"""No pass of the sweep takes longer in calm, one that began in the storm included."""


class World:
    """One run."""

    def __init__(self, options: Options, loop: SimLoop, parts: type[Parts] = Parts) -> None:
        self.options = options
        self.parts = parts
        self.loop = loop
        self.rng = random.Random(options.seed)
        self.clock = SimClock(loop)
        """Of our processes."""
        self._store_clock = SimClock(loop)
        """Of all stores; what jumps is ours."""
        self.calm = False
        self.denied: set[str] = set()
        self.trace = hashlib.sha256()
        self.events = 0
        self.story: list[str] | None = None
        self._numbers = 0
        self._moves = 0
        self.script: list[Callable[[], object]] = []
        """What happens first, one after the other, each when the one before has come to rest."""
        self.effects = 0
        self.crash_at = 0
        """Number of the effect at which the process is killed; 0 for never."""
        home = MemoryStores(self._store_clock, part_bytes_min=1)
        versioned = options.histories
        self._home = home
        self.source = home.create_bucket(SOURCE, versioned=versioned and not options.before)
        self.places = {place.name: place for place in options.places}
        self.buckets: dict[str, MemoryStore] = {
            place.name: (
                home
                if place.way is Way.SERVER
                else MemoryStores(self._store_clock, part_bytes_min=1)
            ).create_bucket(place.name, versioned=versioned)
            for place in options.places
        }
        self.keys = [f"k{number}" for number in range(options.keys)]
        self.audit = HistoryAudit(self) if versioned else Audit(self)
        self.backfilled = True
        self.told = True
        """Whether the source sends messages: it did not before there was s3fanout."""
        self.lost: set[str] = set()
        """Keys of messages that were lost."""
        self.turned_back_s = 0.0
        """How far the wall clock jumped, all in all."""
        self.unacknowledged = 0
        self.requests: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()
        self.process = Process(self, None)

    @property
    def untold(self) -> bool:
        """Whether there may be objects that no message told of."""
        return bool(self.options.loses or self.options.before)

    # Chance and notes

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    def moves_now(self) -> bool:
        """Whether an object changes just while a request about it is carried out."""
        if self.calm or not self.chance(self.options.moves_meanwhile):
            return False
        self._moves += 1
        return self._moves <= (HISTORY_MOVES_MAX if self.options.histories else MOVES_MAX)

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def latency_s(self) -> float:
        if not self.calm and self.chance(self.options.slow):
            return self.rng.uniform(1.0, 20.0)
        return self.options.latency_s * self.rng.random()

    def ledger_fails(self) -> bool:
        return not self.calm and self.chance(self.options.ledger_fails)

    def note(self, *what: object) -> None:
        self.events += 1
        line = f"{self.loop.now_s:.6f} {what}"
        self.trace.update(line.encode())
        if self.story is not None:
            self.story.append(line)

    def requested(self, name: str, operation: str, key: str) -> None:
        self.requests[name] += 1
        self.operations[operation] += 1
        self.note(name, operation, key, "sent")

    def source_key(self, place: Place | None, key: str) -> str:
        return key if place is None else key.removeprefix(place.prefix)

    # The source

    def change(self, key: str) -> None:
        """Write, retag or remove a source object; its store sends a message."""
        options, objects = self.options, self.source.objects
        had = objects.get(key)
        if options.purges and self.chance(options.purges) and self.purge(key):
            return
        if had is not None and self.chance(options.removes):
            self.remove(key)
            return
        attributes = ObjectAttributes(
            headers={"content-type": "text/plain"},
            metadata={"n": str(self.number())},
            tags={"t": str(self.number())},
        )
        if had is not None and self.chance(options.retags):
            stored = replace(had, attributes=attributes)
            objects[key] = stored
            self._changed(key, stored, "ObjectTagging:Put")
            return
        content = f"{key} {self.number()} {'x' * self.rng.randint(0, 20 + options.large)}".encode()
        if self.chance(options.reverts) and self.audit.history[key]:
            content = self.rng.choice(self.audit.history[key]).content
        stored = self._stored(content, attributes)
        objects[key] = stored
        self._changed(key, stored, "ObjectCreated:Put")

    def _stored(self, content: bytes, attributes: ObjectAttributes) -> StoredObject:
        """A state of the source: equal bytes have equal etags, digests or not."""
        stored = StoredObject.of(content, attributes, now_ms=self._store_clock.now_ms())
        if self.options.opaque_source:
            stored = replace(stored, etag=f"{hashlib.md5(stored.etag.encode()).hexdigest()}-2")
        return stored

    def remove(self, key: str) -> None:
        """Remove a source object, if it is there; its store sends a message."""
        if self.source.objects.pop(key, None) is not None:
            self._changed(key, None, "ObjectRemoved:Delete")

    def purge(self, key: str) -> bool:
        """Remove a version of a source object for good, if it has any."""
        entries, objects = entries_of(self.source.objects, key), self.source.objects
        if not entries:
            return False
        assert isinstance(objects, VersionedObjects)
        objects.remove_version(key, self.rng.choice(entries).version_id)
        self._changed(key, None, "ObjectRemoved:Delete")
        return True

    def _changed(self, key: str, stored: StoredObject | None, name: str) -> None:
        self.note(SOURCE, name, key, None if stored is None else stored.etag)
        self.audit.changed(key, stored)
        self.send(key, json.dumps({"Records": [self._record(key, stored, name)]}).encode())

    def _record(self, key: str, stored: StoredObject | None, name: str) -> dict[str, object]:
        content: dict[str, object] = {"key": key}
        if self.options.ordered:
            content["sequencer"] = f"{self.number():016X}"
        if stored is not None and self.options.hints:
            content |= {"eTag": stored.etag, "size": len(stored.content)}
        at = datetime.fromtimestamp(self._store_clock.now_ms() / 1000, UTC)
        return {
            "eventVersion": "2.3",
            "eventSource": "aws:s3",
            "eventTime": at.isoformat(timespec="milliseconds"),
            "eventName": name,
            "s3": {"bucket": {"name": SOURCE}, "object": content},
        }

    # Messages

    def send(self, key: str | None, body: bytes) -> None:
        """Put a message on its way, perhaps twice. It comes again until it is acknowledged.

        With the sweep on, messages of what a listing shows may be lost: not changes of attributes
        alone, and not garbage.
        """
        if not self.told:
            return
        if key is not None and b"ObjectTagging" not in body and self.chance(self.options.loses):
            self.note("lost", key)
            self.lost.add(key)
            return
        copies = 2 if not self.calm and self.chance(self.options.duplicates) else 1
        for _ in range(copies):
            self.unacknowledged += 1
            self.loop.create_task(self._deliver(key, body))

    async def _deliver(self, key: str | None, body: bytes) -> None:
        while True:
            await asyncio.sleep(0.0 if self.calm else self.rng.random() * self.options.delay_s)
            process = self.process
            if process.alive and await process.receive(body):
                break
            await asyncio.sleep(0.5)
        self.unacknowledged -= 1
        self.note("acknowledged", key)
        self.audit.acknowledged(key, body)

    # The run

    async def run(self) -> None:
        """Both phases."""
        self._begin()
        self.process.start()
        for act in self.script:
            act()
            await self._rest()
        await asyncio.gather(*(self._chaos(act) for act in self._acts()))
        self.note("calm")
        await self._heal()
        await self._sweep()
        await self._rest()
        self.audit.at_rest(await self.process.journal.summaries())
        await self._idle()
        await self.process.stop()

    def _begin(self) -> None:
        """What is there before s3fanout."""
        self.told = False
        for number in range(self.options.before):
            key = f"b{number}"
            self.keys.append(key)
            self.source.objects[key] = stored = self._stored(key.encode(), ObjectAttributes())
            self.audit.changed(key, stored)
            self.backfilled = False
        if self.options.histories and self.options.before:
            self._home.keep_versions(SOURCE)
            for _ in range(2 * self.options.before):
                self.change(self.rng.choice(self.keys))
        for _ in range(self.options.below):
            place = self.rng.choice(self.options.places)
            key = place.prefix + self.rng.choice(self.keys)
            objects = self.buckets[place.name].objects
            objects[key] = StoredObject.of(BELOW + str(self.number()).encode())
            self.audit.was_below(place, key)
        self.told = True

    def _acts(self) -> list[Callable[[], object]]:
        options = self.options
        acts: list[Callable[[], object]] = [
            lambda: self.change(self.rng.choice(self.keys)) for _ in range(options.writes)
        ]
        acts += [self.crash] * options.crashes + [self.graceful] * options.stops
        acts += [self._jump] * options.clock_jumps
        acts += [self._deny] * options.denials + [self._pause] * options.pauses
        acts += [self._intrude] * options.foreigners
        acts += [self._garbage] * round(options.garbage * options.writes)
        acts += [self._look] * 2
        return acts

    async def _chaos(self, act: Callable[[], object]) -> None:
        span_s = self.options.pause_s * self.options.writes + 1.0
        await asyncio.sleep(self.rng.random() * span_s)
        done = act()
        if asyncio.iscoroutine(done):
            await done

    async def crash(self) -> None:
        """``kill -9``, and a start a little later."""
        if not self.process.alive:
            return
        await self._rise(self._kill())

    def effect(self) -> None:
        """Something is about to outlive the process, or just did: is it time to die?"""
        self.effects += 1
        if self.effects == self.crash_at and self.process.alive:
            self.loop.create_task(self._rise(self._kill()))

    def _kill(self) -> Process:
        self.note("crash")
        self.process.kill()
        return self.process

    async def _rise(self, dead: Process) -> None:
        await asyncio.sleep(self.rng.random())
        self.process = Process(self, dead.journal)
        self.process.start()

    async def graceful(self) -> None:
        if not self.process.alive:
            return
        self.note("stop")
        old = self.process
        await old.stop()
        if self.process is old:
            self.process = Process(self, old.journal)
            self.process.start()

    def _jump(self) -> None:
        jump_ms = self.rng.randint(-20_000, 20_000)
        self.clock.jumped_ms += jump_ms
        self.turned_back_s += abs(jump_ms) / 1000

    async def _deny(self) -> None:
        name = self.rng.choice([SOURCE, *self.places])
        self.denied.add(name)
        await asyncio.sleep(self.rng.uniform(0.1, 5.0))
        self.denied.discard(name)

    async def _pause(self) -> None:
        name = self.rng.choice(list(self.places))
        await self.process.journal.pause(name, now_ms=self.clock.now_ms(), reason="sim")
        await asyncio.sleep(self.rng.uniform(0.1, 5.0))
        await self.process.journal.resume(name)

    def _intrude(self) -> None:
        """Somebody else writes into a destination: beside our replicas, or over one of them."""
        place = self.rng.choice(self.options.places)
        key = f"theirs-{self.number()}"
        if not place.lies and self.rng.random() < 0.5:
            key = place.prefix + self.rng.choice(self.keys)
        # Larger than ours: of equal sizes, etags that are no digests do not tell them apart.
        stored = StoredObject.of(f"foreign {self.number()} {'x' * 1000}".encode())
        self.buckets[place.name].objects[key] = stored
        self.note("foreign", place.name, key)
        self.audit.intruded(place, key, stored)

    def _garbage(self) -> None:
        body = self.rng.choice((b"\xff\x00", b"{", b'{"Records": [{"eventVersion": "9"}]}', b"[]"))
        self.send(None, body)

    async def _look(self) -> None:
        self.audit.counted(await self.process.journal.summaries())

    async def _heal(self) -> None:
        self.calm = True
        self.denied.clear()
        while not self.process.alive:
            await asyncio.sleep(0.1)

    async def _sweep(self) -> None:
        """Let the time pass after which every lost message must have been made good."""
        while not self.backfilled:
            await asyncio.sleep(0.5)
        options = self.options
        if options.sweep_s:
            await asyncio.sleep(options.grace_s + options.sweep_s + 2 * PASS_S + self.turned_back_s)
            self.audit.swept()

    async def _rest(self) -> None:
        """Until every message is acknowledged and nothing is left to do."""
        until_s = self.loop.now_s + REST_S_MAX
        journal = self.process.journal
        while self.loop.now_s < until_s:
            journal = self.process.journal
            if not self.unacknowledged and not any(journal._kept.unsettled.values()):
                # A foreign replica of what is gone stays a dead letter: a person has to look at it.
                if not await self._redrive():
                    return
            elif self.unacknowledged == 0:
                for name, guard in (await journal.delete_guards()).items():
                    if guard.held_at_ms is not None:
                        await journal.release_deletes(name, now_ms=self.clock.now_ms())
            await asyncio.sleep(0.5)
        left = {name: list(keys) for name, keys in journal._kept.unsettled.items()}
        raise Stuck(f"no rest within {REST_S_MAX} s: {self.unacknowledged} messages, jobs {left}")

    async def _redrive(self) -> int:
        journal = self.process.journal
        codes = {
            record.error.code
            for record in await journal.failures(FailureSelection(), limit=1000)
            if record.error is not None and self._is_redriven(record)
        }
        now_ms = self.clock.now_ms()
        return sum(
            [
                await journal.redrive(FailureSelection(code=code), now_ms=now_ms)
                for code in sorted(codes)
            ]
        )

    def _is_redriven(self, record: ReplicaRecord) -> bool:
        """Whether a person who looks at a dead letter puts it back."""
        assert record.error is not None
        return record.error.code != "foreign-replica" or record.key in self.source.objects

    async def _idle(self) -> None:
        before = self.requests.total()
        await asyncio.sleep(20.0 + self.options.sweep_s)
        if more := self.requests.total() - before:
            self.loop.fail(f"bounded: {more} requests at rest")
