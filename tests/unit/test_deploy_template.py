"""Settings → CloudFormation: golden files, cfn-lint, and what must be true of any template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cfnlint.api
import pytest

from s3fanout.config.load import parse
from s3fanout.config.settings import Settings
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.iam import bucket_document, grants, key_statement, literal
from s3fanout.deploy.notifications import common_prefix
from s3fanout.deploy.template import template_of, template_text
from s3fanout.model.errors import Misconfigured
from s3fanout.model.topology import EventRoute

GOLDEN = Path(__file__).parents[1] / "golden" / "templates"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1"
THREE = """
schema = 1
source.bucket = "photos"
aws.topology = "durable"
destinations.paris.bucket = "photos-paris"
[destinations.tokyo]
bucket = "photos.tokyo"
region = "ap-northeast-1"
include.prefixes = ["raw/", "raw/x", "a*b$"]
[destinations.lima]
bucket = "photos-lima"
strip_prefix = "raw/"
add_prefix = "x/"
"""
VARIANTS = {
    "durable": THREE,
    "classic": THREE.replace('"durable"', '"classic"'),
    "eventbridge": THREE.replace(
        'aws.topology = "durable"',
        'aws.event_route = "eventbridge"\naws.kms_key = "new"\naws.alarm_email = "a@b.example"',
    ),
    "swept": THREE + '[intake.sweep]\ninterval = "1d"\n',
    "new-key": THREE.replace('aws.topology = "durable"', 'aws.kms_key = "new"\naws.batch = 100'),
    "given-keys": THREE.replace(
        'aws.topology = "durable"',
        f'aws.kms_key = "{KEY_ARN}"\nsource.kms_key = "{KEY_ARN}"',
    ),
}


def settings_of(text: str) -> Settings:
    return parse(text, path=Path("c.toml"), env={}).settings


@pytest.mark.parametrize("name", ["durable", "classic", "eventbridge"])
def test_the_template_is_the_one_that_was_reviewed(name: str) -> None:
    """After a wanted change write the file again; the diff is what is reviewed."""
    assert template_text(template_of(settings_of(VARIANTS[name]))) == (
        GOLDEN / f"{name}.json"
    ).read_text("utf-8")


@pytest.mark.slow
def test_cfn_lint_finds_nothing() -> None:
    for text in VARIANTS.values():
        template = template_text(template_of(settings_of(text)))
        assert warnings_of(template) == []


def test_cfn_lint_would_find_something() -> None:
    template = template_of(settings_of(THREE))
    template["Resources"]["Topic"]["Properties"]["TopicNam"] = "x"
    assert [each[1:6] for each in warnings_of(template_text(template))] == ["E3002"]


@pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
def test_no_policy_names_everybody_or_every_resource(text: str) -> None:
    """Of keys "Resource: *" is the key itself."""
    for logical, body in template_of(settings_of(text))["Resources"].items():
        for statement in statements(body):
            assert statement.get("Principal") != "*", logical
            assert statement.get("Principal", {}).get("AWS") != "*", logical
            assert body["Type"] == "AWS::KMS::Key" or statement["Resource"] != "*", logical


@pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
def test_a_service_may_only_act_for_a_resource_of_this_account(text: str) -> None:
    for logical, body in template_of(settings_of(text))["Resources"].items():
        if body["Type"] not in {"AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}:
            continue
        for statement in statements(body):
            operators = statement["Condition"]
            assert "aws:SourceArn" in {
                **operators.get("ArnEquals", {}),
                **operators.get("ArnLike", {}),
            }
            if statement["Principal"]["Service"] == "s3.amazonaws.com":
                assert operators["StringEquals"] == {
                    "aws:SourceAccount": {"Ref": "AWS::AccountId"}
                }, logical


def test_a_role_reads_and_writes_only_what_its_rule_wants() -> None:
    plan = blueprint(settings_of(THREE))
    tokyo = next(branch for branch in plan.branches() if branch.name == "tokyo")
    by_sid = {grant.sid: json.dumps(grant.resources) for grant in grants(plan, tokyo)}
    assert '":s3:::photos/raw/*"' in by_sid["ReadSource"]
    assert '":s3:::photos/a${*}b${$}*"' in by_sid["ReadSource"]
    assert "photos/raw/x" not in by_sid["ReadSource"], "within raw/"
    assert "photos/*" not in by_sid["ReadSource"]
    assert '":s3:::photos.tokyo/raw/*"' in by_sid["WriteReplicas"]
    lima = next(branch for branch in plan.branches() if branch.name == "lima")
    by_sid = {grant.sid: json.dumps(grant.resources) for grant in grants(plan, lima)}
    assert '":s3:::photos/raw/*"' in by_sid["ReadSource"]
    assert '":s3:::photos-lima/x/*"' in by_sid["WriteReplicas"]


def test_keys_bring_their_grants() -> None:
    plan = blueprint(settings_of(VARIANTS["given-keys"]))
    sids = {grant.sid for grant in grants(plan, next(plan.branches()))}
    assert {"DecryptSource", "UseQueueKey"} <= sids
    assert "EncryptReplicas" not in sids
    template = template_of(settings_of(VARIANTS["new-key"]))
    services = [
        statement["Principal"].get("Service")
        for statement in statements(template["Resources"]["Key"])
    ]
    assert services == [None, "s3.amazonaws.com", "sns.amazonaws.com", "cloudwatch.amazonaws.com"]


def test_the_loop_guard_brings_its_grants_and_only_where_it_is_on() -> None:
    plan = blueprint(settings_of(THREE + "loop_guard = true\n"))
    asked = {
        branch.name: {grant.sid for grant in grants(plan, branch)} for branch in plan.branches()
    }
    guard = {"CompareTags", "TellAbsentReplicas"}
    assert {name for name, sids in asked.items() if guard & sids} == {"lima"}
    assert guard <= asked["lima"]
    lima = next(branch for branch in plan.branches() if branch.name == "lima")
    document = bucket_document(plan, lima, "123456789012")
    allowed = [action for statement in document["Statement"] for action in statement["Action"]]
    assert {"s3:GetObjectTagging", "s3:ListBucket"} <= set(allowed)


def test_a_sweep_is_a_schedule_for_the_functions_that_are_there() -> None:
    swept = template_of(settings_of(VARIANTS["swept"]))["Resources"]
    usual = template_of(settings_of(THREE))["Resources"]
    more = {name: body for name, body in swept.items() if name not in usual}
    assert sorted(body["Type"] for body in more.values()) == [
        *["AWS::Events::Rule"] * 3,
        *["AWS::Lambda::Permission"] * 3,
    ]
    rule = next(body["Properties"] for name, body in more.items() if name.endswith("Sweep"))
    assert json.loads(rule["Targets"][0]["Input"]) == {
        "s3fanout_sweep": {
            "interval_s": 86400.0,
            "grace_s": 60.0,
            "replicas": True,
            "drift": "report",
        }
    }
    plan = blueprint(settings_of(VARIANTS["swept"]))
    assert "CompareWithLedger" in {grant.sid for grant in grants(plan, next(plan.branches()))}


def actions_of(text: str, name: str) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """What a destination's role may do by grant, and what another account's bucket must allow."""
    plan = blueprint(settings_of(text))
    branch = next(branch for branch in plan.branches() if branch.name == name)
    document = bucket_document(plan, branch, "123456789012")
    theirs = {action for each in document["Statement"] for action in each["Action"]}
    return {grant.sid: grant.actions for grant in grants(plan, branch)}, theirs


@pytest.mark.parametrize(
    ("sweep", "more", "lists"),
    [
        ("", "", False),
        ("[intake.sweep]", "", True),
        ("[intake.sweep]\nreplicas = false", "", False),
        ("[intake.sweep]", 'key = "x/{key}"', False),
    ],
)
def test_a_sweep_lists_the_destination_where_its_keys_are_in_order(
    sweep: str, more: str, lists: bool
) -> None:
    text = THREE.replace("include.prefixes", f"{more}\ninclude.prefixes") + sweep
    ours, theirs = actions_of(text, "tokyo")
    assert (ours.get("ListReplicas"), "s3:ListBucket" in theirs) == (
        (("s3:ListBucket",), True) if lists else (None, False)
    )
    swept = template_of(settings_of(text))["Resources"]
    orders = [
        json.loads(body["Properties"]["Targets"][0]["Input"])["s3fanout_sweep"]["replicas"]
        for body in swept.values()
        if body["Type"] == "AWS::Events::Rule" and "tokyo" in body["Properties"]["Name"]
    ]
    assert orders == [lists] * bool(sweep)


def test_eventbridge_may_use_the_key_without_a_condition() -> None:
    """It names no source to KMS; with a condition every event would be dropped in silence."""
    template = template_of(settings_of(VARIANTS["eventbridge"]))
    (events,) = [
        statement
        for statement in statements(template["Resources"]["Key"])
        if statement["Principal"].get("Service") == "events.amazonaws.com"
    ]
    assert "Condition" not in events


def test_between_two_event_routes_there_are_both() -> None:
    settings = settings_of(VARIANTS["eventbridge"])
    between = template_of(settings, EventRoute.SNS)["Resources"]
    only = template_of(settings)["Resources"]
    before = template_of(settings_of(VARIANTS["eventbridge"].replace("eventbridge", "sns")))
    assert set(between) == set(only) | set(before["Resources"])
    senders = {
        statement["Principal"]["Service"]
        for body in between.values()
        if body["Type"] == "AWS::SQS::QueuePolicy"
        for statement in statements(body)
    }
    assert senders == {"sns.amazonaws.com", "events.amazonaws.com"}
    unchanged = [name for name, body in between.items() if only.get(name) == body]
    assert any(name.endswith("Function") for name in unchanged), "functions go on undisturbed"
    assert warnings_of(template_text(template_of(settings, EventRoute.SNS))) == []


def test_another_account_gets_the_exact_policies() -> None:
    text = THREE.replace(
        'bucket = "photos-lima"',
        f'bucket = "photos-lima"\naccount = "210987654321"\nkms_key = "{KEY_ARN}"',
    )
    plan = blueprint(settings_of(text))
    lima = next(branch for branch in plan.branches() if branch.name == "lima")
    role = "arn:aws:iam::123456789012:role/photos-fanout-lima-role"
    (statement,) = bucket_document(plan, lima, "123456789012")["Statement"]
    assert statement["Principal"] == {"AWS": role}
    assert statement["Resource"] == ["arn:aws:s3:::photos-lima/x/*"]
    assert "s3:PutObject" in statement["Action"]
    assert key_statement(lima, "123456789012")["Principal"] == {"AWS": role}


def test_the_queue_hides_messages_long_enough_and_gives_up_late_enough() -> None:
    resources = template_of(settings_of(THREE))["Resources"]
    queues = [b["Properties"] for b in resources.values() if b["Type"] == "AWS::SQS::Queue"]
    fed = [queue for queue in queues if "RedrivePolicy" in queue]
    assert len(fed) == 3
    assert all(queue["VisibilityTimeout"] >= 6 * 120 for queue in fed)
    assert all(queue["RedrivePolicy"]["maxReceiveCount"] >= 5 for queue in fed)
    assert all(queue["MessageRetentionPeriod"] == 7 * 86_400 for queue in fed)
    assert all(queue["SqsManagedSseEnabled"] for queue in queues)


def test_a_rule_that_lambda_has_no_room_for_is_refused() -> None:
    many = ", ".join(f'"{"x" * 40}{at}/"' for at in range(100))
    with pytest.raises(Misconfigured, match="destination=tokyo"):
        template_of(settings_of(THREE.replace('"raw/", ', f"{many}, ")))


@pytest.mark.parametrize(
    ("prefixes", "common"),
    [
        (["raw/", "raw/x"], "raw/"),
        (["raw/a", "raw/b"], "raw/"),
        (["raw/ü", "raw/ü/x"], "raw/"),
        (["a/", "b/"], ""),
    ],
)
def test_the_bucket_is_asked_only_for_what_all_destinations_begin_with(
    prefixes: list[str], common: str
) -> None:
    text = 'schema = 1\nsource.bucket = "photos"\naws.topology = "durable"\n'
    for at, prefix in enumerate(prefixes):
        text += f'[destinations.d{at}]\nbucket = "to-{at}"\ninclude.prefixes = ["{prefix}"]\n'
    assert common_prefix(blueprint(settings_of(text))) == common


def test_a_prefix_in_a_policy_fits_only_itself() -> None:
    assert literal("a*b?c$d/") == "a${*}b${?}c${$}d/"


def warnings_of(template: str) -> list[str]:
    """What cfn-lint says by itself; rules that only inform are off unless they are asked for."""
    found = cfnlint.api.lint_all(template)
    return [str(each) for each in found if not each.rule.id.startswith("I")]


def statements(body: dict[str, Any]) -> list[Any]:
    properties = body["Properties"]
    documents = [each["PolicyDocument"] for each in properties.get("Policies", ())]
    documents += [
        properties[name] for name in ("PolicyDocument", "KeyPolicy") if name in properties
    ]
    return [statement for document in documents for statement in document["Statement"]]
