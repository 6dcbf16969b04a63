"""A queue of events is polled for ever, and a message is deleted once it is durable, not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from s3fanout.adapters.events.sqs import SqsMessage
from s3fanout.engine.receive import Receipt
from s3fanout.model.errors import LedgerUnavailable, Unavailable
from s3fanout.service.poller import ERROR_WAIT_S, Poller
from tests.functional.clock import VirtualClock, quiet

KEPT = Receipt(0, 0, 0, 0, 0, 0, 1, ("kept x",))
TAKEN = Receipt(1, 1, 0, 0, 0, 0, 0, ())


class Queue:
    """Gives each batch, or raises it, once; then it is silent. Writes down what is done."""

    def __init__(self) -> None:
        self.batches: list[list[str] | Exception] = []
        self.answers: dict[str, Receipt | Exception] = {}
        self.done: list[tuple[str, ...]] = []
        self.polls = 0

    async def receive(self) -> list[SqsMessage]:
        self.polls += 1
        if not self.batches:
            await asyncio.get_running_loop().create_future()
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return [SqsMessage(body.encode(), body) for body in batch]

    async def delete(self, messages: Sequence[SqsMessage]) -> int:
        self.done.append(("delete", *(message.receipt_handle for message in messages)))
        return 0

    async def accept(self, body: bytes, *, route: str) -> Receipt:
        answer = self.answers.get(body.decode(), TAKEN)
        self.done.append((route, body.decode()))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def poller(queue: Any, clock: VirtualClock) -> AsyncIterator[Poller]:
    class Receiver:
        receive = staticmethod(queue.accept)

    made = Poller(queue, receiver=Receiver(), clock=clock, loops=1)  # type: ignore[arg-type]
    yield made
    await made.stop()


async def test_what_is_durable_is_deleted_and_then_only(queue: Queue, poller: Poller) -> None:
    queue.batches = [["taken", "refused", "malformed"]]
    queue.answers = {"refused": LedgerUnavailable("disk full"), "malformed": KEPT}
    poller.start()
    await quiet()
    *accepted, deleted = queue.done
    assert accepted == [("sqs", "taken"), ("sqs", "refused"), ("sqs", "malformed")]
    assert deleted == ("delete", "taken", "malformed")
    assert str(poller.last_error) == "disk full"


@pytest.mark.parametrize(
    "failure", [Unavailable("no answer"), OSError(24, "Too many open files"), ValueError("x")]
)
async def test_it_says_that_it_cannot_poll_and_goes_on(
    queue: Queue, poller: Poller, clock: VirtualClock, failure: Exception
) -> None:
    queue.batches = [failure, ["taken"]]
    poller.start()
    await clock.advance(ERROR_WAIT_S - 1)
    assert (queue.polls, poller.last_error) == (1, failure)
    await clock.advance(1)
    assert queue.done == [("sqs", "taken"), ("delete", "taken")]
    assert poller.last_error is None


async def test_a_defect_of_one_message_ends_nothing(
    queue: Queue, poller: Poller, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    queue.batches = [["bad"], ["taken"]]
    queue.answers = {"bad": ZeroDivisionError("a defect")}
    poller.start()
    await clock.advance(ERROR_WAIT_S)
    assert "a defect" in caplog.text
    assert queue.done == [("sqs", "bad"), ("sqs", "taken"), ("delete", "taken")]
