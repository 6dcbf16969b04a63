"""What the S3 client makes of answers about parts that no well-behaved server gives."""

from __future__ import annotations

import pytest

from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import Response
from s3fanout.model.errors import (
    ReplicaMismatch,
    SourceChanged,
    StoreError,
    Throttled,
    Unavailable,
    UploadGone,
)
from s3fanout.model.objects import UploadedPart
from tests.unit.reciting import answer, error, store_of

ETAG = "d41d8cd98f00b204e9800998ecf8427e"


async def copy_part(store: S3Store) -> UploadedPart:
    return await store.upload_part_copy(
        "k", "id", 1, source_bucket="source", source_key="k", if_match=ETAG, first=0, last=9
    )


@pytest.mark.parametrize(
    ("given", "raised"),
    [
        (error(200, "InternalError"), Unavailable),
        (error(200, "SlowDown"), Throttled),
        (error(200, "PreconditionFailed"), SourceChanged),
        (error(200, "NoSuchUpload"), UploadGone),
        (answer(body=b""), Unavailable),
        (answer(body=b"<html>welcome</html>"), Unavailable),
        (answer(body=b"<CopyPartResult><ETag>&quot;e1"), Unavailable),
    ],
)
async def test_a_part_was_copied_only_if_the_document_says_so(
    given: Response, raised: type[StoreError]
) -> None:
    store, _ = store_of(given)
    with pytest.raises(raised) as caught:
        await copy_part(store)
    assert (caught.value.operation, caught.value.status) in {
        ("UploadPartCopy", 200),
        ("UploadPartCopy", 0),
    }
    assert not caught.value.maybe_applied


@pytest.mark.parametrize(
    ("given", "raised", "maybe_applied"),
    [
        (error(200, "InternalError"), Unavailable, True),
        (error(200, "SlowDown"), Throttled, False),
        (error(200, "NoSuchUpload"), UploadGone, False),
        (error(200, "InvalidPart"), ReplicaMismatch, False),
        (error(200, "BadDigest"), ReplicaMismatch, False),
        (answer(body=b""), Unavailable, True),
        (answer(body=b"   <CompleteMultipartUploadResult><ETag>"), Unavailable, True),
    ],
)
async def test_an_upload_is_complete_only_if_the_document_says_so(
    given: Response, raised: type[StoreError], maybe_applied: bool
) -> None:
    """S3 sends the status, then white space while it works, and only then what came of it."""
    store, _ = store_of(given)
    with pytest.raises(raised) as caught:
        await store.complete_upload("k", "id", [UploadedPart(1, ETAG, 10)])
    assert caught.value.operation == "CompleteMultipartUpload"
    assert caught.value.maybe_applied is maybe_applied


@pytest.mark.parametrize(
    ("body", "content_range", "s3_code"),
    [
        (b"short", "bytes 0-9/95", "TruncatedBody"),
        (b"", "bytes 0-9/95", "TruncatedBody"),
        (b"0123456789", "bytes 10-19/95", ""),
        (b"0123456789", "", ""),
    ],
)
async def test_a_part_that_is_not_the_range_asked_for_is_never_given_out(
    body: bytes, content_range: str, s3_code: str
) -> None:
    store, _ = store_of(answer(206, body, etag=f'"{ETAG}"', content_range=content_range))
    with pytest.raises(Unavailable) as caught:
        await store.get_range("k", first=0, last=9, if_match=ETAG)
    assert caught.value.s3_code == s3_code


async def test_a_part_of_another_object_than_the_pinned_one_says_changed() -> None:
    """Some stores ignore the pin of a read."""
    store, _ = store_of(answer(206, b"0123456789", etag='"other"', content_range="bytes 0-9/95"))
    with pytest.raises(SourceChanged):
        await store.get_range("k", first=0, last=9, if_match=ETAG)


async def test_a_whole_object_where_a_range_was_asked_for_is_an_error() -> None:
    store, _ = store_of(answer(200, b"0123456789", etag=f'"{ETAG}"'))
    with pytest.raises(StoreError):
        await store.get_range("k", first=0, last=9, if_match=ETAG)
