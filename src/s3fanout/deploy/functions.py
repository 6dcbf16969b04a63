"""The function of each destination: identical code, its own name, role, log and environment."""

from __future__ import annotations

from typing import Final

from s3fanout.awslambda.environment import HANDLER, FunctionSettings
from s3fanout.config.rules import limits_of
from s3fanout.deploy.blueprint import LEDGER, Blueprint, Branch
from s3fanout.deploy.intrinsics import Json, att, ref, resource
from s3fanout.model.errors import Misconfigured

MIB: Final = 2**20
DAY_S: Final = 86_400
BATCH_WITHOUT_WINDOW: Final = 10
"""Larger batches need a window of at least a second (Lambda API reference, November 2026)."""
ENVIRONMENT_BYTES_MAX: Final = 4096
"""Lambda developer guide, "Lambda quotas", read November 2026."""
_ROOM_FOR_REFERENCES: Final = 512


def of_branch(plan: Blueprint, branch: Branch) -> dict[str, Json]:
    """Log group and function, and with topology durable what feeds it from the queue."""
    log_group, function = branch.logical("LogGroup"), branch.logical("Function")
    made = {
        log_group: resource(
            "Logs::LogGroup",
            {
                "LogGroupName": branch.names.log_group,
                "RetentionInDays": int(plan.aws.log_retention_s) // DAY_S,
            },
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        function: resource(
            "Lambda::Function",
            {
                "FunctionName": branch.names.function,
                "Description": f"s3fanout: {plan.settings.source.bucket} to {branch.to.bucket}",
                "Runtime": f"python{plan.aws.python.value}",
                "Handler": HANDLER,
                "Architectures": [plan.aws.architecture.value],
                "MemorySize": plan.aws.memory_bytes // MIB,
                "Timeout": int(plan.aws.timeout_s),
                "Role": att(branch.logical("Role")),
                "Code": {"S3Bucket": ref("CodeBucket"), "S3Key": ref("CodeKey")},
                "Environment": {"Variables": _environment(plan, branch)},
            },
            # Else Lambda would make the group itself, to be kept for ever.
            DependsOn=[log_group],
        ),
    }
    if plan.is_durable:
        made[branch.logical("Feed")] = _feed(plan, branch)
    return made


def _environment(plan: Blueprint, branch: Branch) -> Json:
    settings = FunctionSettings(
        topology=plan.aws.topology,
        source_bucket=plan.settings.source.bucket,
        source_region=plan.settings.source.region,
        bucket=branch.to.bucket,
        region=branch.to.region,
        rule=branch.rule,
        loop_guard=branch.to.loop_guard,
        limits=limits_of(plan.settings),
    )
    variables: Json = dict(settings.to_environment())
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > ENVIRONMENT_BYTES_MAX - _ROOM_FOR_REFERENCES:
        raise Misconfigured(
            f"the filters of a destination are too long for Lambda destination={branch.name} "
            f"size_bytes={size}",
            hint="use fewer or shorter patterns; Lambda takes 4 KB of environment",
        )
    if plan.is_durable:
        variables["S3FANOUT_TABLE"] = ref(LEDGER)
        variables["S3FANOUT_QUEUE_URL"] = ref(branch.logical("Queue"))
        variables["S3FANOUT_DEAD_LETTER_URL"] = ref(branch.logical("DeadLetters"))
    return variables


def _feed(plan: Blueprint, branch: Branch) -> Json:
    return resource(
        "Lambda::EventSourceMapping",
        {
            "EventSourceArn": att(branch.logical("Queue")),
            "FunctionName": ref(branch.logical("Function")),
            "BatchSize": plan.aws.batch,
            "MaximumBatchingWindowInSeconds": int(plan.aws.batch > BATCH_WITHOUT_WINDOW),
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": plan.aws.concurrency},
        },
    )
