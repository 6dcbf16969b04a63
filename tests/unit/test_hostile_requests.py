"""Whatever a key, a bucket or metadata says, a request goes to the configured host and path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import TransportSettings
from s3fanout.adapters.store.transport_direct import DirectTransport
from s3fanout.adapters.system import SystemClock
from s3fanout.config.load import parse
from s3fanout.model.errors import S3FanoutError
from s3fanout.model.objects import Body, ObjectAttributes, Present
from tests.servers.server import LOOPBACK

EVIL = (
    "//evil.test/x",
    "@evil.test/x",
    "http://evil.test/",
    "..",
    "../../admin",
    "a/../../b",
    ".",
    "%2e%2e/%2F",
    "a%0d%0aX-Evil: 1",
    "a\r\nX-Evil: 1",
    "a\r\n\r\nGET /evil HTTP/1.1\r\nhost: evil.test\r\n\r\n",
    "nul\0byte",
    "?list-type=2",
    "#fragment",
    "a;b=c&d=e",
    "\\\\evil\\share",
    " ",
    "\u2028",
    "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
)
ANSWER = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Recording:
    """A server that answers 404 and keeps the head of every request."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.partition(b":")[2]))
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Recording, S3Store]]:
    recorder = Recording()
    server = await asyncio.start_server(recorder.serve, LOOPBACK, 0)
    recorder.port = server.sockets[0].getsockname()[1]
    store = S3Store(
        bucket="bucket",
        endpoint=Endpoint.parse(f"http://{LOOPBACK}:{recorder.port}", region="r"),
        credentials=StaticCredentials("AK", "SK"),
        transport=DirectTransport(TransportSettings()),
        clock=SystemClock(),
    )
    try:
        yield recorder, store
    finally:
        await store.close()
        server.close()
        await server.wait_closed()


async def ask(store: S3Store, key: str, evil: str) -> None:
    """Every kind of request, with what somebody else may have chosen in every place."""
    body = Body(Present(key, 1, "e"), b"x", "0" * 32, "0" * 64)
    attributes = ObjectAttributes(
        headers={"content-type": evil}, metadata={"a": evil}, tags={"t": evil}
    )
    for request in (
        store.head(key),
        store.get(key, if_match=evil, size_bytes_max=9),
        store.get_tags(key),
        store.put(key, body, attributes),
        store.copy(key, source_bucket="source", source_key=key, if_match=evil),
        store.delete(key),
        store.list_page(evil),
    ):
        try:
            await request
        except (S3FanoutError, UnicodeError):
            continue


@pytest.mark.parametrize("evil", EVIL)
async def test_a_request_goes_where_the_configuration_says(evil: str) -> None:
    async with recording() as (recorder, store):
        await ask(store, evil, evil)
    assert len(recorder.heads) >= 3, "something has to be sent at all"
    for head in recorder.heads:
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        method, target, version = first.split(b" ")
        path, _, query = target.partition(b"?")
        assert (version, b"\n" in head.replace(b"\r\n", b"")) == (b"HTTP/1.1", False)
        assert method in {b"GET", b"HEAD", b"PUT", b"DELETE"}
        names = [line.partition(b":")[0].lower() for line in lines]
        assert b"host: %s:%d" % (LOOPBACK.encode(), recorder.port) in lines
        assert names.count(b"host") == 1
        assert b"x-evil" not in names
        bucket, _, key = path.removeprefix(b"/").partition(b"/")
        assert bucket == b"bucket"
        if key:  # Sent as it is, dots and all: the signature covers the path as the store reads it.
            assert unquote_to_bytes(key) == evil.encode()
        assert b"evil.test" not in query or b"prefix=" in query


@pytest.mark.parametrize(
    "bucket", ["a/../b", "evil.test/x", "@evil", "b?x", "b#x", "a\r\nb", "a b", "..", "%2e%2e", ""]
)
def test_a_bucket_that_is_no_name_is_refused_with_the_configuration(bucket: str) -> None:
    written = bucket.replace("\r", "\\r").replace("\n", "\\n")
    text = (
        f'schema = 1\nsource.bucket = "photos"\ndestinations.paris.bucket = "{written}"\n'
        'intake.webhook.token = { env = "TOKEN" }\n'
    )
    with pytest.raises(S3FanoutError) as raised:
        parse(text, path=Path("c.toml"), env={})
    assert "bucket" in str(raised.value)
