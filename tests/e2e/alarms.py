"""Metrics and alarms of a deployment, where the emulator leaves something to CloudWatch."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.e2e.account import Account


def alarm_of_dead_letters(account: Account, source: str, letters: int) -> str:
    """Its state, once CloudWatch knows the queue's length: the emulator has no metrics of SQS."""
    queue = f"{source}-fanout-tokyo-dead-letters"
    cloudwatch = account.client("cloudwatch")
    cloudwatch.put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": queue}],
                "Timestamp": datetime.now(UTC),
                "Value": letters,
            }
        ],
    )
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=f"{source}-fanout-tokyo-")["MetricAlarms"]
    (alarm,) = [a for a in alarms if a["MetricName"] == "ApproximateNumberOfMessagesVisible"]
    return str(alarm["StateValue"])


def metrics_in_log(account: Account, source: str, name: str) -> list[dict[str, Any]]:
    """What a function wrote in the embedded metric format."""
    logs = account.client("logs")
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{source}-fanout-{name}")["events"]
    lines = [each["message"] for each in events if '"_aws"' in each["message"]]
    return [json.loads(line[line.index("{") :]) for line in lines]


def count_as_cloudwatch_does(
    account: Account, lines: list[dict[str, Any]]
) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Make metrics of log lines, as their directives say: the emulator does not. What was made."""
    made = []
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            (names,) = directive["Dimensions"]
            dimensions = [{"Name": name, "Value": line[name]} for name in names]
            for metric in directive["Metrics"]:
                made.append((directive["Namespace"], metric["Name"], dimensions))
                account.client("cloudwatch").put_metric_data(
                    Namespace=directive["Namespace"],
                    MetricData=[
                        {
                            "MetricName": metric["Name"],
                            "Unit": metric["Unit"],
                            "Dimensions": dimensions,
                            "Timestamp": line["_aws"]["Timestamp"] / 1000,
                            "Value": line[metric["Name"]],
                        }
                    ],
                )
    return made


def ringing(account: Account, source: str) -> set[str]:
    """Names of the alarms that are in alarm."""
    found = account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{source}-fanout-")
    return {a["AlarmName"] for a in found["MetricAlarms"] if a["StateValue"] == "ALARM"}
