"""Puts dead letters of a deployment back to work: the ledger's, and messages that it never saw.

A message reaches the dead-letter queue in two ways. An attempt failed for good: then the ledger has
a dead record, and that record is sent as a new job. Or no attempt ever recorded anything (the
function was throttled, or died): then the message itself is sent again. Either way the message is
deleted only after something was sent, so nothing is lost, and what is sent twice costs one request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from s3fanout.deploy.names import DestinationNames
from s3fanout.deploy.session import AwsSession, asking
from s3fanout.intake.detect import parse_message
from s3fanout.intake.job_message import is_job_message, read_job_message
from s3fanout.model.errors import MalformedEvent
from s3fanout.ports.ledger import FailureSelection, Ledger

_BATCH = 10
"""Messages of one request (SQS API reference)."""
_HIDDEN_S = 300
"""Letters that are looked at and left stay hidden so long, unless they are given back before."""
_ALL = 1_000_000_000


async def redrive_destination(
    session: AwsSession,
    of: DestinationNames,
    ledger: Ledger,
    selection: FailureSelection,
    *,
    now_ms: int,
) -> int:
    """Put the selected dead letters of one destination back; returns how many.

    Costs one request for ten letters for each of: receive, send, delete; and those of
    ``Ledger.redrive``.

    Args:
        session: Reaches the queues.
        of: The destination.
        ledger: Its ``redrive`` sends jobs.
        selection: ``destination`` is this one.
        now_ms: Now.
    """
    dead = {record.key for record in await ledger.failures(selection, limit=_ALL)}
    count = await ledger.redrive(selection, now_ms=now_ms)
    with asking(f"the dead letters of {of.destination}"):
        return count + _resend(session.client("sqs"), of, selection, dead)


def _resend(sqs: Any, of: DestinationNames, selection: FailureSelection, recorded: set[str]) -> int:
    """Letters without a dead record go back as they are; those with one are only deleted."""
    queue_url = sqs.get_queue_url(QueueName=of.queue)["QueueUrl"]
    letters_url = sqs.get_queue_url(QueueName=of.dead_letters)["QueueUrl"]
    left: list[dict[str, Any]] = []
    count = 0
    for letters in _received(sqs, letters_url):
        done, again = [], []
        for letter in letters:
            keys = keys_of(letter["Body"])
            if keys and keys <= recorded:
                done.append(letter)
            elif is_selected(selection, keys, _sent_at_ms(letter)):
                again.append(letter)
            else:
                left.append(letter)
        if again:
            entries = [{"Id": str(n), "MessageBody": m["Body"]} for n, m in enumerate(again)]
            failed = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])
            unsent = {int(entry["Id"]) for entry in failed}
            left += [letter for n, letter in enumerate(again) if n in unsent]
            again = [letter for n, letter in enumerate(again) if n not in unsent]
            count += len(again)
        _each(sqs.delete_message_batch, letters_url, done + again)
    for first in range(0, len(left), _BATCH):
        _each(
            sqs.change_message_visibility_batch,
            letters_url,
            left[first : first + _BATCH],
            VisibilityTimeout=0,
        )
    return count


def keys_of(body: str) -> set[str]:
    """The source keys that a message is about; none if it cannot be understood."""
    if is_job_message(body):
        try:
            return {read_job_message(body).key}
        except MalformedEvent:
            return set()
    return {event.key for event in parse_message(body.encode(), received_at_ms=0).events}


def _sent_at_ms(letter: dict[str, Any]) -> int:
    """When a message was sent first: moving it to the dead letters keeps that time."""
    return int(letter["Attributes"]["SentTimestamp"])


def is_selected(selection: FailureSelection, keys: set[str], at_ms: int) -> bool:
    """Whether a letter without a record, about ``keys`` and sent then, is meant."""
    if selection.code is not None:
        return False  # It never failed with a code: it has no record.
    if at_ms < (selection.since_at_ms or 0):
        return False
    if selection.until_at_ms is not None and at_ms > selection.until_at_ms:
        return False
    return not selection.key_prefix or any(key.startswith(selection.key_prefix) for key in keys)


def _received(sqs: Any, url: str) -> Iterator[list[dict[str, Any]]]:
    """Batches until the queue shows no more."""
    while True:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=1,
            VisibilityTimeout=_HIDDEN_S,
            AttributeNames=["SentTimestamp"],
        )
        if not answer.get("Messages"):
            return
        yield answer["Messages"]


def _each(call: Any, url: str, letters: list[dict[str, Any]], **more: Any) -> None:
    if letters:
        entries = [
            {"Id": str(n), "ReceiptHandle": letter["ReceiptHandle"], **more}
            for n, letter in enumerate(letters)
        ]
        call(QueueUrl=url, Entries=entries)
