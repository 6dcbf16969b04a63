"""What ``ports/object_store.py`` promises about ranges, parts and extras, for every adapter."""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.decide.checksums import composite_of_parts
from s3fanout.model.errors import (
    Refused,
    ReplicaMismatch,
    SourceAbsent,
    SourceChanged,
    StoreError,
    UploadGone,
)
from s3fanout.model.objects import (
    Absent,
    Body,
    Checksum,
    ChecksumAlgorithm,
    Extras,
    FirstPart,
    ListedUpload,
    ObjectAttributes,
    PartBody,
    Present,
)
from tests.conformance.full_objects import FULL, HEADERS, METADATA, MIB, OTHER_ETAG, TAGS, kept
from tests.conformance.object_stores import PLAIN, Quirk, Subject, body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.ports.object_store import ObjectStore

PART = 5 * MIB
FIRST, SECOND = b"a" * PART, b"b" * 1000


async def uploaded(
    store: ObjectStore,
    key: str,
    contents: Sequence[bytes] = (FIRST, SECOND),
    *,
    attributes: ObjectAttributes = PLAIN,
) -> str:
    """Write an object in parts; its etag."""
    upload_id = await store.create_upload(key, attributes)
    parts = [
        await store.upload_part(key, upload_id, number, part_of(content))
        for number, content in enumerate(contents, start=1)
    ]
    return (await store.complete_upload(key, upload_id, parts)).etag


async def present(store: ObjectStore, key: str) -> Present:
    facts = await store.head(key)
    assert isinstance(facts, Present)
    return facts


# --- ranges ---------------------------------------------------------------------------------


async def test_a_range_is_read_with_its_digests(store: ObjectStore, unique: str) -> None:
    content = bytes(range(256)) * 40
    etag = (await store.put(unique, body_of(content), PLAIN)).etag
    part = await store.get_range(unique, first=100, last=5099, if_match=etag)
    assert part == part_of(content[100:5100])
    last = await store.get_range(unique, first=10_239, last=10_239, if_match=etag)
    assert last.content == content[-1:]


async def test_a_range_of_another_state_says_changed(store: ObjectStore, unique: str) -> None:
    older = (await store.put(unique, body_of(b"one" * 9), PLAIN)).etag
    await store.put(unique, body_of(b"two" * 9), PLAIN)
    with pytest.raises(SourceChanged):
        await store.get_range(unique, first=0, last=3, if_match=older)


async def test_a_range_beyond_the_end_is_an_error(store: ObjectStore, unique: str) -> None:
    etag = (await store.put(unique, body_of(b"short"), PLAIN)).etag
    with pytest.raises(StoreError):
        await store.get_range(unique, first=2, last=9, if_match=etag)


async def test_a_range_of_no_object_says_absent(store: ObjectStore, unique: str) -> None:
    with pytest.raises(SourceAbsent):
        await store.get_range(unique, first=0, last=3, if_match=OTHER_ETAG)


async def test_tags_are_read_alone(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"1"), FULL)
    assert await store.get_tags(unique) == TAGS
    with pytest.raises(SourceAbsent):
        await store.get_tags(f"{unique}-not-there")


# --- uploads --------------------------------------------------------------------------------


