"""A deployment in trouble, and the commands that tell and mend it: on AWS with IAM enforced."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from s3fanout.model.errors import AccessDenied, ExitCode, Misconfigured, Unavailable
from tests.e2e.account import FAR_REGION, REGION, Account
from tests.e2e.alarms import (
    alarm_of_dead_letters,
    count_as_cloudwatch_does,
    metrics_in_log,
    ringing,
)
from tests.e2e.installation import run_program, until
from tests.servers.aws import notification
from tests.servers.server import Server, closed_port

pytestmark = pytest.mark.stores

TURNS = 5
KEYS = ("a b+c.txt", "ü/é", "new.txt")


@pytest.fixture
def account(aws: Server, tmp_path: Path) -> Iterator[Account]:
    account = Account(aws, tmp_path)
    yield account
    account.close()


@pytest.fixture
def source(account: Account, bucket_name: Callable[[str], str]) -> Iterator[str]:
    """A source and three destinations in two Regions, with little patience; not deployed yet."""
    name = bucket_name("ops")
    account.create_bucket(name)
    account.create_bucket(f"{name}-paris")
    account.create_bucket(f"{name}-tokyo", FAR_REGION)
    account.create_bucket(f"{name}-lima")
    account.configuration(
        f'source.bucket = "{name}"\n'
        f'destinations.paris.bucket = "{name}-paris"\n'
        f'destinations.tokyo = {{ bucket = "{name}-tokyo", region = "{FAR_REGION}" }}\n'
        f'destinations.lima.bucket = "{name}-lima"\n'
        'limits.attempts_max = 5\nlimits.retry_base = "1ms"\nlimits.retry_cap = "10ms"\n'
    )
    yield name
    account.end_functions(name)


def deny_writes(account: Account, bucket: str) -> None:
    statement = {
        "Sid": "Freeze",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    account.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))


def destination(status: Any, name: str) -> Any:
    return next(each for each in status["destinations"] if each["name"] == name)


def messages_of(account: Account, queue: str) -> int:
    """Waiting and in flight."""
    sqs = account.client("sqs")
    wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
    return sum(int(counts[each]) for each in wanted)


def allow_batches(account: Account, source: str, name: str) -> None:
    """The emulator asks for a permission of the batch's name, AWS for ``sqs:SendMessage``."""
    queue = f"arn:aws:sqs:{REGION}:000000000000:{source}-fanout-{name}"
    statement = {"Effect": "Allow", "Action": "sqs:SendMessageBatch", "Resource": queue}
    account.client("iam").put_role_policy(
        RoleName=f"{source}-fanout-{name}-role",
        PolicyName="emulator",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def test_a_destination_that_denies_the_write_is_named_and_redriven(
    account: Account, source: str
) -> None:
    account.run("deploy", "--yes")
    deny_writes(account, f"{source}-tokyo")
    for key in KEYS:
        account.client("s3").put_object(Bucket=source, Key=key, Body=key.encode())

    until(
        lambda: messages_of(account, f"{source}-fanout-tokyo-dead-letters") == len(KEYS),
        what="all are dead letters of tokyo",
    )
    failures = account.run_json("failures")["failures"]
    assert {(each["destination"], each["key"]) for each in failures} == {
        ("tokyo", key) for key in KEYS
    }
    assert all("s3:PutObject" in each["error"]["message"] for each in failures)
    status = account.run_json("status")
    assert destination(status, "tokyo")["health"] == "failing"
    assert destination(status, "tokyo")["aws"]["dead_letters"]["waiting"] == len(KEYS)
    for other in ("paris", "lima"):
        assert account.keys(f"{source}-{other}") == set(KEYS), "the others finish"
        assert destination(status, other)["health"] == "ok"
        assert destination(status, other)["replicated"] == len(KEYS)
    state = until(
        lambda: alarm_of_dead_letters(account, source, len(KEYS)) == "ALARM",
        what="the alarm",
    )
    assert state
    wrong = [f for f in account.run_json("doctor")["findings"] if f["grade"] != "ok"]
    assert {(f["target"], f["check"]) for f in wrong} >= {
        ("tokyo", "permission"),
        ("tokyo", "dead-letters"),
        ("tokyo", "alarm"),
    }
    assert any("denies s3:PutObject, statement Freeze" in f["message"] for f in wrong)

    account.client("s3").delete_bucket_policy(Bucket=f"{source}-tokyo")
    assert account.run_json("redrive", "-d", "tokyo", "--prefix", "new")["redriven"] == 1
    assert account.run_json("redrive")["redriven"] == len(KEYS) - 1
    until(lambda: account.keys(f"{source}-tokyo") == set(KEYS), what="redriven")
    assert account.run_json("failures")["failures"] == []
    explained = account.run_json("explain", KEYS[0])
    assert all(row["verdict"].startswith("equal") for row in explained["destinations"])


def test_a_dead_letter_that_no_attempt_recorded_is_sent_again(
    account: Account, source: str
) -> None:
    """As after a throttled or dying function: the ledger knows of no failure."""
    account.run("deploy", "--yes")
    sqs, s3 = account.client("sqs"), account.client("s3")
    etag = s3.put_object(Bucket=source, Key="new.txt", Body=b"x")["ETag"].strip('"')
    until(lambda: account.keys(f"{source}-tokyo") == {"new.txt"}, what="copied")
    s3.delete_object(Bucket=f"{source}-tokyo", Key="new.txt")
    letters = sqs.get_queue_url(QueueName=f"{source}-fanout-tokyo-dead-letters")["QueueUrl"]
    sqs.send_message(
        QueueUrl=letters, MessageBody=notification(source, "new.txt", etag, 1, sequencer=None)
    )

    assert destination(account.run_json("status"), "tokyo")["failed"] == 1
    assert account.run_json("redrive", "--prefix", "other")["redriven"] == 0
    assert account.run_json("redrive", "--older-than", "1h")["redriven"] == 0
    assert account.run_json("redrive", "--code", "access-denied")["redriven"] == 0
    assert account.run_json("redrive")["redriven"] == 1
    until(lambda: account.keys(f"{source}-tokyo") == {"new.txt"}, what="again")
    assert messages_of(account, f"{source}-fanout-tokyo-dead-letters") == 0


def test_a_message_that_nobody_can_read_is_kept_and_rings(account: Account, source: str) -> None:
    account.run("deploy", "--yes")
    sqs = account.client("sqs")
    queue = sqs.get_queue_url(QueueName=f"{source}-fanout-paris")["QueueUrl"]

    def measured() -> list[dict[str, Any]] | None:
        """The emulator seldom loses a run, or what it wrote: then another message shows it."""
        sqs.send_message(QueueUrl=queue, MessageBody="garbage")
        with suppress(AssertionError):
            return until(
                lambda: metrics_in_log(account, source, "paris") or None,
                what="the line of metrics",
                within_s=20,
            )
        return None

    lines = until(measured, what="the line of metrics, of any message")
    assert account.run_json("failures", "--malformed")["messages"], "it is kept"
    counted = count_as_cloudwatch_does(account, lines)
    found = account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{source}-fanout-")
    watching = [
        alarm["AlarmName"]
        for alarm in found["MetricAlarms"]
        if (alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"]) in counted
    ]
    assert watching == [f"{source}-fanout-paris-Malformed"], "the emulator compares no dimensions"
    until(lambda: watching[0] in ringing(account, source), what="it rings")
    until(
        lambda: messages_of(account, f"{source}-fanout-paris") == 0,
        what="it does not loop",
    )


def test_what_was_there_before_is_copied_by_the_deployed_functions(
    account: Account, source: str
) -> None:
    s3, keys = account.client("s3"), {f"old/{at:03}" for at in range(120)} | {"ü/a b+c"}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=source, Key=key, Body=b"x"), keys))
    account.run("deploy", "--yes")
    account.run("pause", "tokyo", "--reason", "maintenance")
    with pytest.raises(Misconfigured, match="tokyo is paused"):
        account.run("backfill", "--yes")
    account.run("resume", "tokyo")

    counted = account.run_json("backfill", "--dry-run")
    assert [row["queue"] for row in counted["destinations"]] == [len(keys)] * 3
    assert account.keys(f"{source}-paris") == set(), "a dry run queues nothing"
    account.run("backfill", "--yes", "--prefix", "old/", "-d", "paris", "--wait")
    assert account.keys(f"{source}-paris") == {key for key in keys if key.startswith("old/")}
    queued = account.run_json("backfill", "--yes", "--wait")
    assert {row["name"]: (row["queue"], row["equal"]) for row in queued["destinations"]} == {
        "paris": (1, len(keys) - 1),
        "tokyo": (len(keys), 0),
        "lima": (len(keys), 0),
    }
    for name in ("paris", "tokyo", "lima"):
        assert account.keys(f"{source}-{name}") == keys
    records = account.records(f"{source}-fanout")
    assert [each["state"]["S"] for each in records] == ["settled"] * 3 * len(keys)
    drift_is_found_and_repaired(account, source)


