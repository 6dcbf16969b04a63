"""Promises about uploads that cannot be gone on with: they are begun again, or it is said why."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from s3fanout.adapters.store.faulty import Fault, Line, written
from s3fanout.decide.plan import Way
from s3fanout.model.errors import (
    AccessDenied,
    StoreError,
    Throttled,
    Unavailable,
    UploadGone,
)
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import (
    Written,
)
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.in_parts import (
    ATTRIBUTES,
    CONTENT,
    LIMITS,
    PARTS,
    WAYS,
    MakeWorld,
    assert_exact,
    count,
    part_operation,
)
from tests.functional.world import To


@WAYS
async def test_an_upload_that_expired_is_begun_again(world_of: MakeWorld, way: Way) -> None:
    gate = asyncio.Event()
    half = written([Line(Fault(pause=gate.wait), operation=part_operation(way), first=4, last=5)])
    world = world_of(To("a", way=way, script=half), limits=LIMITS)
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await quiet()
    world.buckets["a"]._stores.uploads.clear()
    gate.set()
    await world.rest()
    assert_exact(world)
    assert count(world, "CreateMultipartUpload") == 2
    assert not [of.error for of in world.reports.settlements if of.error is not None]


@WAYS
async def test_an_upload_that_was_completed_and_not_answered_is_not_made_again(
    world_of: MakeWorld, way: Way
) -> None:
    """Completing is tried again within the transport of many clients: then the upload is gone."""
    world = world_of(To("a", way=way, wrap=completing_twice), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert_exact(world)
    assert count(world, "CreateMultipartUpload") == 1


class CompletesTwice:
    """A client that repeats what may have been applied."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def complete_upload(self, *words: object, **options: object) -> Written:
        await self._inner.complete_upload(*words, **options)  # type: ignore[arg-type]
        return await self._inner.complete_upload(*words, **options)  # type: ignore[arg-type]


def completing_twice(inner: ObjectStore) -> ObjectStore:
    return CompletesTwice(inner)  # type: ignore[return-value]


@WAYS
async def test_a_store_that_forgets_every_upload_is_named(world_of: MakeWorld, way: Way) -> None:
    gone = Fault(UploadGone("there is no such upload", s3_code="NoSuchUpload"))
    world = world_of(
        To("a", way=way, script=written([Line(gone, operation=part_operation(way))])),
        limits=LIMITS,
    )
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "upload-gone")
    assert "lifecycle rule" in record.error.hint
    assert count(world, "CreateMultipartUpload") == 2 * LIMITS.attempts_max


NOT_LISTED = Line(
    Fault(AccessDenied("no", s3_code="AccessDenied", hint="grant s3:ListMultipartUploadParts")),
    operation="ListParts",
)


def fails(error: StoreError, operation: str, *calls: int) -> list[Line]:
    return [Line(Fault(error), operation=operation, first=nth, last=nth) for nth in calls]


@WAYS
@pytest.mark.parametrize(
    ("abort", "aborted"),
    [([], 1), (fails(AccessDenied("no"), "AbortMultipartUpload", 1), 0)],
    ids=["and aborted", "and left where aborting is denied too"],
)
async def test_an_upload_whose_parts_may_not_be_listed_is_begun_again_after_a_crash_and_told(
    world_of: MakeWorld,
    caplog: pytest.LogCaptureFixture,
    way: Way,
    abort: list[Line],
    aborted: int,
) -> None:
    gate = asyncio.Event()
    half = Line(Fault(pause=gate.wait), operation=part_operation(way), first=6, last=7)
    world = world_of(To("a", way=way, script=written([half, NOT_LISTED, *abort])), limits=LIMITS)
    await world.receive(world.put("key", CONTENT, ATTRIBUTES))
    await quiet()
    await world.crash()
    await world.rest()
    assert world.known("a", "key").state is JobState.SETTLED
    assert world.buckets["a"].objects["key"].content == CONTENT
    assert count(world, "CreateMultipartUpload") == 2
    assert count(world, "AbortMultipartUpload") == aborted
    assert len(world.buckets["a"]._stores.uploads) == 1 - aborted
    assert not world.journal._uploads
    (told,) = [record for record in caplog.records if "may not be listed" in record.message]
    assert told.levelname == "WARNING"
    assert (told.destination, told.hint) == ("a", "grant s3:ListMultipartUploadParts")  # type: ignore[attr-defined]


@WAYS
@pytest.mark.parametrize("error", [Unavailable("reset"), Throttled("slow down", status=503)])
async def test_parts_that_may_not_be_listed_are_sent_again_once_and_then_it_is_an_error(
    world_of: MakeWorld, way: Way, error: StoreError
) -> None:
    """Also where a failure does not count: what is sent again and again comes to an end."""
    half = fails(error, part_operation(way), *range(4, 100, 4))
    world = world_of(
        To("a", way=way, script=written([*half, NOT_LISTED])),
        limits=replace(LIMITS, circuit_failures=100),
    )
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "access-denied:AccessDenied")
    assert "grant s3:ListMultipartUploadParts" in record.error.hint
    assert count(world, "CreateMultipartUpload") == 2
    assert len(world.buckets["a"]._stores.uploads) == 1


@WAYS
async def test_once_is_for_each_replica_that_is_made(world_of: MakeWorld, way: Way) -> None:
    world = world_of(To("a", way=way), limits=LIMITS)
    for content in (CONTENT, CONTENT[::-1]):
        next_part = count(world, part_operation(way)) + 1
        half = fails(Unavailable("reset"), part_operation(way), next_part + 4)
        world.ports["a"]._script = written([*half, NOT_LISTED])
        await world.receive(world.put("key", content))
        await world.rest()
        assert_exact(world)
    codes = [of.error.code for of in world.reports.settlements if of.error is not None]
    assert codes == ["unavailable", "unavailable"]
    assert count(world, "CreateMultipartUpload") == 4


DENIED = AccessDenied("no", status=403, s3_code="AccessDenied")
EXPIRED = AccessDenied("renew it", status=400, s3_code="ExpiredToken")


@WAYS
@pytest.mark.parametrize(
    "for_a_while",
    [
        [
            *fails(DENIED, "ListParts", 1, 2),
            *fails(DENIED, "AbortMultipartUpload", 1, 2),
            *fails(DENIED, "CreateMultipartUpload", 2, 3),
        ],
        fails(EXPIRED, "ListParts", 1, 2),
    ],
    ids=["by a policy", "by credentials that expired"],
)
async def test_parts_are_kept_while_all_is_denied_for_a_while(
    world_of: MakeWorld, way: Way, for_a_while: list[Line]
) -> None:
    half = fails(Unavailable("reset"), part_operation(way), 4)
    world = world_of(To("a", way=way, script=written([*half, *for_a_while])), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert_exact(world)
    assert count(world, "CreateMultipartUpload") == 1
    assert count(world, part_operation(way)) <= PARTS + LIMITS.parts_in_flight


@WAYS
async def test_a_store_that_cannot_abort_now_is_asked_again_before_another_upload_is_begun(
    world_of: MakeWorld, way: Way
) -> None:
    lines = [
        *fails(Unavailable("reset"), part_operation(way), 4),
        *fails(Unavailable("reset"), "AbortMultipartUpload", 1),
        NOT_LISTED,
    ]
    world = world_of(To("a", way=way, script=written(lines)), limits=LIMITS)
    await world.receive(world.put("key", CONTENT))
    await world.rest()
    assert_exact(world)
    assert count(world, "CreateMultipartUpload") == 2
