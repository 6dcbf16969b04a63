"""Lost events heal: the sweep finds every one, counts them rightly, and leaves drift alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.decide.repair import Left
from s3fanout.engine.backfill import Backfill, listed
from s3fanout.engine.sweep import TELL_S, Repairer, Sweeper
from s3fanout.engine.verify import Verifier
from s3fanout.model.errors import AccessDenied, Refused
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import ListPage
from s3fanout.model.rules import Deletes, Drift, Rule
from s3fanout.model.sweeps import SweepRecord, worst_lag_s
from tests.functional.clock import quiet
from tests.functional.world import To, World

WorldOf = Callable[..., World]


class Swept:
    """``SweepTelemetry`` that remembers."""

    def __init__(self) -> None:
        self.passes: list[tuple[str, int, int]] = []

    def swept(self, destination: str, *, healed: int, drifted: int) -> None:
        self.passes.append((destination, healed, drifted))


async def kept(world: World, destination: str = "paris") -> SweepRecord:
    """What the ledger knows of the sweep."""
    found = await world.journal.checkpoint(f"sweep {destination}")
    assert found is not None
    return SweepRecord.of(found.position)


def sweeper_of(world: World, told: Swept, *rules: Rule, grace_s: float = 0.0) -> Sweeper:
    def verifier_of(rule: Rule) -> Verifier:
        return Verifier(
            rule=rule,
            source=world.source,
            replica=world.buckets[rule.destination],
            ledger=world.journal,
            clock=world.clock,
        )

    return Sweeper(
        rules=rules or [one.rule for one in world.to.values()],
        verifier_of=verifier_of,
        books=world.journal,
        clock=world.clock,
        telemetry=told,
        interval_s=600.0,
        grace_s=grace_s,
    )


async def test_a_thousand_lost_events_heal_in_one_pass_and_are_counted(world_of: WorldOf) -> None:
    world = world_of(To("paris"), To("tokyo"))
    for number in range(500):
        await world.receive(world.put(f"known{number:03}"))
    await world.rest()
    for number in range(1000):
        world.put(f"lost{number:04}", b"%d" % number)  # nobody tells of it
    for number in range(10):
        world.put(f"known{number:03}", b"changed")
    told = Swept()
    sweeper = sweeper_of(world, told)
    for rule in (world.to["paris"].rule, world.to["tokyo"].rule):
        await sweeper.sweep(rule)
    await world.rest()
    assert told.passes == [("paris", 1010, 0), ("tokyo", 1010, 0)]
    world.assert_equal()
    await sweeper.sweep(world.to["paris"].rule)
    assert told.passes[-1] == ("paris", 0, 0), "what is healed is not healed again"
    record = await kept(world)
    assert (record.is_running, record.healed, record.healed_total) == (False, 0, 1010)
    assert record.keys_all == 2 * 1500


async def test_what_is_young_is_left_to_its_event(world_of: WorldOf) -> None:
    world = world_of(To("paris"))
    world.put("on-its-way")
    told = Swept()
    sweeper = sweeper_of(world, told, grace_s=60.0)
    _, repairs = await sweeper.sweep(world.to["paris"].rule)
    assert (repairs.queued, repairs.left) == (0, {Left.YOUNG: 1})


@pytest.mark.parametrize("drift", list(Drift))
async def test_drift_is_reported_or_repaired_as_the_rule_says(
    world_of: WorldOf, drift: Drift
) -> None:
    world = world_of(To("paris"))
    for key in ("changed", "removed", "kept"):
        await world.receive(world.put(key))
    await world.rest()
    bucket = world.buckets["paris"].objects
    bucket["changed"] = StoredObject.of(b"by somebody else")
    del bucket["removed"]
    bucket["foreign"] = StoredObject.of(b"not ours")
    told = Swept()
    rule = replace(world.to["paris"].rule, drift=drift)
    _, repairs = await sweeper_of(world, told).sweep(rule)
    await world.rest()
    assert bucket["foreign"].content == b"not ours"
    if drift is Drift.REPORT:
        assert told.passes == [("paris", 0, 2)]
        assert bucket["changed"].content == b"by somebody else"
    else:
        assert told.passes == [("paris", 2, 0)]
        world.assert_equal()
    assert repairs.left[Left.FOREIGN] == 1
    assert (await kept(world)).foreign == 1


async def test_a_replica_of_what_is_gone_is_only_asked_to_go_if_the_rule_replicates_deletes(
    world_of: WorldOf,
) -> None:
    world = world_of(To("paris"))
    await world.receive(world.put("gone"))
    await world.rest()
    del world.source.objects["gone"]
    told = Swept()
    rule = world.to["paris"].rule
    _, repairs = await sweeper_of(world, told).sweep(replace(rule, deletes=Deletes.IGNORE))
    assert (repairs.queued, repairs.left) == (0, {Left.FOREIGN: 1})
    _, repairs = await sweeper_of(world, told).sweep(replace(rule, deletes=Deletes.REPLICATE))
    assert repairs.queued == 1


async def test_a_dead_letter_waits_for_a_person_and_is_not_healed_again(world_of: WorldOf) -> None:
    refuses = written([Line(Fault(Refused("no", status=400)))])
    world = world_of(To("paris", script=refuses))
    world.put("refused")  # nobody tells of it
    told = Swept()
    sweeper = sweeper_of(world, told)
    for _ in range(3):
        await sweeper.sweep(world.to["paris"].rule)
        await world.rest()
    assert told.passes == [("paris", 1, 0), ("paris", 0, 0), ("paris", 0, 0)]
    record = await world.journal.get("paris", "refused")
    assert record is not None
    assert record.state is JobState.DEAD
    world.put("refused", b"another state is another change")
    _, repairs = await sweeper.sweep(world.to["paris"].rule)
    assert (repairs.queued, repairs.left) == (1, {})


@pytest.mark.parametrize("how", ["backfill", "reconcile"])
async def test_a_dead_letter_is_put_back_by_who_asks_for_all_objects(
    world_of: WorldOf, how: str
) -> None:
    refuses = written([Line(Fault(Refused("no", status=400)), last=1)])
    world = world_of(To("paris", script=refuses))
    await world.receive(world.put("refused"))
    await world.rest()
    assert world.states("refused") == {"paris": JobState.DEAD}
    rule = world.to["paris"].rule
    if how == "backfill":
        backfill = Backfill(
            rules=[rule], books=world.journal, clock=world.clock, fingerprint="as it is"
        )
        await backfill.run(listed(world.source, world.clock, "", None))
    else:
        repairer = Repairer(
            rule=rule, books=world.journal, clock=world.clock, grace_s=0.0, revives=True
        )
        verifier = Verifier(
            rule=rule,
            source=world.source,
            replica=world.buckets["paris"],
            ledger=world.journal,
            clock=world.clock,
        )
        await verifier.run("", repairer.found)
    await world.rest()
    world.assert_equal()


async def test_a_pass_that_fails_is_not_counted(world_of: WorldOf) -> None:
    world = world_of(To("paris"))
    world.put("lost")
    whole = world.source.list_page

    async def refuses(*_arguments: object, **_options: object) -> ListPage:
        raise AccessDenied("not yours")

    world.source.list_page = refuses  # type: ignore[method-assign]
    told = Swept()
    sweeper = sweeper_of(world, told)
    with pytest.raises(AccessDenied):
        await sweeper.sweep(world.to["paris"].rule)
    assert told.passes == []
    failed = await kept(world)
    assert (failed.is_running, failed.ended_at_ms) == (False, None)
    assert failed.failure.startswith("access-denied: ")
    world.source.list_page = whole  # type: ignore[method-assign]
    await sweeper.sweep(world.to["paris"].rule)
    assert (await kept(world)).failure == ""
    await world.rest()
    assert world.known("paris", "lost").state is JobState.SETTLED


async def test_a_pass_under_way_tells_how_far_it_is_and_how_late_it_can_be(
    world_of: WorldOf,
) -> None:
    world = world_of(To("paris"))
    for number in range(1500):
        world.put(f"k{number:04}")
    whole, gate = world.source.list_page, asyncio.Event()
    sweeper = sweeper_of(world, Swept(), grace_s=60.0)
    await sweeper.sweep(world.to["paris"].rule)
    first = await kept(world)
    assert worst_lag_s([first], interval_s=600.0, grace_s=60.0) == pytest.approx(660.0)
    assert worst_lag_s([first, None], interval_s=600.0, grace_s=60.0) is None

    async def holds_the_second_page(*arguments: Any, **options: Any) -> ListPage:
        if options.get("token") and not options.get("delimiter"):
            await gate.wait()
        return await whole(*arguments, **options)

    world.source.list_page = holds_the_second_page  # type: ignore[method-assign]
    running = asyncio.ensure_future(sweeper.sweep(world.to["paris"].rule))
    for _ in range(3):
        await quiet()
        await world.clock.advance(TELL_S)
    await quiet()
    under_way = await kept(world)
    assert (under_way.is_running, under_way.keys_all) == (True, 1500)
    assert under_way.share == pytest.approx(1000 / 1500)
    gate.set()
    await running
    assert (await kept(world)).share is None
    assert (await kept(world)).took_ms >= 2 * TELL_S * 1000
