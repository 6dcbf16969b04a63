"""Events that are fetched from SQS, straight from the bucket's notification or through SNS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, put
from tests.e2e.installation import Place, until
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores


@pytest.fixture
def topics(ministack: Server) -> Iterator[Any]:
    session = boto3.Session(
        aws_access_key_id=ministack.access_key,
        aws_secret_access_key=ministack.secret_key,
        region_name=ministack.region,
    )
    client: Any = session.client(  # untyped: the types of SNS are not installed
        "sns", endpoint_url=ministack.endpoint, config=Config(proxies={})
    )
    with closing(client):
        yield client


def make_queue(server: Server, name: str) -> tuple[str, str]:
    """A queue; returns its URL and its ARN."""
    with closing(boto3_client(server, "sqs")) as client:
        url = client.create_queue(QueueName=name)["QueueUrl"]
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, attributes["Attributes"]["QueueArn"]


def messages_left(server: Server, url: str) -> int:
    """Visible and in flight."""
    with closing(boto3_client(server, "sqs")) as client:
        count = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(count["ApproximateNumberOfMessages"]) + int(
        count["ApproximateNumberOfMessagesNotVisible"]
    )


def configure(source: Place, **configuration: Any) -> None:
    with closing(boto3_client(source.server, "s3")) as client:
        put_notification: Any = client.put_bucket_notification_configuration
        put_notification(Bucket=source.bucket, NotificationConfiguration=configuration)


def settings(url: str, server: Server) -> str:
    return (
        f'intake.sqs.queue_url = "{url}"\nintake.sqs.endpoint = "{server.endpoint}"\n'
        'intake.sqs.wait = "1s"\nintake.sqs.visibility = "30s"\n'
    )


@pytest.mark.parametrize("way", ["direct", "through-sns"])
def test_what_the_queue_brings_arrives_and_the_queue_is_empty_then(
    *,
    way: str,
    ministack: Server,
    topics: Any,
    install: Install,
    new_place: NewPlace,
    bucket_name: Callable[[str], str],
) -> None:
    source = new_place(ministack, "source")
    destinations = {name: new_place(ministack, name) for name in ("paris", "tokyo")}
    url, arn = make_queue(ministack, bucket_name("events"))
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    if way == "direct":
        configure(source, QueueConfigurations=[{"QueueArn": arn, "Events": events}])
    else:
        topic = topics.create_topic(Name=bucket_name("topic"))["TopicArn"]
        topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        configure(source, TopicConfigurations=[{"TopicArn": topic, "Events": events}])
    assert messages_left(ministack, url) >= 1, "S3 announces itself with a test event"
    objects = {f"from queue/{index:03} \N{SNOWMAN}": b"content" * index for index in range(30)}
    objects |= {"empty//segments///": b"1", "//lead": b"2"}
    put(source, objects)

    installation = install(
        source=source,
        destinations=destinations,
        webhook=False,
        settings=settings(url, ministack),
    )
    installation.start()
    until(
        lambda: all(
            row["replicated"] == len(objects) for row in installation.read("status")["destinations"]
        ),
        what="all replicas",
    )
    until(lambda: messages_left(ministack, url) == 0, what="the queue is empty")
    check_equal(source, *destinations.values())
    assert installation.read("failures", "--malformed")["messages"] == []
    assert installation.stop() == 0


def test_a_message_that_nobody_understands_is_kept_and_leaves_the_queue(
    ministack: Server, install: Install, new_place: NewPlace, bucket_name: Callable[[str], str]
) -> None:
    url, _ = make_queue(ministack, bucket_name("events"))
    with closing(boto3_client(ministack, "sqs")) as client:
        client.send_message(QueueUrl=url, MessageBody="not what S3 writes")
    installation = install(
        source=new_place(ministack, "source"),
        destinations={"paris": new_place(ministack, "paris")},
        webhook=False,
        settings=settings(url, ministack),
    )
    installation.start()
    until(lambda: messages_left(ministack, url) == 0, what="the queue is empty")
    kept = installation.read("failures", "--malformed")["messages"]
    assert [row["route"] for row in kept] == ["sqs"]


def test_a_queue_that_does_not_exist_is_named_by_check_and_by_readiness(
    ministack: Server, install: Install, new_place: NewPlace, bucket_name: Callable[[str], str]
) -> None:
    url, _ = make_queue(ministack, bucket_name("events"))
    with closing(boto3_client(ministack, "sqs")) as client:
        client.delete_queue(QueueUrl=url)
    installation = install(
        source=new_place(ministack, "source"),
        destinations={"paris": new_place(ministack, "paris")},
        webhook=False,
        settings=settings(url, ministack),
    )
    checked = installation.command("check", "--json")
    assert checked.code == 5
    failed = [row for row in checked.json["findings"] if row["grade"] == "failed"]
    assert [row["target"] for row in failed] == ["sqs"]
    installation.start(ready=False)
    until(lambda: installation.ready_status() == 503, what="it is not ready")
    assert "queue" in json.dumps(installation.get("/readyz").json)
