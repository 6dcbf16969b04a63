"""How many copies a store can do: requests signed before, sent by a loop that does nothing else.

``ceiling.py ENDPOINT ACCESS_KEY SECRET_KEY KEYS PREFIX CONCURRENCY BUCKET...`` copies every key of
the file ``KEYS`` from ``source`` to ``PREFIX`` + key in each bucket, and prints the seconds of the
loop as JSON. Our own transport, without ledger, events and answers being read: what s3fanout could
reach if all the rest of it were free.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import Response, Transport, TransportSettings
from s3fanout.adapters.store.transport_direct import DirectTransport
from s3fanout.adapters.system import SystemClock

_ANSWER = b"<CopyObjectResult><ETag>0</ETag></CopyObjectResult>"


class Recorder(Transport):
    """Keeps the requests instead of sending them."""

    def __init__(self) -> None:
        self.requests: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def request(self, *arguments: Any, **options: Any) -> Response:
        self.requests.append((arguments, options))
        return Response(200, {}, _ANSWER)

    async def close(self) -> None:
        pass


async def measure(arguments: list[str]) -> float:
    endpoint, access_key, secret_key, keys, prefix, concurrency, *buckets = arguments
    recorder = Recorder()
    stores = [
        S3Store(
            bucket=bucket,
            endpoint=Endpoint.parse(endpoint, region="us-east-1"),
            credentials=StaticCredentials(access_key, secret_key),
            transport=recorder,
            clock=SystemClock(),
        )
        for bucket in buckets
    ]
    for key in Path(keys).read_text("utf-8").split():
        for store in stores:
            await store.copy(prefix + key, source_bucket="source", source_key=key, if_match=None)
    transport = DirectTransport(TransportSettings(connections_max=int(concurrency)))
    requests: Iterator[tuple[tuple[Any, ...], dict[str, Any]]] = iter(recorder.requests)

    async def work() -> None:
        for positional, named in requests:
            answer = await transport.request(*positional, **named)
            assert answer.status == 200, answer

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(int(concurrency))))
    seconds = time.perf_counter() - began
    await transport.close()
    return seconds


if __name__ == "__main__":
    print(json.dumps({"loop_s": uvloop.run(measure(sys.argv[1:]))}))
