"""Ledger and queues of a deployment as one: what a backfill and a sweep write into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3fanout.adapters.aws.sqs_messages import SqsMessages
from s3fanout.adapters.aws.sqs_queue import SqsQueue
from s3fanout.adapters.journal.dynamodb import DynamoDbLedger
from s3fanout.model.jobs import DestinationSummary, NewJob, ReplicaRecord
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.ports.queue import Accepted


class AwsBooks:
    """``engine.backfill.BackfillBooks`` of a deployment."""

    def __init__(
        self,
        ledger: DynamoDbLedger,
        queue: SqsQueue,
        messages: SqsMessages,
        urls: Mapping[str, str],
    ) -> None:
        """``urls`` are those of the queues, by destination."""
        self.ledger = ledger
        self._queue = queue
        self._messages = messages
        self._urls = dict(urls)

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        """Send all; one request for ten jobs of a destination."""
        return await self._queue.accept(jobs, now_ms=now_ms)

    async def records(self, destination: str, keys: Sequence[str]) -> Mapping[str, ReplicaRecord]:
        """Of these keys; one request for a hundred."""
        return await self.ledger.records(destination, keys)

    async def summaries(self) -> Sequence[DestinationSummary]:
        """How long each queue is, and nothing else: the ledger's own count reads all of it.

        SQS tells no kind of message from another: all of a queue counts as seen in a listing.
        """
        lengths = {name: await self._messages.count(url) for name, url in self._urls.items()}
        return [
            DestinationSummary(name, ready=length, later=length) for name, length in lengths.items()
        ]

    async def checkpoint(self, name: str) -> Checkpoint | None:
        """See ``Checkpoints``."""
        return await self.ledger.checkpoint(name)

    async def keep_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """See ``Checkpoints``."""
        await self.ledger.keep_checkpoint(name, checkpoint)

    async def drop_checkpoint(self, name: str) -> None:
        """See ``Checkpoints``."""
        await self.ledger.drop_checkpoint(name)
