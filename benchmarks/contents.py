"""What stores hold before a comparison, and what a copy costs that nobody else asked for."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence

from benchmarks.daemon import SOURCE
from benchmarks.events import Written
from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import TransportSettings
from s3fanout.adapters.store.transport_direct import DirectTransport
from s3fanout.adapters.system import SystemClock
from s3fanout.model.objects import Body, ObjectAttributes, Present
from tests.servers.server import Server, create_bucket

BUCKETS = ("paris", "tokyo", "lima")
_WRITERS = 16


def store(server: Server, bucket: str) -> S3Store:
    return S3Store(
        bucket=bucket,
        endpoint=Endpoint.parse(server.endpoint, region=server.region),
        credentials=StaticCredentials(server.access_key, server.secret_key),
        transport=DirectTransport(TransportSettings()),
        clock=SystemClock(),
    )


async def copies_s(stores: Sequence[S3Store], key: str) -> float:
    """Seconds that one copy to each bucket takes, all at once, as the daemon does it."""
    began = time.perf_counter()
    await asyncio.gather(
        *(
            one.copy(f"alone/{key}", source_bucket=SOURCE, source_key=key, if_match=None)
            for one in stores
        )
    )
    return time.perf_counter() - began


def make_buckets(server: Server) -> None:
    """Empty ones that were written to: SeaweedFS makes a bucket's volumes then, in a second."""
    for bucket in BUCKETS:
        create_bucket(server, bucket)
    asyncio.run(_open_volumes(server))


def fill(server: Server, count: int, size_bytes: int) -> list[Written]:
    """Write the source bucket: so many different objects."""
    create_bucket(server, SOURCE)
    return asyncio.run(_fill(store(server, SOURCE), count, size_bytes))


def body_of(key: str, seed: str, size_bytes: int) -> Body:
    """A content that no other seed has; the size is a multiple of 32."""
    content = hashlib.sha256(seed.encode()).digest() * (size_bytes // 32)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(content).hexdigest()
    return Body(Present(key, len(content), md5), content, md5, sha256)


async def _open_volumes(server: Server) -> None:
    for bucket in BUCKETS:
        to = store(server, bucket)
        await to.put("first", body_of("first", bucket, 1024), ObjectAttributes())
        await to.delete("first")
        await to.close()


async def _fill(source: S3Store, count: int, size_bytes: int) -> list[Written]:
    written: list[Written] = []
    numbers: Iterator[int] = iter(range(count))

    async def work() -> None:
        for number in numbers:
            key = f"bench/{number:07}.bin"
            body = body_of(key, str(number), size_bytes)
            await source.put(key, body, ObjectAttributes())
            written.append(Written(key, body.facts.etag, size_bytes))

    await asyncio.gather(*(work() for _ in range(_WRITERS)))
    await source.close()
    return written
