"""The status document of a deployment: what the ledger and what AWS say of each destination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from s3fanout.deploy.deployment import Deployment
from s3fanout.deploy.triggers import TriggerState
from s3fanout.deploy.vitals import DestinationVitals, QueueVitals, observe
from s3fanout.model.jobs import DestinationSummary
from s3fanout.service.status import Json, status_document


async def deployment_status(deployment: Deployment, *, now_ms: int) -> Json:
    """As ``status_document``, with ``deployment`` and, per destination, ``aws``."""
    vitals = observe(deployment.session, deployment.names, now_ms=now_ms)
    summaries: Sequence[DestinationSummary] = ()
    malformed = 0
    if deployment.names.table is not None:
        async with deployment.ledger() as ledger:
            summaries = await ledger.summaries()
            malformed = await ledger.malformed_count()
    recorded = {summary.destination: summary for summary in summaries}
    now = {
        each.destination: merged(
            recorded.get(each.destination, DestinationSummary(each.destination)), each, now_ms
        )
        for each in vitals
    }
    settings = deployment.settings
    document = status_document(
        source=settings.source.bucket,
        buckets={name: to.bucket for name, to in settings.enabled.items()},
        summaries=list({**recorded, **now}.values()),
        views=(),
        malformed=malformed,
        daemon_pid=None,
        now_ms=now_ms,
    )
    assert settings.aws is not None
    document["deployment"] = {
        "stack": deployment.names.stack,
        "region": deployment.session.region,
        "topology": settings.aws.topology.value,
    }
    by_name = {each.destination: each for each in vitals}
    destinations: Any = document["destinations"]
    for row in destinations:
        found = by_name.get(row["name"])
        row["aws"] = None if found is None else vitals_document(found)
    return document


def merged(
    summary: DestinationSummary, vitals: DestinationVitals, now_ms: int
) -> DestinationSummary:
    """What the ledger cannot know, added: messages that no attempt has recorded yet."""
    if vitals.trigger.state is TriggerState.OFF and summary.paused_at_ms is None:
        # Not by us: since when is not known.
        summary = replace(summary, paused_at_ms=0, paused_reason="its trigger is off")
    if vitals.queue is None or vitals.dead_letters is None:
        return summary
    messages = vitals.queue.messages
    oldest_at_ms = summary.oldest_event_at_ms
    if messages:
        waited_ms = round((vitals.oldest_s or 0.0) * 1000)
        oldest_at_ms = min(now_ms - waited_ms, oldest_at_ms or now_ms)
    return replace(
        summary,
        ready=max(summary.ready, messages - summary.waiting),
        dead=max(summary.dead, vitals.dead_letters.messages),
        oldest_event_at_ms=oldest_at_ms,
    )


def vitals_document(vitals: DestinationVitals) -> Json:
    """``destinations[].aws`` of the status document."""
    return {
        "trigger": vitals.trigger.state.value,
        "queue": _queue(vitals.queue),
        "dead_letters": _queue(vitals.dead_letters),
        "oldest_message_s": vitals.oldest_s,
        "runs_last_hour": vitals.runs,
        "failed_runs_last_hour": vitals.failed_runs,
        "run_ms_mean": vitals.run_ms,
        "alarms": [
            {"name": alarm.name, "state": alarm.state, "reason": alarm.reason}
            for alarm in vitals.alarms
        ],
    }


def _queue(queue: QueueVitals | None) -> Json | None:
    if queue is None:
        return None
    return {"waiting": queue.waiting, "in_flight": queue.in_flight}
