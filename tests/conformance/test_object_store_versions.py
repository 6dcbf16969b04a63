"""What ``ports/object_store.py`` promises of versions, on every store that has them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.store.memory import MemoryStores
from s3fanout.adapters.system import SystemClock
from s3fanout.model.errors import NoSuchBucket, SourceAbsent, SourceChanged, Unavailable
from s3fanout.model.objects import Absent, Deleted, Present
from tests.conformance.full_objects import FULL, HEADERS, METADATA, TAGS, read
from tests.conformance.object_stores import PLAIN, body_of, open_s3
from tests.servers.server import boto3_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3fanout.model.objects import Version
    from s3fanout.ports.object_store import ObjectStore
    from tests.servers.server import Server

PART = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Versioned:
    """Two versioned buckets of one endpoint, one without versions, one that does not exist."""

    name: str
    source: ObjectStore
    replica: ObjectStore
    plain: ObjectStore
    missing: ObjectStore


@pytest.fixture(
    params=[
        "memory",
        *(
            pytest.param(name, marks=pytest.mark.stores)
            for name in ("seaweedfs", "ministack", "ceph")
        ),
    ]
)
def buckets(
    request: pytest.FixtureRequest,
    bucket_name: Callable[[str], str],
    opened: list[ObjectStore],
) -> Versioned:
    name: str = request.param
    if name == "memory":
        stores = MemoryStores(SystemClock())
        source = stores.create_bucket("source", versioned=True)
        replica = stores.create_bucket("replica", versioned=True)
        plain = stores.create_bucket("plain")
        return Versioned(name, source, replica, plain, stores.open("missing"))
    server: Server = request.getfixturevalue(name)
    names = [bucket_name(purpose) for purpose in ("versioned", "versioned", "plain", "missing")]
    with closing(boto3_client(server, "s3")) as client:
        for bucket in names[:3]:
            client.create_bucket(Bucket=bucket)
        for bucket in names[:2]:
            client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
    # RGW 16 with civetweb closes the connection after CreateMultipartUpload while it answers the
    # next request of it: an attempt more for the engine, and nothing that this suite is about.
    transport = "aiohttp" if name == "ceph" else "routed"
    opened += [open_s3(server, bucket, transport) for bucket in names]
    return Versioned(name, *opened)


async def versions_of(store: ObjectStore, key: str, *, limit: int = 1000) -> list[Version]:
    """All of them, oldest first."""
    found: list[Version] = []
    token: str | None = None
    while True:
        page = await store.list_versions(key, token=token, limit=limit)
        found += page.versions
        token = page.next_token
        if token is None:
            return found[::-1]


async def test_whether_a_bucket_keeps_versions_is_told(buckets: Versioned) -> None:
    assert await buckets.source.keeps_versions()
    assert not await buckets.plain.keeps_versions()
    with pytest.raises(NoSuchBucket):
        await buckets.missing.keeps_versions()
    with pytest.raises(NoSuchBucket):
        await buckets.missing.list_versions("a")


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_versions_and_markers_are_listed_newest_first(buckets: Versioned, limit: int) -> None:
    store = buckets.source
    written = [await store.put("o/k.txt", body_of(text), PLAIN) for text in (b"1", b"22")]
    marker = await store.delete("o/k.txt")
    written.append(await store.put("o/k.txt", body_of(b"333"), PLAIN))
    for other in ("o/k.txt/x", "o/k.txt0", "o/k.tx"):
        await store.put(other, body_of(b"another"), PLAIN)
    assert marker is not None
    ids = [each.version_id for each in written]
    assert None not in ids
    found = await versions_of(store, "o/k.txt", limit=limit)
    assert [each.version_id for each in found] == [ids[0], ids[1], marker, ids[2]]
    assert [each.is_marker for each in found] == [False, False, True, False]
    assert [each.size_bytes for each in found] == [1, 2, 0, 3]
    assert [each.etag for each in found if not each.is_marker] == [each.etag for each in written]


@pytest.mark.parametrize("limit", [2, 1000])
async def test_deleted_keys_are_listed_and_no_others(buckets: Versioned, limit: int) -> None:
    store = buckets.source
    for key in ("d/a b+ü", "d/gone", "d/here", "d/there-again", "e/gone"):
        for text in (b"1", b"2"):
            await store.put(key, body_of(text), PLAIN)
        if key != "d/here":
            await store.delete(key)
    await store.put("d/there-again", body_of(b"3"), PLAIN)
    found: list[Deleted] = []
    token = None
    while True:
        page = await store.list_deleted("d/", token=token, limit=limit)
        found += page.rows
        token = page.next_token
        if token is None:
            break
    assert sorted(row.key for row in found) == ["d/a b+ü", "d/gone"]
    assert all(row.deleted_at_ms for row in found)


async def test_a_key_without_a_history_has_no_versions(buckets: Versioned) -> None:
    await buckets.source.put("prefix-and-more", body_of(b"x"), PLAIN)
    for limit in (1, 1000):
        assert await versions_of(buckets.source, "prefix", limit=limit) == []


@pytest.mark.parametrize("key", ["a b+c%2F/ü", "line\nbreak", "a&<b>"])
async def test_a_strange_key_has_its_versions(buckets: Versioned, key: str) -> None:
    written = await buckets.source.put(key, body_of(b"x"), PLAIN)
    found = await versions_of(buckets.source, key)
    assert [each.version_id for each in found] == [written.version_id]


async def test_an_unversioned_object_is_the_version_null(buckets: Versioned) -> None:
    await buckets.plain.put("k", body_of(b"x"), PLAIN)
    assert [each.version_id for each in await versions_of(buckets.plain, "k")] == ["null"]


async def test_an_old_version_is_read_with_its_attributes(buckets: Versioned) -> None:
    store = buckets.source
    old = (await store.put("k", body_of(b"old", key="k"), FULL)).version_id
    await store.put("k", body_of(b"new"), PLAIN)
    facts = await store.head("k", version_id=old)
    assert isinstance(facts, Present)
    assert (facts.size_bytes, facts.version_id) == (3, old)
    body = await store.get("k", if_match=facts.etag, size_bytes_max=100, version_id=old)
    assert body.content == b"old"
    assert body.facts.attributes.headers == dict(HEADERS)
    if buckets.name != "ministack":  # Quirk.METADATA_IN_LATIN_1
        assert body.facts.attributes.metadata == dict(METADATA)
    assert await store.get_tags("k", version_id=old) == dict(TAGS)
    if buckets.name == "ministack":  # An emulator: it answers with all of a version.
        with pytest.raises(Unavailable):
            await store.get_range("k", first=1, last=2, if_match=facts.etag, version_id=old)
    else:
        part = await store.get_range("k", first=1, last=2, if_match=facts.etag, version_id=old)
        assert part.content == b"ld"
    with pytest.raises(SourceChanged):
        await store.get("k", if_match="0" * 32, size_bytes_max=100, version_id=old)


async def test_a_version_that_is_gone_is_absent(buckets: Versioned) -> None:
    store = buckets.source
    old = await store.put("k", body_of(b"old"), PLAIN)
    new = await store.put("k", body_of(b"new"), PLAIN)
    assert old.version_id is not None
    assert new.version_id is not None
    await store.delete_version("k", old.version_id)
    await store.delete_version("k", old.version_id)  # Again: nothing happens.
    assert await store.head("k", version_id=old.version_id) == Absent("k")
    with pytest.raises((SourceAbsent, SourceChanged)):
        await store.get("k", if_match=None, size_bytes_max=9, version_id=old.version_id)
    with pytest.raises((SourceAbsent, SourceChanged)):
        await buckets.replica.copy(
            "k",
            source_bucket=store.bucket,
            source_key="k",
            if_match=None,
            source_version_id=old.version_id,
        )
    assert [each.version_id for each in await versions_of(store, "k")] == [new.version_id]


async def test_what_is_below_a_deleted_version_or_marker_is_current_again(
    buckets: Versioned,
) -> None:
    store = buckets.source
    await store.put("k", body_of(b"one"), PLAIN)
    second = await store.put("k", body_of(b"two"), PLAIN)
    marker = await store.delete("k")
    assert marker is not None
    assert second.version_id is not None
    assert await store.head("k") == Absent("k")
    await store.delete_version("k", marker)
    assert (await read(store, "k")).content == b"two"
    await store.delete_version("k", second.version_id)
    assert (await read(store, "k")).content == b"one"


async def test_a_marker_is_put_on_nothing(buckets: Versioned) -> None:
    marker = await buckets.source.delete("never/there")
    found = await versions_of(buckets.source, "never/there")
    assert [(each.version_id, each.is_marker) for each in found] == [(marker, True)]


async def test_a_second_marker_is_made_or_none_is_told(buckets: Versioned) -> None:
    await buckets.source.put("k", body_of(b"x"), PLAIN)
    first = await buckets.source.delete("k")
    second = await buckets.source.delete("k")
    found = [each.version_id for each in await versions_of(buckets.source, "k") if each.is_marker]
    assert found == ([first] if buckets.name == "ceph" else [first, second])
    assert (second is None) is (buckets.name == "ceph")


async def test_an_old_version_is_copied_by_the_store(buckets: Versioned) -> None:
    old = await buckets.source.put("k", body_of(b"old"), FULL)
    await buckets.source.put("k", body_of(b"new"), PLAIN)
    written = await buckets.replica.copy(
        "copy",
        source_bucket=buckets.source.bucket,
        source_key="k",
        if_match=old.etag,
        source_version_id=old.version_id,
    )
    assert written.etag == old.etag
    # Ceph RGW 16 makes a version and does not tell its id (probed).
    assert (written.version_id is None) is (buckets.name == "ceph")
    body = await read(buckets.replica, "copy")
    assert body.content == b"old"
    assert body.facts.attributes.headers == dict(HEADERS)
    assert body.facts.attributes.tags == dict(TAGS)
    assert [each.version_id for each in await versions_of(buckets.replica, "copy")] == [
        body.facts.version_id
    ]


async def test_parts_are_copied_of_an_old_version(buckets: Versioned) -> None:
    content = b"o" * PART + b"end"
    old = await buckets.source.put("k", body_of(content), PLAIN)
    await buckets.source.put("k", body_of(b"n" * len(content)), PLAIN)
    upload_id = await buckets.replica.create_upload("copy", PLAIN)
    parts = [
        await buckets.replica.upload_part_copy(
            "copy",
            upload_id,
            number,
            source_bucket=buckets.source.bucket,
            source_key="k",
            if_match=old.etag,
            first=first,
            last=last,
            source_version_id=old.version_id,
        )
        for number, first, last in ((1, 0, PART - 1), (2, PART, PART + 2))
    ]
    written = await buckets.replica.complete_upload("copy", upload_id, parts)
    found = await versions_of(buckets.replica, "copy")
    assert [each.size_bytes for each in found] == [len(content)]
    assert written.version_id in (None, found[0].version_id)
    body = await buckets.replica.get("copy", if_match=None, size_bytes_max=len(content))
    assert body.content == content