def drift_is_found_and_repaired(account: Account, source: str) -> None:
    s3 = account.client("s3")
    s3.delete_object(Bucket=f"{source}-paris", Key="old/001")
    s3.put_object(Bucket=f"{source}-lima", Key="old/002", Body=b"drifted")
    account.run("verify", "-d", "tokyo")
    ended = account.ended("verify", "--format", "ndjson")
    assert ended.return_value == ExitCode.DIFFERENT
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {
        (each["destination"], each["key"], each["standing"])
        for each in found
        if each["kind"] == "finding"
    } == {("paris", "old/001", "missing"), ("lima", "old/002", "differs")}
    done = account.run_json("reconcile", "--yes", "--repair-drift")
    assert {row["name"]: row["queued"] for row in done["destinations"]} == {
        "paris": 1,
        "tokyo": 0,
        "lima": 1,
    }
    until(
        lambda: account.ended("verify").return_value == ExitCode.OK,
        what="the functions repair",
    )


def all_settled(account: Account, count: int) -> bool:
    """Whether the ledger says so of every destination: a replica is there a moment before."""
    found = account.run_json("status")["destinations"]
    return [each["replicated"] for each in found] == [count] * 3


def test_lost_events_and_drift_are_found_by_the_schedule_and_counted(
    account: Account, source: str
) -> None:
    path = account.directory / "s3fanout.toml"
    swept = 'intake.sweep = { interval = "1s", grace = "0s" }\ndestinations.lima.drift = "repair"\n'
    path.write_text(path.read_text("utf-8") + swept, "utf-8")
    account.run("deploy", "--yes")
    for name in ("paris", "tokyo", "lima"):
        allow_batches(account, source, name)
    s3, events = account.client("s3"), account.client("events")
    s3.put_object(Bucket=source, Key="told", Body=b"x")
    until(lambda: all_settled(account, 1), what="an event")
    s3.put_bucket_notification_configuration(Bucket=source, NotificationConfiguration={})
    lost = {f"lost/{at}" for at in range(20)} | {"ü b+c"}
    for key in lost:
        s3.put_object(Bucket=source, Key=key, Body=b"y")

    def tick(name: str) -> Any:
        """Start the function as the schedule does, but for its answer."""
        rule = f"{source}-fanout-{name}-sweep"
        assert events.describe_rule(Name=rule)["ScheduleExpression"] == "rate(5 minutes)"
        (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
        answer = account.client("lambda").invoke(
            FunctionName=target["Arn"], Payload=target["Input"].encode()
        )
        return json.loads(answer["Payload"].read())

    def found(**counts: int) -> dict[str, int]:
        """What a run says that it found."""
        return {"healed": 0, "drifted": 0, "foreign": 0, **counts}

    for name in ("paris", "tokyo", "lima"):
        assert tick(name) == {"seen": len(lost) + 1, **found(healed=len(lost))}
    until(lambda: all_settled(account, len(lost) + 1), what="what was lost is settled")
    for name in ("paris", "tokyo", "lima"):
        assert account.keys(f"{source}-{name}") == {"told", *lost}
    assert len(account.records(f"{source}-fanout")) == 3 * (len(lost) + 1)
    until(lambda: tick("lima")["healed"] == 0, what="nothing is left to heal")
    (line, *_) = [each for each in metrics_in_log(account, source, "lima") if "Healed" in each]
    assert line["Healed"] == len(lost)

    for name in ("paris", "lima"):
        s3.put_object(Bucket=f"{source}-{name}", Key="lost/3", Body=b"by somebody else")
        s3.delete_object(Bucket=f"{source}-{name}", Key="told")
        s3.put_object(Bucket=f"{source}-{name}", Key="foreign", Body=b"not ours")

    def drifted(name: str) -> Any:
        answer = tick(name)
        return answer if answer["foreign"] else None

    seen = {"seen": len(lost) + 1}
    answer = until(lambda: drifted("paris"), what="a pass sees drift")
    assert answer == {**seen, **found(drifted=2, foreign=1)}
    answer = until(lambda: drifted("lima"), what="a pass repairs drift")
    assert answer == {**seen, **found(healed=2, foreign=1)}
    until(
        lambda: account.etags(f"{source}-lima").items() >= account.etags(source).items(),
        what="what somebody did is made good",
    )
    assert account.content(f"{source}-paris", "lost/3") == b"by somebody else", "only reported"
    assert any(each.get("Drifted") == 2 for each in metrics_in_log(account, source, "paris"))
    lines = [json.loads(each) for each in account.run("logs", "-d", "paris", "--json").splitlines()]
    assert {"lost/3", "told"} <= {
        json.loads(each["text"])["key"] for each in lines if '"drift"' in each["text"]
    }


def test_validate_pause_and_resume(account: Account, source: str) -> None:
    account.run("deploy", "--yes")
    validation = account.run_json("validate")
    assert validation["ok"], validation
    for each in validation["destinations"]:
        assert each["arrived"]
        assert each["record"]["state"] == "settled"
        assert any('"replicated"' in line for line in each["log_lines"])
    for bucket in (source, *(f"{source}-{name}" for name in ("paris", "tokyo", "lima"))):
        assert account.keys(bucket) == set(), "validate leaves nothing behind"
    assert account.records(f"{source}-fanout") == []

    with pytest.raises(Misconfigured, match="nothing would end a pause"):
        account.run("pause", "paris", "--for", "2h")
    account.run("pause", "paris", "--reason", "maintenance")
    account.client("s3").put_object(Bucket=source, Key="later", Body=b"x")
    until(
        lambda: account.keys(f"{source}-lima") == {"later"},
        what="the others go on",
    )
    paused = destination(account.run_json("status"), "paris")
    assert (paused["health"], paused["paused_reason"]) == ("paused", "maintenance")
    assert paused["aws"]["trigger"] == "off"
    assert paused["backlog_jobs"] == 1
    assert account.keys(f"{source}-paris") == set()
    findings = account.run_json("doctor")["findings"]
    assert [f["target"] for f in findings if f["check"] == "trigger" and f["grade"] != "ok"] == [
        "paris"
    ]
    account.run("resume", "paris")
    until(lambda: account.keys(f"{source}-paris") == {"later"}, what="it resumes")

    def logged() -> list[Any]:
        """Lines of the log, once it has the last object's: it is whole after the object arrived."""
        text = account.run("logs", "-d", "paris", "--json")
        return [json.loads(line) for line in text.splitlines() if "later" in text]

    lines = until(lambda: logged() or None, what="its line in the log")
    assert {line["destination"] for line in lines} == {"paris"}


def test_duplicated_reordered_and_concurrent_deliveries_end_with_the_newest(
    account: Account, source: str
) -> None:
    account.run("deploy", "--yes")
    sqs, sns, s3 = (account.client(each) for each in ("sqs", "sns", "s3"))
    spare = sqs.create_queue(QueueName=f"{source}-spare")["QueueUrl"]
    topic = next(
        each["TopicArn"]
        for each in sns.list_topics()["Topics"]
        if each["TopicArn"].endswith(f":{source}-fanout")
    )
    number = topic.split(":")[4]
    spare_arn = f"arn:aws:sqs:{REGION}:{number}:{source}-spare"
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": spare_arn,
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=spare, Attributes={"Policy": document})
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=spare_arn,
        Attributes={"RawMessageDelivery": "true"},
    )

    def overwrite(key: str) -> None:
        for turn in range(TURNS):
            s3.put_object(Bucket=source, Key=key, Body=f"{key} {turn}".encode() * (turn + 1))

    with ThreadPoolExecutor(len(KEYS)) as pool:
        list(pool.map(overwrite, KEYS))
    messages: list[str] = []

    def captured() -> bool:
        answer = sqs.receive_message(QueueUrl=spare, MaxNumberOfMessages=10)
        messages.extend(each["Body"] for each in answer.get("Messages", ()))
        return len(messages) >= TURNS * len(KEYS)

    until(captured, what="every event")
    seed = random.randrange(2**32)
    again = [*messages, *messages[: len(messages) // 2]]
    random.Random(seed).shuffle(again)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda body: sns.publish(TopicArn=topic, Message=body), again))

    def is_idle() -> bool:
        return not any(
            messages_of(account, f"{source}-fanout-{name}") for name in ("paris", "tokyo", "lima")
        )

    until(is_idle, what="every delivery is worked off")
    for key in KEYS:
        newest = account.content(source, key)
        for name in ("paris", "tokyo", "lima"):
            assert account.content(f"{source}-{name}", key) == newest, f"seed={seed} {name} {key}"
    assert account.run_json("failures")["failures"] == []


