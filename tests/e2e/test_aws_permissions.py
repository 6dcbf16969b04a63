"""Least privilege: without any single permission of a function's role something named fails.

The role's policy is taken from a real deployment and given to a user, as it is and without one
permission. Each permission has the request that needs it, made as the function or as Lambda's
poller makes it; copies are made by the function itself.

The emulator differs from AWS in two places: a copy of a tagged object asks for no permission on
tags; an absent object is 404 also without ``s3:ListBucket``. Their requests are therefore the
direct ones. The log's grant is the ARN of the log group as CloudFormation gives it, which ends in
``:*`` (CloudFormation user guide, AWS::Logs::LogGroup, read November 2026).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from botocore.exceptions import ClientError

from s3fanout.awslambda.environment import from_environment
from s3fanout.awslambda.function import Function
from s3fanout.config.load import parse
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.iam import grants
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.limits import MIB
from tests.e2e.account import Account
from tests.servers.aws import notification, transport
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores

CONFIG = """
source.bucket = "{name}"
aws.topology = "durable"
destinations.a.bucket = "{name}-a"
destinations.a.acl = "keep"
destinations.a.annotations = "keep"
destinations.a.include.prefixes = ["raw/"]
intake.sweep.interval = "30d"
"""
KEY = "raw/ü"
PLAN = blueprint(parse("schema = 1" + CONFIG.format(name="x-x"), path=Path("c"), env={}).settings)
PERMISSIONS = [
    (grant.sid, action)
    for branch in PLAN.branches()
    for grant in grants(PLAN, branch)
    for action in grant.actions
]


@dataclass
class World:
    """A deployment, and a user who has what its function's role has."""

    account: Account
    name: str
    policy: dict[str, Any]
    variables: dict[str, str]
    access_key: str
    secret_key: str

    def allow(self, *, but: tuple[str, str] | None = None) -> None:
        """Give the user the role's permissions, all of them or all but one."""
        statements = []
        for statement in self.policy["Statement"]:
            actions = [each for each in statement["Action"] if (statement["Sid"], each) != but]
            if actions:
                statements.append({**statement, "Action": actions})
        self.account.client("iam").put_user_policy(
            UserName=self.name,
            PolicyName="p",
            PolicyDocument=json.dumps({**self.policy, "Statement": statements}),
        )

    def client(self, service: str) -> Any:
        """A client of the user."""
        return self.account.client_of(service, self.access_key, self.secret_key)

    def copy(self, key: str = KEY, **more: str) -> bool:
        """Have the function's own code copy an object; whether it did and recorded it."""
        head = self.account.client("s3").head_object(Bucket=self.name, Key=key)
        etag = head["ETag"].strip('"')
        body = notification(self.name, quote_plus(key, "/"), etag, head["ContentLength"], None)
        answer, lines = self.invoke(body, **more)
        return answer == {"batchItemFailures": []} and any('"replicated"' in line for line in lines)

    def invoke(self, body: str, **more: str) -> tuple[object, list[str]]:
        """What the function's own code answers to a message, with these variables too; its log."""
        record = {"messageId": "1", "receiptHandle": "r", "body": body}
        record |= {"attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs"}  # type: ignore[dict-item]
        env = {
            **self.variables,
            **more,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.account.server.endpoint,
            "AWS_REGION": "us-east-1",
        }
        lines: list[str] = []

        async def invoke() -> object:
            function = Function(
                from_environment(env, "f"), env, transport=transport(), write=lines.append
            )
            try:
                return await function.invoke({"Records": [record]}, time_s=30, request_id="r")
            except LedgerUnavailable as error:
                return error  # the message could not be put off: its receipt is invented
            finally:
                await function.close()

        return asyncio.run(invoke()), lines


@pytest.fixture(scope="module")
def world(
    aws: Server, tmp_path_factory: pytest.TempPathFactory, bucket_name: Any
) -> Iterator[World]:
    account = Account(aws, tmp_path_factory.mktemp("account"))
    name = bucket_name("least")
    for bucket in (name, f"{name}-a"):
        account.create_bucket(bucket)
    account.configuration(CONFIG.format(name=name))
    account.run("deploy", "--yes")
    iam = account.client("iam")
    role = f"{name}-fanout-a-role"
    document = iam.get_role_policy(RoleName=role, PolicyName="s3fanout")["PolicyDocument"]
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    function = account.client("lambda").get_function_configuration(FunctionName=f"{name}-fanout-a")
    account.client("s3").put_object(Bucket=name, Key=KEY, Body=b"x", Tagging="t=1")
    account.client("s3").put_object(Bucket=name, Key="private/x", Body=b"x")
    yield World(
        account,
        name,
        document if isinstance(document, dict) else json.loads(document),
        function["Environment"]["Variables"],
        key["AccessKeyId"],
        key["SecretAccessKey"],
    )
    account.run("destroy", "--yes")
    account.close()


