"""The queue of each destination, its dead-letter queue, and who may send to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from s3fanout.deploy.blueprint import TOPIC, Blueprint, Branch
from s3fanout.deploy.intrinsics import Json, att, document, ref, resource

DAY_S: Final = 86_400
QUEUE_RETENTION_S: Final = 7 * DAY_S
DEAD_LETTER_RETENTION_S: Final = 14 * DAY_S
"""The most that SQS keeps. The clock runs from the first arrival, so the queue keeps less."""

DELIVERIES_MAX: Final = 200
"""For messages that end the function itself, and outages of many hours. What is refused becomes a
dead letter by the function's own count (``limits.attempts_max``), with its reason; throttling and
missing answers never do, and wait up to ``limits.retry_cap`` between deliveries."""

VISIBILITY_TIMEOUTS: Final = 6
"""AWS Lambda developer guide, "Amazon SQS event source mapping", read November 2026: the queue
hides a message for at least six times the function's timeout."""


def of_branch(plan: Blueprint, branch: Branch) -> dict[str, Json]:
    """Queue, dead letters and their policy."""
    queue, dead = branch.logical("Queue"), branch.logical("DeadLetters")
    encryption: Json = (
        {"SqsManagedSseEnabled": True}
        if plan.key_arn is None
        else {"KmsMasterKeyId": plan.key_arn, "KmsDataKeyReusePeriodSeconds": 3600}
    )
    return {
        dead: resource(
            "SQS::Queue",
            {
                "QueueName": branch.names.dead_letters,
                "MessageRetentionPeriod": DEAD_LETTER_RETENTION_S,
                **encryption,
            },
            **_DELETED_WITH_THE_STACK,
        ),
        queue: resource(
            "SQS::Queue",
            {
                "QueueName": branch.names.queue,
                "MessageRetentionPeriod": QUEUE_RETENTION_S,
                "VisibilityTimeout": VISIBILITY_TIMEOUTS * int(plan.aws.timeout_s),
                "RedrivePolicy": {
                    "deadLetterTargetArn": att(dead),
                    "maxReceiveCount": DELIVERIES_MAX,
                },
                **encryption,
            },
            **_DELETED_WITH_THE_STACK,
        ),
        branch.logical("QueuePolicy"): resource(
            "SQS::QueuePolicy",
            {
                "Queues": [ref(queue), ref(dead)],
                "PolicyDocument": document(
                    *(
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": f"{sender}.amazonaws.com"},
                            "Action": ["sqs:SendMessage"],
                            "Resource": [att(queue), att(dead)],
                            # The ARN of a topic or rule holds the account: another condition on
                            # it would add nothing, and could drop events where a service sends
                            # no such key.
                            "Condition": {"ArnEquals": {"aws:SourceArn": source}},
                        }
                        for sender, source in _senders(plan, branch)
                    )
                ),
            },
        ),
    }


_DELETED_WITH_THE_STACK: Final = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}


def _senders(plan: Blueprint, branch: Branch) -> Iterator[tuple[str, Any]]:
    """Who sends events to the queue: the service, and on behalf of what."""
    if plan.has_topic:
        yield "sns", ref(TOPIC)
    if plan.has_rules:
        yield "events", att(branch.logical("Rule"))
