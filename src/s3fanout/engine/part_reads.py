"""Read once, write many, for objects that are larger than memory: parts shared while they are kept.

Destinations that stream the same state of one object at the same time join a group. A part is read
for whoever needs it first, and kept until every member has sent it. Nobody can run ahead of the
others by more than the memory holds; so that a slow destination is not waited for, the members that
hold the others up for more than half of their time (and ``PATIENCE_S``) are detached: parts are no
longer kept for them, and they read by themselves what they need. A destination for which parts were
kept and that did not come at all is not waited for again before it comes in time.

Memory: parts that are being read, kept or sent never exceed ``budget_bytes``, or one part. What is
being sent cannot be let go: see ``shares``. A destination streams ``OBJECTS_AT_ONCE``, so that all
are about the same ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3fanout.engine.shares import Shares

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from contextlib import AbstractAsyncContextManager

    from s3fanout.decide.parts import Layout
    from s3fanout.model.objects import ChecksumAlgorithm, PartBody
    from s3fanout.ports.object_store import ObjectStore
    from s3fanout.ports.system import Clock

PATIENCE_S = 3.0
"""How long members wait for others in any case: a lane may have to finish something first."""
OBJECTS_AT_ONCE = 2
"""The next one begins while the last parts of one are sent."""


LEFT_MAX = 1000
"""Objects of which it is remembered who streamed them."""
_Name = tuple[str, str, int, str | None, "ChecksumAlgorithm | None"]
"""Of a group: key, etag, part size and, if it is not the current object, version id."""


@dataclass(slots=True)
class _Part:
    task: asyncio.Task[PartBody]
    cost_bytes: int
    awaiting: set[str]
    users: int = 0
    taken_at_s: float | None = None


@dataclass(slots=True)
class _Group:
    key: str
    etag: str
    layout: Layout
    began_s: float
    expected: set[str]
    version_id: str | None
    checksum: ChecksumAlgorithm | None
    wanted: dict[str, set[int]] = field(default_factory=dict)
    detached: set[str] = field(default_factory=set)
    parts: dict[int, _Part] = field(default_factory=dict)
    let_go: bool = False
    waiting: int = 0
    waiting_since_s: float = 0.0
    waited_s: float = 0.0

    def waits(self, now_s: float) -> None:
        """A member begins to wait for room."""
        if not self.waiting:
            self.waiting_since_s = now_s
        self.waiting += 1

    def goes_on(self, now_s: float) -> None:
        """A member waits no longer."""
        self.waiting -= 1
        if not self.waiting:
            self.waited_s += now_s - self.waiting_since_s

    def held_up(self, now_s: float) -> bool:
        """Whether waiting took more than patience and half of the time."""
        waited_s = self.waited_s + (now_s - self.waiting_since_s if self.waiting else 0.0)
        return waited_s > PATIENCE_S and waited_s > (now_s - self.began_s) / 2

    def detach(self, names: set[str], now_s: float) -> None:
        """Keep nothing more for ``names``."""
        self.detached |= names
        self.expected -= names
        for part in self.parts.values():
            part.awaiting -= names
        self.began_s = self.waiting_since_s = now_s
        self.waited_s = 0.0


class PartReads:
    """Pinned ranged reads of one source bucket, shared by destinations that read together."""

    def __init__(
        self, source: ObjectStore, *, budget_bytes: int, destinations: int, clock: Clock
    ) -> None:
        """``destinations`` is how many there are to stream to."""
        self._source = source
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._shares = Shares(budget_bytes, destinations=destinations)
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._groups: dict[_Name, _Group] = {}
        self._absent: set[str] = set()
        """Destinations that parts were kept for in vain."""
        self._left: OrderedDict[_Name, set[str]] = OrderedDict()
        """Who was in a group already and is not waited for when there is another one."""
        self._freed = asyncio.Event()
        self.held_bytes = 0

    @asynccontextmanager
    async def join(
        self,
        key: str,
        *,
        etag: str,
        layout: Layout,
        taker: str,
        takers: Iterable[str],
        missing: Iterable[int],
        version_id: str | None = None,
        checksum: ChecksumAlgorithm | None = None,
    ) -> AsyncIterator[Member]:
        """Read parts of ``key`` at ``etag`` together with the other destinations.

        Args:
            key: Source key.
            etag: Every read is pinned to it.
            layout: How the object is cut; those who cut it otherwise are another group.
            taker: The destination that asks.
            takers: All that will probably want the object.
            missing: Parts that ``taker`` needs.
            version_id: Of the object, if it is not the current one.
            checksum: Of each part, to be computed where that can be done.
        """
        turn = self._turns.get(taker)
        if turn is None:
            turn = self._turns[taker] = asyncio.Semaphore(OBJECTS_AT_ONCE)
        async with turn:
            name = (key, etag, layout.part_bytes, version_id, checksum)
            group = self._groups.get(name)
            if group is None:
                expected = set(takers) - self._absent - self._left.get(name, set())
                group = self._groups[name] = _Group(
                    key, etag, layout, self._clock.monotonic_s(), expected, version_id, checksum
                )
            self._enter(group, taker, set(missing))
            try:
                yield Member(self, group, taker)
            finally:
                self._leave(group, taker)
                if not group.wanted:
                    del self._groups[name]
                self._remember_left(name, taker)

    def _enter(self, group: _Group, taker: str, missing: set[int]) -> None:
        if not group.let_go:
            self._absent.discard(taker)
        group.expected.discard(taker)
        group.wanted[taker] = missing
        for number, part in group.parts.items():
            if number not in missing:
                part.awaiting.discard(taker)
        self._sweep(group)

    def _leave(self, group: _Group, taker: str) -> None:
        del group.wanted[taker]
        for part in group.parts.values():
            part.awaiting.discard(taker)
        if not group.wanted:
            for part in group.parts.values():
                part.awaiting.clear()
        self._sweep(group)

    def _remember_left(self, name: _Name, taker: str) -> None:
        self._left.setdefault(name, set()).add(taker)
        self._left.move_to_end(name)
        if len(self._left) > LEFT_MAX:
            self._left.popitem(last=False)

    @asynccontextmanager
    async def take(self, group: _Group, number: int, taker: str) -> AsyncIterator[PartBody]:
        """Part ``number``, read now or kept, for as long as it is being sent.

        While half of the memory is free it is read ahead of the destination's turn to send it.

        Raises:
            StoreError: As ``ObjectStore.get_range``, the same for all who share the read.
        """
        cost_bytes = group.layout.length_of(number)
        may_read_ahead = taker not in group.detached and number not in group.parts
        if may_read_ahead and self.held_bytes + cost_bytes <= self._budget_bytes // 2:
            self._begin(group, number)
        share = self._shares.of(taker)
        await share.take(cost_bytes)
        try:
            if number not in group.parts:
                await self._wait_for_room(group, number)
            part = group.parts.get(number) or self._begin(group, number)
            part.users += 1
            if part.taken_at_s is None:
                part.taken_at_s = self._clock.monotonic_s()
            part.awaiting.discard(taker)
            group.wanted[taker].discard(number)
            try:
                # Shielded: one destination that stops must not end the read of the others.
                yield await asyncio.shield(part.task)
            finally:
                part.users -= 1
                failed = part.task.done() and (part.task.cancelled() or part.task.exception())
                if failed or (not part.awaiting and not part.users):
                    self._drop(group, number, part)
        finally:
            share.give_back(cost_bytes)

    async def close(self) -> None:
        """Cancel what is being read and forget everything."""
        tasks = [part.task for group in self._groups.values() for part in group.parts.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, group: _Group, number: int) -> _Part:
        first, last = group.layout.range_of(number)
        task = asyncio.get_running_loop().create_task(
            self._source.get_range(
                group.key,
                first=first,
                last=last,
                if_match=group.etag,
                version_id=group.version_id,
                checksum=group.checksum,
            )
        )
        joined = {
            name
            for name, wanted in group.wanted.items()
            if number in wanted and name not in group.detached
        }
        task.add_done_callback(_look_at_error)
        part = _Part(task, last - first + 1, joined | group.expected)
        group.parts[number] = part
        self.held_bytes += part.cost_bytes
        return part

    async def _wait_for_room(self, group: _Group, number: int) -> None:
        """Return when there is room, or another member began to read the part."""
        cost_bytes = group.layout.length_of(number)
        if self._has_room(cost_bytes):
            return
        group.waits(self._clock.monotonic_s())
        try:
            while not self._has_room(cost_bytes) and number not in group.parts:
                in_time = await self._freed_in_time()
                if group.held_up(self._clock.monotonic_s()):
                    self._detach_laggards(group)
                if not in_time:
                    self._forget_read_ahead()
        finally:
            group.goes_on(self._clock.monotonic_s())

    def _has_room(self, cost_bytes: int) -> bool:
        return not self.held_bytes or self.held_bytes + cost_bytes <= self._budget_bytes

    async def _freed_in_time(self) -> bool:
        """Wait until something was let go, for as long as patience lasts."""
        self._freed.clear()
        freed = asyncio.ensure_future(self._freed.wait())
        patience = asyncio.ensure_future(self._clock.sleep(PATIENCE_S + 0.001))
        try:
            await asyncio.wait({freed, patience}, return_when=asyncio.FIRST_COMPLETED)
            return freed.done()
        finally:
            freed.cancel()
            patience.cancel()

    def _detach_laggards(self, held_up: _Group) -> None:
        """Keep nothing more for those whose parts lie and wait, since others took them."""
        now_s = self._clock.monotonic_s()
        for group in self._groups.values():
            lying = sorted(
                (part.taken_at_s, number)
                for number, part in group.parts.items()
                if part.taken_at_s is not None and part.awaiting
            )
            laggards: set[str] = set()
            for place, (taken_at_s, number) in enumerate(lying):
                # Who is the farthest behind, and who has been for long.
                if (group is held_up and not place) or taken_at_s <= now_s - PATIENCE_S:
                    laggards |= group.parts[number].awaiting
            if laggards:
                self._absent |= laggards & group.expected
                group.detach(laggards, now_s)
                self._sweep(group)

    def _forget_read_ahead(self) -> None:
        """Let go of what nobody took yet: its turn may be behind one that has no room."""
        for group in self._groups.values():
            for part in group.parts.values():
                if part.taken_at_s is None:
                    part.awaiting.clear()
            self._sweep(group)

    def _sweep(self, group: _Group) -> None:
        for number, part in list(group.parts.items()):
            if not part.awaiting and not part.users:
                self._drop(group, number, part)

    def _drop(self, group: _Group, number: int, part: _Part) -> None:
        if group.parts.get(number) is part:
            part.task.cancel()  # where it still reads, nobody wants it
            del group.parts[number]
            group.let_go = True
            self.held_bytes -= part.cost_bytes
            self._freed.set()


def _look_at_error(task: asyncio.Task[PartBody]) -> None:
    """Who takes the part is told; it may be let go before."""
    if not task.cancelled():
        task.exception()


@dataclass(frozen=True, slots=True)
class Member:
    """One destination in a group."""

    _reads: PartReads
    _group: _Group
    _taker: str

    def take(self, number: int) -> AbstractAsyncContextManager[PartBody]:
        """See ``PartReads.take``."""
        return self._reads.take(self._group, number, self._taker)
