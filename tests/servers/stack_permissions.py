"""What CloudFormation asks of its caller for each resource of a stack.

CloudFormation makes resources with the permissions of whoever asks for the stack. Which ones is
declared in the resource types' own schemas (``handlers``, read November 2026; subscriptions and
rules declare none, so theirs are the actions of the API that makes, reads and removes them). Left
out is what is only for properties that no template of ours has: VPCs, layers, file systems,
imports, streams, managed policies.

Tags of the stack are tags of its resources, so whoever makes it must be allowed to tag each.

The resource of a request is written as IAM gets it. Some requests name none, or ask about all of a
kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Change = Literal["create", "update", "delete"]
Ask = tuple[str, str]
"""Action and the ARN of what it acts on."""

UNNAMED = "*"
"""Service Authorization Reference, read November 2026: these actions have no resource type, so that
only a statement about ``*`` allows them. Among them are those on subscriptions of SNS, on mappings
of Lambda that are not there yet, and on new keys of KMS."""


@dataclass(frozen=True, slots=True)
class Here:
    """Where the stack is."""

    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        """Of something in this Region and account."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def asks(kind: str, change: Change, properties: Mapping[str, Any], here: Here) -> Iterator[Ask]:
    """Every permission that the caller needs for one change of one resource.

    Args:
        kind: Type of the resource, such as ``AWS::SQS::Queue``.
        change: What is done to it.
        properties: Of the resource, without references: their values.
        here: Where.

    Raises:
        KeyError: The type is not known here: its row is missing.
    """
    resource = _RESOURCES[kind](properties, here)
    of_kind = _ACTIONS[kind]
    words = of_kind[change] if change == "delete" else f"{of_kind[change]} {of_kind['read']}"
    for word in words.split():
        yield _ask(kind, word, resource, here)
    if change != "delete":
        yield from _besides(kind, properties, here)


def _ask(kind: str, word: str, resource: str, here: Here) -> Ask:
    action = f"{kind.split('::')[1].lower()}:{word}"
    if action == "logs:DescribeLogGroups":
        # "Be sure to set the ARN of its Resource line to use a * wildcard" (CloudWatch Logs user
        # guide, "Logs sent to CloudWatch Logs", read November 2026): it asks about all groups.
        return action, here.arn("logs", "log-group::log-stream:")
    if action == "cloudwatch:DescribeAlarms":
        return action, here.arn("cloudwatch", "alarm:*")
    if action in _UNNAMED:
        return action, UNNAMED
    return action, resource


_UNNAMED = frozenset(
    {
        *("sns:Unsubscribe", "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes"),
        *("kms:CreateKey", "kms:ListAliases", "lambda:CreateEventSourceMapping"),
    }
)


def _besides(kind: str, properties: Mapping[str, Any], here: Here) -> Iterator[Ask]:
    """Permissions on other things than the resource itself."""
    if kind == "AWS::Lambda::Function":
        code = properties["Code"]
        yield "iam:PassRole", properties["Role"]
        yield "s3:GetObject", f"arn:aws:s3:::{code['S3Bucket']}/{code['S3Key']}"
    if kind == "AWS::KMS::Alias":
        yield "kms:CreateAlias", _key_arn(properties["TargetKeyId"], here)
    if kind == "AWS::DynamoDB::Table" and "SSESpecification" in properties:
        key = properties["SSESpecification"]["KMSMasterKeyId"]
        for word in ("CreateGrant", "DescribeKey", "Decrypt"):
            yield f"kms:{word}", _key_arn(key, here)
        yield "kms:ListAliases", UNNAMED


def _key_arn(key: str, here: Here) -> str:
    return key if key.startswith("arn:") else here.arn("kms", f"key/{key}")


def _queue_arn(properties: Mapping[str, Any], here: Here) -> str:
    name = properties.get("QueueName") or properties["Queues"][0].rpartition("/")[2]
    return here.arn("sqs", name)


def _function_arn(properties: Mapping[str, Any], here: Here) -> str:
    name: str = properties["FunctionName"]
    return here.arn("lambda", f"function:{name.rpartition(':')[2]}")


_RESOURCES: dict[str, Any] = {
    "AWS::IAM::Role": lambda p, h: f"arn:aws:iam::{h.account}:role/{p['RoleName']}",
    "AWS::Lambda::Function": _function_arn,
    "AWS::Lambda::Permission": _function_arn,
    "AWS::Lambda::EventSourceMapping": lambda _, h: h.arn("lambda", "event-source-mapping:id"),
    "AWS::Logs::LogGroup": lambda p, h: h.arn("logs", f"log-group:{p['LogGroupName']}"),
    "AWS::SNS::Topic": lambda p, h: h.arn("sns", p["TopicName"]),
    "AWS::SNS::TopicPolicy": lambda p, _: p["Topics"][0],
    "AWS::SNS::Subscription": lambda p, _: p["TopicArn"],
    "AWS::SQS::Queue": _queue_arn,
    "AWS::SQS::QueuePolicy": _queue_arn,
    "AWS::DynamoDB::Table": lambda p, h: h.arn("dynamodb", f"table/{p['TableName']}"),
    "AWS::CloudWatch::Alarm": lambda p, h: h.arn("cloudwatch", f"alarm:{p['AlarmName']}"),
    "AWS::CloudWatch::Dashboard": lambda p, h: (
        f"arn:aws:cloudwatch::{h.account}:dashboard/{p['DashboardName']}"
    ),
    "AWS::Events::Rule": lambda p, h: h.arn("events", f"rule/{p['Name']}"),
    "AWS::KMS::Key": lambda _, h: h.arn("kms", "key/id"),
    "AWS::KMS::Alias": lambda p, h: h.arn("kms", p["AliasName"]),
}

