"""What ``ports/object_store.py`` promises of stores behind a network.

Foreign clients, credentials, and answers that never come.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from s3fanout.model.errors import AccessDenied, Unavailable
from s3fanout.model.objects import ObjectAttributes, Present
from tests.conformance.object_stores import NETWORKED, PLAIN, Credentials, Quirk, Subject, body_of
from tests.servers import seaweedfs as seaweedfs_server
from tests.servers.server import LOOPBACK, boto3_client, closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from mypy_boto3_s3 import S3Client

    from s3fanout.ports.object_store import ObjectStore

MIB = 1024 * 1024

Request = Callable[["ObjectStore", str], Awaitable[object]]

READS: dict[str, Request] = {
    "head": lambda store, key: store.head(key),
    "get": lambda store, key: store.get(key, if_match=None, size_bytes_max=MIB),
    "list": lambda store, key: store.list_page(key),
}
WRITES: dict[str, Request] = {
    "put": lambda store, key: store.put(key, body_of(b"1"), PLAIN),
    "copy": lambda store, key: store.copy(
        key, source_bucket=store.bucket, source_key=f"{key}-source", if_match=None
    ),
    "delete": lambda store, key: store.delete(key),
}
REQUESTS = READS | WRITES


@pytest.fixture
def foreign(networked: Subject) -> Iterator[S3Client]:
    """boto3 on the same server."""
    assert networked.server is not None
    with closing(boto3_client(networked.server, "s3")) as client:
        yield client


# --- foreign clients ------------------------------------------------------------------------


async def test_what_boto3_wrote_is_read(networked: Subject, foreign: S3Client, unique: str) -> None:
    key = f"{unique}/a b+ü.txt"
    foreign.put_object(
        Bucket=networked.source,
        Key=key,
        Body=b"hello",
        ContentType="text/x-test",
        Metadata={"a": "1", "b-c": "x y"},
        Tagging="k=v%20w&empty=",
    )
    store = networked.open(networked.source)
    body = await store.get(key, if_match=None, size_bytes_max=MIB)
    assert body.content == b"hello"
    assert body.facts.attributes == ObjectAttributes(
        {"content-type": "text/x-test"}, {"a": "1", "b-c": "x y"}, {"k": "v w", "empty": ""}
    )


async def test_what_we_wrote_is_read_by_boto3(
    networked: Subject, foreign: S3Client, unique: str
) -> None:
    key = f"{unique}/a b+ü.txt"
    attributes = ObjectAttributes({"content-type": "text/x-test"}, {"a": "1"}, {"k": "v w+ü"})
    written = await networked.open(networked.source).put(key, body_of(b"hello"), attributes)
    answer = foreign.get_object(Bucket=networked.source, Key=key)
    tags = foreign.get_object_tagging(Bucket=networked.source, Key=key)
    assert answer["Body"].read() == b"hello"
    assert (answer["ContentType"], answer["Metadata"]) == ("text/x-test", {"a": "1"})
    assert answer["ETag"] == f'"{written.etag}"'
    assert tags["TagSet"] == [{"Key": "k", "Value": "v w+ü"}]


async def test_etag_of_one_request_is_its_md5(networked: Subject, unique: str) -> None:
    written = await networked.open(networked.source).put(unique, body_of(b"hello"), PLAIN)
    assert written.etag == hashlib.md5(b"hello").hexdigest()


async def test_etag_of_a_multipart_upload_is_a_validator_like_any(
    networked: Subject, foreign: S3Client, unique: str
) -> None:
    upload = foreign.create_multipart_upload(Bucket=networked.source, Key=unique)["UploadId"]
    part = foreign.upload_part(
        Bucket=networked.source, Key=unique, UploadId=upload, PartNumber=1, Body=b"hello"
    )
    foreign.complete_multipart_upload(
        Bucket=networked.source,
        Key=unique,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    store, replica = networked.open(networked.source), networked.open(networked.bucket)
    facts = await store.head(unique)
    assert isinstance(facts, Present)
    assert facts.etag.endswith("-1")
    body = await store.get(unique, if_match=facts.etag, size_bytes_max=MIB)
    assert (body.content, body.facts.etag) == (b"hello", facts.etag)
    written = await replica.copy(
        unique, source_bucket=networked.source, source_key=unique, if_match=facts.etag
    )
    copied = await replica.head(unique)
    assert isinstance(copied, Present)
    assert copied.etag == written.etag
    (row,) = (await store.list_page(unique)).objects
    assert row.etag == facts.etag


async def test_many_requests_at_a_time(networked: Subject, unique: str) -> None:
    store = networked.open(networked.source)
    keys = [f"{unique}/{number:03}" for number in range(50)]
    await asyncio.gather(*(store.put(key, body_of(key.encode()), PLAIN) for key in keys))
    bodies = await asyncio.gather(
        *(store.get(key, if_match=None, size_bytes_max=MIB) for key in keys)
    )
    assert [body.content.decode() for body in bodies] == keys


async def test_close_twice(networked: Subject, unique: str) -> None:
    store = networked.open(networked.source)
    await store.put(unique, body_of(b"1"), PLAIN)
    await store.close()
    await store.close()


# --- credentials ----------------------------------------------------------------------------


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("wrong", ["secret", "access key"])
async def test_wrong_credentials_are_denied(
    networked: Subject, unique: str, request_name: str, wrong: str
) -> None:
    server = networked.server
    assert server is not None
    credentials = (
        Credentials(server.access_key, "not-the-secret")
        if wrong == "secret"
        else Credentials("nobody-knows-me", server.secret_key)
    )
    await networked.open(networked.source).put(f"{unique}-source", body_of(b"1"), PLAIN)
    await networked.open(networked.source).put(unique, body_of(b"1"), PLAIN)
    store = networked.open(networked.source, credentials=credentials)
    if networked.has(Quirk.CREDENTIALS_UNCHECKED):
        await REQUESTS[request_name](store, unique)
        return
    with pytest.raises(AccessDenied) as denied:
        await REQUESTS[request_name](store, unique)
    assert denied.value.status == 403
    assert not denied.value.maybe_applied


@pytest.mark.parametrize(
    "networked", [name for name in NETWORKED if name.startswith("seaweedfs/")], indirect=True
)
@pytest.mark.parametrize("request_name", WRITES)
async def test_a_reader_may_not_write(networked: Subject, unique: str, request_name: str) -> None:
    """SeaweedFS is the server that is started with an identity that may read and no more."""
    store = networked.open(networked.source)
    for key in (unique, f"{unique}-source"):
        await store.put(key, body_of(b"1"), PLAIN)
    reader = networked.open(
        networked.source,
        credentials=Credentials(
            seaweedfs_server.READ_ONLY_ACCESS_KEY, seaweedfs_server.READ_ONLY_SECRET_KEY
        ),
    )
    with pytest.raises(AccessDenied) as denied:
        await WRITES[request_name](reader, unique)
    assert not denied.value.maybe_applied
    body = await reader.get(unique, if_match=None, size_bytes_max=MIB)
    assert body.content == b"1"


# --- answers that never come ----------------------------------------------------------------


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_a_closed_port_is_unavailable_and_nothing_was_applied(
    networked: Subject, unique: str, request_name: str
) -> None:
    store = networked.open(networked.source, endpoint=f"http://{LOOPBACK}:{closed_port()}")
    with pytest.raises(Unavailable) as refused:
        await REQUESTS[request_name](store, unique)
    assert not refused.value.maybe_applied
    assert refused.value.status == 0


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<x"],
    ids=["silence", "half a head", "half a body"],
)
@pytest.mark.parametrize("request_name", ["get", "list", *WRITES])
async def test_a_broken_answer_is_unavailable_and_a_write_may_be_applied(
    networked: Subject, unique: str, request_name: str, answer: bytes
) -> None:
    async with answering(answer) as endpoint:
        store = networked.open(networked.source, endpoint=endpoint)
        with pytest.raises(Unavailable) as broken:
            await REQUESTS[request_name](store, unique)
    assert broken.value.maybe_applied == (request_name in WRITES)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A server that reads a request's head, sends ``answer`` and closes. Yields its endpoint."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://{LOOPBACK}:{port}"
