"""Everything that doctor can find is provoked, found, named, and mended as it says: on AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from s3fanout.model.errors import ExitCode, StackFailed
from tests.e2e.account import Account
from tests.e2e.installation import until
from tests.e2e.policies import allow, user
from tests.servers.server import Server

pytestmark = pytest.mark.stores

REASON = "set by a test"


@dataclass
class Patient:
    """A deployment to two destinations, ``a`` and ``b``, and the settings that doctor is given."""

    account: Account
    name: str

    def settings(self, *, a: str = "", b: str = "", buckets: dict[str, str] | None = None) -> None:
        """Write them; ``a`` and ``b``: more settings of the destinations."""
        found = {"a": f"{self.name}-a", "b": f"{self.name}-b", **(buckets or {})}
        self.account.configuration(
            f'source.bucket = "{self.name}"\naws.topology = "durable"\n'
            f'destinations.a = {{ bucket = "{found["a"]}"{a} }}\n'
            f'destinations.b = {{ bucket = "{found["b"]}"{b} }}\n'
        )

    def findings(self, *, code: ExitCode) -> dict[tuple[str, str], tuple[str, str]]:
        """What is not ok: (target, check) to its grade and words."""
        document, wrong = self._examined()
        assert (document["code"], document["ok"]) == (code, code is ExitCode.OK), wrong
        assert all(each["hint"] for each in wrong)
        return {
            (each["target"], each["check"]): (each["grade"], f"{each['message']}; {each['hint']}")
            for each in wrong
        }

    def is_healthy(self) -> bool:
        return not self._examined()[1]

    def _examined(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        ended = self.account.ended("doctor", "--json")
        document = json.loads(ended.stdout)
        # A function that was removed by hand lets an alarm ring a while later, on AWS as here; and
        # the emulator never ends a change of a function that is changed again meanwhile.
        wrong = [
            each
            for each in document["findings"]
            if each["grade"] != "ok"
            and (each["check"] != "alarm" or REASON in each["message"])
            and "is being changed" not in each["message"]
        ]
        return document | {"code": ended.return_value}, wrong

    def queue(self, destination: str, suffix: str = "") -> str:
        sqs = self.account.client("sqs")
        name = f"{self.name}-fanout-{destination}{suffix}"
        return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def metric(self, namespace: str, value: float, metric: str, **dimension: str) -> None:
        ((key, what),) = dimension.items()
        self.account.client("cloudwatch").put_metric_data(
            Namespace=namespace,
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [{"Name": key, "Value": what}],
                    "Timestamp": datetime.now(UTC),
                    "Value": value,
                }
            ],
        )


@pytest.fixture(scope="module")
def patient(
    aws: Server, tmp_path_factory: pytest.TempPathFactory, bucket_name: Callable[[str], str]
) -> Iterator[Patient]:
    account = Account(aws, tmp_path_factory.mktemp("doctor"))
    name = bucket_name("doctor")
    for bucket in (name, f"{name}-a", f"{name}-b"):
        account.create_bucket(bucket)
        account.abort_old_uploads(bucket)
    patient = Patient(account, name)
    patient.settings()
    account.run("deploy", "--yes")
    yield patient
    patient.settings()
    account.run("destroy", "--yes")
    account.close()


@pytest.fixture
def account(aws: Server, tmp_path: Path) -> Iterator[Account]:
    account = Account(aws, tmp_path)
    yield account
    account.close()


@pytest.fixture
def healthy(patient: Patient) -> Iterator[None]:
    """Before and after each test nothing is found."""
    patient.settings()
    # Lambda takes a while to change a function.
    until(patient.is_healthy, what="nothing is found")
    yield
    until(patient.is_healthy, what="nothing is found")


@pytest.mark.usefixtures("healthy")
def test_wrong_settings(patient: Patient) -> None:
    patient.settings(a=', region = "eu-west-1"', buckets={"b": f"{patient.name}-none"})
    found = patient.findings(code=ExitCode.CONFIGURATION)
    assert set(found) >= {("a", "region"), ("b", "region")}
    assert "is in us-east-1, the settings say eu-west-1; set the region" in found["a", "region"][1]
    assert f"there is no bucket {patient.name}-none; create it" in found["b", "region"][1]
    patient.settings()


@pytest.mark.usefixtures("healthy")
def test_what_was_removed_by_hand_is_made_anew_as_doctor_says(patient: Patient) -> None:
    account, name = patient.account, patient.name
    account.client("s3").put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={}
    )
    sns, iam = account.client("sns"), account.client("iam")
    (subscription,) = [
        each["SubscriptionArn"]
        for each in sns.list_subscriptions()["Subscriptions"]
        if each["Endpoint"].endswith(f":{name}-fanout-a")
    ]
    sns.unsubscribe(SubscriptionArn=subscription)
    role = {"RoleName": f"{name}-fanout-a-role", "PolicyName": "s3fanout"}
    whole = iam.get_role_policy(**role)["PolicyDocument"]
    rest = [each for each in whole["Statement"] if each["Sid"] != "ReadSource"]
    iam.put_role_policy(**role, PolicyDocument=json.dumps({**whole, "Statement": rest}))
    account.client("lambda").delete_function(FunctionName=f"{name}-fanout-a")

    found = patient.findings(code=ExitCode.CONFIGURATION)
    assert "somebody replaced its notifications" in found["source", "notification"][1]
    assert f"{name}-fanout-a is not subscribed to {name}-fanout" in found["a", "subscription"][1]
    assert f"lacks s3:GetObject on arn:aws:s3:::{name}/" in found["a", "permission"][1]
    assert found["a", "function"][0] == "failed"
    assert not any(target == "b" for target, _ in found)
    for check in ("subscription", "permission", "function"):
        assert "set enabled = false for a" in found["a", check][1]

    patient.settings(a=", enabled = false")
    account.run("deploy", "--yes")
    patient.settings()
    account.run("deploy", "--yes")
    assert account.run_json("validate")["ok"]


@pytest.mark.usefixtures("healthy")
def test_what_waits_fails_and_rings(patient: Patient) -> None:
    account, name = patient.account, patient.name
    functions, cloudwatch = account.client("lambda"), account.client("cloudwatch")
    mappings = functions.list_event_source_mappings(FunctionName=f"{name}-fanout-b")
    uuid = mappings["EventSourceMappings"][0]["UUID"]
    functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    account.client("s3").put_object(Bucket=name, Key="k", Body=b"x")
    until(lambda: account.keys(f"{name}-a") == {"k"}, what="the other one goes on")
    patient.metric("AWS/SQS", 2000, "ApproximateAgeOfOldestMessage", QueueName=f"{name}-fanout-b")
    letters = patient.queue("b", "-dead-letters")
    account.client("sqs").send_message(QueueUrl=letters, MessageBody="{}")
    alarm = {"AlarmName": f"{name}-fanout-b-Errors", "StateReason": REASON}
    cloudwatch.set_alarm_state(**alarm, StateValue="ALARM")

    found = patient.findings(code=ExitCode.CONFIGURATION)
    assert {key: grade for key, (grade, _) in found.items()} == {
        ("b", "trigger"): "failed",
        ("b", "queue"): "warning",
        ("b", "dead-letters"): "failed",
        ("b", "alarm"): "warning",
    }
    assert "s3fanout resume b" in found["b", "trigger"][1]
    assert "1 messages, the oldest waits 2000 s" in found["b", "queue"][1]
    assert "s3fanout redrive -d b" in found["b", "dead-letters"][1]
    assert REASON in found["b", "alarm"][1]

    account.run("resume", "b")
    until(lambda: account.keys(f"{name}-b") == {"k"}, what="it goes on")
    account.client("sqs").purge_queue(QueueUrl=letters)
    cloudwatch.set_alarm_state(**alarm, StateValue="OK")


@pytest.mark.usefixtures("healthy")
def test_keys_of_buckets(patient: Patient) -> None:
    account, bucket = patient.account, f"{patient.name}-a"
    s3, kms = account.client("s3"), account.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    found = patient.findings(code=ExitCode.CONFIGURATION)
    assert f'the function has no grant for it; set kms_key = "{key}" for a' in found["a", "key"][1]

    patient.settings(a=f', kms_key = "{key}", annotations = "keep"')
    kms.disable_key(KeyId=key)
    found = patient.findings(code=ExitCode.CONFIGURATION)
    assert "s3:ListObjectAnnotations on" in found["a", "permission"][1], "not deployed yet"
    assert "is Disabled; enable it" in found["a", "key"][1]
    assert "; kms:GenerateDataKey on" in found["a", "permission"][1], "not deployed yet"
    kms.enable_key(KeyId=key)
    account.run("deploy", "--yes")
    assert patient.findings(code=ExitCode.OK) == {}
    s3.delete_bucket_encryption(Bucket=bucket)


@pytest.mark.usefixtures("healthy")
def test_a_change_that_failed_is_a_warning_until_the_next_one(patient: Patient) -> None:
    account, name = patient.account, f"{patient.name}-hasty"
    path = account.directory / "s3fanout.toml"
    path.write_text(path.read_text("utf-8") + 'aws.memory = "1GiB"\n', "utf-8")
    policy = account.run_json("plan")["needs_policy"]
    for statement in policy["Statement"]:
        changes = "lambda:UpdateFunctionConfiguration"
        statement["Action"] = [each for each in statement["Action"] if each != changes]
    with user(account, name) as hasty:
        allow(account, name, policy)
        with pytest.raises(StackFailed, match="perform: lambda:UpdateFunctionConfiguration"):
            hasty.run("deploy", "--yes")
    found = patient.findings(code=ExitCode.OK)
    assert {key: grade for key, (grade, _) in found.items()} == {("stack", "stack"): "warning"}
    assert "failed and was taken back" in found["stack", "stack"][1]
    account.run("deploy", "--yes")


def test_an_account_that_may_not_run_as_many_functions_as_are_needed(
    account: Account, bucket_name: Callable[[str], str]
) -> None:
    name = bucket_name("busy")
    for bucket in (name, f"{name}-a"):
        account.create_bucket(bucket)
        account.abort_old_uploads(bucket)
    account.configuration(
        f'source.bucket = "{name}"\naws.topology = "classic"\ndestinations.a.bucket = "{name}-a"\n'
    )
    account.run("deploy", "--yes")
    busy = Patient(account, name)
    assert busy.findings(code=ExitCode.OK) == {}
    busy.metric("AWS/Lambda", 3600, "Invocations", FunctionName=f"{name}-a")
    busy.metric("AWS/Lambda", 3600 * 900_000, "Duration", FunctionName=f"{name}-a")
    found = busy.findings(code=ExitCode.CONFIGURATION)
    assert set(found) == {("account", "concurrency")}
    assert "kept 900.0 functions busy; the account may run" in found["account", "concurrency"][1]
    assert "Service Quotas" in found["account", "concurrency"][1]
    account.run("destroy", "--yes")


@pytest.mark.usefixtures("healthy")
def test_uploads_that_nothing_would_abort_are_a_warning(patient: Patient) -> None:
    patient.account.client("s3").delete_bucket_lifecycle(Bucket=f"{patient.name}-b")
    found = patient.findings(code=ExitCode.OK)
    assert set(found) == {("b", "uploads")}
    grade, words = found["b", "uploads"]
    assert grade == "warning"
    assert "add a lifecycle rule with AbortIncompleteMultipartUpload" in words
    patient.account.abort_old_uploads(f"{patient.name}-b")


@pytest.mark.usefixtures("healthy")
def test_what_may_not_be_asked_is_a_warning_that_names_the_permission(patient: Patient) -> None:
    account, name = patient.account, f"{patient.name}-stranger"
    with user(account, name) as stranger:
        statement = {"Effect": "Allow", "Action": "cloudformation:DescribeStacks", "Resource": "*"}
        allow(account, name, {"Version": "2012-10-17", "Statement": [statement]})
        found = Patient(stranger, patient.name).findings(code=ExitCode.OK)
    assert {grade for grade, _ in found.values()} == {"warning"}
    for target, check, action in (
        ("source", "region", "s3:GetBucketLocation"),
        ("source", "notification", "s3:GetBucketNotification"),
        ("a", "uploads", "s3:GetLifecycleConfiguration"),
        ("a", "function", "lambda:GetFunctionConfiguration"),
        ("a", "permission", "iam:SimulatePrincipalPolicy"),
        ("b", "queue", "cloudwatch:DescribeAlarms"),
    ):
        assert action in found[target, check][1]
