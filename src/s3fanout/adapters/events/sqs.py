"""Amazon SQS as a source of change events: long poll, delete after durable acceptance.

boto3 blocks, so calls run in threads: one call brings up to ten messages, which makes the SDK's
cost per event small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from s3fanout.model.errors import AccessDenied, Misconfigured, StoreError, Throttled, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

    from s3fanout.adapters.store.credentials import CredentialSource

T = TypeVar("T")

BATCH_MAX = 10
"""Messages per ReceiveMessage and entries per DeleteMessageBatch (SQS API reference, 2026-11)."""


@dataclass(frozen=True, slots=True)
class SqsMessage:
    """One message as received."""

    body: bytes
    receipt_handle: str


class SqsSource:
    """One queue that S3, SNS or EventBridge sends events to."""

    def __init__(
        self,
        *,
        queue_url: str,
        region: str | None,
        endpoint_url: str | None,
        credentials: CredentialSource,
        wait_s: int,
        visibility_s: int,
    ) -> None:
        self._queue_url = queue_url
        self._region = region
        self._endpoint_url = endpoint_url
        self._credentials = credentials
        self._wait_s = wait_s
        self._visibility_s = visibility_s
        self._client: SQSClient | None = None
        self._client_token: tuple[str, str | None] | None = None

    async def receive(self) -> list[SqsMessage]:
        """Up to ten messages; empty after ``wait_s`` without any.

        Raises:
            StoreError: By meaning, as for an object store.
        """
        client = await self._current_client()

        def call() -> list[SqsMessage]:
            answer = client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=BATCH_MAX,
                WaitTimeSeconds=self._wait_s,
                VisibilityTimeout=self._visibility_s,
            )
            # Half a surrogate pair, which JSON can say, is not UTF-8: an error would end intake.
            return [
                SqsMessage(
                    message["Body"].encode(errors="backslashreplace"), message["ReceiptHandle"]
                )
                for message in answer.get("Messages", [])
            ]

        return await _translated(call, "ReceiveMessage")

    async def delete(self, messages: Sequence[SqsMessage]) -> int:
        """Acknowledge up to ten messages. Returns how many the queue would not delete.

        What is not deleted comes again, which the ledger recognises as a duplicate.
        """
        client = await self._current_client()

        def call() -> int:
            answer = client.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message.receipt_handle}
                    for index, message in enumerate(messages)
                ],
            )
            return len(answer.get("Failed", []))

        return await _translated(call, "DeleteMessageBatch")

    async def probe(self) -> int:
        """The approximate number of messages: proves that the queue is there and readable."""
        client = await self._current_client()

        def call() -> int:
            answer = client.get_queue_attributes(
                QueueUrl=self._queue_url, AttributeNames=["ApproximateNumberOfMessages"]
            )
            return int(answer["Attributes"]["ApproximateNumberOfMessages"])

        return await _translated(call, "GetQueueAttributes")

    async def _current_client(self) -> SQSClient:
        current = await self._credentials.current()
        token = (current.access_key, current.token)
        if self._client is None or token != self._client_token:
            import boto3  # noqa: PLC0415 - a third of a command's start
            from botocore.config import Config  # noqa: PLC0415

            self._client = await asyncio.to_thread(
                lambda: boto3.session.Session().client(
                    "sqs",
                    region_name=self._region or "us-east-1",
                    endpoint_url=self._endpoint_url,
                    aws_access_key_id=current.access_key,
                    aws_secret_access_key=current.secret_key,
                    aws_session_token=current.token,
                    config=Config(
                        read_timeout=self._wait_s + 10,
                        connect_timeout=5,
                        retries={"total_max_attempts": 1},
                    ),
                )
            )
            self._client_token = token
        return self._client


async def _translated(call: Callable[[], T], operation: str) -> T:
    """Run ``call`` in a thread; its errors in our words."""
    try:
        return await asyncio.to_thread(call)
    except ClientError as error:
        raise classify(error, operation) from error
    except BotoCoreError as error:
        raise Unavailable(f"no answer from the queue: {error}", operation=operation) from error


def classify(error: ClientError, operation: str) -> StoreError | Misconfigured:
    """What an SQS error means for us."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"the queue said {code} operation={operation}"
    if code.rpartition(".")[2] in _NO_QUEUE:
        return Misconfigured(message, hint="check intake.sqs.queue_url: there is no such queue")
    if status == HTTPStatus.TOO_MANY_REQUESTS or "Throttl" in code:
        return Throttled(message, operation=operation, status=status, s3_code=code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(message, operation=operation, status=status, s3_code=code)
    return AccessDenied(
        message,
        operation=operation,
        status=status,
        s3_code=code,
        hint=f"allow sqs:{operation} on the queue to these credentials",
    )


_NO_QUEUE = frozenset({"NonExistentQueue", "QueueDoesNotExist"})
