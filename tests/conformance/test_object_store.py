"""What ``ports/object_store.py`` promises, for every adapter; one test per sentence.

What a *server* does otherwise than AWS stands in ``object_stores.PROFILES`` and is asserted here.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from s3fanout.model.errors import (
    NoSuchBucket,
    Refused,
    SourceAbsent,
    SourceChanged,
    StoreError,
)
from s3fanout.model.objects import Absent, Body, ObjectAttributes
from tests.conformance.full_objects import (
    FULL,
    HEADERS,
    METADATA,
    MIB,
    OTHER_ETAG,
    TAGS,
    kept,
    present,
    read,
)
from tests.conformance.object_stores import (
    PLAIN,
    Empties,
    Quirk,
    Refuses,
    Renames,
    Subject,
    body_of,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3fanout.ports.object_store import ObjectStore


# --- head -----------------------------------------------------------------------------------


def test_a_store_knows_its_bucket(subject: Subject) -> None:
    assert subject.open(subject.source).bucket == subject.source


async def test_head_tells_the_facts_of_an_object(store: ObjectStore, unique: str) -> None:
    written = await store.put(unique, body_of(b"hello"), PLAIN)
    facts = await present(store, unique)
    assert (facts.key, facts.size_bytes, facts.etag) == (unique, 5, written.etag)
    assert facts.last_modified_at_ms > 1_700_000_000_000
    assert facts.last_modified_at_ms % 1000 == 0
    assert facts.attributes.tags is None
    assert facts.attributes.headers["content-type"] == "text/plain"


async def test_head_of_no_object_is_absence(store: ObjectStore, unique: str) -> None:
    assert await store.head(unique) == Absent(unique)


async def test_head_in_no_bucket_is_not_absence(subject: Subject, unique: str) -> None:
    with pytest.raises(NoSuchBucket):
        await subject.open(subject.missing).head(unique)


async def test_head_after_delete_is_absence(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"1"), PLAIN)
    await store.delete(unique)
    assert await store.head(unique) == Absent(unique)


# --- get ------------------------------------------------------------------------------------


async def test_get_reads_bytes_digests_and_facts(store: ObjectStore, unique: str) -> None:
    content = bytes(range(256)) * 1000
    await store.put(unique, body_of(content), FULL)
    body = await read(store, unique)
    assert body.content == content
    assert body.md5_hex == hashlib.md5(content).hexdigest()
    assert body.sha256_hex == hashlib.sha256(content).hexdigest()
    facts = await present(store, unique)
    assert (body.facts.key, body.facts.size_bytes) == (unique, len(content))
    assert (body.facts.etag, body.facts.version_id) == (facts.etag, facts.version_id)
    assert body.facts.last_modified_at_ms == facts.last_modified_at_ms
    assert body.facts.attributes.headers == facts.attributes.headers
    assert body.facts.attributes.metadata == facts.attributes.metadata


async def test_get_pinned_to_the_etag_reads(store: ObjectStore, unique: str) -> None:
    written = await store.put(unique, body_of(b"one"), PLAIN)
    body = await store.get(unique, if_match=written.etag, size_bytes_max=MIB)
    assert body.content == b"one"


async def test_get_pinned_to_an_older_etag_says_changed(store: ObjectStore, unique: str) -> None:
    older = await store.put(unique, body_of(b"one"), PLAIN)
    await store.put(unique, body_of(b"two"), PLAIN)
    with pytest.raises(SourceChanged):
        await store.get(unique, if_match=older.etag, size_bytes_max=MIB)


@pytest.mark.parametrize("if_match", [None, OTHER_ETAG])
async def test_get_of_no_object_says_absent(
    store: ObjectStore, unique: str, if_match: str | None
) -> None:
    with pytest.raises(SourceAbsent):
        await store.get(unique, if_match=if_match, size_bytes_max=MIB)


async def test_get_in_no_bucket_is_not_absence(subject: Subject, unique: str) -> None:
    with pytest.raises(NoSuchBucket):
        await read(subject.open(subject.missing), unique)


async def test_get_refuses_more_bytes_than_allowed(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"x" * 5000), PLAIN)
    with pytest.raises(Refused) as refused:
        await store.get(unique, if_match=None, size_bytes_max=4999)
    assert refused.value.s3_code == "EntityTooLarge"
    assert len((await store.get(unique, if_match=None, size_bytes_max=5000)).content) == 5000


# --- put ------------------------------------------------------------------------------------


async def test_put_writes_every_content_header(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    await store.put(unique, body_of(b"1"), ObjectAttributes(headers=HEADERS))
    assert (await present(store, unique)).attributes.headers == kept(subject, HEADERS)


async def test_put_writes_metadata_verbatim(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"1"), ObjectAttributes(metadata=METADATA))
    assert (await present(store, unique)).attributes.metadata == METADATA


async def test_metadata_beyond_ascii(subject: Subject, store: ObjectStore, unique: str) -> None:
    """Sent as UTF-8 and read as it was sent, or as bytes that are visibly not UTF-8."""
    await store.put(unique, body_of(b"1"), ObjectAttributes(metadata={"colour": "grün"}))
    read_back = "gr\udcfcn" if subject.has(Quirk.METADATA_IN_LATIN_1) else "grün"
    assert (await present(store, unique)).attributes.metadata == {"colour": read_back}


async def test_put_writes_tags_verbatim(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"1"), ObjectAttributes(tags=TAGS))
    assert (await read(store, unique)).facts.attributes.tags == TAGS


async def test_facts_count_tags(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"1"), ObjectAttributes(tags={"a": "1", "b": "2"}))
    assert (await read(store, unique)).facts.tag_count == 2


@pytest.mark.parametrize("tags", [None, {}])
async def test_put_without_tags_leaves_none(
    subject: Subject, store: ObjectStore, unique: str, tags: dict[str, str] | None
) -> None:
    await store.put(unique, body_of(b"1"), FULL)
    await store.put(unique, body_of(b"1"), ObjectAttributes(tags=tags))
    if subject.has(Quirk.TAGS_SURVIVE):
        assert (await read(store, unique)).facts.attributes.tags == TAGS
        return
    assert not (await read(store, unique)).facts.attributes.tags


async def test_put_replaces_everything(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"the first and longer one"), FULL)
    second = ObjectAttributes(headers={"content-type": "text/b"}, metadata={"new": "2"})
    await store.put(unique, body_of(b"second"), second)
    body = await read(store, unique)
    assert body.content == b"second"
    assert body.facts.attributes.headers == second.headers
    assert body.facts.attributes.metadata == second.metadata


async def test_an_object_may_have_no_bytes(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b""), PLAIN)
    assert (await present(store, unique)).size_bytes == 0
    body = await store.get(unique, if_match=None, size_bytes_max=0)
    assert body.content == b""
    assert body.md5_hex == hashlib.md5(b"").hexdigest()


async def test_put_in_no_bucket(subject: Subject, unique: str) -> None:
    if subject.has(Quirk.BUCKETS_APPEAR):
        await subject.open(subject.missing).put(unique, body_of(b"1"), PLAIN)
        return
    with pytest.raises(NoSuchBucket) as missing:
        await subject.open(subject.missing).put(unique, body_of(b"1"), PLAIN)
    assert not missing.value.maybe_applied


async def test_the_store_checks_the_bytes_against_the_digest(
    store: ObjectStore, unique: str
) -> None:
    true = body_of(b"what was read")
    torn = Body(true.facts, b"what was rEad", true.md5_hex, true.sha256_hex)
    with pytest.raises(StoreError):
        await store.put(unique, torn, PLAIN)
    assert await store.head(unique) == Absent(unique)


# --- delete ---------------------------------------------------------------------------------


async def test_delete_of_nothing_does_nothing(store: ObjectStore, unique: str) -> None:
    await store.delete(unique)
    await store.put(unique, body_of(b"1"), PLAIN)
    await store.delete(unique)
    await store.delete(unique)
    assert await listed(store, unique) == []


async def test_delete_leaves_neighbours(store: ObjectStore, unique: str) -> None:
    for key in (f"{unique}/a", f"{unique}/ab", f"{unique}/b"):
        await store.put(key, body_of(b"1"), PLAIN)
    await store.delete(f"{unique}/a")
    assert await listed(store, f"{unique}/") == [f"{unique}/ab", f"{unique}/b"]


async def test_a_delete_pinned_to_another_state(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    old = await store.put(unique, body_of(b"1"), PLAIN)
    await store.put(unique, body_of(b"2"), PLAIN)
    if subject.has(Quirk.DELETE_CONDITIONS_IGNORED):
        await store.delete(unique, if_match=old.etag)
        assert await listed(store, unique) == []
    else:
        with pytest.raises(SourceChanged):
            await store.delete(unique, if_match=old.etag)
        assert (await read(store, unique)).content == b"2"


async def test_a_delete_pinned_to_what_is_gone_is_no_refusal(
    store: ObjectStore, unique: str
) -> None:
    """A request that was carried out late may have deleted it: the engine looks again."""
    gone = await store.put(unique, body_of(b"1"), PLAIN)
    await store.delete(unique)
    with suppress(SourceAbsent, SourceChanged):
        await store.delete(unique, if_match=gone.etag)
    assert await listed(store, unique) == []


async def test_a_delete_pinned_to_the_state_of_now(store: ObjectStore, unique: str) -> None:
    written = await store.put(unique, body_of(b"1"), PLAIN)
    await store.delete(unique, if_match=written.etag)
    assert await listed(store, unique) == []


async def test_delete_in_no_bucket(subject: Subject, unique: str) -> None:
    with pytest.raises(NoSuchBucket):
        await subject.open(subject.missing).delete(unique)


# --- list -----------------------------------------------------------------------------------


async def test_a_listing_tells_size_etag_and_time(store: ObjectStore, unique: str) -> None:
    await store.put(unique, body_of(b"hello"), FULL)
    facts = await present(store, unique)
    page = await store.list_page(unique)
    (row,) = page.objects
    assert page.next_token is None
    assert (row.key, row.size_bytes, row.etag) == (unique, 5, facts.etag)
    assert row.last_modified_at_ms // 1000 == facts.last_modified_at_ms // 1000


async def test_a_listing_of_nothing_is_empty(store: ObjectStore, unique: str) -> None:
    page = await store.list_page(unique)
    assert (page.objects, page.next_token) == ((), None)


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
async def test_pages_join_to_the_whole(store: ObjectStore, unique: str, limit: int) -> None:
    keys = [f"{unique}/{name}" for name in ("a", "b b", "c+c", "d/e", "ü", "🎉")]
    for key in keys:
        await store.put(key, body_of(b"1"), PLAIN)
    assert await listed(store, f"{unique}/", limit=limit) == keys


async def test_a_prefix_is_any_start_of_a_key(store: ObjectStore, unique: str) -> None:
    for name in ("a", "ab", "a b/c", "b", "a%2F"):
        await store.put(f"{unique}{name}", body_of(b"1"), PLAIN)
    assert sorted(await listed(store, f"{unique}a")) == [
        f"{unique}{name}" for name in ("a", "a b/c", "a%2F", "ab")
    ]
    assert await listed(store, f"{unique}a b/") == [f"{unique}a b/c"]
    assert await listed(store, f"{unique}a%") == [f"{unique}a%2F"]


async def test_order_of_a_listing(subject: Subject, store: ObjectStore, unique: str) -> None:
    """AWS lists in the order of UTF-8 bytes, where ``-`` comes before ``/``."""
    names = ["a-b", "a/x", "a0", "\ue000", "\U0001f389"]
    if subject.has(Quirk.LISTS_BY_DIRECTORY):
        names = ["a/x", "a-b", "a0", "\ue000", "\U0001f389"]
    for name in reversed(names):
        await store.put(f"{unique}/{name}", body_of(b"1"), PLAIN)
    assert await listed(store, f"{unique}/") == [f"{unique}/{name}" for name in names]


async def test_list_in_no_bucket(subject: Subject) -> None:
    with pytest.raises(NoSuchBucket):
        await subject.open(subject.missing).list_page()


# --- keys -----------------------------------------------------------------------------------

KEYS: dict[str, Callable[[str], str]] = {
    "space": lambda u: f"{u}/a b  c ",
    "plus": lambda u: f"{u}/a+b",
    "percent": lambda u: f"{u}/a%2Fb%20c%",
    "reserved": lambda u: f"{u}/!*'();:@&=$,?#[]~|^`<>{{}}\"",
    "backslash": lambda u: f"{u}/a\\b",
    "double-slash": lambda u: f"{u}//b",
    "leading-slash": lambda u: f"/{u}",
    "trailing-slash": lambda u: f"{u}/folder/",
    "dot": lambda u: f"{u}/./b",
    "dot-dot": lambda u: f"{u}/../b",
    "hidden": lambda u: f"{u}/.b/..c",
    "unicode": lambda u: f"{u}/grün/日本",
    "not-normalised": lambda u: f"{u}/gru\u0308n",
    "emoji": lambda u: f"{u}/🎉",
    "newline": lambda u: f"{u}/a\nb",
    "control": lambda u: f"{u}/a\x01\x1f\x7fb",
    "tab-and-return": lambda u: f"{u}/a\tb\rc",
    "1024-bytes": lambda u: f"{u}/{'d' * 200}/{'e' * 200}/{'f' * 200}/{'g' * 200}/".ljust(
        1024, "h"
    ),
    "segment-of-300-bytes": lambda u: f"{u}/{'s' * 300}",
}


@pytest.mark.parametrize("case", KEYS)
async def test_keys_travel_verbatim(
    subject: Subject, store: ObjectStore, replica: ObjectStore, unique: str, case: str
) -> None:
    """Through every operation: as path, as copy source, in a listing and as its prefix."""
    key = KEYS[case](unique)
    outcome = subject.profile.keys.get(case)
    if isinstance(outcome, Refuses):
        with pytest.raises(outcome.error):
            await store.put(key, body_of(b"1"), FULL)
        return
    await store.put(key, body_of(b"1"), FULL)
    if isinstance(outcome, Renames):
        assert await listed(store, outcome.to(key)) == [outcome.to(key)]
        return
    if isinstance(outcome, Empties):
        assert (await present(store, key)).size_bytes == 0
        return
    assert await listed(store, key) == [key]
    assert (await read(store, key)).content == b"1"
    await replica.copy(key, source_bucket=subject.source, source_key=key, if_match=None)
    assert (await present(replica, key)).size_bytes == 1
    await store.delete(key)
    assert await store.head(key) == Absent(key)
    assert await listed(replica, key) == [key]


async def test_an_object_beside_a_folder_of_its_name(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    inner, outer = f"{unique}/a/b", f"{unique}/a"
    await store.put(outer, body_of(b"outer"), PLAIN)
    outcome = subject.profile.keys.get("beside-a-folder")
    if isinstance(outcome, Refuses):
        with pytest.raises(outcome.error):
            await store.put(inner, body_of(b"inner"), PLAIN)
        return
    await store.put(inner, body_of(b"inner"), PLAIN)
    assert (await read(store, outer)).content == b"outer"
    assert (await read(store, inner)).content == b"inner"
    assert await listed(store, f"{unique}/") == [outer, inner]


async def test_a_folder_marker_is_an_object_without_bytes(store: ObjectStore, unique: str) -> None:
    await store.put(f"{unique}/folder/", body_of(b""), PLAIN)
    await store.put(f"{unique}/folder/file", body_of(b"1"), PLAIN)
    assert await listed(store, f"{unique}/") == [f"{unique}/folder/", f"{unique}/folder/file"]


async def test_a_key_has_at_most_1024_bytes(
    subject: Subject, store: ObjectStore, unique: str
) -> None:
    key = f"{unique}/{'d' * 200}/{'e' * 200}/{'f' * 200}/{'g' * 200}/".ljust(1025, "h")
    if subject.has(Quirk.KEYS_UNLIMITED):
        await store.put(key, body_of(b"1"), PLAIN)
        return
    with pytest.raises(Refused):
        await store.put(key, body_of(b"1"), PLAIN)
