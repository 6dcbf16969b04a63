"""What the person who deploys must be allowed to do. Pure.

CloudFormation acts with the permissions of its caller, so everything that the stack makes is here,
``iam:PassRole`` included: without it nobody can give a function its role. The stack has tags, and
CloudFormation tags what it makes with them, so tagging is here too. Which permissions a change of a
resource needs is declared in the ``handlers`` of CloudFormation's resource types (read November
2026); ``tests/e2e/test_aws_deployer.py`` deploys with these alone.

Everything that is named after the deployment is one pattern, ``<source>-fanout-*``: a destination
that is added later needs no more for its resources, and fifteen destinations fit into the 6144
characters that one policy may have (IAM user guide, "IAM and STS quotas", read November 2026).
Names that are not so are listed, those of what is deployed now among them: what is no longer wanted
is removed.

Some actions have no resource type, or ask about all of a kind; then only ``*`` allows them (Service
Authorization Reference, read November 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from s3fanout.config.aws import NEW_KEY
from s3fanout.deploy.blueprint import Blueprint
from s3fanout.deploy.intrinsics import Json

CANARY = "*.s3fanout-canary-*"
"""Keys that ``s3fanout validate`` writes, as a pattern of IAM."""


@dataclass(frozen=True, slots=True)
class Need:
    """Permissions of the deploying user, and why."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str


