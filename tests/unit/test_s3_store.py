"""What the S3 client asks for and makes of the answers, over a transport that only recites.

What real servers make of its requests is the conformance suite's business; here are the answers
that no well-behaved server gives, and the requests that must never be sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from s3fanout.adapters.checksums import checksum_of
from s3fanout.adapters.store.classify import Operation
from s3fanout.adapters.store.credentials import Credentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.s3_client import AGAIN_S_MAX
from s3fanout.adapters.store.transport import Response
from s3fanout.model.errors import (
    AccessDenied,
    NoSuchBucket,
    Refused,
    SourceAbsent,
    SourceChanged,
    StoreError,
    Unavailable,
)
from s3fanout.model.objects import (
    Absent,
    Body,
    ChecksumAlgorithm,
    ObjectAttributes,
    Present,
    Written,
)
from tests.unit.reciting import COPIED, FixedClock, Reciting, answer, error, store_of

ETAG = "d41d8cd98f00b204e9800998ecf8427e"
MIB = 1024 * 1024
NO_ANSWER = (Unavailable("no answer"), Unavailable("no answer"))
"""Reads are asked for twice."""


def body_of(content: bytes) -> Body:
    md5_hex = hashlib.md5(content, usedforsecurity=False).hexdigest()
    facts = Present("any", len(content), md5_hex)
    return Body(facts, content, md5_hex, hashlib.sha256(content).hexdigest())


async def copy(store: S3Store, key: str = "k", if_match: str | None = ETAG) -> Written:
    return await store.copy(key, source_bucket="source", source_key=key, if_match=if_match)


# --- requests -------------------------------------------------------------------------------


async def test_a_copy_is_one_pinned_and_signed_request() -> None:
    store, transport = store_of(answer(body=COPIED, x_amz_version_id="v7"), token="session")
    assert await copy(store, "a b/é+%2F") == Written("e1", "v7")
    (sent,) = transport.sent
    assert (sent.method, sent.url) == ("PUT", "https://s3.test/bucket/a%20b/%C3%A9%2B%252F")
    authorization = sent.headers["authorization"]
    assert sent.headers == {
        "host": "s3.test",
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-copy-source": "/source/a%20b/%C3%A9%2B%252F",
        "x-amz-copy-source-if-match": f'"{ETAG}"',
        "x-amz-date": "20261123T010203Z",
        "x-amz-security-token": "session",
        "authorization": authorization,
    }
    signed = sorted(name for name in sent.headers if name != "authorization")
    assert f"SignedHeaders={';'.join(signed)}, " in authorization
    assert "Credential=AKEXAMPLE/20261123/eu-west-1/s3/aws4_request, " in authorization


async def test_a_put_sends_everything_that_the_object_is() -> None:
    store, transport = store_of(answer(etag='"e1"'))
    attributes = ObjectAttributes(
        headers={"content-type": "text/x", "content-encoding": "gzip"},
        metadata={"name": "grün"},
        tags={"a b": "1&2=+", "é": ""},
    )
    assert await store.put("k", body_of(b"hello"), attributes) == Written("e1")
    (sent,) = transport.sent
    assert sent.body == b"hello"
    assert sent.headers["content-md5"] == "XUFAKrxLKna5cZ2REBfFkg=="
    assert sent.headers["x-amz-content-sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert sent.headers["content-type"] == "text/x"
    assert sent.headers["content-encoding"] == "gzip"
    assert sent.headers["x-amz-meta-name"] == "grün"
    assert sent.headers["x-amz-tagging"] == "a%20b=1%262%3D%2B&%C3%A9="


@pytest.mark.parametrize("tags", [None, {}])
async def test_no_tags_is_no_tagging_header(tags: Mapping[str, str] | None) -> None:
    """An empty one needs ``s3:PutObjectTagging`` for nothing."""
    store, transport = store_of(answer(etag='"e1"'))
    await store.put("k", body_of(b""), ObjectAttributes(tags=tags))
    assert "x-amz-tagging" not in transport.sent[0].headers


async def test_bytes_of_a_key_that_are_not_utf_8_go_out_as_they_came_in() -> None:
    store, transport = store_of(answer(body=COPIED))
    await copy(store, "caf\udce9")
    assert transport.sent[0].url.endswith("/bucket/caf%E9")
    assert transport.sent[0].headers["x-amz-copy-source"] == "/source/caf%E9"


async def test_a_listing_asks_for_encoded_keys_of_one_page() -> None:
    page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    store, transport = store_of(answer(body=page))
    await store.list_page("a/+é", token="t/1=", limit=7)
    assert transport.sent[0].url == (
        "https://s3.test/bucket?continuation-token=t%2F1%3D&encoding-type=url&list-type=2"
        "&max-keys=7&prefix=a%2F%2B%C3%A9"
    )


async def test_the_endpoint_may_have_a_path_of_its_own() -> None:
    store, transport = store_of(answer(204), endpoint="https://vendor.test:8443/storage/s3/")
    await store.delete("/k")
    assert transport.sent[0].url == "https://vendor.test:8443/storage/s3/bucket//k"
    assert transport.sent[0].headers["host"] == "vendor.test:8443"


# --- what is never sent ---------------------------------------------------------------------

Ask = Callable[[S3Store], Awaitable[object]]
EMPTY_KEY: dict[str, Ask] = {
    "head": lambda store: store.head(""),
    "get": lambda store: store.get("", if_match=None, size_bytes_max=MIB),
    "put": lambda store: store.put("", body_of(b""), ObjectAttributes()),
    "copy": lambda store: copy(store, ""),
    "delete": lambda store: store.delete(""),
}


@pytest.mark.parametrize("name", EMPTY_KEY)
async def test_an_empty_key_never_becomes_a_request_to_the_bucket(name: str) -> None:
    """``DELETE`` of it would delete the bucket, ``PUT`` would create one."""
    store, transport = store_of()
    with pytest.raises(Refused):
        await EMPTY_KEY[name](store)
    assert transport.sent == []


async def test_half_a_surrogate_pair_is_no_key() -> None:
    store, transport = store_of()
    with pytest.raises(Refused):
        await copy(store, "\ud800")
    assert transport.sent == []


@pytest.mark.parametrize("etag", ['a"', "a\r\nx-amz-acl: public-read", "\udce9", "é", "a\x00"])
async def test_an_etag_hint_that_no_object_can_have_is_another_etag(etag: str) -> None:
    store, transport = store_of()
    with pytest.raises(SourceChanged):
        await copy(store, if_match=etag)
    with pytest.raises(SourceChanged):
        await store.get("k", if_match=etag, size_bytes_max=MIB)
    assert transport.sent == []


@pytest.mark.parametrize(
    "attributes",
    [
        ObjectAttributes(metadata={"a": "caf\udce9"}),
        ObjectAttributes(metadata={"a": "1\r\nx-amz-acl: public-read"}),
        ObjectAttributes(metadata={"a\r\nb": "1"}),
        ObjectAttributes(headers={"content-type": "a\x00"}),
    ],
)
async def test_attributes_that_would_not_arrive_as_they_are_are_refused(
    attributes: ObjectAttributes,
) -> None:
    store, transport = store_of()
    with pytest.raises(Refused, match="cannot be sent") as refused:
        await store.put("k", body_of(b"1"), attributes)
    assert str(refused.value).isprintable()
    assert transport.sent == []


# --- answers --------------------------------------------------------------------------------


async def test_facts_are_read_from_the_headers() -> None:
    store, _ = store_of(
        answer(
            etag='"e1"',
            content_length="12",
            content_type="text/x",
            last_modified="Mon, 23 Nov 2026 01:02:03 GMT",
            x_amz_version_id="v1",
            x_amz_tagging_count="2",
            x_amz_meta_a="1",
        )
    )
    assert await store.head("k") == Present(
        key="k",
        size_bytes=12,
        etag="e1",
        version_id="v1",
        last_modified_at_ms=1_795_395_723_000,
        tag_count=2,
        attributes=ObjectAttributes({"content-type": "text/x"}, {"a": "1"}),
    )


@pytest.mark.parametrize(
    ("stored", "read"),
    [("aws-chunked", None), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip")],
)
async def test_how_the_bytes_were_once_sent_is_not_an_attribute(
    stored: str, read: str | None
) -> None:
    store, _ = store_of(answer(content_encoding=stored))
    facts = await store.head("k")
    assert isinstance(facts, Present)
    assert facts.attributes.headers.get("content-encoding") == read


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 23 Nov 2026 01:02:03 +99999999999999"])
async def test_a_time_that_is_none_is_no_time(date: str) -> None:
    store, _ = store_of(answer(last_modified=date))
    facts = await store.head("k")
    assert isinstance(facts, Present)
    assert facts.last_modified_at_ms == 0


async def test_a_probe_without_a_length_knows_nothing() -> None:
    store, _ = store_of(Response(200, {"etag": '"e1"'}, b""))
    with pytest.raises(Unavailable):
        await store.head("k")


async def test_absence_is_confirmed_by_the_bucket() -> None:
    store, transport = store_of(answer(404), answer(200))
    assert await store.head("k") == Absent("k")
    assert [sent.url for sent in transport.sent] == [
        "https://s3.test/bucket/k",
        "https://s3.test/bucket",
    ]


@pytest.mark.parametrize(
    ("answers", "raised"),
    [
        ([answer(404), answer(404)], NoSuchBucket),
        ([answer(404), answer(403), error(403, "AccessDenied")], AccessDenied),
        ([answer(404), answer(503)], Unavailable),
        ([answer(404), *NO_ANSWER], Unavailable),
    ],
)
async def test_absence_that_is_not_confirmed_is_not_known(
    answers: list[Response | Unavailable], raised: type[StoreError]
) -> None:
    store, _ = store_of(*answers)
    with pytest.raises(raised):
        await store.head("k")
    store, _ = store_of(*answers)
    with pytest.raises(raised):
        await store.get("k", if_match=None, size_bytes_max=MIB)


async def test_absence_with_a_code_needs_no_second_request() -> None:
    store, transport = store_of(error(404, "NoSuchKey"))
    with pytest.raises(SourceAbsent):
        await store.get("k", if_match=None, size_bytes_max=MIB)
    assert len(transport.sent) == 1


@pytest.mark.parametrize(
    ("status", "explanation", "raised", "code"),
    [
        (400, error(400, "ExpiredToken"), AccessDenied, "ExpiredToken"),
        (403, error(403, "SignatureDoesNotMatch"), AccessDenied, "SignatureDoesNotMatch"),
        (400, error(400, "InvalidRequest"), Refused, "InvalidRequest"),
        (403, answer(206, b"1"), AccessDenied, ""),
        (403, error(404, "NoSuchKey"), AccessDenied, ""),
        (403, answer(503), AccessDenied, ""),
    ],
)
async def test_a_refusal_without_a_document_is_explained(
    status: int, explanation: Response | Unavailable, raised: type[StoreError], code: str
) -> None:
    """An expired token must pause the destination, not end the job: both look alike in a HEAD."""
    store, transport = store_of(answer(status), explanation)
    with pytest.raises(raised) as refused:
        await store.head("k")
    assert refused.value.s3_code == code
    assert [sent.method for sent in transport.sent] == ["HEAD", "GET"]
    assert transport.sent[1].headers["range"] == "bytes=0-0"


async def test_a_refusal_of_the_bucket_is_explained_by_its_listing() -> None:
    store, transport = store_of(answer(403), error(403, "InvalidAccessKeyId"))
    with pytest.raises(AccessDenied, match="InvalidAccessKeyId"):
        await store.send(Operation.HEAD_BUCKET, "HEAD")
    assert transport.sent[1].url == "https://s3.test/bucket?list-type=2&max-keys=1"


async def test_a_body_that_ended_early_is_not_the_object() -> None:
    store, _ = store_of(answer(body=b"12345", content_length="6"))
    with pytest.raises(Unavailable):
        await store.get("k", if_match=None, size_bytes_max=MIB)


@pytest.mark.parametrize("size_bytes", [5, 300 * 1024])
async def test_digests_are_of_the_bytes_that_were_read(size_bytes: int) -> None:
    content = b"x" * size_bytes
    store, transport = store_of(answer(body=content, etag='"not-a-hash"'))
    body = await store.get("k", if_match="not-a-hash", size_bytes_max=MIB)
    assert body.md5_hex == hashlib.md5(content).hexdigest()
    assert body.sha256_hex == hashlib.sha256(content).hexdigest()
    assert transport.sent[0].headers["if-match"] == '"not-a-hash"'


async def test_tags_are_read_only_where_there_are_some() -> None:
    tagging = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    store, transport = store_of(answer(x_amz_tagging_count="1"), answer(body=tagging))
    body = await store.get("k", if_match=None, size_bytes_max=MIB)
    assert body.facts.attributes.tags == {"a": "1"}
    assert transport.sent[1].url == "https://s3.test/bucket/k?tagging="
    store, transport = store_of(answer())
    assert not (await store.get("k", if_match=None, size_bytes_max=MIB)).facts.attributes.tags
    assert len(transport.sent) == 1


@pytest.mark.parametrize(
    ("given", "raised", "maybe_applied"),
    [
        (error(200, "InternalError"), Unavailable, True),
        (error(200, "NoSuchKey"), SourceAbsent, False),
        (error(200, "PreconditionFailed"), SourceChanged, False),
        (error(200, "AccessDenied"), AccessDenied, False),
        (answer(body=b""), Unavailable, True),
        (answer(body=b"<html>welcome</html>"), Unavailable, True),
        (answer(body=b"\x00\xff"), Unavailable, True),
        (answer(412), SourceChanged, False),
        (answer(500), Unavailable, True),
        (Unavailable("no answer", maybe_applied=True), Unavailable, True),
        (Unavailable("no answer"), Unavailable, False),
    ],
)
async def test_a_copy_succeeded_only_if_the_document_says_so(
    given: Response | Unavailable, raised: type[StoreError], maybe_applied: bool
) -> None:
    store, _ = store_of(given)
    with pytest.raises(raised) as caught:
        await copy(store, "a\nb")
    assert caught.value.maybe_applied is maybe_applied
    assert caught.value.operation == "CopyObject"
    assert r"key='a\nb'" in str(caught.value)
    assert "very-secret" not in str(caught.value)


async def test_a_read_never_claims_to_have_applied_anything() -> None:
    store, _ = store_of(*[Unavailable("no answer", maybe_applied=True)] * 2)
    with pytest.raises(Unavailable) as caught:
        await store.get("k", if_match=None, size_bytes_max=MIB)
    assert caught.value.maybe_applied is False


async def test_close_closes_the_transport() -> None:
    store, transport = store_of()
    await store.close()
    assert transport.closed == 1


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32C", "CRC32", "SHA1", "SHA256"])
async def test_bytes_that_have_not_the_checksum_of_the_whole_are_never_given_out(
    algorithm: str,
) -> None:
    true = checksum_of(ChecksumAlgorithm(algorithm), b"the bytes")
    told = {"etag": f'"{ETAG}"', f"x-amz-checksum-{algorithm.lower()}": true}
    store, _ = store_of(Response(200, told, b"the bytes"), Response(200, told, b"the bytEs"))
    assert (await store.get("k", if_match=None, size_bytes_max=100)).is_as_told
    with pytest.raises(Unavailable, match=algorithm) as caught:
        await store.get("k", if_match=None, size_bytes_max=100)
    assert (caught.value.s3_code, caught.value.status) == ("WrongChecksum", 200)


# --- asking again ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [Unavailable("reset"), error(500, "InternalError"), answer(502), answer(504)]
)
async def test_a_read_that_failed_soon_is_asked_for_once_more(said: Response | Unavailable) -> None:
    again: list[str] = []
    store, transport = store_of(said, answer(body=b"x"), on_again=again.append)
    assert (await store.get("k", if_match=None, size_bytes_max=9)).content == b"x"
    store, twice = store_of(said, said, answer(body=b"x"), on_again=again.append)
    with pytest.raises(Unavailable):
        await store.get("k", if_match=None, size_bytes_max=9)
    assert len(transport.sent) == len(twice.sent) == 2
    assert again == ["GetObject", "GetObject"]


@pytest.mark.parametrize(
    ("said", "ask"),
    [
        (Unavailable("reset"), lambda store: store.put("k", body_of(b"x"), ObjectAttributes())),
        (error(500, "InternalError"), copy),
        (Unavailable("reset"), lambda store: store.delete("k")),
        (error(503, "SlowDown"), lambda store: store.get_tags("k")),
        (answer(503), lambda store: store.head("k")),
        (error(403, "AccessDenied"), lambda store: store.get_tags("k")),
    ],
)
async def test_no_write_and_nothing_that_asks_for_less_is_asked_for_again(
    said: Response | Unavailable, ask: Callable[[S3Store], Awaitable[object]]
) -> None:
    store, transport = store_of(said)
    with pytest.raises(StoreError):
        await ask(store)
    assert len(transport.sent) == 1


async def test_a_read_that_took_long_to_fail_is_not_asked_for_again() -> None:
    clock = FixedClock()

    class Slow(Reciting):
        async def request(self, *parts: Any, **named: Any) -> Response:
            clock.at_ms += round(1000 * AGAIN_S_MAX) + 1
            return await super().request(*parts, **named)

    transport = Slow([Unavailable("timed out")])
    store, _ = store_of(transport=transport, clock=clock)
    with pytest.raises(Unavailable):
        await store.head("k")
    assert len(transport.sent) == 1


# --- whose trouble it is --------------------------------------------------------------------


@pytest.mark.parametrize("is_source", [True, False])
@pytest.mark.parametrize(
    ("said", "ask"),
    [
        (Unavailable("no answer"), lambda store: store.head("k")),
        (error(500, "InternalError"), lambda store: store.get_tags("k")),
        (answer(body=b"no document"), lambda store: store.get_tags("k")),
        (answer(body=b"no document"), lambda store: store.list_page()),
        (answer(body=b"no document"), lambda store: store.list_versions("k")),
        (
            answer(body=b"short", content_length="9"),
            lambda store: store.get("k", if_match=None, size_bytes_max=9),
        ),
    ],
)
async def test_an_error_says_whether_it_is_the_sources(
    said: Response | Unavailable,
    ask: Callable[[S3Store], Awaitable[object]],
    is_source: bool,
) -> None:
    store, _ = store_of(said, said, is_source=is_source)
    with pytest.raises(StoreError) as raised:
        await ask(store)
    assert raised.value.of_source is is_source


class NoCredentials:
    async def current(self) -> Credentials:
        raise AccessDenied("no credentials")


async def test_credentials_that_cannot_be_had_are_the_sources_trouble_too() -> None:
    store = S3Store(
        bucket="bucket",
        endpoint=Endpoint.parse("https://s3.test", region="r"),
        credentials=NoCredentials(),
        transport=Reciting([]),
        clock=FixedClock(),
        is_source=True,
    )
    with pytest.raises(AccessDenied) as raised:
        await store.head("k")
    assert raised.value.of_source


@pytest.mark.parametrize("name", ["etag", "x-amz-version-id"])
async def test_an_id_that_could_not_be_sent_back_is_a_broken_answer(name: str) -> None:
    """The ledger is UTF-8: its write would end in an error that is not a store's."""
    read = Response(200, {"content-length": "4", "etag": ETAG, name: "\udc9a"}, b"")
    with pytest.raises(Unavailable, match="broken answer") as broken:
        await store_of(read)[0].head("k")
    assert (broken.value.status, broken.value.maybe_applied) == (200, False)
    written = Response(200, {name: "\udc9a"}, COPIED)
    with pytest.raises(Unavailable, match="broken answer") as broken:
        await copy(store_of(written)[0])
    assert broken.value.maybe_applied
