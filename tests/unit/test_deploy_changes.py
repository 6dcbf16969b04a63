"""What becomes of resources and permissions, and how a plan shows it."""

from __future__ import annotations

import json
from pathlib import Path

from s3fanout.cli.plan_view import plan_lines
from s3fanout.config.load import parse
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.changes import Change, Permission, changes, permissions
from s3fanout.deploy.intrinsics import Json
from s3fanout.deploy.needs import Need, document_of, needs_of
from s3fanout.deploy.template import template_of

ONE = """
schema = 1
source.bucket = "photos"
destinations.paris.bucket = "photos-paris"
aws.topology = "durable"
"""
TWO = ONE + 'destinations.lima.bucket = "photos-lima"\n'
ACCOUNT = "123456789012"


def made(text: str) -> Json:
    return template_of(parse(text, path=Path("c.toml"), env={}).settings)


def test_the_same_template_changes_nothing() -> None:
    assert {each.change for each in changes(made(ONE), made(ONE))} == {Change.KEEP}


def test_a_destination_that_is_added_creates_and_touches_only_the_dashboard() -> None:
    found = changes(made(ONE), made(TWO))
    touched = {each.name for each in found if each.change is Change.CHANGE}
    assert touched == {"photos-fanout"}
    created = [each for each in found if each.change is Change.CREATE]
    assert {"photos-fanout-lima", "photos-fanout-lima-role"} <= {each.name for each in created}
    assert all("lima" in each.name.lower() for each in created)


def test_a_destination_that_is_taken_out_is_removed() -> None:
    gone = [each for each in changes(made(TWO), made(ONE)) if each.change is Change.REMOVE]
    assert len(gone) == 13
    assert all("lima" in each.name.lower() for each in gone)


def test_a_change_names_the_property_before_and_after() -> None:
    found = changes(made(ONE), made(ONE + 'aws.memory = "1GiB"\n'))
    (change,) = [each for each in found if each.change is Change.CHANGE]
    (difference,) = change.differences
    assert (difference.path, difference.before, difference.after) == (
        "Properties.MemorySize",
        "512",
        "1024",
    )


def test_permissions_are_lines_with_arns_that_a_person_can_read() -> None:
    found = permissions(made(ONE), ACCOUNT)
    role = "photos-fanout-paris-role"
    read = Permission(role, role, "s3:GetObject", "arn:aws:s3:::photos/*")
    assert found[read] == "ReadSource"
    publish = next(each for each in found if each.principal == "s3.amazonaws.com")
    assert (publish.action, publish.resource) == ("sns:Publish", "photos-fanout")
    assert ACCOUNT in publish.condition
    classic = permissions(made(ONE.replace("durable", "classic")), ACCOUNT)
    invokes = [each for each in classic if each.action == "lambda:InvokeFunction"]
    assert {(each.principal, each.holder) for each in invokes} == {
        ("sns.amazonaws.com", "photos-paris"),
        (role, role),
    }


def needs(config: str, *, deployed: Json | None = None) -> list[Need]:
    plan = blueprint(parse(config, path=Path("c.toml"), env={}).settings)
    return needs_of(plan, ACCOUNT, "code", deployed=deployed)


def resources_of(action: str, found: list[Need]) -> tuple[str, ...]:
    (need,) = [need for need in found if action in need.actions]
    return need.resources


def test_the_deploying_user_may_pass_the_deployments_roles_only() -> None:
    expected = (f"arn:aws:iam::{ACCOUNT}:role/photos-fanout-*",)
    assert resources_of("iam:PassRole", needs(TWO)) == expected
    assert len(document_of(needs(TWO))["Statement"]) == len(needs(TWO))


def test_functions_that_are_called_as_their_buckets_are_listed_also_those_that_go() -> None:
    classic = ONE.replace("durable", "classic")
    functions = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
    paris, lima = f"{functions}photos-paris", f"{functions}photos-lima"
    assert resources_of("lambda:AddPermission", needs(classic)) == (paris,)
    deployed = made(TWO.replace("durable", "classic"))
    assert resources_of("lambda:AddPermission", needs(classic, deployed=deployed)) == (paris, lima)
    groups = resources_of("logs:CreateLogGroup", needs(classic, deployed=deployed))
    assert [each.rpartition("/")[2] for each in groups] == ["photos-paris*", "photos-lima*"]


def test_what_is_no_longer_wanted_may_be_removed() -> None:
    rules, classic = ONE + 'aws.event_route = "eventbridge"\n', ONE.replace("durable", "classic")
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:photos-fanout"
    assert topic not in resources_of("sns:DeleteTopic", needs(rules))
    assert topic in resources_of("sns:DeleteTopic", needs(rules, deployed=made(ONE)))
    assert resources_of("events:DeleteRule", needs(ONE, deployed=made(rules))) == (
        f"arn:aws:events:us-east-1:{ACCOUNT}:rule/photos-fanout-*",
    )
    for action in ("sqs:DeleteQueue", "dynamodb:DeleteTable", "cloudwatch:DeleteAlarms"):
        assert not any(action in need.actions for need in needs(classic))
        assert resources_of(action, needs(classic, deployed=made(ONE)))


def test_the_policy_for_fifteen_destinations_can_be_attached_as_one() -> None:
    """IAM user guide, "IAM and STS quotas", read November 2026: 6144 characters."""
    many = "".join(f'destinations.d{n}.bucket = "photos-destination-{n}"\n' for n in range(14))
    document = document_of(needs(ONE + many))
    assert len(json.dumps(document, separators=(",", ":"))) <= 6144


def test_a_plan_shows_what_changes_and_what_stands_in_the_way() -> None:
    document: Json = {
        "stack": "s",
        "exists": True,
        "account": "1",
        "region": "r",
        "topology": "durable",
        "resources": [
            {"change": "keep", "type": "T", "name": "kept", "differences": []},
            {
                "change": "change",
                "type": "T",
                "name": "n",
                "differences": [{"path": "p", "before": None, "after": "2"}],
            },
        ],
        "permissions": [
            {
                "change": "create",
                "holder": "h",
                "principal": "h",
                "action": "s3:GetObject",
                "resource": "arn",
                "condition": None,
                "why": "because",
            },
        ],
        "notifications": {
            "bucket": "b",
            "changed": True,
            "foreign_entries": 3,
            "event_bridge": False,
            "overlaps": [{"id": "FSx", "target": "t", "event": "e"}],
        },
        "needs": [{"actions": ["iam:PassRole"], "resources": ["r"], "why": "w"}],
        "other_accounts": [],
        "own_key_statements": [],
        "notes": ["a name was derived"],
    }
    text = "\n".join(line for line, _ in plan_lines(document))
    for expected in (
        "~ T n",
        "p: nothing → 2",
        "= 1 as they are",
        "+ s3:GetObject on arn  (because)",
        "3 entries of others",
        "! FSx has e already",
        "iam:PassRole",
        "note: a name was derived",
        "1 to change; one write of the notifications of b",
    ):
        assert expected in text
