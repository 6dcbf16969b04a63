"""Promises about annotations, which no look at an object tells of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.adapters.store.faulty import Call, Fault
from s3fanout.decide.plan import Way
from s3fanout.model.errors import AccessDenied, Refused
from s3fanout.model.keeping import Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import (
    Extras,
    ObjectAttributes,
    ObjectLock,
)
from s3fanout.model.vendors import OTHER
from tests.functional.test_keeping import PARTS, MakeWorld
from tests.functional.world import To

NOTE, OTHER_NOTE = b"a note", b"another note"
KEEPS_NOTES = Keeping(annotations=True)


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_annotations_are_carried_over_where_that_is_asked_for(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    world = world_of(
        To("a", way, store=OTHER, keeping=KEEPS_NOTES), To("b", way, store=OTHER), limits=limits
    )
    body = world.put("key", b"content")
    world.source.objects["key"].annotations.update(one=NOTE, two=OTHER_NOTE)
    await world.receive(body)
    await world.rest()
    assert world.buckets["a"].objects["key"].annotations == {"one": NOTE, "two": OTHER_NOTE}
    assert world.known("a", "key").differences == ()
    is_copied_at_once = way is Way.SERVER and limits is not PARTS
    assert bool(world.buckets["b"].objects["key"].annotations) == is_copied_at_once


async def test_an_object_without_annotations_costs_one_request_to_know_it(
    world_of: MakeWorld,
) -> None:
    world = world_of(To("a", Way.STREAM, keeping=KEEPS_NOTES))
    await world.receive(world.put("key"))
    await world.rest()
    assert world.requests() == {"GetObject": 1, "PutObject": 1, "ListObjectAnnotations": 1}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_a_store_without_annotations_is_never_sent_one(
    world_of: MakeWorld, limits: Limits, *, strict: bool
) -> None:
    """It might take the text for the object."""

    def unknown(call: Call) -> Fault | None:
        if call.operation != "ListObjectAnnotations":
            return None
        return Fault(error=Refused("no such thing", s3_code="NotImplemented"))

    keeping = replace(KEEPS_NOTES, strict=strict)
    to = To("a", Way.STREAM, unknown, store=OTHER, keeping=keeping)
    world = world_of(to, limits=limits)
    body = world.put("key", b"content")
    world.source.objects["key"].annotations["one"] = NOTE
    await world.receive(body)
    await world.rest()
    assert world.buckets["a"].requests["PutObjectAnnotation"] == 0
    record = world.known("a", "key")
    if strict:
        assert record.error is not None
        assert record.error.message == "the destination does not hold: annotations"
        assert world.buckets["a"].objects == {}
    else:
        assert record.differences == ("annotations",)
        assert world.buckets["a"].objects["key"].content == b"content"


async def test_a_lock_that_forbids_annotations_is_a_difference(world_of: MakeWorld) -> None:
    def locked(call: Call) -> Fault | None:
        if call.operation != "PutObjectAnnotation":
            return None
        return Fault(error=AccessDenied("protected by object lock", s3_code="AccessDenied"))

    world = world_of(To("a", Way.STREAM, locked, store=OTHER, keeping=KEEPS_NOTES))
    held = ObjectAttributes(extras=Extras(lock=ObjectLock(legal_hold=True)))
    body = world.put("key", b"content", held)
    world.source.objects["key"].annotations["one"] = NOTE
    await world.receive(body)
    await world.rest()
    assert world.known("a", "key").differences == ("annotations",)
