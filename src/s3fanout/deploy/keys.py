"""The deployment's own key, and which services of AWS must be allowed to use it."""

from __future__ import annotations

from s3fanout.config.aws import NEW_KEY
from s3fanout.deploy.blueprint import KEY, Blueprint
from s3fanout.deploy.intrinsics import ACCOUNT, PARTITION, Json, document, joined, ref, resource

_USE = ["kms:Decrypt", "kms:GenerateDataKey*"]
_TELLS_NO_SOURCE = frozenset({"events"})
"""EventBridge names no source to KMS: with a condition every event would be dropped in silence
(note in AWS's Modern Data Architecture Accelerator, CloudWatch constructs, read 2026-11)."""


def services(plan: Blueprint) -> list[str]:
    """Services that write into an encrypted topic or queue."""
    found = [*(("s3", "sns") if plan.has_topic else ()), *(("events",) if plan.has_rules else ())]
    return [*found, "cloudwatch"] if plan.is_durable else found


def shared(plan: Blueprint) -> dict[str, Json]:
    """The key and its alias, where the settings ask for a new one."""
    if plan.aws.kms_key != NEW_KEY:
        return {}
    owner = {
        "Sid": "AccountDecidesByIam",
        "Effect": "Allow",
        "Principal": {"AWS": joined("arn:", PARTITION, ":iam::", ACCOUNT, ":root")},
        "Action": "kms:*",
        "Resource": "*",
    }
    used = [statement(each, ACCOUNT) for each in services(plan)]
    return {
        KEY: resource(
            "KMS::Key",
            {
                "Description": f"s3fanout: topics, queues and ledger of {plan.names.stack}",
                "EnableKeyRotation": True,
                "PendingWindowInDays": 7,
                "KeyPolicy": document(owner, *used),
            },
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        "KeyAlias": resource(
            "KMS::Alias", {"AliasName": f"alias/{plan.names.stack}", "TargetKeyId": ref(KEY)}
        ),
    }


def statement(service: str, account: object) -> Json:
    """What the policy of a key must say for a service; a key of the user's own needs it too."""
    found: Json = {
        "Sid": f"S3fanout{service.title()}",
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": _USE,
        "Resource": "*",
    }
    if service in _TELLS_NO_SOURCE:
        return found
    return {**found, "Condition": {"StringEquals": {"aws:SourceAccount": account}}}
