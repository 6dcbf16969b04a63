"""Promises to the sender of an event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.rules import KeyFilter
from tests.functional.clock import quiet
from tests.functional.world import GatedJournal, To, World, holding, open_gate

MakeWorld = Callable[..., World]


async def test_an_acknowledged_event_survives_a_crash(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b"))
    await world.engine.stop(drain_s=0)
    receipt = await world.receive(world.put("key"))
    assert (receipt.events, receipt.queued, receipt.notes) == (1, 2, ())
    await world.crash()
    await world.rest()
    world.assert_equal()


async def test_nothing_is_acknowledged_before_it_is_durable(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    durable = asyncio.Event()
    world.journal.before = holding("accept", durable)
    receiving = asyncio.ensure_future(world.receive(world.put("key")))
    await quiet()
    assert not receiving.done()
    durable.set()
    assert (await receiving).queued == 1


async def test_a_duplicate_delivery_costs_no_request(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b"))
    message = world.put("key")
    await world.receive(message)
    await world.rest()
    for _ in range(3):
        receipt = await world.receive(message)
        assert (receipt.queued, receipt.duplicate) == (0, 2)
    await quiet()
    assert world.requests() == {"CopyObject": 2}


async def test_an_older_event_that_comes_late_costs_no_request(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    older, newer = world.put("key", b"old"), world.put("key", b"new")
    await world.receive(newer)
    await world.rest()
    receipt = await world.receive(older)
    await quiet()
    assert (receipt.queued, receipt.stale) == (0, 1)
    assert world.requests() == {"CopyObject": 1}
    world.assert_equal()


async def test_a_batch_is_taken_in_as_one(world_of: MakeWorld) -> None:
    world = world_of(To("a", filter=KeyFilter(include_prefixes=("in/",))), To("b"))
    world.put("in/1")
    world.put("out/2")
    message = world.message_of(
        world.record("in/1"),
        world.record("out/2"),
        world.record("in/1", bucket="another"),
        world.record("gone", name="ObjectRemoved:Delete"),
        {"eventVersion": "3.0", "eventName": "ObjectCreated:Put", "s3": {}},
    )
    receipt = await world.receive(message)
    assert (receipt.events, receipt.queued, receipt.malformed) == (4, 3, 1)
    assert receipt.unwanted == 4
    assert {note.partition(":")[0] for note in receipt.notes} == {
        "unwanted filtered-key",
        "unwanted other-bucket",
        "unwanted deletes-ignored",
        "kept unknown-version",
    }
    assert "unwanted deletes-ignored: 2" in receipt.notes
    assert world.reports.messages == [("webhook", 4, 0, 1)]
    assert world.reports.refusals["deletes-ignored"] == 2
    await world.rest()
    assert list(world.buckets["a"].objects) == ["in/1"]
    assert list(world.buckets["b"].objects) == ["in/1", "out/2"]


async def test_a_removal_deletes_nothing(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    await world.receive(world.put("key"))
    await world.rest()
    del world.source.objects["key"]
    removed = world.record("key", name="ObjectRemoved:Delete")
    receipt = await world.receive(world.message_of(removed))
    await quiet()
    assert (receipt.queued, receipt.unwanted) == (0, 1)
    assert list(world.buckets["a"].objects) == ["key"]


async def test_a_test_event_is_acknowledged(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    receipt = await world.receive(b'{"Event": "s3:TestEvent", "Bucket": "source"}')
    assert (receipt.events, receipt.queued, receipt.ignored) == (0, 0, 1)
    assert receipt.notes[0].startswith("ignored test-event: ")
    assert world.unsettled() == []


async def test_a_message_that_makes_no_sense_is_kept(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    receipt = await world.receive(b"hello")
    assert (receipt.events, receipt.malformed) == (0, 1)
    (kept,) = await world.journal.reopened().malformed(limit=9)
    assert (kept.payload, kept.route, kept.reason) == (b"hello", "webhook", "not-json")
    assert receipt.notes[0].startswith("kept not-json: ")


async def test_a_ledger_that_fails_accepts_nothing(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b"))
    failing = iter([True])

    async def refuse(name: str) -> None:
        if name == "accept" and next(failing, False):
            raise LedgerUnavailable("disk full")

    world.journal.before = refuse
    message = world.put("key")
    with pytest.raises(LedgerUnavailable, match="disk full"):
        await world.receive(message)
    await quiet()
    assert world.unsettled() == []
    assert world.requests() == {}
    assert world.reports.messages == []
    await world.receive(message)  # the sender sends again
    await world.rest()
    world.assert_equal()


@pytest.mark.parametrize("refused", ["accept", "keep_malformed"])
async def test_a_message_that_was_kept_in_part_is_sent_again_and_kept_once(
    world_of: MakeWorld, refused: str
) -> None:
    world = world_of(To("a"))

    async def refuse(name: str) -> None:
        if name == refused:
            raise LedgerUnavailable("disk full")

    world.journal.before = refuse
    world.put("key")
    message = world.message_of(world.record("key"), "nonsense")
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            await world.receive(message)
    world.journal.before = open_gate
    receipt = await world.receive(message)
    await world.rest()
    world.assert_equal()
    assert (receipt.events, receipt.malformed) == (1, 1)
    assert await world.journal.malformed_count() == 1
    assert world.requests()["CopyObject"] == 1


async def test_an_answer_that_got_lost_makes_a_duplicate(world_of: MakeWorld) -> None:
    world = world_of(To("a"))

    async def lose(name: str) -> None:
        if name == "accept":
            raise LedgerUnavailable("connection lost after the commit")

    message = world.put("key")
    world.journal.after = lose
    with pytest.raises(LedgerUnavailable):
        await world.receive(message)
    assert isinstance(world.journal, GatedJournal)
    await world.crash()
    receipt = await world.receive(message)
    await world.rest()
    assert receipt.duplicate == 1
    assert world.states("key") == {"a": JobState.SETTLED}
