"""Crash at the 1st, 2nd, … n-th effect of every operation, before and after it; restart; audit.

An effect is what outlives the process: a write to a destination, a commit of the ledger. The number
of runs is not chosen: it ends with the first run that never gets to its crash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from s3fanout.decide.plan import Way
from s3fanout.model.limits import Limits
from s3fanout.model.rules import Deletes, Versions
from tests.simulation.loop import SimLoop
from tests.simulation.options import Options, Place, draw
from tests.simulation.world import World

EFFECTS_MAX = 400
PARTS = {"copy_bytes_max": 64, "copy_part_bytes": 48}
WAYS = pytest.mark.parametrize("ways", [(Way.SERVER,), (Way.STREAM,), (Way.SERVER, Way.STREAM)])


def options(*ways: Way) -> Options:
    """A world in which nothing goes wrong but the crash."""
    places = tuple(
        Place("abc"[number], way, Deletes.REPLICATE, "", False, False, 0.0, 4)
        for number, way in enumerate(ways)
    )
    return replace(
        draw(0),
        slow=0.0,
        fails=0.0,
        throttles=0.0,
        lost_before=0.0,
        lost_after=0.0,
        false_412=0.0,
        writes=0,
        crashes=0,
        stops=0,
        clock_jumps=0,
        denials=0,
        pauses=0,
        foreigners=0,
        places=places,
        keys=2,
        removes=0.0,
        reverts=0.0,
        retags=0.0,
        moves_meanwhile=0.0,
        duplicates=0.0,
        garbage=0.0,
        ledger_fails=0.0,
        delay_s=0.0,
        latency_s=0.01,
        hints=True,
        opaque_source=False,
        limits=Limits(part_bytes=64, deletes_max=1000, deletes_percent_max=100),
    )


def in_parts(options: Options) -> Options:
    """Objects that do not fit into one part, whoever copies them."""
    return replace(options, large=300, limits=replace(options.limits, **PARTS))


def of_every_version(options: Options) -> Options:
    """Histories that are replicated, versions that are removed for good included."""
    places = tuple(
        replace(place, versions=Versions.ALL, version_deletes=Deletes.REPLICATE)
        for place in options.places
    )
    return replace(options, places=places)


def write(world: World, key: str) -> None:
    world.change(key)


def overwrite(world: World, key: str) -> None:
    world.change(key)
    world.change(key)


def remove(world: World, key: str) -> None:
    world.remove(key)


def remove_and_write(world: World, key: str) -> None:
    world.remove(key)
    world.change(key)


def purge(world: World, key: str) -> None:
    world.change(key)
    world.purge(key)


def garbage(world: World, key: str) -> None:
    world.send(None, b"{")


def crash_at_every_effect(options: Options, act: Callable[[World, str], None]) -> World:
    """The world in which the crash was never in the way."""
    for number in range(1, EFFECTS_MAX):
        loop = SimLoop(shuffle=None)
        world = World(options, loop)
        # The first key rests already; the second one has never been copied.
        world.script = [
            partial(world.change, "k0"),
            *(partial(act, world, key) for key in world.keys),
        ]
        world.crash_at = number
        loop.run(world.run())
        if world.effects < number:
            assert number > 2 * len(options.places), "the crash was never in the way"
            return world
    raise AssertionError(f"more than {EFFECTS_MAX} effects")


@pytest.mark.parametrize("act", [write, overwrite, remove, remove_and_write, garbage])
@WAYS
def test_a_crash_at_every_effect(act: Callable[[World, str], None], ways: tuple[Way, ...]) -> None:
    crash_at_every_effect(options(*ways), act)


@pytest.mark.parametrize("act", [write, overwrite, remove_and_write])
@WAYS
def test_a_crash_at_every_effect_of_objects_in_parts(
    act: Callable[[World, str], None], ways: tuple[Way, ...]
) -> None:
    world = crash_at_every_effect(in_parts(options(*ways)), act)
    # Else no object was larger than a part, and this is what others try.
    assert world.operations["complete_upload"] >= len(ways)


@pytest.mark.parametrize("act", [overwrite, remove, remove_and_write, purge])
@WAYS
def test_a_crash_at_every_effect_where_every_version_counts(
    act: Callable[[World, str], None], ways: tuple[Way, ...]
) -> None:
    crash_at_every_effect(of_every_version(options(*ways)), act)
