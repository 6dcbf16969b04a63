"""Promises about a ledger and a queue that fail, and about defects of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3fanout.decide.plan import Way
from s3fanout.model.errors import (
    LedgerUnavailable,
)
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from tests.functional.clock import START_MS, quiet
from tests.functional.world import To, World, holding

MakeWorld = Callable[..., World]


class Broken:
    """A store with a defect."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def copy(self, key: str, **named: object) -> object:
        if key == "broken":
            raise ZeroDivisionError("a defect")
        return await self._inner.copy(key, **named)  # type: ignore[attr-defined]


async def test_a_defect_is_a_dead_letter_and_the_lane_goes_on(
    world_of: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of(To("a", wrap=Broken))  # type: ignore[arg-type]
    await world.receive(world.put("broken"))
    await world.receive(world.put("key"))
    await world.rest()
    dead = world.known("a", "broken")
    assert dead.error is not None
    assert (dead.error.code, dead.error.message) == ("defect", "ZeroDivisionError: a defect")
    assert world.states("key") == {"a": JobState.SETTLED}
    assert "ZeroDivisionError" in caplog.text


async def test_a_ledger_that_refuses_outcomes_loses_none(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b", way=Way.STREAM))
    refusals = iter(range(5))

    async def refuse(name: str) -> None:
        if name == "settle" and next(refusals, None) is not None:
            raise LedgerUnavailable("disk full")

    world.journal.before = refuse
    await world.receive(world.put("key"))
    await world.clock.advance(2.5)
    failing_since_ms = world.engine.ledger_failing_since_ms
    assert failing_since_ms == START_MS
    assert world.states("key") == {"a": JobState.READY, "b": JobState.READY}
    await world.rest()
    await quiet()
    assert world.engine.ledger_failing_since_ms is None
    assert world.requests() == {"CopyObject": 1, "GetObject": 1, "PutObject": 1}
    world.assert_equal()


async def test_a_ledger_that_refuses_to_let_go_is_asked_again(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    refusals = iter(range(3))

    async def refuse(name: str) -> None:
        if name == "finish" and next(refusals, None) is not None:
            raise LedgerUnavailable("disk full")

    world.journal.before = refuse
    await world.receive(world.put("key"))
    await world.clock.advance(10)
    await world.receive(world.put("key", b"next"))
    await world.rest()
    world.assert_equal()


async def test_a_full_stock_of_outcomes_makes_workers_wait(world_of: MakeWorld) -> None:
    world = world_of(To("a", concurrency=4), limits=Limits(unsettled_max=2))
    writable = asyncio.Event()
    world.journal.before = holding("settle", writable)
    for number in range(30):
        await world.receive(world.put(f"key-{number}"))
    await quiet()
    copied = len(world.buckets["a"].objects)
    # In the ledger's hand, in stock, and with the workers: no more.
    assert 4 <= copied <= 1 + 2 + 4 + 2
    writable.set()
    await world.rest()
    world.assert_equal()


async def test_a_queue_that_cannot_be_read_is_asked_again(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    refusals = iter(range(3))

    async def refuse(name: str) -> None:
        if name == "claim" and next(refusals, None) is not None:
            raise LedgerUnavailable("disk error")

    world.journal.before = refuse
    await world.receive(world.put("key"))
    await world.rest(within_s=10)
    world.assert_equal()


async def test_a_defect_that_ends_a_lane_is_told(world_of: MakeWorld) -> None:
    world = world_of(To("a"))

    async def break_down(name: str) -> None:
        if name == "claim":
            raise ZeroDivisionError("a defect of the queue")

    world.journal.before = break_down
    told = asyncio.ensure_future(world.engine.wait_failed())
    await quiet()
    assert told.done()
    assert isinstance(told.result(), ZeroDivisionError)


async def test_a_defect_that_ends_the_settler_is_told(world_of: MakeWorld) -> None:
    """Otherwise copies would go on with nobody to write down what became of them."""
    world = world_of(To("a"))

    async def break_down(name: str) -> None:
        if name == "settle":
            raise ZeroDivisionError("a defect of the ledger")

    world.journal.before = break_down
    told = asyncio.ensure_future(world.engine.wait_failed())
    await world.receive(world.put("key"))
    await quiet()
    assert told.done()
    assert isinstance(told.result(), ZeroDivisionError)
    async with asyncio.timeout(60):
        await world.engine.stop(drain_s=60)  # there is nobody to wait for