async def test_an_upload_is_one_object_with_all_attributes(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    etag = await uploaded(store, unique, attributes=FULL)
    body = await store.get(unique, if_match=None, size_bytes_max=2 * PART)
    assert body.content == FIRST + SECOND
    assert body.facts.etag == etag
    assert body.facts.attributes.headers == kept(subject, HEADERS)
    assert body.facts.attributes.metadata == METADATA
    lost = subject.has(Quirk.UPLOADS_LOSE_TAGS)
    assert await store.get_tags(unique) == ({} if lost else TAGS)


async def test_the_etag_of_an_upload_is_the_digest_of_its_parts(
    store: ObjectStore, unique: str
) -> None:
    digests = b"".join(hashlib.md5(part).digest() for part in (FIRST, SECOND))
    etag = await uploaded(store, unique)
    assert etag == f"{hashlib.md5(digests).hexdigest()}-2"


async def test_an_upload_is_invisible_before_it_is_complete(
    store: ObjectStore, unique: str
) -> None:
    upload_id = await store.create_upload(unique, PLAIN)
    await store.upload_part(unique, upload_id, 1, part_of(b"1"))
    assert await store.head(unique) == Absent(unique)
    listed = await store.list_uploads(unique)
    assert [(row.key, row.upload_id) for row in listed] == [(unique, upload_id)]
    await store.abort_upload(unique, upload_id)
    assert await store.head(unique) == Absent(unique)
    assert not await store.list_uploads(unique)


async def test_uploads_are_listed_behind_the_last_one_seen(store: ObjectStore, unique: str) -> None:
    begun = {await store.create_upload(key, PLAIN): key for key in (f"{unique}/b", f"{unique}/a b")}
    found: dict[str, str] = {}
    after: ListedUpload | None = None
    while page := [
        upload
        for upload in await store.list_uploads(f"{unique}/", after=after)
        if upload.upload_id not in found
    ]:
        found |= {upload.upload_id: upload.key for upload in page}
        assert all(upload.begun_at_ms > 0 for upload in page)
        after = page[-1]
    for upload_id, key in begun.items():
        await store.abort_upload(key, upload_id)
    assert found == begun


async def test_parts_are_listed_by_number_and_replaced(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    upload_id = await store.create_upload(unique, PLAIN)
    third = await store.upload_part(unique, upload_id, 3, part_of(b"three"))
    await store.upload_part(unique, upload_id, 1, part_of(b"one"))
    if not subject.has(Quirk.LISTS_REPLACED_PARTS):
        await store.upload_part(unique, upload_id, 1, part_of(b"first try"))
    first = await store.upload_part(unique, upload_id, 1, part_of(b"one"))
    assert list(await store.list_parts(unique, upload_id)) == [first, third]
    assert (first.size_bytes, third.size_bytes) == (3, 5)
    await store.abort_upload(unique, upload_id)


async def test_a_part_that_was_tried_twice_is_in_the_object_once(
    store: ObjectStore, unique: str
) -> None:
    upload_id = await store.create_upload(unique, PLAIN)
    first = await store.upload_part(unique, upload_id, 1, part_of(FIRST))
    assert await store.upload_part(unique, upload_id, 1, part_of(FIRST)) == first
    second = await store.upload_part(unique, upload_id, 2, part_of(SECOND))
    await store.complete_upload(unique, upload_id, [first, second])
    body = await store.get(unique, if_match=None, size_bytes_max=3 * PART)
    assert body.content == FIRST + SECOND


async def test_more_than_a_page_of_parts_is_listed(store: ObjectStore, unique: str) -> None:
    upload_id = await store.create_upload(unique, PLAIN)
    body = part_of(b"1")
    numbers = [1, *range(900, 1005), 9999]
    for number in numbers:
        await store.upload_part(unique, upload_id, number, body)
    assert [part.number for part in await store.list_parts(unique, upload_id)] == numbers
    await store.abort_upload(unique, upload_id)


async def test_an_upload_that_is_gone_says_so(store: ObjectStore, unique: str) -> None:
    upload_id = await store.create_upload(unique, PLAIN)
    part = await store.upload_part(unique, upload_id, 1, part_of(b"1"))
    await store.abort_upload(unique, upload_id)
    await store.abort_upload(unique, upload_id)
    with pytest.raises(UploadGone):
        await store.upload_part(unique, upload_id, 2, part_of(b"2"))
    with pytest.raises(UploadGone):
        await store.list_parts(unique, upload_id)
    with pytest.raises(UploadGone):
        await store.complete_upload(unique, upload_id, [part])


async def test_a_part_that_is_not_there_makes_no_object(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    upload_id = await store.create_upload(unique, PLAIN)
    part = await store.upload_part(unique, upload_id, 1, part_of(b"1"))
    with pytest.raises(ReplicaMismatch):
        await store.complete_upload(unique, upload_id, [replace(part, etag=OTHER_ETAG)])
    assert await store.head(unique) == Absent(unique)
    await store.abort_upload(unique, upload_id)


async def test_the_store_checks_a_part_against_its_digest(store: ObjectStore, unique: str) -> None:
    true = part_of(b"what was read")
    upload_id = await store.create_upload(unique, PLAIN)
    with pytest.raises(StoreError):
        await store.upload_part(
            unique, upload_id, 1, PartBody(b"what was rEad", true.md5_hex, true.sha256_hex)
        )
    assert not await store.list_parts(unique, upload_id)
    await store.abort_upload(unique, upload_id)


async def test_parts_are_copied_by_the_store(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    etag = await uploaded(store, unique)
    upload_id = await replica.create_upload(unique, FULL)
    size = PART + len(SECOND)
    parts = [
        await replica.upload_part_copy(
            unique,
            upload_id,
            number,
            source_bucket=subject.source,
            source_key=unique,
            if_match=etag,
            first=first,
            last=last,
        )
        for number, first, last in ((1, 0, PART - 1), (2, PART, size - 1))
    ]
    assert list(await replica.list_parts(unique, upload_id)) == parts
    written = await replica.complete_upload(unique, upload_id, parts)
    body = await replica.get(unique, if_match=written.etag, size_bytes_max=2 * PART)
    assert body.content == FIRST + SECOND
    assert body.facts.attributes.metadata == METADATA
    assert (written.etag == etag) is not subject.has(Quirk.COPIED_PARTS_HAVE_OTHER_ETAGS)


async def test_copied_parts_have_checksums_that_make_the_composite_one_of_the_source(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    kind = ChecksumAlgorithm.CRC32
    bodies = [part_of(content, kind) for content in (FIRST, SECOND)]
    composite = composite_of_parts(kind, [body.checksum for body in bodies])
    upload_id = await store.create_upload(unique, PLAIN, checksum=composite)
    parts = [
        await store.upload_part(unique, upload_id, number, body, checksum=kind)
        for number, body in enumerate(bodies, 1)
    ]
    etag = (await store.complete_upload(unique, upload_id, parts, checksum=composite)).etag
    upload_id = await replica.create_upload(unique, PLAIN, checksum=composite)
    size = PART + len(SECOND)
    copied = [
        await replica.upload_part_copy(
            unique,
            upload_id,
            number,
            source_bucket=subject.source,
            source_key=unique,
            if_match=etag,
            first=first,
            last=last,
        )
        for number, first, last in ((1, 0, PART - 1), (2, PART, size - 1))
    ]
    if subject.has(Quirk.NO_CHECKSUMS) or subject.has(Quirk.COPIED_PARTS_TELL_NO_CHECKSUMS):
        assert [part.checksum for part in copied] == ["", ""]
        await replica.abort_upload(unique, upload_id)
        return
    assert [part.checksum for part in copied] == [body.checksum for body in bodies]
    await replica.complete_upload(unique, upload_id, copied, checksum=composite)
    assert (await present(replica, unique)).checksums == (composite,)


async def test_a_part_of_another_state_is_not_copied(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    older = (await store.put(unique, body_of(b"one" * 9), PLAIN)).etag
    await store.put(unique, body_of(b"two" * 9), PLAIN)
    upload_id = await replica.create_upload(unique, PLAIN)
    with pytest.raises(SourceChanged):
        await replica.upload_part_copy(
            unique,
            upload_id,
            1,
            source_bucket=subject.source,
            source_key=unique,
            if_match=older,
            first=0,
            last=26,
        )
    await replica.abort_upload(unique, upload_id)


async def test_the_layout_of_an_upload_is_told(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    etag = await uploaded(store, unique)
    expected = None if subject.has(Quirk.LAYOUT_UNTOLD) else FirstPart(PART, 2)
    assert await store.first_part(unique, if_match=etag) == expected


# --- checksums and extras -------------------------------------------------------------------


def _crc32(content: bytes) -> Checksum:
    value = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    return Checksum(ChecksumAlgorithm.CRC32, value, full_object=True)


async def test_a_checksum_is_kept_and_copied(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    body = body_of(b"hello")
    checksum = _crc32(b"hello")
    await store.put(unique, replace(body, facts=replace(body.facts, checksums=(checksum,))), PLAIN)
    expected = () if subject.has(Quirk.NO_CHECKSUMS) else (checksum,)
    assert (await present(store, unique)).checksums == expected
    read = await store.get(unique, if_match=None, size_bytes_max=MIB)
    assert read.facts.checksums == expected
    await replica.copy(unique, source_bucket=subject.source, source_key=unique, if_match=None)
    if not subject.has(Quirk.COPIES_LOSE_CHECKSUMS):
        assert (await present(replica, unique)).checksums == expected


async def test_a_wrong_checksum_is_refused(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    body = body_of(b"hello")
    wrong = Body(
        replace(body.facts, checksums=(_crc32(b"other"),)),
        body.content,
        body.md5_hex,
        body.sha256_hex,
    )
    if subject.has(Quirk.NO_CHECKSUMS):
        await store.put(unique, wrong, PLAIN)
        return
    with pytest.raises(StoreError):
        await store.put(unique, wrong, PLAIN)


async def test_parts_that_do_not_have_the_checksum_make_no_object(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    upload_id = await store.create_upload(unique, PLAIN, checksum=_crc32(b"other"))
    part = await store.upload_part(unique, upload_id, 1, part_of(b"hello"))
    if subject.has(Quirk.NO_CHECKSUMS):
        await store.complete_upload(unique, upload_id, [part], checksum=_crc32(b"other"))
        return
    with pytest.raises(ReplicaMismatch):
        await store.complete_upload(unique, upload_id, [part], checksum=_crc32(b"other"))
    assert await store.head(unique) == Absent(unique)
    await store.abort_upload(unique, upload_id)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
async def test_a_composite_checksum_is_kept_and_parts_tell_theirs(
    subject: Subject, store: ObjectStore, unique: str, algorithm: str
) -> None:
    kind = ChecksumAlgorithm(algorithm)
    bodies = [part_of(content, kind) for content in (FIRST, SECOND)]
    composite = composite_of_parts(kind, [body.checksum for body in bodies])
    upload_id = await store.create_upload(unique, PLAIN, checksum=composite)
    parts = [
        await store.upload_part(unique, upload_id, number, body, checksum=kind)
        for number, body in enumerate(bodies, 1)
    ]
    listed = await store.list_parts(unique, upload_id)
    await store.complete_upload(unique, upload_id, parts, checksum=composite)
    facts = await present(store, unique)
    if subject.has(Quirk.NO_CHECKSUMS):
        assert facts.checksums == ()
        return
    assert facts.checksums == (composite,)
    told = [part.checksum for part in listed]
    if subject.has(Quirk.PART_CHECKSUMS_UNTOLD):
        assert told == ["", ""]
    else:
        assert told == [body.checksum for body in bodies]


async def test_a_part_with_another_checksum_is_refused(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    kind = Checksum(ChecksumAlgorithm.CRC32, "", full_object=False)
    upload_id = await store.create_upload(unique, PLAIN, checksum=kind)
    wrong = replace(part_of(b"hello"), checksum=_crc32(b"other").value)
    sent = store.upload_part(unique, upload_id, 1, wrong, checksum=ChecksumAlgorithm.CRC32)
    if subject.has(Quirk.NO_CHECKSUMS):
        await sent
    else:
        with pytest.raises(StoreError):
            await sent
    await store.abort_upload(unique, upload_id)


async def test_a_storage_class_is_written_copied_and_read(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str
) -> None:
    cold = ObjectAttributes(extras=Extras(storage_class="STANDARD_IA"))
    if subject.has(Quirk.ONE_STORAGE_CLASS):
        with pytest.raises(Refused):
            await store.put(unique, body_of(b"1"), cold)
        return
    await store.put(unique, body_of(b"1"), cold)
    assert (await present(store, unique)).attributes.extras.storage_class == "STANDARD_IA"
    await replica.copy(
        unique, source_bucket=subject.source, source_key=unique, if_match=None, extras=cold.extras
    )
    assert (await present(replica, unique)).attributes.extras.storage_class == "STANDARD_IA"
