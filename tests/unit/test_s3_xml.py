"""Answers of stores are read tolerantly; what is not understood is never taken for a fact."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.adapters.store.s3_xml import (
    ErrorDocument,
    _plain_page,
    parse_copy_result,
    parse_error,
    parse_list_page,
    parse_tags,
    unquoted,
)
from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import Listed, ListPage

COMMENTED = b"<ListBucketResult><!-- -->"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACES = {
    "none": "",
    "s3": ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"',
    "vendor": ' xmlns="https://obs.example.com/doc/2015-06-30/"',
}
COPIED = (
    "<CopyObjectResult{}><LastModified>2026-11-23T01:00:00.000Z</LastModified>"
    "<ETag>&quot;0cc175b9-2&quot;</ETag></CopyObjectResult>"
)
ERROR = (
    "<Error{}><Code> SlowDown </Code><Message>Please &lt;wait&gt;.</Message>"
    "<BucketName>other</BucketName><Region>eu-west-1</Region><RequestId>17B3</RequestId>"
    "<HostId>h</HostId></Error>"
)
TAGS = (
    "<Tagging{}><TagSet><Tag><Key>team</Key><Value>a &amp; b</Value></Tag>"
    "<Tag><Value/><Key>empty</Key></Tag></TagSet></Tagging>"
)
ROW = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-23T01:00:00.123Z</LastModified>"
    "<ETag>&quot;e1&quot;</ETag><Size>12</Size><Owner><ID>o</ID></Owner></Contents>"
)
ROW_MODIFIED_AT_MS = 1_795_395_600_123


def page(rows: str = "", *, encoded: bool = True, tail: str = "", namespace: str = "") -> bytes:
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    content = f"<Name>b</Name>{encoding}{rows}{tail}"
    return f"{HEAD}<ListBucketResult{namespace}>{content}</ListBucketResult>".encode()


@pytest.mark.parametrize("namespace", NAMESPACES.values(), ids=NAMESPACES)
@pytest.mark.parametrize("before", ["", HEAD, "\n \r\n" + HEAD, " " * 5000])
def test_documents_are_read_in_any_namespace_and_after_keep_alive_space(
    namespace: str, before: str
) -> None:
    def document(text: str) -> bytes:
        return (before + text.format(namespace)).encode()

    error = ErrorDocument("SlowDown", "Please <wait>.", "17B3", "eu-west-1", "other")
    assert parse_copy_result(document(COPIED)) == "0cc175b9-2"
    assert parse_error(document(ERROR)) == error
    assert parse_copy_result(document(ERROR)) == error, "an error inside a 200 is an error"
    assert parse_tags(document(TAGS)) == {"team": "a & b", "empty": ""}


@pytest.mark.parametrize("namespace", NAMESPACES.values(), ids=NAMESPACES)
def test_a_page_is_read_in_any_namespace(namespace: str) -> None:
    rows = ROW.format(key="a") + "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
    assert parse_list_page(page(rows, namespace=namespace)) == ListPage(
        (Listed("a", 12, "e1", ROW_MODIFIED_AT_MS),), None, ("p/",)
    )


def test_missing_elements_of_an_error_are_empty() -> None:
    assert parse_error(b"<Error/>") == ErrorDocument("", "", "")


def test_a_copy_without_an_etag_has_an_empty_one() -> None:
    assert parse_copy_result(b"<CopyObjectResult/>") == ""


@pytest.mark.parametrize(
    ("raw", "encoded", "key"),
    [
        ("a%2Fb+c%20d%2B", True, "a/b c d+"),
        ("a%2Fb+c%20d%2B", False, "a%2Fb+c%20d%2B"),
        ("caf%C3%A9%0A", True, "café\n"),
        ("latin%E9", True, "latin\udce9"),
        ("a &amp; b", False, "a & b"),
        (" spaces ", False, " spaces "),
        ("%F0%9F%9A%80", True, "\N{ROCKET}"),
    ],
)
def test_keys_are_decoded_only_if_the_store_says_that_it_encoded_them(
    raw: str, encoded: bool, key: str
) -> None:
    (row,) = parse_list_page(page(ROW.format(key=raw), encoded=encoded)).objects
    assert row.key == key


def test_a_page_that_goes_on_says_where() -> None:
    more = "<IsTruncated>true</IsTruncated>"
    token = "<NextContinuationToken>t+/=</NextContinuationToken>"
    last = "<IsTruncated>false</IsTruncated>"
    assert parse_list_page(page(tail=more + token)).next_token == "t+/="
    assert parse_list_page(page(tail=last + token)).next_token is None
    with pytest.raises(Unavailable, match="without a continuation token"):
        parse_list_page(page(tail=more))


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2026-11-23T01:00:00.123Z", ROW_MODIFIED_AT_MS),
        ("2026-11-23T01:00:00.123456789Z", ROW_MODIFIED_AT_MS),
        ("2026-11-23T02:00:00.123+01:00", ROW_MODIFIED_AT_MS),
        ("2026-11-23T01:00:00.123", ROW_MODIFIED_AT_MS),
        ("0001-01-01T00:00:00", -62_135_596_800_000),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, at_ms: int) -> None:
    row = f"<Contents><Key>a</Key><Size>1</Size><LastModified>{text}</LastModified></Contents>"
    assert parse_list_page(page(row)).objects == (Listed("a", 1, "", at_ms),)


@pytest.mark.parametrize(
    "row",
    [
        "<Size>1</Size>",
        "<Key/><Size>1</Size>",
        "<Key>a</Key>",
        "<Key>a</Key><Size>-1</Size>",
        "<Key>a</Key><Size>1.5</Size>",
        f"<Key>a</Key><Size>{'9' * 5000}</Size>",
    ],
)
def test_a_row_without_key_or_size_spoils_its_page(row: str) -> None:
    """A listing with a hole would be taken for an absence."""
    with pytest.raises(Unavailable, match="without key or size"):
        parse_list_page(page(f"<Contents>{row}</Contents>"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"OK",
        b"\x00\x01\xff",
        b"<html><body>502 Bad Gateway</body></html>",
        b"<!DOCTYPE html><html></html>",
        b"<?xml version='1.0' encoding='no-such'?><CopyObjectResult/>",
        b"<Unknown/>",
        COPIED.format("").encode()[:-10],
        ERROR.format("").encode()[:-10],
        COPIED.format("").encode() + b"<Error/>",
    ],
)
def test_what_is_not_the_document_is_no_fact(body: bytes) -> None:
    assert parse_error(body) is None
    for parse in (parse_copy_result, parse_tags, parse_list_page):
        with pytest.raises(Unavailable, match="broken answer"):
            parse(body)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_no_entity_is_ever_expanded(encoding: str) -> None:
    text = (
        '<!DOCTYPE e [<!ENTITY x "expanded">]><CopyObjectResult><ETag>&x;</ETag></CopyObjectResult>'
    )
    with pytest.raises(Unavailable, match="broken answer"):
        parse_copy_result(text.encode(encoding))


@given(
    st.one_of(
        st.binary(),
        st.tuples(
            st.sampled_from([COPIED, ERROR, TAGS]), st.integers(0, 300), st.binary(max_size=4)
        ).map(lambda t: t[0].format("").encode()[: t[1]] + t[2] + t[0].format("").encode()[t[1] :]),
    )
)
def test_whatever_comes_is_an_answer_or_unavailable(body: bytes) -> None:
    """No other error leaves the parser: the engine acts on ours only."""
    parse_error(body)
    for parse in (parse_copy_result, parse_tags, parse_list_page):
        with contextlib.suppress(Unavailable):
            parse(body)


@pytest.mark.parametrize("etag", ['"e"', "e", ' "e" '])
def test_an_etag_has_no_quotes(etag: str) -> None:
    assert unquoted(etag) == "e"


PLAIN_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
ELEMENTS = st.lists(
    st.one_of(
        st.sampled_from(
            re.findall(
                r"\S+",
                "<Contents> </Contents> <Key>k</Key> <Size>1</Size> <Owner></Owner> <a/> &amp; é x"
                " <ETag>&quot;e&quot;</ETag> <LastModified>2026-11-23T01:00:00Z</LastModified>"
                " <StorageClass>GLACIER</StorageClass> <IsTruncated>true</IsTruncated> <!---->"
                " <NextContinuationToken>t</NextContinuationToken> <Key>%2B+</Key>"
                " <EncodingType>url</EncodingType> </ListBucketResult>",
            )
        ),
        st.just(
            "<Contents><Key>a%20b</Key><LastModified>2026-11-23T01:00:00.000Z</LastModified>"
            "<ETag>&quot;e-2&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>"
        ),
    ),
    max_size=8,
)


@given(ELEMENTS)
def test_a_page_without_surprises_is_read_as_the_parser_reads_it(elements: list[str]) -> None:
    body = f"<ListBucketResult>{''.join(elements)}</ListBucketResult>".encode()
    plain = _plain_page(body)
    if plain is not None:
        # A comment sends it to the parser and changes nothing else.
        assert plain == parse_list_page(body.replace(b"<ListBucketResult>", COMMENTED))


@given(st.lists(PLAIN_TEXT, min_size=1, max_size=5), st.booleans())
def test_rows_as_the_vendors_write_them_need_no_tree(keys: list[str], encoded: bool) -> None:
    rows = "".join(
        f"<Contents><Key>{quote_plus(key) if encoded else escape(key)}</Key>"
        "<LastModified>2026-11-23T01:00:00.123Z</LastModified><ETag>&quot;e1&quot;</ETag>"
        "<Size>12</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    plain = _plain_page(page(rows, encoded=encoded))
    assert plain is not None or (not encoded and set("".join(keys)) & set("&<>"))
    if plain is not None:
        assert [row.key for row in plain.objects] == keys
        assert plain.objects[0] == Listed(keys[0], 12, "e1", ROW_MODIFIED_AT_MS, "STANDARD")


@pytest.mark.parametrize(
    "tail", ["<Contents>", "x", "</Contents>", "<CommonPrefixes/>x", "<Key>a</Size>", "&bad;"]
)
def test_a_malformed_page_never_passes_for_a_plain_one(tail: str) -> None:
    body = page(ROW.format(key="a"), tail=tail)
    assert _plain_page(body) is None
