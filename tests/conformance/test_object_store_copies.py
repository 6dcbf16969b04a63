"""What ``ports/object_store.py`` promises of a copy by the store, for every adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3fanout.model.errors import NoSuchBucket, Refused, SourceAbsent, SourceChanged, Unavailable
from s3fanout.model.objects import Absent, ObjectAttributes
from tests.conformance.full_objects import (
    FULL,
    HEADERS,
    METADATA,
    OTHER_ETAG,
    TAGS,
    kept,
    present,
    read,
)
from tests.conformance.object_stores import PLAIN, Quirk, Subject, body_of

if TYPE_CHECKING:
    from s3fanout.ports.object_store import ObjectStore


async def test_copy_keeps_bytes_attributes_and_tags(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    await store.put(unique, body_of(b"hello"), FULL)
    written = await replica.copy(
        f"{unique}/copy", source_bucket=subject.source, source_key=unique, if_match=None
    )
    body = await read(replica, f"{unique}/copy")
    assert body.content == b"hello"
    assert body.facts.etag == written.etag
    assert body.facts.attributes == ObjectAttributes(kept(subject, HEADERS), METADATA, TAGS)


async def test_copy_within_a_bucket(subject: Subject, store: ObjectStore, unique: str) -> None:
    await store.put(f"{unique}a", body_of(b"hello"), PLAIN)
    await store.copy(
        f"{unique}b", source_bucket=subject.source, source_key=f"{unique}a", if_match=None
    )
    assert (await read(store, f"{unique}b")).content == b"hello"


async def test_copy_replaces_everything(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    await store.put(unique, body_of(b"new"), ObjectAttributes(HEADERS, {"new": "1"}))
    await replica.put(unique, body_of(b"older and longer"), FULL)
    await replica.copy(unique, source_bucket=subject.source, source_key=unique, if_match=None)
    body = await read(replica, unique)
    assert body.content == b"new"
    assert body.facts.attributes.metadata == {"new": "1"}
    assert not body.facts.attributes.tags


async def test_copy_of_no_bytes(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    await store.put(unique, body_of(b""), FULL)
    await replica.copy(unique, source_bucket=subject.source, source_key=unique, if_match=None)
    assert (await present(replica, unique)).size_bytes == 0


async def test_copy_pinned_to_the_etag_copies(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    etag = (await store.put(unique, body_of(b"one"), PLAIN)).etag
    written = await replica.copy(
        unique, source_bucket=subject.source, source_key=unique, if_match=etag
    )
    assert written.etag == etag


async def test_copy_pinned_to_an_older_etag_says_changed_and_writes_nothing(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    older = await store.put(unique, body_of(b"one"), PLAIN)
    await store.put(unique, body_of(b"two"), PLAIN)
    with pytest.raises(SourceChanged) as changed:
        await replica.copy(
            unique, source_bucket=subject.source, source_key=unique, if_match=older.etag
        )
    assert not changed.value.maybe_applied
    assert await replica.head(unique) == Absent(unique)


@pytest.mark.parametrize("if_match", [None, OTHER_ETAG])
async def test_copy_of_no_object_says_absent(
    subject: Subject, replica: ObjectStore, unique: str, if_match: str | None
) -> None:
    with pytest.raises(SourceAbsent) as absent:
        await replica.copy(
            unique, source_bucket=subject.source, source_key=unique, if_match=if_match
        )
    assert not absent.value.maybe_applied
    assert await replica.head(unique) == Absent(unique)


async def test_copy_into_no_bucket(subject: Subject, store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"1"), PLAIN)
    broken = subject.has(Quirk.COPY_INTO_NO_BUCKET_BREAKS)
    with pytest.raises(Unavailable if broken else NoSuchBucket) as missing:
        await subject.open(subject.missing).copy(
            unique, source_bucket=subject.source, source_key=unique, if_match=None
        )
    assert missing.value.maybe_applied == broken


async def test_copy_from_no_bucket_is_not_absence(
    subject: Subject, replica: ObjectStore, unique: str
) -> None:
    with pytest.raises(NoSuchBucket):
        await replica.copy(unique, source_bucket=subject.missing, source_key=unique, if_match=None)


async def test_copy_onto_itself(subject: Subject, store: ObjectStore, unique: str) -> None:
    etag = (await store.put(unique, body_of(b"1"), FULL)).etag
    if subject.has(Quirk.SELF_COPY_ALLOWED):
        await store.copy(unique, source_bucket=subject.source, source_key=unique, if_match=etag)
    else:
        with pytest.raises(Refused):
            await store.copy(unique, source_bucket=subject.source, source_key=unique, if_match=etag)
    assert (await read(store, unique)).content == b"1"
