"""Who is told what, and when: five alarms per destination on one topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from s3fanout.awslambda.report import DIMENSION, MALFORMED, NAMESPACE
from s3fanout.deploy.blueprint import ALERTS, Blueprint, Branch
from s3fanout.deploy.intrinsics import Json, arn, document, ref, resource, service_statement


@dataclass(frozen=True, slots=True)
class Alarm:
    """One kind of alarm.

    Attributes:
        what: Last part of its name and of its logical id.
        namespace, metric, statistic: Of CloudWatch.
        threshold: Above it is bad.
        period_s: Of one measurement.
        periods: How many bad measurements in a row.
        meaning: What a person should understand.
    """

    what: str
    namespace: str
    metric: str
    statistic: str
    threshold: int
    period_s: int
    periods: int
    meaning: str


ALARMS: Final = (
    Alarm(
        *("DeadLetters", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0, 60, 1),
        "objects were given up: s3fanout failures says why, s3fanout redrive tries again",
    ),
    Alarm(
        *("OldestMessage", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", 900, 300, 1),
        "changes wait for more than 15 minutes: s3fanout status",
    ),
    Alarm(
        *("Errors", "AWS/Lambda", "Errors", "Sum", 0, 300, 1),
        "the function failed as a whole: s3fanout logs",
    ),
    Alarm(
        *("Throttles", "AWS/Lambda", "Throttles", "Sum", 0, 300, 3),
        "Lambda refuses to start the function: raise the account's concurrency",
    ),
    Alarm(
        *("Malformed", NAMESPACE, MALFORMED, "Sum", 0, 60, 1),
        "messages came that nobody can read, and are kept: s3fanout failures --malformed",
    ),
)


def shared(plan: Blueprint) -> dict[str, Json]:
    """The topic of the alarms, who may publish to it, and the e-mail address."""
    if not plan.is_durable:
        return {}
    properties: Json = {"TopicName": plan.names.alerts}
    if plan.key_arn is not None:
        properties["KmsMasterKeyId"] = plan.key_arn
    publish = service_statement(
        *("cloudwatch", ["sns:Publish"], ref(ALERTS)),
        source=arn("cloudwatch", "alarm:*"),
        operator="ArnLike",
    )
    made = {
        ALERTS: resource("SNS::Topic", properties),
        "AlertsPolicy": resource(
            "SNS::TopicPolicy", {"Topics": [ref(ALERTS)], "PolicyDocument": document(publish)}
        ),
    }
    if plan.aws.alarm_email is not None:
        made["AlertsEmail"] = resource(
            "SNS::Subscription",
            {"TopicArn": ref(ALERTS), "Protocol": "email", "Endpoint": plan.aws.alarm_email},
        )
    return made


def of_branch(plan: Blueprint, branch: Branch) -> dict[str, Json]:
    """The alarms of one destination."""
    if not plan.is_durable:
        return {}
    return {branch.logical(f"{each.what}Alarm"): _alarm(branch, each) for each in ALARMS}


def alarm_name(branch: Branch, alarm: Alarm) -> str:
    """``photos-fanout-paris-DeadLetters``."""
    return f"{branch.names.alarm}-{alarm.what}"


def _alarm(branch: Branch, alarm: Alarm) -> Json:
    if alarm.namespace == "AWS/SQS":
        is_dead = alarm.what == "DeadLetters"
        queue = branch.names.dead_letters if is_dead else branch.names.queue
        dimension = {"Name": "QueueName", "Value": str(queue)}
    else:
        dimension = {"Name": DIMENSION, "Value": branch.names.function}
    return resource(
        "CloudWatch::Alarm",
        {
            "AlarmName": alarm_name(branch, alarm),
            "AlarmDescription": f"s3fanout, destination {branch.name}: {alarm.meaning}",
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric,
            "Dimensions": [dimension],
            "Statistic": alarm.statistic,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": alarm.threshold,
            "Period": alarm.period_s,
            "EvaluationPeriods": alarm.periods,
            "TreatMissingData": "notBreaching",
            "AlarmActions": [ref(ALERTS)],
            "OKActions": [ref(ALERTS)],
        },
    )
