"""Attempts that nobody keeps apart, and an explorer of the orders of their steps.

The world is a source, a replica and a turn ledger. A writer overwrites the source; every state's
event is delivered to an attempt of its own, and some to two. Each attempt is a coroutine that stops
before every effect, and in the middle of a copy: between the moment when the store has read the
source and the moment when the replica appears. An explorer then tries every order of these steps,
and every place where an attempt can die, after which its message is delivered again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from s3fanout.adapters.journal.local_uploads import LocalUploads
from s3fanout.adapters.journal.memory_turns import MemoryTurnLedger
from s3fanout.adapters.system import SystemClock
from s3fanout.decide.plan import Way
from s3fanout.engine.comparing import ComparingCopier
from s3fanout.engine.copier import Copier, Replicated
from s3fanout.engine.exclusive import Attempts
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.tags import Tags
from s3fanout.engine.turns import Turned, TurnTaker
from s3fanout.model.errors import SourceAbsent, SourceChanged
from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import Job, JobState, Settlement
from s3fanout.model.keeping import Carry, Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Absent, ObjectAttributes, Present, Probe, Written
from s3fanout.model.rules import KeyMap, Rule
from s3fanout.model.turns import Answer, Recorded
from s3fanout.model.vendors import OTHER, Vendor
from tests.functional.world import tells_all

KEY = "k"


@dataclass(frozen=True, slots=True)
class Step:
    """Awaiting it hands control to the explorer, and says what comes next."""

    effect: str

    def __await__(self) -> Generator[str]:
        yield self.effect


@dataclass
class State:
    """One state of the source: its etag, and attributes that no etag shows."""

    etag: str
    attributes: int


@dataclass
class Scene:
    """What the attempts share."""

    source: State | None = None
    replica: State | None = None
    ledger: MemoryTurnLedger = field(default_factory=MemoryTurnLedger)
    copies: int = 0


class SteppedStore:
    """One bucket of the scene; a copy reads and lands in two steps."""

    def __init__(self, scene: Scene, *, is_source: bool) -> None:
        self._scene = scene
        self._is_source = is_source
        self.bucket = "source" if is_source else "replica"

    async def head(self, key: str, **_: object) -> Probe:
        await Step("head")
        state = self._scene.source if self._is_source else self._scene.replica
        if state is None:
            return Absent(key)
        attributes = ObjectAttributes(metadata={"of": str(state.attributes)})
        return Present(key, size_bytes=1, etag=state.etag, attributes=attributes)

    async def copy(
        self, key: str, *, source_bucket: str, source_key: str, if_match: str | None, **_: object
    ) -> Written:
        await Step("copy")
        self._scene.copies += 1
        read = self._scene.source
        if read is None:
            raise SourceAbsent("gone")
        if if_match not in {None, read.etag}:
            raise SourceChanged("other etag")
        await Step("land")
        self._scene.replica = State(read.etag, read.attributes)
        return Written(read.etag)


class SteppedLedger:
    """The memory ledger, each record a step."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        await Step("record")
        return await self._scene.ledger.record(settlement, turn=turn)


def settlement_of(job: Job, outcome: Replicated) -> Settlement:
    return Settlement(
        job,
        JobState.SETTLED,
        0,
        outcome.reason,
        attempts=0,
        source_etag=outcome.source_etag,
        replica_etag=outcome.replica_etag,
    )


async def _other() -> Vendor:
    return OTHER


def attempt(
    scene: Scene, order: OrderPoint | None, etag: str, *, guarded: bool, recorded: bool = True
) -> Coroutine[Any, Any, Turned]:
    """One delivery of the event of a state; without a ledger nothing is recorded."""
    source: Any = SteppedStore(scene, is_source=True)
    destination: Any = SteppedStore(scene, is_source=False)
    limits = Limits()
    keeper = Keeper(
        Keeping(Carry.COPIED), destination=destination, vendor=_other, clock=SystemClock()
    )
    reads = SharedReads(
        source,
        budget_bytes=1,
        part_bytes=1,
        destinations=1,
        vendor=tells_all,
        clock=SystemClock(),
    )
    copier: Attempts = Copier(
        rule=Rule("a"),
        way=Way.SERVER,
        source=source,
        destination=destination,
        reads=reads,
        keeper=keeper,
        takers_of=lambda _: (),
        remover=None,
        uploads=LocalUploads(),
        conditions_honoured=lambda: True,
        clock=SystemClock(),
        limits=limits,
    )
    if guarded:
        copier = ComparingCopier(
            copier,
            rule=Rule("a"),
            source=source,
            destination=destination,
            keeper=keeper,
            tags=reads.tags,
            replica_tags=Tags(destination, vendor=tells_all, clock=SystemClock()),
            always=True,
        )
    taker = TurnTaker(
        copier=copier,
        source=source,
        destination=destination,
        key_map=KeyMap(),
        ledger=SteppedLedger(scene) if recorded else None,
    )
    job = Job("a", KEY, 0, ChangeKind.CREATED, 0, etag=etag, size_bytes=1, order=order)
    return taker.attempt(job, settlement_of=settlement_of)