def write_log(world: World) -> None:
    group, logs = f"/aws/lambda/{world.name}-fanout-a", world.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=f"s{world.name}")
    world.account.client("logs").delete_log_stream(
        logGroupName=group, logStreamName=f"s{world.name}"
    )


def put_log(world: World) -> None:
    group, root = f"/aws/lambda/{world.name}-fanout-a", world.account.client("logs")
    root.create_log_stream(logGroupName=group, logStreamName="put")
    try:
        world.client("logs").put_log_events(
            logGroupName=group,
            logStreamName="put",
            logEvents=[{"timestamp": 1_795_000_000_000, "message": "m"}],
        )
    finally:
        root.delete_log_stream(logGroupName=group, logStreamName="put")


def abort_upload(world: World) -> None:
    bucket = f"{world.name}-a"
    upload = world.account.client("s3").create_multipart_upload(Bucket=bucket, Key=KEY)["UploadId"]
    world.client("s3").abort_multipart_upload(Bucket=bucket, Key=KEY, UploadId=upload)


def list_parts(world: World) -> None:
    bucket, root = f"{world.name}-a", world.account.client("s3")
    upload = root.create_multipart_upload(Bucket=bucket, Key=KEY)["UploadId"]
    try:
        world.client("s3").list_parts(Bucket=bucket, Key=KEY, UploadId=upload)
    finally:
        root.abort_multipart_upload(Bucket=bucket, Key=KEY, UploadId=upload)


def queue_url(world: World) -> str:
    return world.variables["S3FANOUT_QUEUE_URL"]


def ask_queue(operation: str, **arguments: Any) -> Callable[[World], None]:
    def ask(world: World) -> None:
        getattr(world.client("sqs"), operation)(QueueUrl=queue_url(world), **arguments)

    return ask


def ask_table(operation: str, **arguments: Any) -> Callable[[World], None]:
    item = {"subject": {"S": "key:probe"}, "destination": {"S": "a"}}

    def ask(world: World) -> None:
        table = world.variables["S3FANOUT_TABLE"]
        getattr(world.client("dynamodb"), operation)(TableName=table, Key=item, **arguments)

    return ask


def put_item(world: World) -> None:
    item = {"subject": {"S": "key:probe"}, "destination": {"S": "a"}}
    world.client("dynamodb").put_item(TableName=world.variables["S3FANOUT_TABLE"], Item=item)


def delete_items(world: World) -> None:
    key = {"subject": {"S": "key:probe"}, "destination": {"S": "a"}}
    requests = {world.variables["S3FANOUT_TABLE"]: [{"DeleteRequest": {"Key": key}}]}
    world.client("dynamodb").batch_write_item(RequestItems=requests)


def batch_get(world: World) -> None:
    key = {"subject": {"S": "key:probe"}, "destination": {"S": "a"}}
    table = world.variables["S3FANOUT_TABLE"]
    world.client("dynamodb").batch_get_item(RequestItems={table: {"Keys": [key]}})


def list_replicas(world: World) -> None:
    world.client("s3").list_objects_v2(Bucket=f"{world.name}-a", MaxKeys=1)


def in_source(operation: str, **arguments: Any) -> Callable[[World], None]:
    def ask(world: World) -> None:
        getattr(world.client("s3"), operation)(Bucket=world.name, **arguments)

    return ask


def in_destination(operation: str, **arguments: Any) -> Callable[[World], None]:
    def ask(world: World) -> None:
        world.account.client("s3").put_object(Bucket=f"{world.name}-a", Key=KEY, Body=b"x")
        getattr(world.client("s3"), operation)(Bucket=f"{world.name}-a", Key=KEY, **arguments)

    return ask


