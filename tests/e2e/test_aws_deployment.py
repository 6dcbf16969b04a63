"""Deploy, objects of a foreign client, replicas and ledger, destroy: on AWS with IAM enforced."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from s3fanout.cli.options import pause_s
from s3fanout.deploy import apply
from s3fanout.deploy.template import CAPABILITY
from s3fanout.model.errors import Misconfigured, Refused, Unavailable
from s3fanout.model.limits import MIB
from tests.e2e.account import FAR_REGION, Account, package
from tests.e2e.installation import until
from tests.servers.fault_proxy import fault_proxy
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores

AWKWARD = [
    *("a b+c%2F.txt", "ü/日本/🪣", "a//b/../c/./d", "%00", "plus+", "?q=1&x", "{}$", "trailing/"),
    *("…/é", "é", "'quote\"", "a" * 700, "~!*()", "#", "tab\t"),
]
"""No line feed: the emulator's IAM lets ``*`` in an ARN stand for any character but that one. What
the functions do with it is in ``tests/e2e/test_function.py``."""


@pytest.fixture
def account(aws: Server, tmp_path: Path) -> Iterator[Account]:
    account = Account(aws, tmp_path)
    yield account
    account.close()


@pytest.fixture
def name(bucket_name: Callable[[str], str]) -> str:
    return bucket_name("fan")


def three_destinations(account: Account, name: str, *, topology: str) -> dict[str, str]:
    """A source and three destinations in two Regions; the configuration. Buckets by destination."""
    account.create_bucket(name)
    buckets = {
        "paris": account.create_bucket(f"{name}-paris"),
        "tokyo": account.create_bucket(f"{name}.tokyo", FAR_REGION),
        "lima": account.create_bucket(f"{name}-lima"),
    }
    account.configuration(
        f'source.bucket = "{name}"\naws.topology = "{topology}"\naws.batch = 15\n'
        f'destinations.paris.bucket = "{buckets["paris"]}"\n'
        f'destinations.tokyo = {{ bucket = "{buckets["tokyo"]}", region = "{FAR_REGION}" }}\n'
        f'destinations.lima = {{ bucket = "{buckets["lima"]}", add_prefix = "of/" }}\n'
    )
    return buckets


def put_awkward(account: Account, bucket: str, count: int) -> dict[str, bytes]:
    """Objects by key, written by boto3, with metadata and tags."""
    keys = [f"{AWKWARD[at % len(AWKWARD)]}-{at}" for at in range(count - len(AWKWARD))]
    objects = {key: f"content of {key!r}".encode() for key in [*AWKWARD, *keys]}
    s3 = account.client("s3")

    def put(item: tuple[str, bytes]) -> None:
        key, body = item
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"m": "1"}, Tagging="t=1")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, objects.items()))
    return objects


def foreign_notifications(account: Account, bucket: str, *, overlapping: bool = False) -> None:
    """Three entries of others, and the EventBridge flag."""
    arn = f"arn:aws:sqs:us-east-1:000000000000:{bucket}-foreign"
    may_send = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    account.client("sqs").create_queue(
        QueueName=f"{bucket}-foreign",
        Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [may_send]})},
    )
    prefix = "" if overlapping else "of-others/"
    created = (
        {"Events": ["s3:ObjectCreated:*"]} if overlapping else {"Events": ["s3:ObjectAcl:Put"]}
    )
    entry = {
        "QueueArn": arn,
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}},
    }
    account.client("s3").put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"Id": "FSx", **entry, "Events": ["s3:ObjectRemoved:*"]},
                {"Id": "audit of others", **entry, "Events": ["s3:ObjectTagging:*"]},
                {"Id": "third", **entry, **created},
            ],
            "EventBridgeConfiguration": {},
        },
    )


@pytest.mark.parametrize("topology", ["durable", "classic"])
def test_deploy_replicate_destroy_leaves_the_account_as_it_was(
    account: Account, name: str, topology: str
) -> None:
    buckets = three_destinations(account, name, topology=topology)
    foreign_notifications(account, name)
    before = account.inventory()
    plan = account.run_json("plan")
    assert account.inventory() == before, "plan changes nothing"
    assert any("the function of tokyo is called" in note for note in plan["notes"]) == (
        topology == "classic"
    )

    assert account.run_json("deploy", "--yes")["stack_changed"]
    again = account.run_json("deploy", "--yes")
    assert (again["stack_changed"], again["notifications_changed"]) == (False, False)
    foreign = account.notifications_xml(name)
    assert all(id_ in foreign for id_ in (b"FSx", b"audit of others", b"third", b"EventBridge"))

    objects = put_awkward(account, name, 60)
    expected = {
        bucket: {f"of/{key}" if to == "lima" else key: body for key, body in objects.items()}
        for to, bucket in buckets.items()
    }
    account.wait_for({bucket: set(keys) for bucket, keys in expected.items()})
    for bucket, keys in expected.items():
        assert account.etags(bucket) == {
            key: hashlib.md5(body, usedforsecurity=False).hexdigest() for key, body in keys.items()
        }
    if topology == "durable":
        records = account.records(f"{name}-fanout")
        assert {each["state"]["S"] for each in records} == {"settled"}
        assert len(records) == 3 * len(objects)

    assert account.run_json("destroy", "--yes")["existed"]
    assert account.inventory() == before
    assert not account.run_json("destroy", "--yes")["existed"], "a second time nothing is there"
    for bucket, keys in expected.items():
        assert account.keys(bucket) == set(keys), "no replica was touched"


def test_an_overlap_is_refused_before_anything_is_changed_and_eventbridge_is_the_way_out(
    account: Account, name: str
) -> None:
    three_destinations(account, name, topology="durable")
    foreign_notifications(account, name, overlapping=True)
    before = account.inventory()
    with pytest.raises(Refused) as caught:
        account.run("deploy", "--yes")
    assert "third: s3:ObjectCreated:*" in caught.value.message
    assert 'event_route = "eventbridge"' in caught.value.hint
    assert account.inventory() == before

    path = account.directory / "s3fanout.toml"
    path.write_text(path.read_text("utf-8") + 'aws.event_route = "eventbridge"\n', "utf-8")
    account.run("deploy", "--yes")
    assert account.notifications_xml(name) == before["notifications"][name]
    account.client("s3").put_object(Bucket=name, Key="ü", Body=b"x")
    account.wait_for({f"{name}-paris": {"ü"}, f"{name}-lima": {"of/ü"}})
    account.run("destroy", "--yes")
    assert account.inventory() == before


def deploy_up_to_both_routes(account: Account) -> None:
    """A deploy that is interrupted while events come by both routes."""

    def interrupted(seconds: float) -> None:
        if seconds == apply.OVERLAP_S:
            raise Unavailable("interrupted")
        pause_s(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3fanout.cli.deploy.pause_s", interrupted)
        with pytest.raises(Unavailable, match="interrupted"):
            account.run("deploy", "--yes")


def test_the_event_route_is_changed_under_load_and_no_event_is_lost(
    account: Account, name: str
) -> None:
    """There, interrupted half way, and back, while a foreign client writes all the time.

    Events gather in the paused queue: the emulator kills running functions when a stack changes,
    and what they had in hand would only come back after the queue's visibility timeout.
    """
    for bucket in (name, f"{name}-a"):
        account.create_bucket(bucket)
    before = account.inventory()
    text = (
        f'source.bucket = "{name}"\naws.topology = "durable"\ndestinations.a.bucket = "{name}-a"\n'
    )
    account.configuration(text)
    account.run("deploy", "--yes")
    account.run("pause", "a", "--reason", "the route changes")
    written: set[str] = set()
    enough = threading.Event()

    def write() -> None:
        client = account.client_of("s3", account.server.access_key, account.server.secret_key)
        while not enough.wait(0.02):
            client.put_object(Bucket=name, Key=f"k{len(written)}", Body=b"x")
            written.add(f"k{len(written)}")
        client.close()

    def subscriptions() -> list[str]:
        """Others may be deployed in this account too."""
        found = account.client("sns").list_subscriptions()["Subscriptions"]
        return [each["Endpoint"] for each in found if f":{name}-fanout:" in each["SubscriptionArn"]]

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            account.configuration(text + 'aws.event_route = "eventbridge"\n')
            plan = account.run_json("plan")
            assert any("from sns to eventbridge" in note for note in plan["notes"])
            deploy_up_to_both_routes(account)
            assert b"EventBridge" in account.notifications_xml(name)
            assert subscriptions()
            account.run("deploy", "--yes")
            assert not subscriptions()
            account.configuration(text)
            account.run("deploy", "--yes")
        finally:
            enough.set()
        writing.result()
    assert len(written) > 10
    account.run("resume", "a")
    account.wait_for({f"{name}-a": written})
    rules = account.client("events").list_rules()["Rules"]
    assert not [each for each in rules if each["Name"].startswith(name)]
    assert b"EventBridge" not in account.notifications_xml(name), "the flag was ours"
    assert not account.run_json("deploy", "--yes")["stack_changed"]
    account.run("destroy", "--yes")
    assert account.inventory() == before


def test_a_destination_is_added_later_and_changes_are_made_in_place(
    account: Account, name: str
) -> None:
    for bucket in (name, f"{name}-a", f"{name}-b"):
        account.create_bucket(bucket)
    before = account.inventory()
    text = (
        f'source.bucket = "{name}"\naws.topology = "durable"\ndestinations.a.bucket = "{name}-a"\n'
    )
    account.configuration(text)
    account.run("deploy", "--yes")
    topic = account.client("sns").list_topics()["Topics"]
    account.configuration(text + f'destinations.b.bucket = "{name}-b"\naws.memory = "1GiB"\n')
    plan = account.run_json("plan")
    counts = [each["change"] for each in plan["resources"]]
    assert (counts.count("create"), counts.count("remove")) == (13, 0)
    assert not plan["notifications"]["changed"]
    changed = {each["name"] for each in plan["resources"] if each["change"] == "change"}
    assert changed == {f"{name}-fanout-a", f"{name}-fanout"}, "the function, and the dashboard"
    account.run("deploy", "--yes")
    functions = account.client("lambda").list_functions()["Functions"]
    own = [each for each in functions if each["FunctionName"].startswith(name)]
    sizes = {each["FunctionName"]: each["MemorySize"] for each in own}
    assert sizes == {f"{name}-fanout-a": 1024, f"{name}-fanout-b": 1024}
    assert account.client("sns").list_topics()["Topics"] == topic

    def arrives() -> bool:
        """The emulator may end a process that just began, for it is of the function before the
        change; what that was given comes back after two minutes, so something new is sent."""
        account.client("s3").put_object(Bucket=name, Key="k", Body=b"x")
        with suppress(AssertionError):
            account.wait_for({f"{name}-a": {"k"}, f"{name}-b": {"k"}}, within_s=20)
            return True
        return False

    until(arrives, what="the object is in both destinations")
    account.run("destroy", "--yes")
    assert account.inventory() == before


def test_the_template_is_deployed_by_other_tools_and_taken_over(
    account: Account, name: str
) -> None:
    """As the AWS CLI does: a change set from the printed text; set S3FANOUT_TEST_AWS for itself."""
    for bucket in (name, f"{name}-a", f"{name}-code"):
        account.create_bucket(bucket)
    account.configuration(
        f'source.bucket = "{name}"\naws.topology = "durable"\naws.code_bucket = "{name}-code"\n'
        f'destinations.a.bucket = "{name}-a"\n'
    )
    before = account.inventory()
    template = account.run("template")
    zip_file = account.directory / "code.zip"
    account.run("template", "--package", str(zip_file))
    assert zip_file.read_bytes() == package().content
    account.client("s3").put_object(Bucket=f"{name}-code", Key="k.zip", Body=zip_file.read_bytes())
    stack = f"s3fanout-{name}"
    deploy_as_the_cli_does(
        account, stack, template, {"CodeBucket": f"{name}-code", "CodeKey": "k.zip"}
    )
    merged = json.loads(account.run("template", "--notification"))
    account.client("s3").put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration=merged
    )
    account.client("s3").put_object(Bucket=name, Key="k", Body=b"x")
    account.wait_for({f"{name}-a": {"k"}})
    account.run("deploy", "--yes")
    account.run("destroy", "--yes")
    assert account.inventory() == before
    assert account.keys(f"{name}-code") == {"k.zip"}, "what we did not put there stays"


def test_a_classic_function_goes_on_with_a_large_object_as_its_own_role(
    account: Account, name: str
) -> None:
    """Every request of the function takes up to half a second, and it has six seconds."""
    for bucket in (name, f"{name}-a"):
        account.create_bucket(bucket)
    account.configuration(
        f'source.bucket = "{name}"\naws.topology = "classic"\ndestinations.a.bucket = "{name}-a"\n'
    )
    account.run("deploy", "--yes")
    functions, large = account.client("lambda"), os.urandom(24 * 5 * MIB - 7)
    limits = {"copy_bytes_max": 5 * MIB, "copy_part_bytes": 5 * MIB, "parts_in_flight": 1}
    with (
        fault_proxy(account.directory, account.server, seed=1) as slow,
        closing(boto3_client(account.server, "s3")) as s3,
    ):
        slow.set(latency=1.0)
        now = functions.get_function_configuration(FunctionName=f"{name}-a")
        functions.update_function_configuration(
            FunctionName=f"{name}-a",
            Timeout=6,
            Environment={
                "Variables": {
                    **now["Environment"]["Variables"],
                    "AWS_ENDPOINT_URL": slow.server.endpoint,
                    "S3FANOUT_LIMITS": json.dumps(limits),
                }
            },
        )
        s3.put_object(Bucket=name, Key="large", Body=large)
        account.wait_for({f"{name}-a": {"large"}})
    assert account.content(f"{name}-a", "large") == large
    log = account.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}-a")["events"]
    assert any('"unfinished"' in each["message"] for each in log)
    account.run("destroy", "--yes")


def test_a_stack_of_somebody_else_is_left_alone(account: Account, name: str) -> None:
    for bucket in (name, f"{name}-a"):
        account.create_bucket(bucket)
    foreign: dict[str, Any] = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}}}
    }
    client = account.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps(foreign))
    account.configuration(
        f'source.bucket = "{name}"\naws.stack = "{name}"\ndestinations.a.bucket = "{name}-a"\n'
    )
    for command in ("deploy", "destroy"):
        with pytest.raises(Misconfigured, match="was not made by s3fanout"):
            account.run(command, "--yes")
    client.delete_stack(StackName=name)


def deploy_as_the_cli_does(
    account: Account, stack: str, template: str, parameters: dict[str, str]
) -> None:
    """``aws cloudformation deploy``: by the CLI where it is named, else by the calls it makes."""
    program = os.environ.get("S3FANOUT_TEST_AWS")
    if program is not None:
        path = account.directory / "template.json"
        path.write_text(template, "utf-8")
        overrides = [f"{key}={value}" for key, value in parameters.items()]
        command = [shutil.which(program) or program, "cloudformation", "deploy"]
        command += ["--stack-name", stack, "--template-file", str(path)]
        command += ["--capabilities", CAPABILITY, "--parameter-overrides", *overrides]
        command += ["--endpoint-url", account.server.endpoint, "--region", "us-east-1"]
        keys = {
            "AWS_ACCESS_KEY_ID": account.server.access_key,
            "AWS_SECRET_ACCESS_KEY": account.server.secret_key,
        }
        subprocess.run(command, check=True, env={**os.environ, **keys})
        return
    client = account.client("cloudformation")
    client.create_change_set(
        StackName=stack,
        ChangeSetName="c",
        ChangeSetType="CREATE",
        TemplateBody=template,
        Capabilities=[CAPABILITY],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    )
    client.get_waiter("change_set_create_complete").wait(
        StackName=stack, ChangeSetName="c", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    client.execute_change_set(StackName=stack, ChangeSetName="c")
    client.get_waiter("stack_create_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