@dataclass
class Story:
    """What may happen.

    Attributes:
        states: Of the source, one after the other; the first is there at the beginning.
        deliveries: For each message: which state's event it is. It can be delivered once that state
            was written.
        ordered: Whether events have trusted order points.
        guarded: Whether attempts compare before they copy (``loop_guard``).
        begun: Index of the state that the source, the replica and the ledger begin with.
        twins: The deliveries of one state are of one message: who finishes deletes it, and nobody
            delivers it again for a twin that died.
        deaths: How many attempts may die at any step; their message is delivered again.
        recorded: Whether there is a ledger.
    """

    states: list[State]
    deliveries: list[int]
    ordered: bool = True
    guarded: bool = False
    begun: int = 0
    twins: bool = False
    deaths: int = 0
    recorded: bool = True


class Run:
    """One order of steps: from ``choices``, then by chance or always the first that is possible."""

    def __init__(self, story: Story, choices: list[int], rand: random.Random | None = None) -> None:
        self.rand = rand
        self.story = story
        first = story.states[story.begun]
        self.scene = Scene(source=first)
        if story.begun:
            order = OrderPoint("aws", f"{story.begun:04}", trusted=True)
            self.scene.replica = first
            self.scene.ledger.records["a", KEY] = Recorded(1, order, first.etag, first.etag)
        self.written = story.begun
        self.deaths = story.deaths
        self.waiting = list(story.deliveries)
        self.active: list[tuple[Coroutine[Any, Any, Any], int]] = []
        self.finished: set[int] = set()
        self.choices = choices
        self.taken: list[tuple[int, int]] = []

    def play(self) -> None:
        """Until nothing is left to happen."""
        while options := self._options():
            at = len(self.taken)
            if at < len(self.choices):
                choice = self.choices[at]
            else:
                choice = self.rand.randrange(len(options)) if self.rand else 0
            self.taken.append((choice, len(options)))
            options[choice]()

    def _options(self) -> list[Callable[[], None]]:
        options: list[Callable[[], None]] = []
        for index in range(len(self.active)):
            options.append(lambda index=index: self._advance(index))  # type: ignore[misc]
            if self.deaths:
                options.append(lambda index=index: self._kill(index))  # type: ignore[misc]
        if self.written < len(self.story.states) - 1:
            options.append(self._write)
        started = [state for state in self.waiting if state <= self.written]
        # Messages of one state are alike: which of them is delivered first does not matter.
        options.extend(
            (lambda state=state: self._deliver(state))  # type: ignore[misc]
            for state in sorted(set(started))
        )
        return options

    def _write(self) -> None:
        self.written += 1
        self.scene.source = self.story.states[self.written]

    def _deliver(self, state: int) -> None:
        self.waiting.remove(state)
        order = OrderPoint("aws", f"{state:04}", trusted=True) if self.story.ordered else None
        etag = self.story.states[state].etag
        guarded, recorded = self.story.guarded, self.story.recorded
        running = attempt(self.scene, order, etag, guarded=guarded, recorded=recorded)
        self.active.append((running, state))
        self._advance(len(self.active) - 1)

    def _advance(self, index: int) -> None:
        running, state = self.active[index]
        try:
            running.send(None)
        except StopIteration:
            del self.active[index]
            self.finished.add(state)
            if self.story.twins and state in self.waiting:
                self.waiting.remove(state)
        except SourceChanged:  # it kept changing: the message comes again
            del self.active[index]
            self.waiting.append(state)

    def _kill(self, index: int) -> None:
        running, state = self.active.pop(index)
        running.close()
        self.deaths -= 1
        if not (self.story.twins and state in self.finished):
            self.waiting.append(state)


def every_run(story: Story) -> Iterator[Run]:
    """Depth first over all choices."""
    choices: list[int] = []
    while True:
        run = Run(story, choices)
        run.play()
        yield run
        taken = run.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        choices = [choice for choice, _ in taken[:-1]] + [taken[-1][0] + 1]


def some_runs(story: Story, count: int) -> Iterator[Run]:
    """Choices by chance, the same every time."""
    rand = random.Random(20261124)
    for _ in range(count):
        run = Run(story, [], rand)
        run.play()
        yield run
