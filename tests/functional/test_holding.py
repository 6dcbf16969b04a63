"""A key is refused for what its store would do with it, never for a size that an event told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from s3fanout.adapters.store.faulty import Fault, FaultyStore, Line, written
from s3fanout.adapters.store.memory import MemoryStores
from s3fanout.decide.plan import Refuse, Skip
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.holding import HoldingCopier
from s3fanout.model.errors import Unavailable
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.rules import Rule
from s3fanout.model.vendors import Vendor, VendorName, vendor_named
from tests.conformance.object_stores import PLAIN, body_of
from tests.functional.clock import VirtualClock


class Failing:
    """A copier that fails as the MinIO front end does when a key is in the way of another."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        del stop_at_s
        raise Unavailable("store said no", status=500, s3_code="InternalError")

    def take_written(self, job: Job) -> str | None:
        return None


class Copying:
    """A copier that says it copied."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        del stop_at_s
        return Replicated("e", 0, "e", "copied")

    def take_written(self, job: Job) -> str | None:
        return None


async def paths() -> Vendor:
    return vendor_named(VendorName.SEAWEEDFS)


async def objects() -> Vendor:
    return vendor_named(VendorName.AWS)


async def files() -> Vendor:
    return vendor_named(VendorName.MINIO)


@pytest.mark.parametrize(
    ("key", "content", "told_bytes", "held", "looks"),
    [
        ("a/", b"", 4096, True, 1),
        ("a/", b"1", 4096, False, 1),
        ("a/", b"", 0, True, 0),
        ("a//b", b"1", 1, False, 0),
        ("a/b", b"1", 4096, True, 0),
    ],
)
async def test_a_size_in_an_event_refuses_no_key(
    key: str, content: bytes, told_bytes: int, held: bool, looks: int
) -> None:
    stores = MemoryStores(VirtualClock())
    source = stores.create_bucket("source")
    await source.put(key, body_of(content), PLAIN)
    copier = HoldingCopier(
        Copying(),
        rule=Rule("a"),
        source=source,
        destination=stores.create_bucket("a"),
        vendor=paths,
    )
    outcome = await copier.attempt(
        Job("a", key, 1, ChangeKind.CREATED, 0, etag="e", size_bytes=told_bytes)
    )
    assert isinstance(outcome, Replicated if held else Refuse)
    assert source.requests["HeadObject"] == looks


@pytest.mark.parametrize(
    ("there", "key"), [("x", "x/y"), ("x", "x/y/z"), ("d/e/f", "d"), ("d/e/f", "d/e")]
)
async def test_a_key_in_the_way_of_another_is_named(there: str, key: str) -> None:
    store = MemoryStores(VirtualClock()).create_bucket("a")
    await store.put(there, body_of(b"1"), PLAIN)
    copier = HoldingCopier(Failing(), rule=Rule("a"), source=store, destination=store, vendor=files)
    outcome = await copier.attempt(Job("a", key, 1, ChangeKind.CREATED, 0))
    assert isinstance(outcome, Refuse)
    assert outcome.code == "key-conflict"
    assert repr(there) in outcome.reason
    assert repr(key) in outcome.reason


@pytest.mark.parametrize("key", ["xx", "x/y", "dd/e"])
async def test_where_no_key_is_in_the_way_the_stores_own_error_stands(key: str) -> None:
    store = MemoryStores(VirtualClock()).create_bucket("a")
    for there in ("x-y", "d/e/f", "other"):
        await store.put(there, body_of(b"1"), PLAIN)
    copier = HoldingCopier(Failing(), rule=Rule("a"), source=store, destination=store, vendor=files)
    with pytest.raises(Unavailable):
        await copier.attempt(Job("a", key, 1, ChangeKind.CREATED, 0))


@pytest.mark.parametrize(
    ("there", "kind", "vendor", "outcome"),
    [
        ("x", ChangeKind.CREATED, paths, Refuse),
        ("x", ChangeKind.REMOVED, paths, Skip),
        ("x/y", ChangeKind.CREATED, paths, Replicated),
        ("x", ChangeKind.CREATED, objects, Replicated),
    ],
)
async def test_a_folder_mark_takes_no_place_of_an_object(
    there: str,
    kind: ChangeKind,
    vendor: Callable[[], Awaitable[Vendor]],
    outcome: type[Outcome],
) -> None:
    """SeaweedFS would keep ``x/`` for ``x`` without a word, once there is anything below it."""
    store = MemoryStores(VirtualClock()).create_bucket("a")
    await store.put(there, body_of(b"1"), PLAIN)
    copier = HoldingCopier(
        Copying(), rule=Rule("a"), source=store, destination=store, vendor=vendor
    )
    found = await copier.attempt(Job("a", "x/", 1, kind, 0))
    assert isinstance(found, outcome)
    if isinstance(found, (Skip, Refuse)):
        assert found.code == "key-conflict"
        assert "'x/'" in found.reason
        assert "'x'" in found.reason


async def test_where_it_is_not_known_what_is_there_nothing_is_written() -> None:
    stores = MemoryStores(VirtualClock())
    fails = written([Line(Fault(error=Unavailable("reset")), operation="HeadObject")])
    store = FaultyStore(stores.create_bucket("a"), fails)
    copier = HoldingCopier(Copying(), rule=Rule("a"), source=store, destination=store, vendor=paths)
    with pytest.raises(Unavailable):
        await copier.attempt(Job("a", "x/", 1, ChangeKind.CREATED, 0))
