"""Documents about versions, as stores send them and as they should not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.adapters.store.s3_version_xml import (
    parse_deleted_page,
    parse_versioning,
    parse_versions_page,
)
from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import Deleted, Version

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def row(kind: str, key: str, version_id: str, latest: str = "false", rest: str = "") -> str:
    return (
        f"<{kind}><Key>{key}</Key><VersionId>{version_id}</VersionId><IsLatest>{latest}</IsLatest>"
        f"<LastModified>2026-11-25T13:03:40.814Z</LastModified>{rest}</{kind}>"
    )


def page(*rows: str, head: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    return f"<ListVersionsResult {NAMESPACE}>{head}{''.join(rows)}</ListVersionsResult>".encode()


FACTS = "<ETag>&quot;abc&quot;</ETag><Size>3</Size>"
AT_MS = 1_795_611_820_814


def test_versions_and_markers_keep_the_order_of_the_document() -> None:
    listed = parse_versions_page(
        page(
            row("Version", "k", "3", "true", FACTS),
            row("DeleteMarker", "k", "2"),
            row("Version", "k", "1", rest=FACTS),
            row("Version", "k/other", "9", "true", FACTS),
        ),
        "k",
    )
    assert listed.versions == (
        Version("3", is_marker=False, size_bytes=3, etag="abc", last_modified_at_ms=AT_MS),
        Version("2", is_marker=True, last_modified_at_ms=AT_MS),
        Version("1", is_marker=False, size_bytes=3, etag="abc", last_modified_at_ms=AT_MS),
    )
    assert listed.begins_with_latest
    assert (listed.next_version_id, listed.is_cut) == (None, False)


@pytest.mark.parametrize(
    ("next_key", "expected"), [("k", "v1"), ("k-other", None), ("k%2Fx", None)]
)
def test_a_history_goes_on_only_where_the_page_ended_within_it(
    next_key: str, expected: str | None
) -> None:
    head = (
        "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        f"<NextKeyMarker>{next_key}</NextKeyMarker>"
        "<NextVersionIdMarker>v1</NextVersionIdMarker>"
    )
    listed = parse_versions_page(page(row("Version", "k", "v1", rest=FACTS), head=head), "k")
    assert (listed.next_version_id, listed.is_cut) == (expected, True)


def test_a_history_that_goes_on_says_where() -> None:
    head = "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
    with pytest.raises(Unavailable, match="without a marker"):
        parse_versions_page(page(head=head), "k")


def test_keys_are_decoded_only_if_the_store_says_that_it_encoded_them() -> None:
    encoded = page(
        row("Version", "a%2Bb", "1"),
        head="<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>",
    )
    assert [each.version_id for each in parse_versions_page(encoded, "a+b").versions] == ["1"]
    assert parse_versions_page(page(row("Version", "a%2Bb", "1")), "a+b").versions == ()


def test_an_order_that_does_not_begin_with_the_newest_is_seen() -> None:
    # moto 5 lists all versions, then all markers.
    listed = parse_versions_page(
        page(row("Version", "k", "1", rest=FACTS), row("DeleteMarker", "k", "2", "true")), "k"
    )
    assert not listed.begins_with_latest


@pytest.mark.parametrize("size", ["", "-1", "x"])
def test_a_size_is_a_number_or_nothing(size: str) -> None:
    text = page(row("Version", "k", "1", rest=f"<Size>{size}</Size>"))
    if size:
        with pytest.raises(Unavailable):
            parse_versions_page(text, "k")
    else:
        assert parse_versions_page(text, "k").versions[0].size_bytes == 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [("<Status>Enabled</Status>", True), ("<Status>Suspended</Status>", False), ("", False)],
)
def test_only_enabled_is_versioned(status: str, expected: bool) -> None:
    body = f"<VersioningConfiguration {NAMESPACE}>{status}</VersioningConfiguration>".encode()
    assert parse_versioning(body) is expected


@given(st.one_of(st.binary(max_size=200), st.sampled_from([b"<Error/>", b"<a>", b""])))
def test_whatever_comes_is_an_answer_or_unavailable(body: bytes) -> None:
    for parse in (parse_versioning, lambda text: parse_versions_page(text, "k")):
        with pytest.raises(Unavailable):
            parse(body)


@pytest.mark.parametrize(
    ("marker", "place"), [("a%2Bb", "a+b"), ("a+b", "a+b"), ("other%2B", "other+")]
)
def test_deleted_keys_are_those_with_a_marker_on_top(marker: str, place: str) -> None:
    head = (
        "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        f"<NextKeyMarker>{marker}</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>"
    )
    body = page(
        row("DeleteMarker", "gone", "2", "true"),
        row("Version", "gone", "1", rest=FACTS),
        row("Version", "there", "3", "true", FACTS),
        row("DeleteMarker", "there", "2"),
        row("Version", "a%2Bb", "1", "true", FACTS),
        head=head,
    )
    assert parse_deleted_page(body) == ((Deleted("gone", AT_MS),), (place, "v"))


def test_a_page_that_goes_on_and_does_not_say_where_is_broken() -> None:
    with pytest.raises(Unavailable, match="without a marker"):
        parse_deleted_page(page(head="<IsTruncated>true</IsTruncated>"))
    assert parse_deleted_page(page()) == ((), None)
