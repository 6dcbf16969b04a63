"""What every turn ledger must do: convergence without leases rests on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.journal.memory_turns import MemoryTurnLedger
from s3fanout.adapters.system import SystemClock
from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import ErrorRecord, Job, JobState, Settlement
from s3fanout.model.turns import Answer, Recorded
from s3fanout.ports.checkpoints import Checkpoint
from tests.servers.aws import new_table, transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from s3fanout.ports.turn_ledger import TurnLedger
    from tests.servers.server import Server


@pytest.fixture(params=["memory", pytest.param("dynamodb", marks=pytest.mark.stores)])
def server(request: pytest.FixtureRequest) -> Server | None:
    """Where the ledger is; ``None`` is here."""
    return None if request.param == "memory" else request.getfixturevalue("ministack")


@pytest.fixture
async def ledger(
    server: Server | None, bucket_name: Callable[[str], str]
) -> AsyncIterator[TurnLedger]:
    if server is None:
        yield MemoryTurnLedger()
        return
    over = transport()
    yield await new_table(server, bucket_name("turns"), over, clock=SystemClock())
    await over.close()


@pytest.mark.stores
async def test_a_checkpoint_is_kept_and_forgotten_beside_the_records(
    ministack: Server, bucket_name: Callable[[str], str]
) -> None:
    over = transport()
    ledger = await new_table(ministack, bucket_name("turns"), over, clock=SystemClock())
    assert await ledger.checkpoint("walk") is None
    await ledger.keep_checkpoint("walk", Checkpoint("f", 1, "{}"))
    await ledger.keep_checkpoint("walk", Checkpoint("g", 2, '["ü"]'))
    await ledger.keep_checkpoint("other", Checkpoint("o", 3, ""))
    assert await ledger.checkpoint("walk") == Checkpoint("g", 2, '["ü"]')
    assert await ledger.checkpoint("other") == Checkpoint("o", 3, "")
    for _ in range(2):
        await ledger.drop_checkpoint("walk")
    assert await ledger.checkpoint("walk") is None
    assert list(await ledger.summaries()) == []
    await over.close()


def order(token: str, *, scheme: str = "aws-s3", trusted: bool = True) -> OrderPoint:
    return OrderPoint(scheme, token, trusted)


def settled(at: OrderPoint | None, etag: str = "r", key: str = "k") -> Settlement:
    job = Job("a", key, 0, ChangeKind.CREATED, 5, etag="e", size_bytes=1, order=at)
    return Settlement(
        job, JobState.SETTLED, 9, "why", attempts=0, source_etag=f"s{etag}", replica_etag=etag
    )


def failed(state: JobState) -> Settlement:
    return settled(None)._replace(
        state=state,
        due_at_ms=20,
        source_etag=None,
        replica_etag=None,
        error=ErrorRecord("code", "message", "hint"),
    )


async def test_a_first_record_finds_nothing(ledger: TurnLedger) -> None:
    answer = await ledger.record(settled(order("1")), turn=None)
    assert answer == Answer(held=True, before=None)
    assert answer.turn == 1


@pytest.mark.parametrize(
    ("first", "second", "held"),
    [
        (order("1"), order("2"), True),
        (order("1"), order("1"), True),
        (order("2"), order("1"), False),
        (order("9"), order("a"), True),
        (order("2", trusted=False), order("1"), True),
        (order("2"), order("1", trusted=False), True),
        (order("2", scheme="other"), order("1"), True),
        (order("2"), None, True),
        (None, order("1"), True),
    ],
)
async def test_a_newer_record_refuses_an_older_one(
    ledger: TurnLedger, first: OrderPoint | None, second: OrderPoint | None, held: bool
) -> None:
    await ledger.record(settled(first, "one"), turn=None)
    answer = await ledger.record(settled(second, "two"), turn=None)
    before = Recorded(1, first, "sone", "one")
    assert answer == Answer(held, before)
    third = await ledger.record(settled(None, "three"), turn=None)
    wanted = Recorded(2, second or first, "stwo", "two") if held else before
    assert third.before == wanted


async def test_a_known_turn_refuses_when_somebody_recorded(ledger: TurnLedger) -> None:
    await ledger.record(settled(order("5"), "one"), turn=None)
    assert (await ledger.record(settled(order("5"), "two"), turn=1)).held
    late = await ledger.record(settled(order("5"), "three"), turn=1)
    assert late == Answer(held=False, before=Recorded(2, order("5"), "stwo", "two"))
    assert late.turn == 2


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.DEAD, JobState.SUPERSEDED])
async def test_a_failure_counts_no_turn_and_keeps_what_is_known(
    ledger: TurnLedger, state: JobState
) -> None:
    await ledger.record(failed(state), turn=None)
    first = await ledger.record(settled(order("1"), "one"), turn=None)
    assert first.held
    assert first.turn == 1
    await ledger.record(failed(state), turn=None)
    second = await ledger.record(settled(order("2"), "two"), turn=None)
    assert second.before == Recorded(1, order("1"), "sone", "one")


@pytest.mark.parametrize("key", ["\0", "nul\0in", "grün/🪣", "a//../b", "\u2028", "ü" * 512])
async def test_keys_are_verbatim_and_apart(ledger: TurnLedger, key: str) -> None:
    await ledger.record(settled(order("1"), "one", key), turn=None)
    assert (await ledger.record(settled(order("1"), "x", key[:-1] + "?"), turn=None)).turn == 1
    again = await ledger.record(settled(order("1"), "two", key), turn=None)
    assert again.before is not None
    assert again.before.order == order("1")
