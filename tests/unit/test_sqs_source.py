"""Messages that no SQS of Amazon gives, and a queue that speaks its language may."""

from __future__ import annotations

import asyncio

from s3fanout.adapters.events.sqs import SqsMessage, SqsSource
from s3fanout.adapters.store.credentials import StaticCredentials
from tests.servers.server import LOOPBACK

BODY = rb'{"Messages": [{"MessageId": "1", "ReceiptHandle": "h", "Body": "\ud800"}]}'
ANSWER = b"""\
HTTP/1.1 200 OK\r
content-type: application/x-amz-json-1.0\r
connection: close\r
content-length: %d\r
\r
%b""" % (len(BODY), BODY)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def test_half_a_surrogate_pair_is_received_and_stops_no_queue() -> None:
    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        source = SqsSource(
            queue_url=f"{url}/q",
            region=None,
            endpoint_url=url,
            credentials=StaticCredentials("AK", "SK"),
            wait_s=0,
            visibility_s=30,
        )
        assert await source.receive() == [SqsMessage(rb"\ud800", "h")]