HOUR = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(hours=1)}
TAGS = {"TagSet": [{"Key": "t", "Value": "1"}]}
REQUESTS: dict[tuple[str, str], Callable[[World], None]] = {
    ("WriteLogs", "logs:CreateLogStream"): write_log,
    ("WriteLogs", "logs:PutLogEvents"): put_log,
    ("ReadSource", "s3:GetObject"): in_source("head_object", Key=KEY),
    ("ReadSource", "s3:GetObjectTagging"): in_source("get_object_tagging", Key=KEY),
    ("TellAbsentFromDenied", "s3:ListBucket"): in_source("list_objects_v2", MaxKeys=1),
    ("WriteReplicas", "s3:PutObject"): in_destination("put_object", Body=b"x"),
    ("WriteReplicas", "s3:PutObjectTagging"): in_destination("put_object_tagging", Tagging=TAGS),
    ("ReadSource", "s3:GetObjectAnnotation"): in_source(
        "get_object_annotation", Key=KEY, AnnotationName="a"
    ),
    ("WriteReplicas", "s3:PutObjectAnnotation"): in_destination(
        "put_object_annotation", AnnotationName="a", AnnotationPayload=b"x"
    ),
    ("ListAnnotations", "s3:ListObjectAnnotations"): in_source("list_object_annotations", Key=KEY),
    ("ReadLocks", "s3:GetObjectRetention"): in_source("get_object_retention", Key=KEY),
    ("ReadLocks", "s3:GetObjectLegalHold"): in_source("get_object_legal_hold", Key=KEY),
    ("WriteLocks", "s3:PutObjectRetention"): in_destination("put_object_retention", Retention=HOUR),
    ("WriteLocks", "s3:PutObjectLegalHold"): in_destination(
        "put_object_legal_hold", LegalHold={"Status": "OFF"}
    ),
    ("ReadAcls", "s3:GetObjectAcl"): in_source("get_object_acl", Key=KEY),
    ("TellOwner", "s3:GetBucketAcl"): lambda world: world.client("s3").get_bucket_acl(
        Bucket=f"{world.name}-a"
    ),
    ("WriteAcls", "s3:PutObjectAcl"): in_destination("put_object_acl", ACL="private"),
    ("LookAtReplicas", "s3:GetObject"): in_destination("head_object"),
    ("ContinueLargeCopies", "s3:AbortMultipartUpload"): abort_upload,
    ("ContinueLargeCopies", "s3:ListMultipartUploadParts"): list_parts,
    ("TakeMessages", "sqs:ReceiveMessage"): ask_queue("receive_message", VisibilityTimeout=0),
    ("TakeMessages", "sqs:DeleteMessage"): ask_queue("delete_message", ReceiptHandle="r"),
    ("TakeMessages", "sqs:GetQueueAttributes"): ask_queue("get_queue_attributes"),
    ("TakeMessages", "sqs:ChangeMessageVisibility"): ask_queue(
        "change_message_visibility", ReceiptHandle="r", VisibilityTimeout=1
    ),
    ("TakeMessages", "sqs:SendMessage"): ask_queue("send_message", MessageBody="{}"),
    ("KeepDeadLetters", "sqs:SendMessage"): lambda world: world.client("sqs").send_message(
        QueueUrl=world.variables["S3FANOUT_DEAD_LETTER_URL"], MessageBody="{}"
    ),
    ("WriteLedger", "dynamodb:UpdateItem"): ask_table("update_item"),
    ("RememberUploads", "dynamodb:GetItem"): ask_table("get_item"),
    ("RememberUploads", "dynamodb:PutItem"): put_item,
    ("RememberUploads", "dynamodb:DeleteItem"): ask_table("delete_item"),
    ("KeepMalformed", "dynamodb:BatchWriteItem"): delete_items,
    ("CompareWithLedger", "dynamodb:BatchGetItem"): batch_get,
    ("ListReplicas", "s3:ListBucket"): list_replicas,
}
COPYING = {
    ("ReadSource", "s3:GetObject"),
    ("WriteReplicas", "s3:PutObject"),
    ("WriteLedger", "dynamodb:UpdateItem"),
}
"""What the emulator asks of the cheap path."""


def test_every_permission_has_a_request_that_needs_it() -> None:
    assert set(REQUESTS) == set(PERMISSIONS)


def test_with_all_of_them_everything_works_and_none_is_missing(world: World) -> None:
    world.allow()
    assert world.copy()
    assert [each for each, request in REQUESTS.items() if is_denied(request, world)] == []


def test_the_role_is_enough_for_copies_in_parts_and_for_what_nobody_can_read(world: World) -> None:
    world.allow()
    # By a client that sends no checksum: of uploads in parts the emulator knows none of the whole.
    s3 = boto3_client(world.account.server, "s3")
    s3.put_object(Bucket=world.name, Key="raw/big", Body=bytes(6 * MIB))
    s3.close()
    limits = {"copy_bytes_max": 5 * MIB, "copy_part_bytes": 5 * MIB}
    assert world.copy("raw/big", S3FANOUT_LIMITS=json.dumps(limits))
    answer, lines = world.invoke("garbage")
    assert answer == {"batchItemFailures": []}
    assert any('"malformed"' in line for line in lines)
    # What other tests of this module send to the queue is malformed as well.
    kept = world.account.run_json("failures", "--malformed")["messages"]
    assert b"garbage" in [base64.b64decode(each["payload_b64"]) for each in kept]


@pytest.mark.parametrize(("sid", "action"), PERMISSIONS, ids=str)
def test_without_a_permission_its_request_fails(world: World, sid: str, action: str) -> None:
    world.allow(but=(sid, action))
    assert is_denied(REQUESTS[sid, action], world)
    if (sid, action) in COPYING:
        assert not world.copy()


def test_an_object_outside_the_rules_prefix_cannot_be_read(world: World) -> None:
    world.allow()
    assert is_denied(in_source("get_object", Key="private/x"), world)
    assert is_denied(in_source("put_object", Key=KEY, Body=b"x"), world)
    assert is_denied(in_destination("delete_object"), world)


def is_denied(request: Callable[[World], None], world: World) -> bool:
    """Whether IAM refuses a request; other errors are the service's, so it was let through."""
    try:
        request(world)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return code in {"403", "AccessDenied", "AccessDeniedException"}
    return False