def needs_of(
    plan: Blueprint, account: str, code_bucket: str, *, deployed: Json | None
) -> list[Need]:
    """For plan, deploy, validate and destroy together.

    Args:
        plan: What is to be.
        account: Of the deployment.
        code_bucket: Where the code is kept.
        deployed: The template as it is deployed now; ``None`` if nothing is.
    """
    here = f"{plan.settings.source.region}:{account}"
    return [
        Need(
            _prefixed(
                *("cloudformation", "CreateStack", "UpdateStack", "DeleteStack", "DescribeStacks"),
                *("DescribeStackEvents", "GetTemplate", "TagResource", "UntagResource"),
            ),
            (f"arn:aws:cloudformation:{here}:stack/{plan.names.stack}/*",),
            "makes, changes and removes the stack",
        ),
        Need(
            _prefixed("s3", "GetBucketNotification", "PutBucketNotification"),
            (f"arn:aws:s3:::{plan.settings.source.bucket}",),
            "puts the deployment's entry into the source bucket's notifications",
        ),
        _code_need(plan, code_bucket),
        *_function_needs(plan, here, deployed),
        *_route_needs(plan, here, deployed),
        *_durable_needs(plan, here, deployed),
        *_key_needs(plan),
        *_canary_needs(plan),
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


def _named(plan: Blueprint, arn: str, names: Iterable[str | None]) -> tuple[str, ...]:
    """ARNs of these names: one pattern for all that begin as the deployment does."""
    own = f"{plan.settings.source.bucket}-fanout-"
    patterns = (f"{own}*" if name.startswith(own) else name for name in names if name is not None)
    return tuple(dict.fromkeys(f"{arn}{pattern}" for pattern in patterns))


def _there(deployed: Json | None, what: str) -> list[str]:
    """Names of what is deployed now, of one type, such as ``Function``."""
    resources = {} if deployed is None else deployed["Resources"]
    name = "Name" if what == "Rule" else f"{what}Name"
    return [
        each["Properties"][name]
        for each in resources.values()
        if each["Type"].rpartition(":")[2] == what
    ]


def _code_need(plan: Blueprint, code_bucket: str) -> Need:
    bucket = f"arn:aws:s3:::{code_bucket}"
    objects = ("PutObject", "GetObject", "DeleteObject", "ListBucket", "GetBucketTagging")
    if plan.aws.code_bucket is not None:
        return Need(_prefixed("s3", *objects), (bucket, f"{bucket}/*"), "uploads the code")
    own = ("CreateBucket", "DeleteBucket", "PutBucketTagging", "PutBucketPublicAccessBlock")
    return Need(
        _prefixed("s3", *objects, *own),
        (bucket, f"{bucket}/*"),
        "makes the bucket for the code, and removes it",
    )


def _function_needs(plan: Blueprint, here: str, deployed: Json | None) -> Iterator[Need]:
    every = list(plan.names.destinations.values())
    functions = [*(each.function for each in every), *_there(deployed, "Function")]
    account = here.rpartition(":")[2]
    yield Need(
        _prefixed(
            *("iam", "CreateRole", "GetRole", "DeleteRole", "UpdateRole", "PassRole"),
            *("UpdateRoleDescription", "UpdateAssumeRolePolicy", "TagRole", "UntagRole"),
            *("PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy", "ListRolePolicies"),
            *("ListAttachedRolePolicies",),
        ),
        _named(
            plan,
            f"arn:aws:iam::{account}:role/",
            (*(each.role for each in every), *_there(deployed, "Role")),
        ),
        "makes the functions' roles and passes them to Lambda",
    )
    yield Need(
        _prefixed(
            *("lambda", "CreateFunction", "GetFunction", "DeleteFunction"),
            *("UpdateFunctionCode", "UpdateFunctionConfiguration", "AddPermission"),
            *("RemovePermission", "GetPolicy", "GetFunctionConfiguration"),
            *("GetFunctionCodeSigningConfig", "GetRuntimeManagementConfig"),
            *("TagResource", "UntagResource", "ListTags"),
        ),
        _named(plan, f"arn:aws:lambda:{here}:function:", functions),
        "makes the functions",
    )
    yield Need(
        _prefixed(
            *("logs", "CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy"),
            *("TagResource", "UntagResource", "ListTagsForResource"),
            *("GetDataProtectionPolicy", "FilterLogEvents"),
        ),
        tuple(
            f"{arn.rstrip('*')}*"
            for arn in _named(plan, f"arn:aws:logs:{here}:log-group:/aws/lambda/", functions)
        ),
        "makes the functions' log groups; validate reads them",
    )
    yield Need(
        ("logs:DescribeLogGroups",),
        (f"arn:aws:logs:{here}:log-group:*",),
        "looks whether a log group is there (CloudWatch Logs knows this for all groups only)",
    )


def _route_needs(plan: Blueprint, here: str, deployed: Json | None) -> Iterator[Need]:
    topics = [plan.names.topic, plan.names.alerts, *_there(deployed, "Topic")]
    if any(topics):
        yield Need(
            _prefixed(
                *("sns", "CreateTopic", "DeleteTopic", "GetTopicAttributes", "SetTopicAttributes"),
                *("TagResource", "UntagResource", "ListTagsForResource", "Subscribe"),
                *("ListSubscriptionsByTopic", "GetDataProtectionPolicy"),
            ),
            tuple(dict.fromkeys(f"arn:aws:sns:{here}:{name}" for name in topics if name)),
            "makes the topics and subscribes to them",
        )
        yield Need(
            _prefixed(
                *("sns", "GetSubscriptionAttributes", "SetSubscriptionAttributes", "Unsubscribe"),
            ),
            ("*",),
            "looks after the subscriptions (SNS has no ARN of a subscription in policies)",
        )
    every = plan.names.destinations.values()
    rules = [name for each in every for name in (each.rule, each.sweep) if name is not None]
    rules += _there(deployed, "Rule")
    if rules:
        yield Need(
            _prefixed(
                *("events", "PutRule", "DescribeRule", "DeleteRule", "PutTargets"),
                *("RemoveTargets", "ListTargetsByRule"),
                *("TagResource", "UntagResource", "ListTagsForResource"),
            ),
            _named(plan, f"arn:aws:events:{here}:rule/", rules),
            "makes the EventBridge rules",
        )


def _durable_needs(plan: Blueprint, here: str, deployed: Json | None) -> Iterator[Need]:
    tables = [plan.names.table, *_there(deployed, "Table")]
    if not any(tables):
        return
    every = list(plan.names.destinations.values())
    queues = [name for each in every for name in (each.queue, each.dead_letters)]
    alarms = [f"{each.alarm}-*" for each in every if each.alarm is not None]
    dashboards = [plan.names.dashboard, *_there(deployed, "Dashboard")]
    yield Need(
        _prefixed(
            *("sqs", "CreateQueue", "DeleteQueue", "GetQueueAttributes", "SetQueueAttributes"),
            *("GetQueueUrl", "TagQueue", "UntagQueue", "ListQueueTags"),
        ),
        _named(plan, f"arn:aws:sqs:{here}:", (*queues, *_there(deployed, "Queue"))),
        "makes the queues",
    )
    yield Need(
        _prefixed(
            *("lambda", "CreateEventSourceMapping", "GetEventSourceMapping"),
            *("UpdateEventSourceMapping", "DeleteEventSourceMapping"),
            *("ListEventSourceMappings", "TagResource", "UntagResource", "ListTags"),
        ),
        ("*",),
        "feeds the functions from the queues (Lambda knows no ARN for this before it exists)",
    )
    yield Need(
        _prefixed(
            *("dynamodb", "CreateTable", "DescribeTable", "UpdateTable", "DeleteTable"),
            *("UpdateContinuousBackups", "DescribeContinuousBackups", "DescribeTimeToLive"),
            *("DescribeContributorInsights", "DescribeKinesisStreamingDestination"),
            *("GetResourcePolicy", "TagResource", "UntagResource", "ListTagsOfResource"),
            *("Query", "DeleteItem"),
        ),
        _named(plan, f"arn:aws:dynamodb:{here}:table/", tables),
        "makes the ledger's table; validate reads its records and removes them",
    )
    account = here.rpartition(":")[2]
    yield Need(
        _prefixed(
            *("cloudwatch", "PutMetricAlarm", "DeleteAlarms"),
            *("TagResource", "UntagResource", "ListTagsForResource"),
        ),
        _named(
            plan,
            f"arn:aws:cloudwatch:{here}:alarm:",
            (*alarms, *_there(deployed, "Alarm")),
        ),
        "makes the alarms",
    )
    yield Need(
        ("cloudwatch:DescribeAlarms",),
        (f"arn:aws:cloudwatch:{here}:alarm:*",),
        "looks whether an alarm is there (CloudWatch knows this for all alarms only)",
    )
    yield Need(
        _prefixed("cloudwatch", "PutDashboard", "GetDashboard", "DeleteDashboards"),
        _named(plan, f"arn:aws:cloudwatch::{account}:dashboard/", dashboards),
        "makes the dashboard",
    )


def _key_needs(plan: Blueprint) -> Iterator[Need]:
    if plan.aws.kms_key == NEW_KEY:
        yield Need(
            _prefixed(
                *("kms", "CreateKey", "DescribeKey", "PutKeyPolicy", "GetKeyPolicy"),
                *("EnableKeyRotation", "GetKeyRotationStatus", "UpdateKeyDescription"),
                *("TagResource", "UntagResource", "ListResourceTags", "ScheduleKeyDeletion"),
                *("CreateAlias", "DeleteAlias", "UpdateAlias", "ListAliases"),
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
        if plan.is_durable:
            yield Need(
                ("kms:ListAliases",), ("*",), "DynamoDB looks for the key (KMS lists all or none)"
            )


def _canary_needs(plan: Blueprint) -> Iterator[Need]:
    """For ``s3fanout validate``; buckets of other accounts must allow it by their own policy."""
    source = f"arn:aws:s3:::{plan.settings.source.bucket}"
    every = plan.settings.enabled.values()
    replicas = tuple(dict.fromkeys(f"arn:aws:s3:::{to.bucket}" for to in every))
    yield Need(
        _prefixed("s3", "PutObject", "DeleteObject", "DeleteObjectVersion"),
        (f"{source}/{CANARY}",),
        "validate writes a test object into the source, and removes it",
    )
    yield Need(
        _prefixed("s3", "GetObject", "DeleteObject", "DeleteObjectVersion"),
        tuple(f"{bucket}/{CANARY}" for bucket in replicas),
        "validate looks at its replicas, and removes them",
    )
    yield Need(
        _prefixed("s3", "ListBucket", "ListBucketVersions"),
        (source, *replicas),
        "validate tells an absent replica from one that it may not see, and finds all versions",
    )
    if plan.settings.source.kms_key is not None:
        yield Need(
            ("kms:GenerateDataKey",),
            (plan.settings.source.kms_key,),
            "validate's test object is encrypted with the source's key",
        )
    keys = tuple(dict.fromkeys(to.kms_key for to in every if to.kms_key is not None))
    if keys:
        yield Need(("kms:Decrypt",), keys, "validate's replicas are encrypted with these keys")


def _prefixed(service: str, *actions: str) -> tuple[str, ...]:
    return tuple(f"{service}:{action}" for action in actions)
