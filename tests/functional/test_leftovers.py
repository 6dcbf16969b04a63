"""Unfinished uploads: those known to be ours go in time, the others stay, unless it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.engine.leftovers import AGE_S, Swept, UploadSweeper
from s3fanout.model.errors import Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from s3fanout.model.objects import ObjectAttributes
from s3fanout.model.rules import KeyMap
from tests.functional.clock import quiet
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
PART = 10
LIMITS = Limits(
    part_bytes=PART,
    part_bytes_min=1,
    copy_bytes_max=PART,
    copy_part_bytes=PART,
    circuit_failures=99,
)
CONTENT = bytes(range(95))
DAY_S = 24 * 3600.0
NOBODY = Swept(0, 0)


def uploads(world: World) -> set[str]:
    return {upload.key for upload in world.buckets["a"]._stores.uploads.values()}


async def sweep(world: World, *, abort_after_s: float | None = None) -> Swept:
    sweeper = UploadSweeper(
        rule=world.to["a"].rule,
        destination=world.ports["a"],
        books=world.journal,
        clock=world.clock,
        abort_after_s=abort_after_s,
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
    assert not world.journal._kept.uploads


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
