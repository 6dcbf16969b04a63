"""Promises about versions that are removed for good: only ours, and only where it is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.adapters.store.faulty import Call, Fault
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.model.errors import Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from s3fanout.model.objects import VersionPage
from s3fanout.model.removals import DELETES_HELD
from s3fanout.model.rules import Deletes
from s3fanout.ports.object_store import ObjectStore
from tests.functional.versions import (
    MakeWorld,
    a_life,
    all_of,
    assert_equal,
    deleted,
    ids,
    removed_version,
    versioned,
)


@pytest.mark.parametrize("number", [1, 2], ids=["an older one", "the current one"])
async def test_by_default_a_version_that_is_removed_stays(world_of: MakeWorld, number: int) -> None:
    world = world_of(all_of())
    for content in (b"1", b"2", b"3"):
        await world.receive(world.put("key", content))
    await world.rest()
    await world.receive(removed_version(world, number))
    await world.rest()
    assert world.buckets["a"].objects["key"].content == b"3"
    await world.receive(world.put("key", b"4"))
    await world.rest()
    entries = versioned(world.buckets["a"]).history["key"]
    assert [each.stored and each.stored.content for each in entries] == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("deletes", Deletes)
@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_removed_version_is_removed_where_that_is_asked_for(
    world_of: MakeWorld, number: int, deletes: Deletes
) -> None:
    world = world_of(all_of(deletes=deletes, version_deletes=Deletes.REPLICATE))
    for content in (b"1", b"2", b"3"):
        await world.receive(world.put("key", content))
    await world.rest()
    await world.receive(removed_version(world, number))
    await world.rest()
    assert_equal(world)
    kept = await world.journal.versions_kept("a", "key")
    assert [record.source_version_id for record in kept] == ids(world.source, "key")[::-1]


@pytest.mark.parametrize("count", [2, 150], ids=["few", "more than are looked at first"])
async def test_a_removal_is_not_lost_behind_a_newer_change(world_of: MakeWorld, count: int) -> None:
    world = world_of(all_of(version_deletes=Deletes.REPLICATE))
    for number in range(count):
        await world.receive(world.put("key", b"%d" % number))
    await world.rest()
    removed_version(world, 0)  # Its event is lost.
    await world.receive(world.put("key", b"newest"))
    await world.rest()
    assert_equal(world)


async def test_a_history_that_is_gone_takes_only_ours_with_it(world_of: MakeWorld) -> None:
    world = world_of(all_of(version_deletes=Deletes.REPLICATE))
    world.buckets["a"].objects["key"] = StoredObject.of(b"somebody's")
    for message in a_life(world):
        await world.receive(message)
    await world.rest()
    while ids(world.source, "key"):
        message = removed_version(world, 0)
    await world.receive(message)
    await world.rest()
    entries = versioned(world.buckets["a"]).history["key"]
    assert [each.stored and each.stored.content for each in entries] == [b"somebody's"]
    kept = await world.journal.versions_kept("a", "key")
    assert [record for record in kept if not record.is_below] == []
    assert world.known("a", "key").replica_etag == ""


async def test_an_unknown_source_removes_nothing(world_of: MakeWorld) -> None:
    broken = False

    def script(call: Call) -> Fault | None:
        return Fault(Unavailable("503", status=503)) if broken else None

    world = world_of(all_of(version_deletes=Deletes.REPLICATE), source_script=script)
    for content in (b"1", b"2"):
        await world.receive(world.put("key", content))
    await world.rest()
    message = removed_version(world, 0)
    broken = True
    await world.receive(message)
    await world.clock.advance(0.01)
    assert len(ids(world.buckets["a"], "key")) == 2
    broken = False
    await world.rest()
    assert_equal(world)


async def test_a_listing_that_leaves_a_version_out_removes_nothing(world_of: MakeWorld) -> None:
    world = world_of(all_of(version_deletes=Deletes.REPLICATE))
    for content in (b"1", b"2"):
        await world.receive(world.put("key", content))
    await world.rest()
    objects = versioned(world.source)
    whole = objects.page

    def lacking(key: str, token: str | None, limit: int) -> VersionPage:
        page = whole(key, token, limit)
        return replace(page, versions=page.versions[:1])

    vars(objects)["page"] = lacking
    await world.receive(world.message("key"))
    await world.clock.advance(1)
    assert len(ids(world.buckets["a"], "key")) == 2


async def test_the_guard_holds_removals_of_versions_and_markers_that_hide(
    world_of: MakeWorld,
) -> None:
    limits = Limits(deletes_max=1)
    world = world_of(all_of(version_deletes=Deletes.REPLICATE), limits=limits)
    for content in (b"1", b"2"):
        await world.receive(world.put("key", content))
    await world.receive(world.put("other"))
    await world.rest()
    await world.receive(removed_version(world, 0))
    await world.rest()
    await world.receive(deleted(world, "other"))
    await world.clock.advance(10)
    assert "other" in world.buckets["a"].objects
    error = world.known("a", "other").error
    assert error is not None
    assert error.code == DELETES_HELD
    await world.journal.release_deletes("a", now_ms=world.clock.now_ms())
    await world.rest()
    assert_equal(world, "other")
    assert_equal(world)


async def test_a_marker_that_another_version_follows_passes_the_guard(world_of: MakeWorld) -> None:
    world = world_of(all_of(), limits=Limits(deletes_max=0))
    world.put("key", b"1")
    deleted(world)
    await world.receive(world.put("key", b"2"))
    await world.rest()
    assert_equal(world)


async def test_a_removal_of_the_newest_version_records_the_etag_of_what_is_shown_now(
    world_of: MakeWorld,
) -> None:
    world = world_of(all_of(version_deletes=Deletes.REPLICATE))
    for content in (b"1", b"2"):
        await world.receive(world.put("key", content))
    await world.rest()
    await world.receive(removed_version(world, -1))
    await world.rest()
    record, shown = world.known("a", "key"), world.buckets["a"].objects["key"]
    assert (record.state, record.replica_etag, shown.content) == (
        JobState.SETTLED,
        shown.etag,
        b"1",
    )


class OneMarker:
    """A store that puts no delete marker on top of another, as Ceph RGW 16."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def delete(self, key: str, *, if_match: str | None = None) -> str | None:
        (top,) = (await self._inner.list_versions(key, limit=1)).versions
        return None if top.is_marker else await self._inner.delete(key, if_match=if_match)


async def test_a_marker_that_stands_for_two_goes_with_the_last_of_them(
    world_of: MakeWorld,
) -> None:
    to = all_of(wrap=OneMarker, version_deletes=Deletes.REPLICATE)
    world = world_of(to)
    await world.receive(world.put("key", b"1"))
    for _ in range(2):
        await world.receive(deleted(world))
        await world.rest()
    assert len(ids(world.source, "key")) == 3
    for _ in range(2):
        assert len(ids(world.buckets["a"], "key")) == 2
        assert "key" not in world.buckets["a"].objects
        await world.receive(removed_version(world, -1))
        await world.rest()
    assert world.buckets["a"].objects["key"].content == b"1"
    assert_equal(world)
