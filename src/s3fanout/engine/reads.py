"""Read once, write many: one read of a source state serves every destination that needs it.

A body may serve a job only if its read began after the job was accepted: a change of attributes
keeps the etag, so an older read of the same etag could bring old attributes. Fences tell: the jobs
of one message share a fence that no other job ever has, so a body serves exactly the jobs that came
with the one that began its read. And it serves none that wrote something else of the key since:
that may have been newer, and the replica would go back.

Destinations work at their own pace. The body of a read is kept until as many destinations took it
as were expected, or until its memory is needed for another read: then a late destination reads
again by itself, so a slow one is detached and never waited for.

Memory: bodies that are being read, kept or sent never exceed half of ``budget_bytes``, or one body,
each counted once and with its overhead; the other half is for parts of larger objects
(``part_reads``). What is being sent cannot be let go: see ``shares``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from s3fanout.engine.doubts import Etags
from s3fanout.engine.looks import SharedLooks
from s3fanout.engine.part_reads import PartReads
from s3fanout.engine.shares import Shares
from s3fanout.engine.tags import Tags
from s3fanout.model.objects import Body
from s3fanout.model.vendors import Vendor
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

Used = TypeVar("Used")
_Pinned = tuple[str, str, str | None]
"""Key, etag and, if it is not the current object, version id."""

ENTRY_OVERHEAD_BYTES = 4096
"""What an entry costs beside its bytes: facts, headers, the task, rounded up."""


@dataclass(slots=True)
class _Entry:
    task: asyncio.Task[Body]
    number: int
    fence: int
    cost_bytes: int
    takers_left: int
    users: int = 0
    outdated: bool = False


class SharedReads:
    """Pinned whole-object reads of one source bucket, shared while they are fresh."""

    def __init__(
        self,
        source: ObjectStore,
        *,
        budget_bytes: int,
        part_bytes: int,
        destinations: int,
        vendor: Callable[[], Awaitable[Vendor]],
        clock: Clock,
    ) -> None:
        """Bind to a bucket.

        Args:
            source: The bucket.
            budget_bytes: Memory: half for whole objects, half for parts.
            part_bytes: Largest object that is read as a whole.
            destinations: How many there are to stream to.
            vendor: Says which kind of store the bucket is in, and remembers.
            clock: Says how long destinations wait for each other.
        """
        self.looks = SharedLooks(source, clock=clock)
        self.tags = Tags(source, vendor=vendor, clock=clock)
        self.parts = PartReads(
            source, budget_bytes=budget_bytes // 2, destinations=destinations, clock=clock
        )
        self._source = source
        self._etags = Etags()
        self._budget_bytes = budget_bytes // 2
        self._shares = Shares(self._budget_bytes, destinations=destinations)
        self._part_bytes = part_bytes
        self._entries: OrderedDict[_Pinned, _Entry] = OrderedDict()
        self._of_key: dict[str, set[_Pinned]] = {}
        """By key: its entries."""
        self._used_bytes = 0
        self._freed = asyncio.Event()
        self.next_number = 1
        """Of the next read; a read with a greater number began later."""

    @property
    def held_bytes(self) -> int:
        """Memory of all that is being read, kept or sent."""
        return self._used_bytes + self.parts.held_bytes

    async def read(
        self,
        key: str,
        use: Callable[[Body, int], Awaitable[Used]],
        *,
        etag: str,
        fence: int,
        size_bytes: int,
        taker: str,
        takers: int,
        version_id: str | None = None,
    ) -> Used:
        """What ``use`` makes of the object ``key`` at ``etag``, which is held for as long.

        Args:
            key: Source key.
            use: Gets the object, and the number of its read.
            etag: The read is pinned to it.
            fence: Of the job that asks.
            size_bytes: Expected size; memory is reserved for it before the read starts.
            taker: The destination that asks.
            takers: How many destinations will probably ask for the same.
            version_id: Of the object, if it is not the current one.

        Raises:
            StoreError: As ``ObjectStore.get``, the same for all who share the read; as ``use``.
        """
        pinned = (key, etag, version_id)
        cost_bytes = size_bytes + ENTRY_OVERHEAD_BYTES
        share = self._shares.of(taker)
        await share.take(cost_bytes)
        try:
            entry = await self._entry(pinned, fence, cost_bytes, takers)
            entry.users += 1
            entry.takers_left -= 1
            try:
                # Shielded: one destination that stops must not end the read of the others.
                return await use(await asyncio.shield(entry.task), entry.number)
            finally:
                self._used(pinned, entry)
        finally:
            share.give_back(cost_bytes)

    def _used(self, pinned: _Pinned, entry: _Entry) -> None:
        """One user less."""
        entry.users -= 1
        if entry.outdated and entry.users == 0:
            self._release(entry)
        failed = entry.task.done() and (
            entry.task.cancelled() or entry.task.exception() is not None
        )
        if failed or (entry.takers_left <= 0 and entry.users == 0):
            self._drop(pinned, entry)
        else:
            self._freed.set()

    def wrote(self, key: str, number: int) -> None:
        """A destination wrote a state of ``key`` that was read by the read ``number`` or later.

        Earlier reads may be of older states, and are not given out any more.
        """
        for pinned in tuple(self._of_key.get(key, ())):
            entry = self._entries[pinned]
            if entry.number < number:
                self._drop(pinned, entry)

    async def close(self) -> None:
        """Cancel what is being read and forget everything."""
        await self.parts.close()
        entries = list(self._entries.items())
        for pinned, entry in entries:
            entry.task.cancel()
            self._drop(pinned, entry)
        await asyncio.gather(*(entry.task for _, entry in entries), return_exceptions=True)

    async def _entry(self, pinned: _Pinned, fence: int, cost_bytes: int, takers: int) -> _Entry:
        while True:
            entry = self._entries.get(pinned)
            if entry is not None and entry.fence == fence:
                return entry
            if self._make_room(cost_bytes):
                break
            self._freed.clear()
            await self._freed.wait()
        task = asyncio.get_running_loop().create_task(self._get(pinned))
        outdated = self._entries.get(pinned)
        if outdated is not None:
            self._drop(pinned, outdated)
        entry = _Entry(task, self.next_number, fence, cost_bytes, takers)
        self.next_number += 1
        self._entries[pinned] = entry
        self._of_key.setdefault(pinned[0], set()).add(pinned)
        self._used_bytes += cost_bytes
        return entry

    async def _get(self, pinned: _Pinned) -> Body:
        key, etag, version_id = pinned
        body = await self._etags.read(
            lambda: self._source.get(
                key, if_match=etag, size_bytes_max=self._part_bytes, version_id=version_id
            )
        )
        facts = await self.tags.known(body.facts, version_id=version_id)
        return body if facts is body.facts else replace(body, facts=facts)

    def _make_room(self, cost_bytes: int) -> bool:
        """Forget bodies that nobody is using, oldest first, until ``cost_bytes`` fit."""
        if self._used_bytes + cost_bytes <= self._budget_bytes:
            return True
        for pinned, entry in list(self._entries.items()):
            if entry.users == 0 and entry.task.done():
                self._drop(pinned, entry)
                if self._used_bytes + cost_bytes <= self._budget_bytes:
                    return True
        # A budget smaller than one object must not stop the work: then one at a time.
        return self._used_bytes == 0

    def _drop(self, pinned: _Pinned, entry: _Entry) -> None:
        if self._entries.get(pinned) is not entry:
            return
        del self._entries[pinned]
        key = pinned[0]
        self._of_key[key].discard(pinned)
        if not self._of_key[key]:
            del self._of_key[key]
        if entry.users:
            entry.outdated = True  # counted until those who still read it have it
        else:
            self._release(entry)

    def _release(self, entry: _Entry) -> None:
        self._used_bytes -= entry.cost_bytes
        self._freed.set()
