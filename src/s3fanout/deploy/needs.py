"""What the person who deploys must be allowed to do. Pure.

CloudFormation acts with the permissions of its caller, so everything that the stack makes is here,
``iam:PassRole`` included: without it nobody can give a function its role.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from s3fanout.config.aws import NEW_KEY
from s3fanout.deploy.blueprint import Blueprint
from s3fanout.deploy.intrinsics import Json


@dataclass(frozen=True, slots=True)
class Need:
    """Permissions of the deploying user, and why."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str


def needs_of(plan: Blueprint, account: str, code_bucket: str) -> list[Need]:
    """For plan, deploy and destroy together."""
    region, names = plan.settings.source.region, plan.names
    here = f"{region}:{account}"
    every = list(names.destinations.values())
    roles = tuple(f"arn:aws:iam::{account}:role/{each.role}" for each in every)
    functions = tuple(f"arn:aws:lambda:{here}:function:{each.function}" for each in every)
    logs = tuple(f"arn:aws:logs:{here}:log-group:{each.log_group}*" for each in every)
    return [
        Need(
            _prefixed(
                *("cloudformation", "CreateStack", "UpdateStack", "DeleteStack", "DescribeStacks"),
                *("DescribeStackEvents", "ListStackResources", "GetTemplate"),
            ),
            (f"arn:aws:cloudformation:{here}:stack/{names.stack}/*",),
            "makes, changes and removes the stack",
        ),
        Need(
            _prefixed("s3", "GetBucketNotification", "PutBucketNotification"),
            (f"arn:aws:s3:::{plan.settings.source.bucket}",),
            "puts the deployment's entry into the source bucket's notifications",
        ),
        _code_need(plan, code_bucket),
        Need(
            _prefixed(
                *("iam", "CreateRole", "GetRole", "DeleteRole", "UpdateRoleDescription"),
                *("PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy", "PassRole"),
                *("UpdateAssumeRolePolicy",),
            ),
            roles,
            "makes the functions' roles and passes them to Lambda",
        ),
        Need(
            _prefixed(
                *("lambda", "CreateFunction", "GetFunction", "DeleteFunction"),
                *("UpdateFunctionCode", "UpdateFunctionConfiguration", "AddPermission"),
                *("RemovePermission", "GetPolicy", "GetFunctionConfiguration"),
            ),
            functions,
            "makes the functions",
        ),
        Need(
            _prefixed(
                *("logs", "CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy"),
                *("DescribeLogGroups",),
            ),
            logs,
            "makes the functions' log groups",
        ),
        *_route_needs(plan, here),
        *(_durable_needs(plan, here) if plan.is_durable else ()),
        *_key_needs(plan),
    ]


def document_of(needs: list[Need]) -> Json:
    """The needs as a policy that can be attached."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(each.actions), "Resource": list(each.resources)}
            for each in needs
        ],
    }


def _code_need(plan: Blueprint, code_bucket: str) -> Need:
    bucket = f"arn:aws:s3:::{code_bucket}"
    objects: tuple[str, ...] = ("PutObject", "GetObject", "DeleteObject", "ListBucket")
    if plan.aws.code_bucket is not None:
        return Need(_prefixed("s3", *objects), (bucket, f"{bucket}/*"), "uploads the code")
    own = ("CreateBucket", "DeleteBucket", "PutBucketTagging", "GetBucketTagging")
    objects += (*own, "PutBucketPublicAccessBlock")
    return Need(
        _prefixed("s3", *objects),
        (bucket, f"{bucket}/*"),
        "makes the bucket for the code, and removes it",
    )


def _route_needs(plan: Blueprint, here: str) -> Iterator[Need]:
    topic = (
        *("sns", "CreateTopic", "DeleteTopic", "GetTopicAttributes", "SetTopicAttributes"),
        *("Subscribe", "Unsubscribe", "GetSubscriptionAttributes", "SetSubscriptionAttributes"),
        "ListSubscriptionsByTopic",
    )
    topics = [name for name in (plan.names.topic, plan.names.alerts) if name is not None]
    if topics:
        yield Need(
            _prefixed(*topic),
            tuple(f"arn:aws:sns:{here}:{name}*" for name in topics),
            "makes the topics and their subscriptions",
        )
    if not plan.has_topic:
        rules = (each.rule for each in plan.names.destinations.values())
        yield Need(
            _prefixed(
                *("events", "PutRule", "DescribeRule", "DeleteRule", "PutTargets"),
                "RemoveTargets",
            ),
            tuple(f"arn:aws:events:{here}:rule/{rule}" for rule in rules),
            "makes the EventBridge rules",
        )


def _durable_needs(plan: Blueprint, here: str) -> Iterator[Need]:
    every = list(plan.names.destinations.values())
    queues = [name for each in every for name in (each.queue, each.dead_letters)]
    yield Need(
        _prefixed(
            *("sqs", "CreateQueue", "DeleteQueue", "GetQueueAttributes", "SetQueueAttributes"),
            "GetQueueUrl",
        ),
        tuple(f"arn:aws:sqs:{here}:{name}" for name in queues),
        "makes the queues",
    )
    yield Need(
        _prefixed(
            *("lambda", "CreateEventSourceMapping", "GetEventSourceMapping"),
            *("UpdateEventSourceMapping", "DeleteEventSourceMapping"),
        ),
        ("*",),
        "feeds the functions from the queues (Lambda knows no ARN for this before it exists)",
    )
    yield Need(
        _prefixed(
            *("dynamodb", "CreateTable", "DescribeTable", "UpdateTable", "DeleteTable"),
            *("UpdateContinuousBackups", "DescribeContinuousBackups"),
        ),
        (f"arn:aws:dynamodb:{here}:table/{plan.names.table}",),
        "makes the ledger's table",
    )
    account = here.rpartition(":")[2]
    yield Need(
        _prefixed("cloudwatch", "PutMetricAlarm", "DeleteAlarms", "DescribeAlarms"),
        tuple(f"arn:aws:cloudwatch:{here}:alarm:{each.alarm}-*" for each in every),
        "makes the alarms",
    )
    yield Need(
        _prefixed("cloudwatch", "PutDashboard", "GetDashboard", "DeleteDashboards"),
        (f"arn:aws:cloudwatch::{account}:dashboard/{plan.names.dashboard}",),
        "makes the dashboard",
    )


def _key_needs(plan: Blueprint) -> Iterator[Need]:
    if plan.aws.kms_key == NEW_KEY:
        yield Need(
            _prefixed(
                *("kms", "CreateKey", "DescribeKey", "PutKeyPolicy", "EnableKeyRotation"),
                *("ScheduleKeyDeletion", "CreateAlias", "DeleteAlias", "UpdateAlias"),
                *("CreateGrant", "GenerateDataKey", "Decrypt"),
            ),
            ("*",),
            "makes the deployment's key (its ARN is not known before it exists)",
        )
    elif plan.aws.kms_key is not None:
        yield Need(
            _prefixed("kms", "DescribeKey", "CreateGrant", "GenerateDataKey", "Decrypt"),
            (plan.aws.kms_key,),
            "lets topics, queues and ledger use the key",
        )


def _prefixed(service: str, *actions: str) -> tuple[str, ...]:
    return tuple(f"{service}:{action}" for action in actions)
