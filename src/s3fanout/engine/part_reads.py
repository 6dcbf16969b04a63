"""Read once, write many, for objects that are larger than memory: parts shared while they are kept.

Destinations that stream the same state of one object at the same time join a group. A part is read
by whoever needs it first, and kept until every member has taken it. Nobody can run ahead of the
others by more than the memory holds; so that a slow destination is not waited for, the members that
hold the others up for more than half of their time (and ``PATIENCE_S``) are detached: parts are no
longer kept for them, and they read by themselves what they need.

Memory: parts that are being read or kept never exceed ``budget_bytes``, or one part. A part that
all have taken is held by those who are writing it, of whom each writes a bounded number at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from s3fanout.decide.parts import Layout
    from s3fanout.model.objects import PartBody
    from s3fanout.ports.object_store import ObjectStore
    from s3fanout.ports.system import Clock

PATIENCE_S = 3.0
"""How long members wait for others in any case: a lane may have to finish something first."""


@dataclass(slots=True)
class _Part:
    task: asyncio.Task[PartBody]
    cost_bytes: int
    awaiting: set[str]
    readers: int = 0


@dataclass(slots=True)
class _Group:
    key: str
    etag: str
    layout: Layout
    began_s: float
    expected: set[str]
    version_id: str | None
    wanted: dict[str, set[int]] = field(default_factory=dict)
    detached: set[str] = field(default_factory=set)
    parts: dict[int, _Part] = field(default_factory=dict)
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

    def __init__(self, source: ObjectStore, *, budget_bytes: int, clock: Clock) -> None:
        self._source = source
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._groups: dict[tuple[str, str, int, str | None], _Group] = {}
        self._used_bytes = 0
        self._freed = asyncio.Event()

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
        """
        name = (key, etag, layout.part_bytes, version_id)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(
                key, etag, layout, self._clock.monotonic_s(), set(takers), version_id
            )
        group.expected.discard(taker)
        group.wanted[taker] = set(missing)
        for number, part in group.parts.items():
            if number not in group.wanted[taker]:
                part.awaiting.discard(taker)
        self._sweep(group)
        try:
            yield Member(self, group, taker)
        finally:
            del group.wanted[taker]
            for part in group.parts.values():
                part.awaiting.discard(taker)
            self._sweep(group)
            if not group.wanted:
                self._drop_all(group)
                del self._groups[name]

    async def take(self, group: _Group, number: int, taker: str) -> PartBody:
        """Part ``number``, read now or kept.

        Raises:
            StoreError: As ``ObjectStore.get_range``, the same for all who share the read.
        """
        part = group.parts.get(number)
        if part is None:
            await self._reserve(group, number)
            part = group.parts.get(number)
        if part is None:
            part = self._begin(group, number)
        part.readers += 1
        try:
            # Shielded: one destination that stops must not end the read of the others.
            return await asyncio.shield(part.task)
        finally:
            part.readers -= 1
            part.awaiting.discard(taker)
            group.wanted[taker].discard(number)
            failed = part.task.done() and (part.task.cancelled() or part.task.exception())
            if failed or (not part.awaiting and not part.readers):
                self._drop(group, number, part)

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
            )
        )
        joined = {
            name
            for name, wanted in group.wanted.items()
            if number in wanted and name not in group.detached
        }
        part = _Part(task, last - first + 1, joined | group.expected)
        group.parts[number] = part
        self._used_bytes += part.cost_bytes
        return part

    async def _reserve(self, group: _Group, number: int) -> None:
        """Return when there is room, or another member began to read the part."""
        cost_bytes = group.layout.length_of(number)
        if self._has_room(cost_bytes):
            return
        group.waits(self._clock.monotonic_s())
        try:
            while not self._has_room(cost_bytes) and number not in group.parts:
                await self._wait_freed()
                if group.held_up(self._clock.monotonic_s()):
                    self._detach_laggards()
        finally:
            group.goes_on(self._clock.monotonic_s())

    def _has_room(self, cost_bytes: int) -> bool:
        return not self._used_bytes or self._used_bytes + cost_bytes <= self._budget_bytes

    async def _wait_freed(self) -> None:
        self._freed.clear()
        freed = asyncio.ensure_future(self._freed.wait())
        patience = asyncio.ensure_future(self._clock.sleep(PATIENCE_S + 0.001))
        try:
            await asyncio.wait({freed, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            freed.cancel()
            patience.cancel()

    def _detach_laggards(self) -> None:
        """Keep nothing more for those whose parts lie and wait."""
        for group in self._groups.values():
            lying = [part for part in group.parts.values() if part.task.done()]
            laggards = {name for part in lying for name in part.awaiting}
            group.detach(laggards, self._clock.monotonic_s())
            self._sweep(group)

    def _sweep(self, group: _Group) -> None:
        for number, part in list(group.parts.items()):
            if not part.awaiting and not part.readers:
                self._drop(group, number, part)

    def _drop_all(self, group: _Group) -> None:
        for number, part in list(group.parts.items()):
            part.task.cancel()
            self._drop(group, number, part)

    def _drop(self, group: _Group, number: int, part: _Part) -> None:
        if group.parts.get(number) is part:
            del group.parts[number]
            self._used_bytes -= part.cost_bytes
            self._freed.set()


@dataclass(frozen=True, slots=True)
class Member:
    """One destination in a group."""

    _reads: PartReads
    _group: _Group
    _taker: str

    async def take(self, number: int) -> PartBody:
        """See ``PartReads.take``."""
        return await self._reads.take(self._group, number, self._taker)
