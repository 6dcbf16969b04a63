"""Between the passes: what was written lately and no event told of heals, counted once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.engine.recent import RECENT_S, RecentLook
from s3fanout.model.errors import AccessDenied, Refused
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import ListPage, Probe
from s3fanout.model.rules import KeyFilter, KeyMap
from s3fanout.model.sweeps import RECENT, SweepRecord
from tests.functional.world import To, World

WorldOf = Callable[..., World]


class Told:
    """``RecentTelemetry`` that remembers."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def healed(self, destination: str, count: int) -> None:
        self.counts[destination] += count


def look_of(
    world: World, told: Told, *, grace_s: float = 0.0, keys_per_s: float | None = None
) -> RecentLook:
    return RecentLook(
        rules=[one.rule for one in world.to.values()],
        source=world.source,
        books=world.journal,
        clock=world.clock,
        telemetry=told,
        every_s=60.0,
        grace_s=grace_s,
        keys_per_s=keys_per_s,
    )


async def kept(world: World) -> SweepRecord:
    found = await world.journal.checkpoint(RECENT)
    assert found is not None
    return SweepRecord.of(found.position)


async def test_one_listing_finds_what_no_event_told_of_in_all_destinations(
    world_of: WorldOf,
) -> None:
    world = world_of(
        To("paris"),
        To("tokyo", filter=KeyFilter(exclude_prefixes=("tmp/",))),
        To("lima", key_map=KeyMap(template="flat/{key}")),
    )
    for number in range(20):
        await world.receive(world.put(f"told{number}"))
    await world.rest()
    for number in range(30):
        world.put(f"lost{number}")
    world.put("tmp/lost")
    world.put("told3", b"changed")
    told = Told()
    look = look_of(world, told)
    assert await look.look() == 32 + 31 + 32
    assert not any(bucket.requests["ListObjectsV2"] for bucket in world.buckets.values())
    assert told.counts == {"paris": 32, "tokyo": 31, "lima": 32}
    await world.rest()
    for name in ("paris", "lima"):
        assert world.known(name, "tmp/lost").state is JobState.SETTLED
    assert world.buckets["lima"].objects["flat/told3"].content == b"changed"
    assert await look.look() == 0, "what is healed is not healed again"
    record = await kept(world)
    assert (record.healed, record.healed_total, record.keys_all) == (0, 95, 51)


async def test_what_is_young_or_old_or_on_its_way_is_left(world_of: WorldOf) -> None:
    world = world_of(To("paris"))
    world.put("old")
    await world.clock.advance(RECENT_S + 60)
    world.put("young")
    await world.receive(world.put("told"))
    assert await look_of(world, Told(), grace_s=30.0).look() == 0
    await world.clock.advance(31)
    assert await look_of(world, Told(), grace_s=30.0).look() == 1


async def test_what_changed_since_it_was_listed_is_left_to_its_event(world_of: WorldOf) -> None:
    world = world_of(To("paris"))
    await world.receive(world.put("k", b"first"))
    await world.rest()
    stale = await world.source.list_page()
    await world.receive(world.put("k", b"second"))
    await world.rest()

    async def late(*_: object, **__: object) -> ListPage:
        return stale

    world.source.list_page = late  # type: ignore[method-assign]
    assert await look_of(world, Told()).look() == 0


async def test_what_a_pass_saw_to_while_it_was_looked_at_is_not_counted(
    world_of: WorldOf,
) -> None:
    world = world_of(To("paris"))
    message = world.put("k")
    head = world.source.head

    async def slow(key: str, **options: Any) -> Probe:
        world.source.head = head  # type: ignore[method-assign]
        await world.receive(message)
        await world.rest()
        return await head(key, **options)

    world.source.head = slow  # type: ignore[method-assign]
    told = Told()
    assert await look_of(world, told).look() == 0
    assert world.known("paris", "k").state is JobState.SETTLED
    assert not told.counts


async def test_a_dead_letter_waits_for_a_person(world_of: WorldOf) -> None:
    world = world_of(To("paris", script=written([Line(Fault(Refused("no", status=400)))])))
    world.put("refused")
    look = look_of(world, Told())
    assert await look.look() == 1
    await world.rest()
    assert world.known("paris", "refused").state is JobState.DEAD
    assert await look.look() == 0


async def test_a_look_that_fails_says_why_and_is_made_again(world_of: WorldOf) -> None:
    world = world_of(To("paris"))
    world.source.objects["k"] = StoredObject.of(b"x", now_ms=world.clock.now_ms())
    whole = world.source.list_page

    async def refuses(*_: object, **__: object) -> ListPage:
        raise AccessDenied("not yours")

    world.source.list_page = refuses  # type: ignore[method-assign]
    look = look_of(world, Told())
    with pytest.raises(AccessDenied):
        await look.look()
    assert (await kept(world)).failure.startswith("access-denied: ")
    running = asyncio.ensure_future(look.run())
    world.source.list_page = whole  # type: ignore[method-assign]
    await world.clock.advance(61)
    assert world.known("paris", "k").state is JobState.SETTLED
    assert (await kept(world)).failure == ""
    running.cancel()


async def test_it_lists_no_faster_than_asked_for(world_of: WorldOf) -> None:
    world = world_of(To("paris"))
    for number in range(3000):
        world.source.objects[f"k{number}"] = StoredObject.of(b"x")
    began_s = world.clock.monotonic_s()
    look = look_of(world, Told(), keys_per_s=100.0)
    running = asyncio.ensure_future(look.look())
    await world.clock.run_until(running.done, within_s=60)
    assert world.clock.monotonic_s() - began_s == pytest.approx(30.0)
    assert (await kept(world)).took_ms == pytest.approx(30_000)
