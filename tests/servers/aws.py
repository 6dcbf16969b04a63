"""Services of AWS on the emulator, as our own clients see them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from s3fanout.adapters.aws.json_client import DYNAMODB, SQS, JsonClient, Service
from s3fanout.adapters.aws.sqs_messages import SqsMessages
from s3fanout.adapters.journal.dynamodb import DynamoDbLedger
from s3fanout.adapters.journal.dynamodb_schema import table_properties
from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.transport import Transport, TransportSettings
from s3fanout.adapters.store.transport_routed import RoutedTransport
from s3fanout.adapters.system import SystemClock, SystemRand
from s3fanout.awslambda.environment import FunctionSettings
from s3fanout.awslambda.function import Function
from s3fanout.model.rules import KeyFilter, Rule
from s3fanout.model.topology import Topology
from tests.servers.server import boto3_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.ports.queue import Queue
    from s3fanout.ports.system import Clock
    from tests.servers.server import Server


def environment_of(server: Server) -> dict[str, str]:
    """What Lambda puts into a function's environment."""
    return {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": server.region,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
    }


def transport() -> RoutedTransport:
    """A transport to the emulator."""
    return RoutedTransport(TransportSettings(use_environment_proxies=False))


def client_of(server: Server, service: Service, over: Transport) -> JsonClient:
    """A client of one service."""
    return JsonClient(
        service,
        region=server.region,
        endpoint_url=server.endpoint,
        credentials=StaticCredentials(server.access_key, server.secret_key),
        transport=over,
        clock=SystemClock(),
        rand=SystemRand(),
    )


async def new_table(
    server: Server, name: str, over: Transport, *, clock: Clock, queue: Queue | None = None
) -> DynamoDbLedger:
    """An empty ledger."""
    client = client_of(server, DYNAMODB, over)
    await client.call("CreateTable", {"TableName": name, **table_properties()})
    return DynamoDbLedger(client, name, clock=clock, queue=queue)


def sns_event(*bodies: str) -> dict[str, Any]:
    """What Lambda gets from a topic."""
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": body}} for body in bodies]}


def notification(
    bucket: str, key: str, etag: str | None, size_bytes: int, sequencer: str | None
) -> str:
    """An S3 event; without a sequencer it has no order."""
    found = {"key": key, "size": size_bytes, "eTag": etag, "sequencer": sequencer}
    record = {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": bucket},
            "object": {name: value for name, value in found.items() if value is not None},
        },
    }
    return json.dumps({"Records": [record]})


@dataclass
class FunctionWorld:
    """A source, a destination, queues and a ledger on the emulator, and functions between them.

    Attributes:
        server: The emulator.
        name: Makes the names of everything unique.
        lines: What the functions logged.
    """

    server: Server
    name: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    over: RoutedTransport = field(default_factory=transport)
    functions: list[Function] = field(default_factory=list)

    async def build(self) -> None:
        """Make buckets, queues and the table."""
        server, name = self.server, self.name
        self.s3 = boto3_client(server, "s3")
        for purpose in ("source", "replica"):
            self.s3.create_bucket(Bucket=f"{name}-{purpose}")
        queues = client_of(server, SQS, self.over)
        self.queue_url, self.dead_url = [
            (await queues.call("CreateQueue", {"QueueName": f"{name}-{purpose}"}))["QueueUrl"]
            for purpose in ("queue", "dead")
        ]
        self.messages = SqsMessages(queues)
        self.ledger = await new_table(server, f"{name}-ledger", self.over, clock=SystemClock())

    async def close(self) -> None:
        """Close connections."""
        for function in self.functions:
            await function.close()
        await self.over.close()
        self.s3.close()

    def settings(self, **changes: Any) -> FunctionSettings:
        """Of a durable function, with ``changes``."""
        values: dict[str, Any] = {
            "topology": Topology.DURABLE,
            "source_bucket": f"{self.name}-source",
            "source_region": self.server.region,
            "bucket": f"{self.name}-replica",
            "region": self.server.region,
            "rule": Rule("a", KeyFilter(exclude_prefixes=("private/",))),
            "table": f"{self.name}-ledger",
            "queue_url": self.queue_url,
            "dead_letter_url": self.dead_url,
        }
        return FunctionSettings(**values | changes)

    def function(
        self, over: Transport | None = None, *, server: Server | None = None, **changes: Any
    ) -> Function:
        """A warm function, over a transport of its own; ``server``: as it sees the emulator."""
        made = Function(
            self.settings(**changes),
            environment_of(server or self.server),
            transport=over or transport(),
            write=self._write,
        )
        self.functions.append(made)
        return made

    def put(self, key: str, content: bytes, **more: Any) -> str:
        """Write a source object; its etag."""
        answer = self.s3.put_object(Bucket=f"{self.name}-source", Key=key, Body=content, **more)
        return answer["ETag"].strip('"')

    def replica(self, key: str) -> bytes:
        """What the destination holds."""
        answer = self.s3.get_object(Bucket=f"{self.name}-replica", Key=key)
        return answer["Body"].read()

    def notification(self, key: str, etag: str, size_bytes: int, sequencer: str | None) -> str:
        """The event of a source object."""
        return notification(f"{self.name}-source", key, etag, size_bytes, sequencer)

    async def deliver(
        self, function: Function, bodies: Sequence[str], *, time_s: float = 300.0
    ) -> list[str]:
        """Send messages and have them delivered as one batch; bodies that came back."""
        await self.messages.send(self.queue_url, bodies)
        return await self.redeliver(function, time_s=time_s)

    async def redeliver(
        self, function: Function, *, time_s: float = 300.0, wait_s: int = 0
    ) -> list[str]:
        """Deliver what the queue has, or gets in ``wait_s``, as one batch, as Lambda does; bodies
        that came back."""
        batch = await self.messages.receive(self.queue_url, 10, wait_s=wait_s)
        if not batch:
            return []
        event = {
            "Records": [
                {
                    "messageId": str(number),
                    "receiptHandle": message.handle,
                    "body": message.body,
                    "attributes": {"ApproximateReceiveCount": str(message.received)},
                    "eventSource": "aws:sqs",
                }
                for number, message in enumerate(batch)
            ]
        }
        answer = await function.invoke(event, time_s=time_s, request_id="r")
        back = {int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]}
        done = [message.handle for number, message in enumerate(batch) if number not in back]
        await self.messages.delete(self.queue_url, done)
        return [batch[number].body for number in sorted(back)]

    async def is_idle(self) -> bool:
        """Whether the queue holds nothing, in hand or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await client_of(self.server, SQS, self.over).call(
            "GetQueueAttributes", {"QueueUrl": self.queue_url, "AttributeNames": names}
        )
        return all(answer["Attributes"][name] == "0" for name in names)

    async def dead_letters(self) -> list[str]:
        """Bodies in the dead-letter queue."""
        found = await self.messages.receive(self.dead_url, 10, wait_s=0)
        return [message.body for message in found]

    def actions(self) -> list[str]:
        """What the functions said they did."""
        return [line["action"] for line in self.lines if "action" in line]

    def _write(self, line: str) -> None:
        self.lines.append(json.loads(line))