def test_what_stands_in_the_way_is_said_with_what_to_do(
    account: Account, source: str, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match="nothing is deployed") as nothing:
        account.run("status")
    assert "s3fanout deploy" in nothing.value.hint

    iam = account.client("iam")
    iam.create_user(UserName=f"{source}-user")
    key = iam.create_access_key(UserName=f"{source}-user")["AccessKey"]
    server = account.server
    stranger = Account(
        Server(server.name, server.endpoint, key["AccessKeyId"], key["SecretAccessKey"]), tmp_path
    )
    for command in ("status", "doctor", "validate", "logs", "failures"):
        with pytest.raises(AccessDenied) as denied:
            stranger.run(command)
        assert "cloudformation:DescribeStacks" in denied.value.hint
        assert denied.value.exit_code is ExitCode.ACCESS_DENIED
    unknown = Account(Server(server.name, server.endpoint, "AKIAUNKNOWN", "secret"), tmp_path)
    with pytest.raises(AccessDenied, match="refused") as refused:
        unknown.run("status")
    assert "does not know these credentials" in refused.value.hint

    text = (tmp_path / "s3fanout.toml").read_text("utf-8")
    gone = f"http://127.0.0.1:{closed_port()}"
    (tmp_path / "s3fanout.toml").write_text(text.replace(server.endpoint, gone), "utf-8")
    with pytest.raises(Unavailable, match="did not answer"):
        account.run("status")
    missing = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "1"}
    ended = run_program(["status", "-c", str(tmp_path / "s3fanout.toml")], env=missing)
    assert (ended.code, "Traceback" in ended.err) == (6, False)
    assert "AWS_PROFILE" in ended.err
