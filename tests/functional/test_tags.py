"""Tags that a source says nothing of are not lost without a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from s3fanout.decide.plan import Way
from s3fanout.decide.tags import DENIED_S, HEARD_S
from s3fanout.model.errors import AccessDenied, StoreError, Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.keeping import Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Body, ObjectAttributes, Present, Probe
from s3fanout.model.vendors import OTHER, Vendor, VendorName, vendor_named
from s3fanout.ports.object_store import ObjectStore
from s3fanout.service.check import tags_of_source
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
PARTS = Limits(part_bytes=4, copy_bytes_max=4, copy_part_bytes=4, part_bytes_min=1)
TAGGED = ObjectAttributes({"content-type": "text/plain"}, tags={"team": "blue"})
AWS = vendor_named(VendorName.AWS)
DENIED = AccessDenied("no s3:GetObjectTagging", s3_code="AccessDenied")


class Silent:
    """A store that tells no counts; ``refusal`` answers who asks for tags."""

    def __init__(self, store: ObjectStore, refusal: StoreError | None) -> None:
        self._store = store
        self.refusal = refusal
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def head(self, key: str, **options: Any) -> Probe:
        probe = await self._store.head(key, **options)
        return replace(probe, tag_count=0) if isinstance(probe, Present) else probe

    async def get(self, key: str, **options: Any) -> Body:
        body = await self._store.get(key, **options)
        attributes = replace(body.facts.attributes, tags={})
        return replace(body, facts=replace(body.facts, tag_count=0, attributes=attributes))

    async def get_tags(self, key: str, **options: Any) -> Mapping[str, str]:
        self.asked.append(key)
        if self.refusal is not None:
            raise self.refusal
        return await self._store.get_tags(key, **options)


def world_with(
    world_of: MakeWorld,
    *to: To,
    refusal: StoreError | None = None,
    kind: Vendor = AWS,
    limits: Limits | None = None,
) -> tuple[World, Silent]:
    """Whose source tells no counts."""
    made: list[Silent] = []

    def wrap(store: ObjectStore) -> ObjectStore:
        made.append(Silent(store, refusal))
        return made[0]  # type: ignore[return-value]

    world = world_of(*to, source_store=kind, wrap_source=wrap, limits=limits)
    return world, made[0]


async def replicate(world: World, key: str, attributes: ObjectAttributes | None = None) -> None:
    await world.receive(world.put(key, b"content", attributes))
    await world.rest()


@pytest.mark.parametrize(
    ("way", "limits"), [(Way.STREAM, Limits()), (Way.STREAM, PARTS), (Way.SERVER, PARTS)]
)
async def test_tags_that_may_not_be_read_are_a_difference_until_they_may(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    strict = To("b", way, keeping=Keeping(strict=True))
    world, source = world_with(world_of, To("a", way), strict, refusal=DENIED, limits=limits)
    for key in ("one", "two"):
        await replicate(world, key, TAGGED)
        assert world.known("a", key).differences == ("tags-unread",)
        error = world.known("b", key).error
        assert world.states(key) == {"a": JobState.SETTLED, "b": JobState.DEAD}
        assert error is not None
        assert (error.code, "s3:GetObjectTagging" in error.hint) == ("not-exact", True)
        assert key not in world.buckets["b"].objects
    assert source.asked == ["one"], "once for all, for a while"

    source.refusal = None
    await world.clock.advance(DENIED_S + 1)
    await replicate(world, "three", TAGGED)
    assert world.known("a", "three").differences == ()
    for name in "ab":
        assert world.buckets[name].objects["three"].attributes.tags == {"team": "blue"}


async def test_a_store_that_tells_who_may_read_is_asked_once_an_hour(world_of: MakeWorld) -> None:
    world, source = world_with(world_of, To("a", Way.STREAM))
    for message in [world.put(f"{number}") for number in range(50)]:
        await world.receive(message)
    await world.rest()
    assert len(source.asked) == 1, "however many are read at once"
    await world.clock.advance(HEARD_S + 1)
    await replicate(world, "later")
    assert len(source.asked) == 2
    assert {world.known("a", key).differences for key in world.source.objects} == {()}


async def test_a_store_that_hides_tags_from_those_who_may_read_them_is_asked_for_each(
    world_of: MakeWorld,
) -> None:
    world, _ = world_with(world_of, To("a", Way.STREAM), To("b", Way.STREAM))
    for key in ("one", "two"):
        await replicate(world, key, TAGGED)
    world.assert_equal()


@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_a_store_that_is_not_known_is_asked_for_each(
    world_of: MakeWorld, limits: Limits
) -> None:
    world, source = world_with(world_of, To("a", Way.STREAM), kind=OTHER, limits=limits)
    await replicate(world, "none")
    await replicate(world, "tagged", TAGGED)
    world.assert_equal()
    assert source.asked == ["none", "tagged"]


async def test_a_store_that_told_a_count_is_believed_when_it_is_silent(world_of: MakeWorld) -> None:
    world = world_of(To("a", Way.STREAM), source_store=OTHER)
    await replicate(world, "tagged", TAGGED)
    before = world.source.requests["GetObjectTagging"]
    for number in range(5):
        await replicate(world, f"{number}")
    assert world.source.requests["GetObjectTagging"] == before
    world.assert_equal()


async def test_what_knows_no_tags_is_asked_once_and_what_fails_is_tried_again(
    world_of: MakeWorld,
) -> None:
    unknown = Unavailable("not implemented", status=501, s3_code="NotImplemented")
    world, source = world_with(world_of, To("a", Way.STREAM), kind=OTHER, refusal=unknown)
    for key in ("one", "two"):
        await replicate(world, key)
    assert source.asked == ["one"]

    world, source = world_with(
        world_of, To("a", Way.STREAM), kind=OTHER, refusal=Unavailable("away", of_source=True)
    )
    await world.receive(world.put("key", b"content", TAGGED))
    await world.clock.run_until(lambda: len(source.asked) > 1, within_s=60)
    source.refusal = None
    await world.rest()
    world.assert_equal()


async def test_check_says_how_tags_are_found_out(world_of: MakeWorld) -> None:
    unknown = Unavailable("not implemented", status=501, s3_code="NotImplemented")
    world, source = world_with(world_of, To("a", Way.STREAM), refusal=unknown)
    world.put("key")
    store: Any = source
    assert await tags_of_source(store, "key", OTHER) == "objects have no tags: the store knows none"
    source.refusal = None
    assert await tags_of_source(store, "key", AWS) == "tags can be read"
    assert "a request for each streamed object" in await tags_of_source(store, "key", OTHER)
    source.refusal = DENIED
    with pytest.raises(AccessDenied):
        await tags_of_source(store, "key", AWS)
