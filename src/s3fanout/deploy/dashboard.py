"""A CloudWatch dashboard: is every destination fresh, and which is not?"""

from __future__ import annotations

import json
from collections.abc import Callable

from s3fanout.deploy.blueprint import Blueprint, Branch
from s3fanout.deploy.intrinsics import Json, resource

_HEIGHT, _WIDTH = 6, 12


def shared(plan: Blueprint) -> dict[str, Json]:
    """The dashboard; nothing with topology classic."""
    if not plan.is_durable:
        return {}
    branches = list(plan.branches())
    sqs, age = "AWS/SQS", "ApproximateAgeOfOldestMessage"
    visible = "ApproximateNumberOfMessagesVisible"
    widgets = [
        _widget("Oldest waiting change (s)", "Maximum", branches, lambda b: (sqs, age, *_queue(b))),
        _widget("Backlog", "Maximum", branches, lambda b: (sqs, visible, *_queue(b))),
        _widget("Dead letters", "Maximum", branches, lambda b: (sqs, visible, *_dead(b))),
        _widget("Runs", "Sum", branches, lambda b: ("AWS/Lambda", "Invocations", *_function(b))),
        _widget("Errors", "Sum", branches, lambda b: ("AWS/Lambda", "Errors", *_function(b))),
        _widget(
            "Run time (ms)", "p99", branches, lambda b: ("AWS/Lambda", "Duration", *_function(b))
        ),
    ]
    placed = [
        {**widget, "x": _WIDTH * (at % 2), "y": _HEIGHT * (at // 2)}
        for at, widget in enumerate(widgets)
    ]
    return {
        "Dashboard": resource(
            "CloudWatch::Dashboard",
            {
                "DashboardName": plan.names.dashboard,
                # Only names of resources and the Region: nothing here comes from keys.
                "DashboardBody": {"Fn::Sub": json.dumps({"widgets": placed})},
            },
        )
    }


def _widget(
    title: str, statistic: str, branches: list[Branch], metric: Callable[[Branch], tuple[str, ...]]
) -> Json:
    return {
        "type": "metric",
        "width": _WIDTH,
        "height": _HEIGHT,
        "properties": {
            "title": title,
            "region": "${AWS::Region}",
            "stat": statistic,
            "period": 60,
            "metrics": [[*metric(branch), {"label": branch.name}] for branch in branches],
        },
    }


def _queue(branch: Branch) -> tuple[str, str]:
    return "QueueName", branch.names.queue or ""


def _dead(branch: Branch) -> tuple[str, str]:
    return "QueueName", branch.names.dead_letters or ""


def _function(branch: Branch) -> tuple[str, str]:
    return "FunctionName", branch.names.function
