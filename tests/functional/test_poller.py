"""Promises about messages of a queue: one leaves it only when it cannot be lost any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from s3fanout.adapters.events.sqs import SqsMessage
from s3fanout.model.errors import LedgerUnavailable, Unavailable
from s3fanout.service.poller import ERROR_WAIT_S, Poller
from tests.functional.clock import quiet
from tests.functional.world import To, World, holding, open_gate

MakeWorld = Callable[..., World]


class Queue:
    """``SqsSource`` in memory: what is not deleted comes again as soon as it is asked for.

    Attributes:
        messages: What is in it, by receipt handle.
        failures: Raised by the next polls.
        polls: How many there were.
    """

    def __init__(self, *bodies: bytes) -> None:
        self.messages = {str(n): SqsMessage(body, str(n)) for n, body in enumerate(bodies)}
        self.failures: list[Exception] = []
        self.polls = 0

    async def receive(self) -> list[SqsMessage]:
        self.polls += 1
        if self.failures:
            raise self.failures.pop()
        if not self.messages:
            await asyncio.Event().wait()
        return list(self.messages.values())

    async def delete(self, messages: Sequence[SqsMessage]) -> int:
        for message in messages:
            del self.messages[message.receipt_handle]
        return 0


@asynccontextmanager
async def polled(world: World, queue: Queue) -> AsyncIterator[Poller]:
    poller = Poller(
        queue,  # type: ignore[arg-type]  # the part of it that is used
        receiver=world.receiver,
        clock=world.clock,
        loops=1,
    )
    poller.start()
    try:
        yield poller
    finally:
        await poller.stop()


async def test_a_message_is_deleted_only_when_its_jobs_are_durable(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    durable = asyncio.Event()
    world.journal.before = holding("accept", durable)
    queue = Queue(world.put("key"))
    async with polled(world, queue):
        await quiet()
        assert len(queue.messages) == 1
        durable.set()
        await quiet()
        assert queue.messages == {}
    await world.rest()
    world.assert_equal()


async def test_a_message_that_the_ledger_refuses_stays_and_the_others_leave(
    world_of: MakeWorld,
) -> None:
    world = world_of(To("a"))

    async def refuse(name: str) -> None:
        if name == "keep_malformed":
            raise LedgerUnavailable("disk full")

    world.journal.before = refuse
    queue = Queue(world.put("key"), b"what nobody understands")
    async with polled(world, queue) as poller:
        await quiet()
        assert [message.body for message in queue.messages.values()] == [b"what nobody understands"]
        refused = poller.last_error
        assert isinstance(refused, LedgerUnavailable)
        world.journal.before = open_gate
        await world.clock.advance(ERROR_WAIT_S)
        assert queue.messages == {}
        assert poller.last_error is None
    assert await world.journal.malformed_count() == 1
    await world.rest()
    world.assert_equal()


@pytest.mark.parametrize(
    "failure",
    [Unavailable("no answer"), OSError(24, "Too many open files"), ValueError("x")],
    ids=repr,
)
async def test_it_says_that_it_cannot_poll_and_goes_on(
    world_of: MakeWorld, failure: Exception
) -> None:
    world = world_of(To("a"))
    queue = Queue(world.put("key"))
    queue.failures = [failure]
    async with polled(world, queue) as poller:
        await world.clock.advance(ERROR_WAIT_S - 1)
        assert (queue.polls, poller.last_error) == (1, failure)
        await world.clock.advance(1)
        assert queue.messages == {}
        assert poller.last_error is None
    await world.rest()
    world.assert_equal()


async def test_a_defect_of_one_message_ends_nothing(
    world_of: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of(To("a"))

    async def fail(name: str) -> None:
        if name == "accept":
            raise ZeroDivisionError("a defect")

    world.journal.before = fail
    queue = Queue(world.put("key"))
    async with polled(world, queue):
        await quiet()
        assert "a defect" in caplog.text
        assert len(queue.messages) == 1, "it was not deleted"
        world.journal.before = open_gate
        await world.clock.advance(ERROR_WAIT_S)
        assert queue.messages == {}
