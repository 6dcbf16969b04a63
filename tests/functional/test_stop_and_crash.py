"""Promises about the end of a process: a graceful stop, and a crash at any point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3fanout.adapters.store.faulty import Call, Fault, Line, written
from s3fanout.decide.plan import Way
from s3fanout.model.jobs import JobState
from tests.functional.clock import quiet
from tests.functional.world import To, World, holding

MakeWorld = Callable[..., World]


async def test_a_stop_lets_attempts_in_hand_finish(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    world = world_of(To("a", script=written([Line(Fault(pause=gate.wait))]), concurrency=2))
    for number in range(3):
        await world.receive(world.put(f"key-{number}"))
    await quiet()
    stopping = asyncio.ensure_future(world.engine.stop(drain_s=60))
    await quiet()
    assert not stopping.done()
    gate.set()
    assert await stopping == 0
    assert [record.key for record in world.unsettled()] == ["key-2"]  # nothing new was begun
    assert len(world.buckets["a"].objects) == 2
    world.restart()
    await world.rest()
    world.assert_equal()


async def test_what_a_stop_cannot_finish_is_released_and_done_after_the_start(
    world_of: MakeWorld,
) -> None:
    never = asyncio.Event()
    stuck = written([Line(Fault(pause=never.wait), last=1)])
    world = world_of(To("a", script=stuck), To("b"), To("far", way=Way.STREAM, script=stuck))
    await world.receive(world.put("key"))
    await quiet()
    assert await world.engine.stop(drain_s=0) == 2
    assert world.states("key") == {
        "a": JobState.WAITING,
        "b": JobState.SETTLED,
        "far": JobState.WAITING,
    }
    assert [record.attempts for record in world.unsettled()] == [0, 0]
    world.restart()
    await world.rest(within_s=0)
    world.assert_equal()


async def test_a_stop_writes_the_outcomes_that_are_on_their_way(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    writable = asyncio.Event()
    world.journal.before = holding("settle", writable)
    await world.receive(world.put("key"))
    await quiet()
    stopping = asyncio.ensure_future(world.engine.stop(drain_s=60))
    await quiet()
    writable.set()
    await stopping
    assert world.states("key") == {"a": JobState.SETTLED}


async def test_outcomes_that_a_stop_cannot_write_are_done_again(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    never = asyncio.Event()
    world.journal.before = holding("settle", never)
    await world.receive(world.put("key"))
    await quiet()
    await world.engine.stop(drain_s=0)
    world.restart()
    await world.rest()
    assert world.requests() == {"CopyObject": 2}
    world.assert_equal()


class Crash:
    """Halts every port, for good, at the ``nth`` call: before it takes effect, or after it did."""

    def __init__(self, nth: int, *, applied: bool) -> None:
        self.calls = 0
        self.halted = asyncio.Event()
        self._never = asyncio.Event()
        self._nth = nth
        self._applied = applied
        self._over = False

    def _is_due(self) -> bool:
        self.calls += 1
        return not self._over and self.calls >= self._nth

    async def halt(self) -> None:
        self.halted.set()
        await self._never.wait()

    def over(self) -> None:
        """The new process lives."""
        self._over = True

    def script(self, _call: Call) -> Fault | None:
        return Fault(pause=self.halt, applied=self._applied) if self._is_due() else None

    def gates(self, world: World) -> None:
        async def gate(_name: str) -> None:
            if self._is_due():
                await self.halt()

        if self._applied:
            world.journal.after = gate
        else:
            world.journal.before = gate


def crashing_world(world_of: MakeWorld, crash: Crash) -> World:
    world = world_of(
        To("a", script=crash.script, concurrency=2),
        To("b", way=Way.STREAM, script=crash.script, concurrency=2),
        To("c", way=Way.STREAM, script=crash.script, concurrency=2),
        source_script=crash.script,
    )
    crash.gates(world)
    return world


async def send(world: World, crash: Crash, message: bytes) -> bool:
    """Deliver as a sender does; whether it was acknowledged before the crash."""
    delivery = asyncio.ensure_future(world.receive(message))
    halted = asyncio.ensure_future(crash.halted.wait())
    await asyncio.wait({delivery, halted}, return_when=asyncio.FIRST_COMPLETED)
    halted.cancel()
    if delivery.done():
        return True
    delivery.cancel()
    return False


async def story(world: World, crash: Crash) -> list[bytes]:
    """Two keys, one of them overwritten in mid-copy. Returns what was never acknowledged."""
    changes: list[Callable[[], bytes]] = [
        lambda: world.put("key", b"old"),
        lambda: world.put("other"),
        lambda: world.put("key", b"newest"),
    ]
    lost = []
    for change in changes:
        message = change()
        if crash.halted.is_set() or not await send(world, crash, message):
            lost.append(message)
        for _ in range(6):  # the overwrite meets attempts in the middle of their work
            await asyncio.sleep(0)
    await quiet()
    return lost


@pytest.mark.parametrize("applied", [False, True])
async def test_a_crash_at_any_call_loses_nothing(world_of: MakeWorld, applied: bool) -> None:
    nth, crashes = 0, 0
    while True:
        nth += 1
        crash = Crash(nth, applied=applied)
        world = crashing_world(world_of, crash)
        lost = await story(world, crash)
        if not crash.halted.is_set():
            break
        crashes += 1
        crash.over()
        await world.crash()
        for message in lost:
            await world.receive(message)
        await world.rest()
        world.assert_equal()
        await world.engine.stop(drain_s=0)
    await world.rest()
    world.assert_equal()
    assert crashes >= 20  # accepts, claims, reads, copies, writes, settlements and finishes
