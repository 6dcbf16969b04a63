"""Amazon SQS as a Lambda function gets it: ``Records[]``, each with the ``body`` of one message.

(AWS Lambda developer guide, "Using Lambda with Amazon SQS". A message received by polling is its
body alone and needs none of this.)
"""

from __future__ import annotations

from s3fanout.intake.fields import quoted
from s3fanout.model.errors import MalformedEvent

_SOURCE = "aws:sqs"


def is_record(record: dict[str, object]) -> bool:
    """Whether an item of ``Records[]`` is an SQS message."""
    return record.get("eventSource") == _SOURCE


def unwrap(record: dict[str, object]) -> str:
    """The message's body: a raw S3 event, an SNS envelope or an EventBridge event.

    Raises:
        MalformedEvent: ``unknown-shape``: a record without text.
    """
    body = record.get("body")
    if not isinstance(body, str):
        raise MalformedEvent("unknown-shape", f"SQS body is {quoted(body)}, not text")
    return body
