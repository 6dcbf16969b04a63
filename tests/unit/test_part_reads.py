"""Whoever has its turn gets room, also where what was read ahead of others fills the memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.decide.parts import Layout
from s3fanout.engine.part_reads import PATIENCE_S, Member, PartReads
from tests.functional.clock import VirtualClock, quiet

PART = 10
SIZE = 60


class Sender:
    """Takes a part and sends it for as long as it is told."""

    def __init__(self, member: Member, number: int) -> None:
        self.has = b""
        self._done = asyncio.Event()
        self.task = asyncio.ensure_future(self._send(member, number))

    async def _send(self, member: Member, number: int) -> None:
        async with member.take(number) as body:
            self.has = body.content
            await self._done.wait()

    async def finish(self) -> None:
        self._done.set()
        await self.task


async def test_a_turn_is_not_held_up_by_what_was_read_ahead_of_those_behind_it() -> None:
    clock = VirtualClock()
    stores = MemoryStores(clock=clock)
    source = stores.create_bucket("source")
    reads = PartReads(source, budget_bytes=8 * PART, destinations=7, clock=clock)

    async with AsyncExitStack() as joined:

        async def join(key: str, taker: str, part_bytes: int = PART) -> Member:
            source.objects[key] = StoredObject.of(bytes(range(SIZE)))
            return await joined.enter_async_context(
                reads.join(
                    key,
                    etag=source.objects[key].etag,
                    layout=Layout(SIZE, part_bytes),
                    taker=taker,
                    takers=[taker],
                    missing=range(1, 1 + SIZE // part_bytes),
                )
            )

        async def send(member: Member, number: int) -> Sender:
            sender = Sender(member, number)
            await quiet()
            return sender

        stalled = [await join(f"of {number}", f"stalled {number}") for number in range(4)]
        small, large = await join("small", "a"), await join("large", "a", 2 * PART)
        before = [await send(member, 1) for member in stalled]
        first = await send(small, 1)
        turn = await send(large, 1)
        for sender in before:
            await sender.finish()
        behind = [await send(small, number) for number in (2, 3, 4)]
        still = [await send(member, 2) for member in stalled]
        assert reads.held_bytes == 8 * PART
        await first.finish()
        await quiet()
        assert not turn.has, "what others stand still with cannot be let go"
        await clock.run_until(lambda: bool(turn.has), within_s=PATIENCE_S + 1)
        assert turn.has == bytes(range(2 * PART))
        assert reads.held_bytes <= 8 * PART
        for sender in (turn, *behind, *still):
            await sender.finish()
        assert [sender.has for sender in behind] == [
            bytes(range(number * PART - PART, number * PART)) for number in (2, 3, 4)
        ]
    assert reads.held_bytes == 0
