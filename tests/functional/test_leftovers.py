"""Unfinished uploads: those known to be ours go in time, the others stay, unless it is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.engine.leftovers import AGE_S, INTERVAL_S, Swept, UploadSweeper, sweep_for_ever
from s3fanout.model.errors import Refused, Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import ObjectAttributes
from s3fanout.model.rules import KeyMap
from tests.functional import in_parts
from tests.functional.clock import VirtualClock, quiet
from tests.functional.in_parts import CONTENT, MakeWorld
from tests.functional.world import To, World

LIMITS = replace(in_parts.LIMITS, circuit_failures=99)
DAY_S = 24 * 3600.0
NOBODY = Swept(0, 0)


def uploads(world: World) -> set[str]:
    return {upload.key for upload in world.buckets["a"]._stores.uploads.values()}


async def sweep(world: World, *, abort_after_s: float | None = None, is_off: bool = False) -> Swept:
    sweeper = UploadSweeper(
        rule=world.to["a"].rule,
        destination=world.ports["a"],
        books=world.journal,
        clock=world.clock,
        abort_after_s=abort_after_s,
        is_off=is_off,
    )
    passed = asyncio.ensure_future(sweeper.sweep())
    await world.clock.run_until(passed.done, within_s=3600)
    return passed.result()


async def begun(world: World, key: str) -> str:
    """An upload that somebody began; some bytes of it are there."""
    upload_id = await world.buckets["a"].create_upload(key, ObjectAttributes())
    await world.buckets["a"].upload_part(key, upload_id, 1, part_of(b"bytes"))
    return upload_id


async def test_an_upload_whose_source_is_gone_is_aborted_after_a_day(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    half = written([Line(Fault(pause=gate.wait), operation="UploadPartCopy", first=3, last=3)])
    world = world_of(To("a", script=half), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await quiet()
    await world.crash()
    del world.source.objects["key"]
    await world.rest()
    assert world.states("key") == {"a": JobState.SUPERSEDED}
    assert uploads(world) == {"key"}
    assert await sweep(world) == NOBODY
    await world.clock.advance(AGE_S)
    assert await sweep(world) == Swept(known=1, unknown=0)
    assert uploads(world) == set()
    assert not world.journal._uploads


async def test_an_upload_that_an_attempt_will_finish_is_kept(world_of: MakeWorld) -> None:
    down = written([Line(Fault(Unavailable("down")), operation="CompleteMultipartUpload")])
    world = world_of(To("a", script=down), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.clock.advance(1)
    assert world.unsettled()
    assert await sweep(world, abort_after_s=0.0) == NOBODY
    assert uploads(world) == {"key"}
    await world.rest()
    assert world.states("key") == {"a": JobState.DEAD}
    assert await sweep(world) == NOBODY, "redrive goes on with the parts of a dead letter"


async def test_what_the_ledger_does_not_know_stays_unless_it_is_said(world_of: MakeWorld) -> None:
    world = world_of(To("a", key_map=KeyMap(add_prefix="ours/")), limits=LIMITS)
    await begun(world, "ours/key")
    await begun(world, "theirs")
    await world.clock.advance(8 * DAY_S)
    await begun(world, "ours/young")
    assert await sweep(world) == NOBODY
    assert await sweep(world, abort_after_s=7 * DAY_S) == Swept(known=0, unknown=1)
    assert uploads(world) == {"theirs", "ours/young"}


async def test_an_upload_that_could_not_be_aborted_is_aborted_later(world_of: MakeWorld) -> None:
    """The source was overwritten meanwhile, and the store answered nothing just then."""
    gate = asyncio.Event()
    stuck = written(
        [
            Line(Fault(pause=gate.wait), operation="UploadPartCopy", first=3, last=3),
            Line(Fault(Unavailable("down")), operation="AbortMultipartUpload", last=2),
        ]
    )
    world = world_of(To("a", script=stuck), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await quiet()
    event = world.put("key", CONTENT[::-1])
    gate.set()
    await world.receive(event)
    await world.rest()
    assert world.buckets["a"].objects["key"].content == CONTENT[::-1]
    assert uploads(world) == set()


@pytest.mark.parametrize("count", [1001, 2500])
async def test_a_pass_is_bounded_and_the_next_goes_on(world_of: MakeWorld, count: int) -> None:
    world = world_of(To("a"), limits=LIMITS)
    for number in range(count):
        await begun(world, f"key-{number:04}")
    await world.clock.advance(2 * DAY_S)
    done = [await sweep(world, abort_after_s=DAY_S) for _ in range(3)]
    assert [each.unknown for each in done] == [
        1000,
        min(1000, count - 1000),
        max(0, count - 2000),
    ]
    assert uploads(world) == set()


@pytest.mark.parametrize("how", ["the answer is lost", "the process ends"])
async def test_an_upload_whose_answer_never_came_is_aborted_after_a_day(
    world_of: MakeWorld, how: str
) -> None:
    gate = asyncio.Event()
    lost = Fault(Unavailable("reset", maybe_applied=True), applied=True)
    if how == "the process ends":
        lost = Fault(pause=gate.wait, applied=True)
    script = written([Line(lost, operation="CreateMultipartUpload", last=1)])
    world = world_of(To("a", key_map=KeyMap(add_prefix="ours/"), script=script), limits=LIMITS)
    before = await begun(world, "ours/key")
    await world.clock.advance(DAY_S)
    await world.receive(world.put("key", CONTENT))
    await quiet()
    if how == "the process ends":
        await world.clock.advance(1)
        await world.crash()
    theirs = await begun(world, "ours/key")
    longer = await world.buckets["a"].create_upload("ours/key-2", ObjectAttributes())
    await world.rest()
    assert world.states("key") == {"a": JobState.SETTLED}
    assert await sweep(world) == NOBODY, "it may be somebody's who has only just begun"
    await world.clock.advance(AGE_S)
    empty = await world.buckets["a"].create_upload("ours/key", ObjectAttributes())
    await world.clock.advance(1)
    assert len(world.buckets["a"]._stores.uploads) == 5
    assert await sweep(world) == Swept(known=0, unknown=0, lost=1)
    left = world.buckets["a"]._stores.uploads
    # Another time, with a part, another key, and another time.
    assert left.keys() == {before, theirs, longer, empty}
    assert await sweep(world) == NOBODY
    assert not world.journal._asked


async def test_what_a_store_was_asked_before_stays_in_doubt(world_of: MakeWorld) -> None:
    """The second attempt is answered: that says nothing of the first."""
    lost = Fault(Unavailable("reset", maybe_applied=True), applied=True)
    script = written([Line(lost, operation="CreateMultipartUpload", last=2)])
    world = world_of(To("a", script=script), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    (asked,) = world.journal._asked.values()
    assert asked.first_at_ms < asked.last_at_ms
    assert len(uploads_of_key(world, "key")) == 2
    await world.clock.advance(AGE_S)
    assert await sweep(world) == Swept(known=0, unknown=0, lost=2)
    assert not world.journal._asked


async def test_a_refusal_leaves_no_doubt(world_of: MakeWorld) -> None:
    refused = Line(Fault(Refused("no")), operation="CreateMultipartUpload")
    world = world_of(To("a", script=written([refused])), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert world.states("key") == {"a": JobState.DEAD}
    assert not world.journal._asked


async def test_uploads_of_a_destination_that_is_switched_off_go_at_once(
    world_of: MakeWorld,
) -> None:
    down = written([Line(Fault(Unavailable("down")), operation="CompleteMultipartUpload")])
    world = world_of(To("a", script=down), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.clock.advance(1)
    await world.engine.stop(drain_s=0)
    await begun(world, "theirs")
    assert await sweep(world, is_off=True) == Swept(known=1, unknown=0)
    assert uploads(world) == {"theirs"}
    assert not world.journal._uploads


async def test_it_looks_at_the_start_and_again_and_again_also_after_a_failure() -> None:
    looked_at_s: list[float] = []
    clock = VirtualClock()

    class Looking:
        async def sweep(self) -> Swept:
            looked_at_s.append(clock.monotonic_s())
            raise Unavailable("down")

    looking = asyncio.ensure_future(sweep_for_ever([Looking()], clock=clock))  # type: ignore[list-item]
    await clock.advance(2 * INTERVAL_S)
    assert looked_at_s == [0, INTERVAL_S, 2 * INTERVAL_S]
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


def uploads_of_key(world: World, key: str) -> list[str]:
    found = world.buckets["a"]._stores.uploads
    return [upload_id for upload_id, upload in found.items() if upload.key == key]
