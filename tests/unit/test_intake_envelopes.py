"""Messages within messages: SNS, SQS, Lambda, in any order, to a limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3fanout.intake import PAYLOAD_BYTES_MAX, WRAPPINGS_MAX, parse_message
from s3fanout.model.events import Intake

TOPIC = "arn:aws:sns:us-west-2:111122223333:src-fanout"
TEST_EVENT = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "src"})
EVENTBRIDGE = json.dumps(
    {
        "source": "aws.s3",
        "detail-type": "Object Deleted",
        "detail": {"bucket": {"name": "src"}, "object": {"key": "eb+1"}},
    }
)


def s3(key: str) -> str:
    content = {"bucket": {"name": "src"}, "object": {"key": key}}
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    return json.dumps({"Records": [{**record, "s3": content}]})


def sns(message: object, **fields: Any) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": TOPIC, "Message": message, **fields}


def sqs_batch(*bodies: object) -> str:
    records = [{"eventSource": "aws:sqs", "messageId": "m", "body": body} for body in bodies]
    return json.dumps({"Records": records})


def sns_batch(*messages: object) -> str:
    records = [{"EventSource": "aws:sns", "Sns": sns(message)} for message in messages]
    return json.dumps({"Records": records})


def parse(body: str | bytes) -> Intake:
    return parse_message(
        body if isinstance(body, bytes) else body.encode(), received_at_ms=1_800_000_000_000
    )


def keys(intake: Intake) -> list[str]:
    assert (intake.ignored, intake.malformed) == ((), ())
    return [event.key for event in intake.events]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (s3("a+b"), ["a b"]),
        (json.dumps(sns(s3("a+b"))), ["a b"]),
        (json.dumps(sns(EVENTBRIDGE)), ["eb+1"]),
        (EVENTBRIDGE, ["eb+1"]),
        (sqs_batch(s3("1"), s3("2")), ["1", "2"]),
        (sqs_batch(json.dumps(sns(s3("1"))), s3("2"), EVENTBRIDGE), ["1", "2", "eb+1"]),
        (sns_batch(s3("1"), EVENTBRIDGE), ["1", "eb+1"]),
        ("\ufeff" + s3("a"), ["a"]),
    ],
    ids=[
        "raw SQS body",
        "SNS in SQS body",
        "EventBridge by SNS",
        "EventBridge",
        "Lambda from SQS",
        "Lambda from SQS, mixed",
        "Lambda from SNS",
        "byte order mark",
    ],
)
def test_a_message_is_found_however_it_is_wrapped(body: str, found: list[str]) -> None:
    assert keys(parse(body)) == found


def test_a_bad_message_of_a_batch_never_spoils_its_siblings() -> None:
    found = parse(sqs_batch(s3("1"), "not json", 7, TEST_EVENT, "[]", s3("%ff"), s3("7")))

    assert [event.key for event in found.events] == ["1", "7"]
    assert [ignored.reason for ignored in found.ignored] == ["test-event"]
    assert [(bad.reason, bad.payload) for bad in found.malformed] == [
        ("not-json", b"not json"),
        ("unknown-shape", b'{"eventSource": "aws:sqs", "messageId": "m", "body": 7}'),
        ("unknown-shape", b"[]"),
        ("bad-key", s3("%ff").encode()),
    ]


@pytest.mark.parametrize("wrap", [lambda text: json.dumps(sns(text)), sqs_batch, sns_batch])
def test_wrappings_are_opened_to_their_limit_and_no_further(wrap: Any) -> None:
    body = s3("k")
    for _ in range(WRAPPINGS_MAX):
        body = wrap(body)
    assert keys(parse(body)) == ["k"]

    (bad,) = parse(wrap(body)).malformed
    assert (bad.reason, bad.payload) == ("unknown-shape", s3("k").encode())


def test_a_wrapped_message_that_is_no_valid_text_is_kept_all_the_same() -> None:
    (bad,) = parse(json.dumps(sns("\ud800"))).malformed
    assert (bad.reason, bad.payload) == ("not-json", rb"\ud800")


@pytest.mark.parametrize("message", [None, 7, {"Records": []}])
def test_a_notification_without_text_is_malformed(message: object) -> None:
    assert [bad.reason for bad in parse(json.dumps(sns(message))).malformed] == ["unknown-shape"]


def test_how_to_confirm_a_subscription_is_said_and_never_done() -> None:
    url = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=T"
    (said,) = confirmation(url).ignored
    assert said.reason == "sns-control"
    assert url in said.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-west-2.amazonaws.com/?Token=T",
        "https://sns.us-west-2.amazonaws.com.example.org/?Token=T",
        "https://example.org/sns.us-west-2.amazonaws.com",
        "https://sns.us-west-2.amazonaws.com@example.org/",
        "https://s3.amazonaws.com/bucket/page",
        "https://[sns.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com/\x1b]8;;",
        7,
    ],
)
def test_an_address_that_is_not_of_sns_is_never_shown(url: object) -> None:
    (said,) = confirmation(url).ignored
    assert (
        said.detail
        == f"topic '{TOPIC}' asks to confirm its subscription with an address that is not AWS's"
    )


def confirmation(url: object) -> Intake:
    return parse(json.dumps(sns("", Type="SubscriptionConfirmation", SubscribeURL=url)))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not-json"),
        (b"\xff{}", "not-json"),
        (b"{", "not-json"),
        (b"[" * 100_000, "not-json"),
        (b"1" * 5000, "not-json"),
        (b"null", "unknown-shape"),
        (b"[]", "unknown-shape"),
        (b'"text"', "unknown-shape"),
        (b"{}", "unknown-shape"),
        (b'{"Records": {}}', "unknown-shape"),
        (b'{"Type": ["Notification"]}', "unknown-shape"),
        (b'{"Event": "s3:SomethingElse"}', "unknown-shape"),
    ],
)
def test_what_is_no_message_is_malformed_and_kept(body: bytes, reason: str) -> None:
    found = parse(body)
    assert (found.events, found.ignored) == ((), ())
    assert [(bad.reason, bad.payload) for bad in found.malformed] == [
        (reason, body[:PAYLOAD_BYTES_MAX])
    ]


def test_no_records_are_nothing_to_do() -> None:
    found = parse(b'{"Records": []}')
    assert [ignored.reason for ignored in found.ignored] == ["empty"]
    assert (found.events, found.malformed) == ((), ())
