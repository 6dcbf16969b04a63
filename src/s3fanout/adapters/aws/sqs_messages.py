"""Messages of SQS queues, sent, put off and deleted: the part of the API that work needs.

What is sent twice or deleted twice is harmless: attempts are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3fanout.adapters.aws.json_client import ServiceRefusal, is_throttling
from s3fanout.model.errors import LedgerUnavailable, Unavailable

if TYPE_CHECKING:
    from s3fanout.adapters.aws.json_client import JsonClient

BATCH_MAX = 10
"""Messages of one request (SQS API reference)."""

_NOT_IN_HAND = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid"})
"""Of ``ChangeMessageVisibility`` (SQS API reference, 2026-11)."""

_ALLOW = "check the queue, and that the role may sqs:"

VISIBILITY_S_MAX = 43_200
"""12 hours (SQS developer guide, "quotas")."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in hand.

    Attributes:
        body: Text.
        handle: Names this delivery, to delete it or to put it off.
        received: How often it was delivered, this time included.
    """

    body: str
    handle: str
    received: int


class SqsMessages:
    """Messages of any queue that the credentials reach. Costs are one request per ten messages."""

    def __init__(self, client: JsonClient) -> None:
        self._client = client

    async def send(
        self,
        queue_url: str,
        bodies: Sequence[str],
        *,
        delay_s: int = 0,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Send all; durable on return.

        Raises:
            LedgerUnavailable: Some may have been sent, not all were.
        """
        extra: dict[str, Any] = {}
        if delay_s:
            extra["DelaySeconds"] = delay_s
        if attributes:
            extra["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
                if value
            }
        entries = [{"MessageBody": body, **extra} for body in bodies]
        if len(entries) == 1:  # See put_off.
            await self._call("SendMessage", {"QueueUrl": queue_url, **entries[0]})
        else:
            await self._batches("SendMessageBatch", queue_url, entries)

    async def receive(self, queue_url: str, limit: int, *, wait_s: int) -> Sequence[Message]:
        """Up to ten messages, hidden from others for the queue's visibility timeout."""
        operation = "ReceiveMessage"
        answer = await self._call(
            operation,
            {
                "QueueUrl": queue_url,
                "MaxNumberOfMessages": min(limit, BATCH_MAX),
                "WaitTimeSeconds": wait_s,
                "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
            },
        )
        with _understood(operation, queue_url):
            return [_message(message) for message in answer.get("Messages") or ()]

    async def count(self, queue_url: str) -> int:
        """Messages in the queue, in hand or not; about so many, says SQS. One request."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        names.append("ApproximateNumberOfMessagesDelayed")
        operation = "GetQueueAttributes"
        answer = await self._call(operation, {"QueueUrl": queue_url, "AttributeNames": names})
        with _understood(operation, queue_url):
            return sum(_count(answer["Attributes"][name]) for name in names)

    async def delete(self, queue_url: str, handles: Sequence[str]) -> None:
        """Forget messages."""
        await self._batches(
            "DeleteMessageBatch", queue_url, [{"ReceiptHandle": handle} for handle in handles]
        )

    async def put_off(self, queue_url: str, delays_s: Mapping[str, int]) -> None:
        """Let messages, named by their handles, be delivered again after a delay, not before.

        One that is no longer in hand is left alone: another delivery deleted it, or it is about to
        be delivered again by itself.

        One request for each: ministack 1.5 asks for a permission that is called as the batch's
        operation, where AWS asks for that of the single one, and failures are few.
        """
        for handle, delay_s in delays_s.items():
            try:
                await self._call(
                    "ChangeMessageVisibility",
                    {
                        "QueueUrl": queue_url,
                        "ReceiptHandle": handle,
                        "VisibilityTimeout": min(max(delay_s, 0), VISIBILITY_S_MAX),
                    },
                )
            except LedgerUnavailable as error:
                why = error.__cause__
                if not isinstance(why, ServiceRefusal) or why.code not in _NOT_IN_HAND:
                    raise

    async def _batches(
        self, operation: str, queue_url: str, entries: Sequence[dict[str, Any]]
    ) -> None:
        for first in range(0, len(entries), BATCH_MAX):
            batch = [
                {"Id": str(number), **entry}
                for number, entry in enumerate(entries[first : first + BATCH_MAX])
            ]
            answer = await self._call(operation, {"QueueUrl": queue_url, "Entries": batch})
            with _understood(operation, queue_url):
                codes = [entry["Code"] for entry in answer.get("Failed") or ()]
            if codes:
                raise LedgerUnavailable(
                    f"the queue did not take {len(codes)} of {len(batch)} messages "
                    f"operation={operation} code={codes[0]!r}",
                    hint="see the code; the messages are tried again",
                )

    async def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._client.call(operation, body)
        except (ServiceRefusal, Unavailable) as error:
            throttled = isinstance(error, ServiceRefusal) and is_throttling(error)
            raise LedgerUnavailable(
                f"{error} queue={body['QueueUrl']}",
                hint="it is tried again"
                if throttled
                else f"{_ALLOW}{operation.removesuffix('Batch')}",
            ) from error


@contextmanager
def _understood(operation: str, queue_url: str) -> Iterator[None]:
    """Where an answer is read.

    Raises:
        LedgerUnavailable: It has another shape than SQS's: somebody else may have answered.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise LedgerUnavailable(
            f"broken answer operation={operation} queue={queue_url}",
            hint="check what answers at this address; it is tried again",
        ) from error


def _message(said: Any) -> Message:
    body, handle = said["Body"], said["ReceiptHandle"]
    if not isinstance(body, str) or not isinstance(handle, str):
        raise TypeError("a message of no text")
    received = said.get("Attributes", {}).get("ApproximateReceiveCount", "1")
    return Message(body, handle, _count(received))


def _count(said: str) -> int:
    """Numbers are texts in answers of SQS."""
    count = int(said)
    if count < 0:
        raise ValueError("a negative count")
    return count