_ACTIONS: dict[str, dict[str, str]] = {
    "AWS::IAM::Role": {
        "create": "CreateRole TagRole PutRolePolicy",
        "read": "GetRole GetRolePolicy ListRolePolicies ListAttachedRolePolicies",
        "update": "UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy PutRolePolicy "
        "DeleteRolePolicy TagRole UntagRole",
        "delete": "GetRole ListRolePolicies ListAttachedRolePolicies DeleteRolePolicy DeleteRole",
    },
    "AWS::Lambda::Function": {
        "create": "CreateFunction TagResource",
        "read": "GetFunction ListTags GetFunctionCodeSigningConfig GetRuntimeManagementConfig",
        "update": "UpdateFunctionConfiguration UpdateFunctionCode TagResource UntagResource",
        "delete": "GetFunction DeleteFunction",
    },
    "AWS::Lambda::Permission": {
        "create": "AddPermission",
        "read": "GetPolicy",
        "update": "AddPermission RemovePermission",
        "delete": "RemovePermission",
    },
    "AWS::Lambda::EventSourceMapping": {
        "create": "CreateEventSourceMapping TagResource",
        "read": "GetEventSourceMapping ListTags",
        "update": "UpdateEventSourceMapping TagResource UntagResource",
        "delete": "GetEventSourceMapping DeleteEventSourceMapping",
    },
    "AWS::Logs::LogGroup": {
        "create": "CreateLogGroup PutRetentionPolicy TagResource",
        "read": "DescribeLogGroups ListTagsForResource GetDataProtectionPolicy",
        "update": "PutRetentionPolicy TagResource UntagResource",
        "delete": "DescribeLogGroups DeleteLogGroup",
    },
    "AWS::SNS::Topic": {
        "create": "CreateTopic TagResource",
        "read": "GetTopicAttributes ListTagsForResource ListSubscriptionsByTopic "
        "GetDataProtectionPolicy",
        "update": "SetTopicAttributes TagResource UntagResource",
        "delete": "GetTopicAttributes DeleteTopic",
    },
    "AWS::SNS::TopicPolicy": dict.fromkeys(
        ("create", "read", "update", "delete"), "SetTopicAttributes"
    ),
    "AWS::SNS::Subscription": {
        "create": "Subscribe",
        "read": "GetSubscriptionAttributes",
        "update": "SetSubscriptionAttributes",
        "delete": "GetSubscriptionAttributes Unsubscribe",
    },
    "AWS::SQS::Queue": {
        "create": "CreateQueue TagQueue GetQueueUrl",
        "read": "GetQueueAttributes ListQueueTags",
        "update": "SetQueueAttributes TagQueue UntagQueue",
        "delete": "GetQueueAttributes DeleteQueue",
    },
    "AWS::SQS::QueuePolicy": dict.fromkeys(
        ("create", "read", "update", "delete"), "SetQueueAttributes"
    ),
    "AWS::DynamoDB::Table": {
        "create": "CreateTable TagResource UpdateContinuousBackups",
        "read": "DescribeTable DescribeContinuousBackups DescribeTimeToLive "
        "DescribeContributorInsights DescribeKinesisStreamingDestination ListTagsOfResource "
        "GetResourcePolicy",
        "update": "UpdateTable UpdateContinuousBackups TagResource UntagResource",
        "delete": "DescribeTable DeleteTable",
    },
    "AWS::CloudWatch::Alarm": {
        "create": "PutMetricAlarm TagResource",
        "read": "DescribeAlarms ListTagsForResource",
        "update": "PutMetricAlarm TagResource UntagResource",
        "delete": "DescribeAlarms DeleteAlarms",
    },
    "AWS::CloudWatch::Dashboard": {
        "create": "PutDashboard",
        "read": "GetDashboard",
        "update": "PutDashboard",
        "delete": "GetDashboard DeleteDashboards",
    },
    "AWS::Events::Rule": {
        "create": "PutRule PutTargets TagResource",
        "read": "DescribeRule ListTargetsByRule ListTagsForResource",
        "update": "PutRule PutTargets RemoveTargets TagResource UntagResource",
        "delete": "DescribeRule ListTargetsByRule RemoveTargets DeleteRule",
    },
    "AWS::KMS::Key": {
        "create": "CreateKey EnableKeyRotation TagResource PutKeyPolicy",
        "read": "DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags",
        "update": "PutKeyPolicy UpdateKeyDescription EnableKeyRotation TagResource UntagResource",
        "delete": "DescribeKey ScheduleKeyDeletion",
    },
    "AWS::KMS::Alias": {
        "create": "CreateAlias",
        "read": "ListAliases",
        "update": "UpdateAlias",
        "delete": "DeleteAlias",
    },
}
