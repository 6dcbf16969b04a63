"""The schedule that starts a destination's sweep, where ``[intake.sweep]`` asks for one.

It starts the destination's own function, more often than a pass is due: a run that is not due ends
after one read, one that is goes on for its time, and the next one behind it.
"""

from __future__ import annotations

import json
from typing import Final

from s3fanout.awslambda.environment import SWEEP, SweepOrder
from s3fanout.deploy.blueprint import Blueprint, Branch
from s3fanout.deploy.intrinsics import Json, att, resource

EVERY_MINUTES: Final = 5


def of_branch(plan: Blueprint, branch: Branch) -> dict[str, Json]:
    """Schedule and the permission to start the function; nothing without a sweep or a queue."""
    sweep = plan.settings.intake.sweep
    if sweep is None or not plan.is_durable:
        return {}
    rule, function = branch.logical("Sweep"), branch.logical("Function")
    order = SweepOrder(
        interval_s=sweep.interval_s,
        grace_s=sweep.grace_s,
        replicas=plan.lists_replicas(branch),
        drift=branch.rule.drift.value,
    )
    return {
        rule: resource(
            "Events::Rule",
            {
                "Name": branch.names.sweep,
                "Description": f"s3fanout: lost events of {plan.settings.source.bucket}",
                "ScheduleExpression": f"rate({EVERY_MINUTES} minutes)",
                "Targets": [
                    {"Id": "function", "Arn": att(function), "Input": json.dumps({SWEEP: order})}
                ],
            },
        ),
        branch.logical("SweepInvoke"): resource(
            "Lambda::Permission",
            {
                "FunctionName": att(function),
                "Action": "lambda:InvokeFunction",
                "Principal": "events.amazonaws.com",
                "SourceArn": att(rule),
            },
        ),
    }
