"""The bucket's notifications are read before they are written, and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from s3fanout.deploy.bucket import WRITE_PAUSE_S, WRITES_MAX, SourceBucket
from s3fanout.deploy.notifications import Merge
from s3fanout.model.errors import NotificationsChanged, Refused, StoreError

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
QUEUE = (
    "<QueueConfiguration><Id>a</Id><Queue>arn</Queue><Event>s3:ObjectCreated:*</Event>"
    "</QueueConfiguration>"
)
OURS = {
    "QueueConfigurations": [{"Id": "a", "QueueArn": "arn", "Events": ["s3:ObjectCreated:*"]}],
}
TOO_EARLY = (400, "<Error><Code>InvalidArgument</Code><Message>no topic</Message></Error>")


def holding(inner: str) -> tuple[int, str]:
    """The answer to a read."""
    return 200, f"<NotificationConfiguration {NAMESPACE}>{inner}</NotificationConfiguration>"


class Raw(BytesIO):
    """As botocore reads a body."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


class Answers:
    """A session whose S3 answers one after the other; ``asked`` has the methods."""

    def __init__(self, answers: Sequence[tuple[int, str]]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.pauses_s: list[float] = []

    def client(self, _service: str) -> Any:
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        client.meta.events.register("before-send.s3", self._answer)  # type: ignore[arg-type]
        return client

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        self.asked.append(request.method)
        status, body = self.answers.pop(0)
        return AWSResponse(request.url, status, HTTPHeaders(), Raw(body.encode()))


def bucket_of(*answers: tuple[int, str]) -> tuple[SourceBucket, Answers]:
    s3 = Answers(answers)
    return SourceBucket(s3, "b", pause=s3.pauses_s.append), s3  # type: ignore[arg-type]


def test_what_the_sdk_would_drop_forbids_every_write() -> None:
    bucket, s3 = bucket_of(holding(f"{QUEUE}<PipeConfiguration/>"))
    with pytest.raises(Refused, match="elements=PipeConfiguration"):
        bucket.read()
    assert s3.asked == ["GET"]


def test_what_was_written_is_read_again() -> None:
    bucket, s3 = bucket_of((200, ""), holding(QUEUE))
    bucket.write(Merge(OURS, changed=True, overlaps=()))
    assert s3.asked == ["PUT", "GET"]
    bucket, s3 = bucket_of((200, ""), holding(""))
    with pytest.raises(NotificationsChanged):
        bucket.write(Merge(OURS, changed=True, overlaps=()))
    bucket, s3 = bucket_of()
    bucket.write(Merge(OURS, changed=False, overlaps=()))
    assert s3.asked == []


def test_a_topic_that_s3_does_not_see_yet_is_waited_for_and_not_for_ever() -> None:
    bucket, s3 = bucket_of(TOO_EARLY, TOO_EARLY, (200, ""), holding(QUEUE))
    bucket.write(Merge(OURS, changed=True, overlaps=()))
    assert s3.pauses_s == [WRITE_PAUSE_S] * 2
    bucket, s3 = bucket_of(*[TOO_EARLY] * WRITES_MAX)
    with pytest.raises(StoreError, match="no topic"):
        bucket.write(Merge(OURS, changed=True, overlaps=()))
    assert s3.answers == []
