"""Part arithmetic holds for every size that S3 can store."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.decide.parts import (
    Layout,
    choose_layout,
    etag_of_parts,
    fingerprint,
    missing_parts,
    parts_of,
    rest_s,
    stood_still,
)
from s3fanout.model.limits import GIB, MIB, PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX
from s3fanout.model.objects import (
    Absent,
    Extras,
    FirstPart,
    ObjectAttributes,
    Present,
    UploadedPart,
)

OBJECT_BYTES_MAX = PARTS_MAX * PART_BYTES_MAX
sizes = st.integers(1, OBJECT_BYTES_MAX)
wanted = st.integers(1, PART_BYTES_MAX)


def choose(
    size_bytes: int,
    *,
    etag: str = "x",
    first_part: FirstPart | None = None,
    wanted_bytes: int = 8 * MIB,
    largest_bytes: int = PART_BYTES_MAX,
) -> Layout | None:
    return choose_layout(
        size_bytes,
        etag=etag,
        first_part=first_part,
        wanted_bytes=wanted_bytes,
        smallest_bytes=PART_BYTES_MIN,
        largest_bytes=largest_bytes,
    )


@given(sizes, wanted)
def test_every_object_has_a_layout_that_s3_takes(size_bytes: int, wanted_bytes: int) -> None:
    layout = choose(size_bytes, wanted_bytes=wanted_bytes)
    assert layout is not None
    assert layout.count <= PARTS_MAX
    assert PART_BYTES_MIN <= layout.part_bytes <= PART_BYTES_MAX


@given(sizes, wanted, st.data())
def test_parts_are_the_whole_object_without_gaps(
    size_bytes: int, wanted_bytes: int, data: st.DataObject
) -> None:
    layout = choose(size_bytes, wanted_bytes=wanted_bytes)
    assert layout is not None
    number = data.draw(st.integers(1, layout.count))
    first, last = layout.range_of(number)
    assert first <= last
    assert layout.length_of(number) == last - first + 1
    if number > 1:
        assert layout.range_of(number - 1)[1] + 1 == first
    else:
        assert first == 0
    if number == layout.count:
        assert last == size_bytes - 1
    else:
        assert layout.length_of(number) == layout.part_bytes


@given(st.integers(PART_BYTES_MIN, PART_BYTES_MAX), st.integers(2, PARTS_MAX), st.data())
def test_a_layout_that_is_told_is_kept(part_bytes: int, count: int, data: st.DataObject) -> None:
    rest = data.draw(st.integers(1, part_bytes))
    size_bytes = (count - 1) * part_bytes + rest
    layout = choose(size_bytes, first_part=FirstPart(part_bytes, count))
    assert layout == Layout(size_bytes, part_bytes)


@pytest.mark.parametrize("mib", [5, 8, 16, 64, 100])
def test_a_usual_layout_is_guessed_from_the_etag(mib: int) -> None:
    size_bytes = 37 * mib * MIB + 11
    layout = choose(size_bytes, etag=f"{'0' * 32}-38")
    assert layout is not None
    assert layout.count == 38
    assert choose(size_bytes, etag="0" * 32) == Layout(size_bytes, 8 * MIB)


@pytest.mark.parametrize(
    "first_part",
    [
        FirstPart(MIB, 100),  # smaller than S3 takes for any but the last
        FirstPart(30 * MIB, 100),  # does not fit: parts of several sizes
        FirstPart(100 * MIB, 1),  # one part
    ],
)
def test_a_layout_that_cannot_be_repeated_is_not_taken(first_part: FirstPart) -> None:
    assert choose(100 * MIB, etag="x-100", first_part=first_part) == Layout(100 * MIB, 8 * MIB)


def test_more_parts_than_memory_allows_is_no_layout() -> None:
    assert choose(PARTS_MAX * 32 * MIB, largest_bytes=32 * MIB) is not None
    assert choose(PARTS_MAX * 32 * MIB + 1, largest_bytes=32 * MIB) is None


def test_the_largest_object_fits_exactly() -> None:
    assert choose(OBJECT_BYTES_MAX) == Layout(OBJECT_BYTES_MAX, 5 * GIB)


@pytest.mark.parametrize(
    ("etag", "parts"),
    [(f"{'a' * 32}-12", 12), ("a" * 32, 0), (f"{'A' * 32}-1", 0), ("", 0), ("x-1", 0)],
)
def test_an_etag_may_say_how_many_parts(etag: str, parts: int) -> None:
    assert parts_of(etag) == parts


def test_a_part_of_another_length_is_missing() -> None:
    layout = Layout(25, 10)
    have = [UploadedPart(1, "a", 10), UploadedPart(2, "b", 9), UploadedPart(4, "c", 10)]
    assert missing_parts(layout, have) == [2, 3]


def test_the_etag_of_parts_is_that_of_s3() -> None:
    digests = [hashlib.md5(text, usedforsecurity=False) for text in (b"one", b"two")]
    parts = [UploadedPart(n, digest.hexdigest(), 3) for n, digest in enumerate(digests, 1)]
    both = hashlib.md5(b"".join(digest.digest() for digest in digests), usedforsecurity=False)
    assert etag_of_parts(parts) == f"{both.hexdigest()}-2"
    assert etag_of_parts([UploadedPart(1, "opaque", 3)]) is None


@pytest.mark.parametrize(
    "other",
    [
        ObjectAttributes(headers={"a": "1"}),
        ObjectAttributes(metadata={"a": "1"}),
        ObjectAttributes(tags={"a": "1"}),
        ObjectAttributes(extras=Extras(redirect="/")),
    ],
)
def test_a_fingerprint_is_of_everything(other: ObjectAttributes) -> None:
    seen = Present("key", 10, "etag", last_modified_at_ms=1000)
    plain = fingerprint(seen, ObjectAttributes())
    assert plain == fingerprint(seen, ObjectAttributes(tags={}))
    assert plain != fingerprint(seen, other)
    assert plain != fingerprint(replace(seen, etag="other"), ObjectAttributes())
    assert plain != fingerprint(replace(seen, last_modified_at_ms=2000), ObjectAttributes())
    assert plain != fingerprint(seen, ObjectAttributes(), composite="CRC32")


def test_a_source_that_went_there_and_back_did_not_stand_still() -> None:
    seen = Present("key", 10, "etag", last_modified_at_ms=1000)
    assert stood_still(seen, replace(seen, told_at_ms=9000))
    assert not stood_still(seen, replace(seen, last_modified_at_ms=2000))
    assert not stood_still(seen, replace(seen, etag="other"))
    assert not stood_still(seen, Absent("key"))


@pytest.mark.parametrize(
    ("told_at_ms", "wait_s"), [(1000, 1.0), (2000, 0.0), (9000, 0.0), (0, 1.0)]
)
def test_the_second_of_the_last_change_has_to_be_over(told_at_ms: int, wait_s: float) -> None:
    """By the store's own time; a store that tells none is waited for."""
    seen = Present("key", 10, "etag", last_modified_at_ms=1000, told_at_ms=told_at_ms)
    assert rest_s(seen) == wait_s
