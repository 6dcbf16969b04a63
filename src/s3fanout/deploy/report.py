"""A survey as one document: ``plan --json`` prints it, and the readable plan is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from s3fanout.deploy import keys
from s3fanout.deploy.apply import OVERLAP_S
from s3fanout.deploy.changes import Change, Permission
from s3fanout.deploy.iam import bucket_document, grants, key_statement
from s3fanout.deploy.intrinsics import Json
from s3fanout.deploy.needs import document_of
from s3fanout.deploy.notifications import EVENT_BRIDGE
from s3fanout.deploy.survey import Survey

SCHEMA_VERSION: Final = 1


def plan_document(found: Survey) -> Json:
    """See ``docs/json.md``."""
    plan = found.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "plan",
        "stack": plan.names.stack,
        "exists": found.deployed is not None,
        "account": found.account,
        "region": plan.settings.source.region,
        "topology": plan.aws.topology.value,
        "event_route": plan.aws.event_route.value,
        "resources": [
            {
                "change": each.change.value,
                "type": each.kind,
                "name": each.name,
                "logical_id": each.logical_id,
                "differences": [asdict(difference) for difference in each.differences],
            }
            for each in found.resources
        ],
        "permissions": list(_permissions(found)),
        "notifications": {
            "bucket": plan.settings.source.bucket,
            "changed": found.merge.changed,
            "overlaps": [asdict(each) for each in found.merge.overlaps],
            "foreign_entries": _foreign(found),
            "event_bridge": EVENT_BRIDGE in found.merge.configuration,
            "configuration": found.merge.configuration,
        },
        "needs": [
            {"actions": list(each.actions), "resources": list(each.resources), "why": each.why}
            for each in found.needs
        ],
        "needs_policy": document_of(found.needs),
        "other_accounts": list(_other_accounts(found)),
        "own_key_statements": _own_key(found),
        "notes": [*plan.names.derived, *_crossing(found)],
    }


def _crossing(found: Survey) -> Iterator[str]:
    if found.crossing is not None:
        yield (
            f"the event route changes from {found.crossing.leaving} to "
            f"{found.plan.aws.event_route}: both are on for {OVERLAP_S:.0f} s, so no event is lost"
        )


def _permissions(found: Survey) -> Iterator[dict[str, Any]]:
    why = {
        (branch.names.role, grant.sid): grant.why
        for branch in found.plan.branches()
        for grant in grants(found.plan, branch)
    }
    before, after = found.permissions_before, found.permissions_after
    for permission in [*after, *(each for each in before if each not in after)]:
        if permission not in after:
            change = Change.REMOVE
        else:
            change = Change.KEEP if permission in before else Change.CREATE
        sid = after.get(permission, "")
        yield _permission(permission, change, why.get((permission.holder, sid)))


def _permission(permission: Permission, change: Change, why: str | None) -> dict[str, Any]:
    return {
        "change": change.value,
        "holder": permission.holder,
        "principal": permission.principal,
        "action": permission.action,
        "resource": permission.resource,
        "condition": permission.condition or None,
        "why": why,
    }


def _foreign(found: Survey) -> int:
    kinds = ("TopicConfigurations", "QueueConfigurations", "LambdaFunctionConfigurations")
    ours = found.plan.names.notification
    return sum(
        each.get("Id") != ours for kind in kinds for each in found.notifications.get(kind, ())
    )


def _other_accounts(found: Survey) -> Iterator[dict[str, Any]]:
    for branch in found.plan.branches():
        if branch.to.account in {None, found.account}:
            continue
        yield {
            "destination": branch.name,
            "account": branch.to.account,
            "bucket": branch.to.bucket,
            "bucket_policy": bucket_document(found.plan, branch, found.account),
            "kms_key": branch.to.kms_key,
            "kms_key_statement": (
                None if branch.to.kms_key is None else key_statement(branch, found.account)
            ),
        }


def _own_key(found: Survey) -> list[Json]:
    """What the policy of a key must say that the user brought for topics and queues."""
    key = found.plan.aws.kms_key
    if key is None or not key.startswith("arn:"):
        return []
    return [keys.statement(service, found.account) for service in keys.services(found.plan)]
