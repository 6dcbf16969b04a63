"""How a deployment is: queues, triggers, functions and alarms, as AWS tells it now.

Costs, in requests: two for all, and per destination one for its trigger and, with topology
durable, four for its queues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from s3fanout.deploy.names import DestinationNames, Names
from s3fanout.deploy.session import AwsSession, asking
from s3fanout.deploy.stack import Stack
from s3fanout.deploy.triggers import Trigger, trigger_of
from s3fanout.model.errors import Misconfigured

HOUR_S = 3600
_ACCEPTED_LATE_S = 300
"""A queue's age is published once a minute, a few minutes late."""
_METRICS_PER_REQUEST = 500
"""CloudWatch API reference, GetMetricData."""


@dataclass(frozen=True, slots=True)
class QueueVitals:
    """Messages of one queue; approximate, as SQS counts them."""

    url: str
    waiting: int
    in_flight: int

    @property
    def messages(self) -> int:
        """All of them."""
        return self.waiting + self.in_flight


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of a destination: ``OK``, ``ALARM`` or ``INSUFFICIENT_DATA``, and why."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class DestinationVitals:
    """Of one destination.

    Attributes:
        queue, dead_letters: ``None`` with topology classic.
        oldest_s: Age of the oldest message, at most a few minutes old itself; ``None`` if unknown.
        trigger: What starts the function.
        runs, failed_runs: Of the function, in the last hour.
        run_ms: Mean time of a run in the last hour; ``None`` without runs.
        events: Messages that the queue was sent in the last hour; ``None`` if unknown.
        alarms: By name.
    """

    destination: str
    queue: QueueVitals | None
    dead_letters: QueueVitals | None
    oldest_s: float | None
    trigger: Trigger
    runs: int
    failed_runs: int
    run_ms: float | None
    events: int | None
    alarms: tuple[Alarm, ...]


def require_stack(session: AwsSession, names: Names) -> str:
    """State of the deployment's stack, ``CREATE_COMPLETE`` and the like; one request.

    Raises:
        Misconfigured: There is no such stack.
    """
    status = Stack(session, names.stack).status()
    if status is None:
        raise Misconfigured(
            f"nothing is deployed: there is no stack {names.stack} in {session.region}",
            hint="s3fanout deploy makes it; if it exists, is source.region or the account "
            "another one?",
        )
    return status


def observe(session: AwsSession, names: Names, *, now_ms: int) -> list[DestinationVitals]:
    """All destinations, in the order of the file."""
    sqs, functions = session.client("sqs"), session.client("lambda")
    alarms = _alarms(session, names)
    metrics = _metrics(session, names, now_ms=now_ms)
    found = []
    for name, of in names.destinations.items():
        with asking(f"the queues of {name}"):
            queue = None if of.queue is None else queue_vitals(sqs, of.queue)
            dead = None if of.dead_letters is None else queue_vitals(sqs, of.dead_letters)
        own = metrics[name]
        runs = _total(own["runs"])
        found.append(
            DestinationVitals(
                destination=name,
                queue=queue,
                dead_letters=dead,
                oldest_s=own["age"][0] if own["age"] else None,
                trigger=trigger_of(functions, of),
                runs=runs,
                failed_runs=_total(own["errors"]),
                run_ms=sum(own["duration"]) / runs if runs and own["duration"] else None,
                events=_total(own["events"]) if own["events"] else None,
                alarms=tuple(a for a in alarms if of.alarm and a.name.startswith(f"{of.alarm}-")),
            )
        )
    return found


def queue_vitals(sqs: Any, name: str) -> QueueVitals:
    """Two requests."""
    url = str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
    wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    wanted.append("ApproximateNumberOfMessagesDelayed")
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
    waiting, in_flight, delayed = (int(counts.get(each, 0)) for each in wanted)
    return QueueVitals(url, waiting + delayed, in_flight)


def _alarms(session: AwsSession, names: Names) -> list[Alarm]:
    prefixes = [of.alarm for of in names.destinations.values() if of.alarm is not None]
    if not prefixes:
        return []
    pages = session.client("cloudwatch").get_paginator("describe_alarms")
    with asking("the alarms"):
        return [
            Alarm(each["AlarmName"], each["StateValue"], each.get("StateReason", ""))
            for page in pages.paginate(AlarmNamePrefix=_common_prefix(prefixes))
            for each in page["MetricAlarms"]
        ]


def _common_prefix(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    same = next((i for i, c in enumerate(first) if i >= len(last) or last[i] != c), len(first))
    return first[:same]


def _metrics(
    session: AwsSession, names: Names, *, now_ms: int
) -> Mapping[str, dict[str, list[float]]]:
    """Values of the last hour by destination and word; empty lists where nothing is known."""
    end = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(minutes=1)
    wanted: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for number, (name, of) in enumerate(names.destinations.items()):
        for word, query in _queries(of).items():
            wanted[f"m{number}_{word}"] = (name, word, query)
    found: dict[str, dict[str, list[float]]] = {
        name: {word: [] for word in ("runs", "errors", "duration", "age", "events")}
        for name in names.destinations
    }
    queries = [{"Id": id_, "MetricStat": query} for id_, (_, _, query) in wanted.items()]
    cloudwatch = session.client("cloudwatch")
    for first in range(0, len(queries), _METRICS_PER_REQUEST):
        with asking("the metrics of the last hour"):
            answer = cloudwatch.get_metric_data(
                MetricDataQueries=queries[first : first + _METRICS_PER_REQUEST],
                StartTime=end - timedelta(seconds=HOUR_S),
                EndTime=end,
                ScanBy="TimestampDescending",
            )
        for result in answer["MetricDataResults"]:
            name, word, _ = wanted[result["Id"]]
            values = list(result["Values"])
            if word == "age" and result["Timestamps"] and _is_old(result["Timestamps"][0], end):
                values = []
            found[name][word] = values
    return found


def _is_old(at: datetime, now: datetime) -> bool:
    return (now - at).total_seconds() > _ACCEPTED_LATE_S + 60


def _queries(of: DestinationNames) -> dict[str, dict[str, Any]]:
    function = {"Name": "FunctionName", "Value": of.function}
    queries = {
        word: _query("AWS/Lambda", metric, function, "Sum", HOUR_S)
        for word, metric in (
            ("runs", "Invocations"),
            ("errors", "Errors"),
            ("duration", "Duration"),
        )
    }
    if of.queue is not None:
        queue = {"Name": "QueueName", "Value": of.queue}
        queries["age"] = _query("AWS/SQS", "ApproximateAgeOfOldestMessage", queue, "Maximum", 60)
        queries["events"] = _query("AWS/SQS", "NumberOfMessagesSent", queue, "Sum", HOUR_S)
    return queries


def _query(
    namespace: str, metric: str, dimension: dict[str, str], stat: str, period_s: int
) -> dict[str, Any]:
    return {
        "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": [dimension]},
        "Period": period_s,
        "Stat": stat,
    }


def _total(values: Sequence[float]) -> int:
    return round(sum(values))
