"""The status document: is every destination fresh, which is not and why, what to do.

One shape for the command line and the API, described in ``docs/json.md``. Derived from the ledger
at the moment of asking.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from s3fanout.config.rules import rules_of
from s3fanout.config.settings import Settings
from s3fanout.engine.lane import LaneView
from s3fanout.model.abilities import AbilityRecord
from s3fanout.model.jobs import DestinationSummary, ErrorRecord, MalformedRecord, ReplicaRecord
from s3fanout.model.removals import DeleteGuard
from s3fanout.model.sweeps import RECENT, SweepRecord, checkpoint_name, worst_lag_s
from s3fanout.ports.checkpoints import Checkpoints

SCHEMA_VERSION = 1
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class SweepView:
    """The configured sweep and what it has done.

    Attributes:
        interval_s, grace_s: As configured.
        records: By destination that is swept; ``None`` before its first pass.
        recent_s, recent: How often it is looked at what was written lately, if so; and the looks.
    """

    interval_s: float
    grace_s: float
    records: Mapping[str, SweepRecord | None]
    recent_s: float | None = None
    recent: SweepRecord | None = None

    @property
    def worst_lag_s(self) -> float | None:
        """See ``model.sweeps.worst_lag_s``."""
        return worst_lag_s(self.records.values(), interval_s=self.interval_s, grace_s=self.grace_s)


async def look_at_sweep(settings: Settings, ledger: Checkpoints) -> SweepView | None:
    """The sweep as the ledger knows it; ``None`` where none is configured."""
    sweep = settings.intake.sweep
    if sweep is None:
        return None
    records: dict[str, SweepRecord | None] = {}
    for rule in rules_of(settings):
        kept = await ledger.checkpoint(checkpoint_name(rule.destination))
        records[rule.destination] = None if kept is None else SweepRecord.of(kept.position)
    kept = await ledger.checkpoint(RECENT)
    recent = None if kept is None else SweepRecord.of(kept.position)
    return SweepView(sweep.interval_s, sweep.grace_s, records, sweep.recent_s, recent)


def lag_s(summary: DestinationSummary, now_ms: int) -> float:
    """Age of the oldest unsettled change; 0 without backlog."""
    if summary.oldest_event_at_ms is None:
        return 0.0
    return max(0.0, (now_ms - summary.oldest_event_at_ms) / 1000)


def health(summary: DestinationSummary, view: LaneView | None) -> str:
    """One word: ``paused``, ``failing``, ``behind`` or ``ok``.

    Failing means that nothing gets through, or that there are dead letters. A backlog without an
    error is only work under way.
    """
    if summary.paused_at_ms is not None:
        return "paused"
    suspended = view is not None and (view.circuit_open or view.source_circuit_open)
    if summary.dead or suspended or _stuck(summary):
        return "failing"
    return "behind" if summary.backlog else "ok"


def status_document(
    *,
    source: str,
    buckets: Mapping[str, str],
    summaries: Sequence[DestinationSummary],
    views: Sequence[LaneView],
    malformed: int,
    daemon_pid: int | None,
    now_ms: int,
    guards: Mapping[str, DeleteGuard] | None = None,
    sweep: SweepView | None = None,
    abilities: Mapping[str, Sequence[AbilityRecord]] | None = None,
) -> Json:
    """Everything about all destinations.

    Args:
        source: Source bucket.
        buckets: Bucket by destination name, for the configured destinations.
        summaries: From the ledger; destinations without a record are added empty.
        views: Of running lanes; none when the daemon is another process.
        malformed: Kept messages.
        daemon_pid: Of the daemon that holds the ledger.
        now_ms: Now.
        guards: Mass-delete guards by destination name.
        sweep: The sweep, where one is configured.
        abilities: What stores showed, by destination name.
    """
    by_name = {summary.destination: summary for summary in summaries}
    lanes = {view.destination: view for view in views}
    names = sorted(set(by_name) | set(buckets))
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "status",
        "at": rfc3339(now_ms),
        "source": {
            "bucket": source,
            "circuit_open": any(each.source_circuit_open for each in views) if views else None,
        },
        "daemon": {"running": daemon_pid is not None, "pid": daemon_pid},
        "malformed_messages": malformed,
        "sweep": None if sweep is None else _sweep(sweep),
        "destinations": [
            _destination(
                by_name.get(name, DestinationSummary(name)),
                buckets.get(name),
                lanes.get(name),
                (guards or {}).get(name, DeleteGuard()),
                now_ms,
            )
            | {
                "sweep": None if sweep is None else _passes(sweep.records.get(name)),
                "abilities": [_ability(each) for each in (abilities or {}).get(name, ())],
            }
            for name in names
        ],
    }


def _sweep(sweep: SweepView) -> Json:
    return {
        "interval_s": sweep.interval_s,
        "grace_s": sweep.grace_s,
        "worst_lag_s": sweep.worst_lag_s,
        "healed_total": sum(
            each.healed_total for each in (*sweep.records.values(), sweep.recent) if each
        ),
        "recent": None if sweep.recent_s is None else _recent(sweep, sweep.recent_s),
    }


def _recent(sweep: SweepView, every_s: float) -> Json:
    record = sweep.recent or SweepRecord()
    return {
        "every_s": every_s,
        "worst_lag_s": worst_lag_s([sweep.recent], interval_s=every_s, grace_s=sweep.grace_s),
        "failure": record.failure or None,
        "last_ended_at": rfc3339(record.ended_at_ms),
        "last_took_s": round(record.took_ms / 1000, 3),
        "last_keys": record.keys_all,
        "healed": record.healed,
        "healed_total": record.healed_total,
    }


def _passes(record: SweepRecord | None) -> Json | None:
    if record is None:
        return None
    return {
        "running": record.is_running,
        "began_at": rfc3339(record.began_at_ms),
        "keys": record.keys,
        "share": None if record.share is None else round(record.share, 4),
        "failure": record.failure or None,
        "last_ended_at": rfc3339(record.ended_at_ms),
        "last_took_s": round(record.took_ms / 1000, 3),
        "last_keys": record.keys_all,
        "healed": record.healed,
        "drifted": record.drifted,
        "foreign": record.foreign,
        "healed_total": record.healed_total,
    }


def _ability(record: AbilityRecord) -> Json:
    return {
        "name": str(record.ability),
        "value": record.value,
        "found_at": rfc3339(record.found_at_ms),
        "found_by": record.found_by,
        "program": record.program,
        "server": record.server or None,
    }


def record_document(record: ReplicaRecord) -> Json:
    """One ledger record."""
    return {
        **key_fields(record.key),
        "destination": record.destination,
        "state": str(record.state),
        "reason": record.reason,
        "attempts": record.attempts,
        "event_at": rfc3339(record.event_at_ms),
        "accepted_at": rfc3339(record.accepted_at_ms),
        "due_at": rfc3339(record.due_at_ms),
        "settled_at": rfc3339(record.settled_at_ms),
        "size_bytes": record.size_bytes,
        "source_etag": record.source_etag or record.etag,
        "replica_etag": record.replica_etag or None,
        "differences": list(record.differences),
        "error": error_document(record.error),
    }


def malformed_document(record: MalformedRecord) -> Json:
    """One kept message; the payload as base64."""
    return {
        "id": record.id,
        "received_at": rfc3339(record.received_at_ms),
        "route": record.route,
        "reason": record.reason,
        "detail": record.detail,
        "payload_b64": base64.b64encode(record.payload).decode("ascii"),
    }


def key_fields(key: str) -> Json:
    """``key``, and ``key_b64`` where the key is not clean text."""
    if key.isprintable():
        return {"key": key}
    return {"key": key, "key_b64": base64.b64encode(key.encode()).decode("ascii")}


def error_document(error: ErrorRecord | None) -> Json | None:
    """An error as it is shown everywhere."""
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "hint": error.hint}


def rfc3339(at_ms: int | None) -> str | None:
    """UTC, milliseconds, ``Z``; ``None`` stays ``None``, and so does 0 (not set)."""
    if not at_ms:
        return None
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _left_s(ends_at_ms: int | None, now_ms: int) -> float | None:
    return None if ends_at_ms is None else max(0.0, (ends_at_ms - now_ms) / 1000)


def _stuck(summary: DestinationSummary) -> bool:
    if not summary.backlog or summary.last_error is None:
        return False
    # A failed job whose wait is over counts as ready until it is tried again: what came last tells.
    last_error_at_ms, last_settled_at_ms = summary.last_error_at_ms, summary.last_settled_at_ms
    return summary.waiting > 0 or (last_error_at_ms or 0) >= (last_settled_at_ms or 0)


def _destination(
    summary: DestinationSummary,
    bucket: str | None,
    view: LaneView | None,
    guard: DeleteGuard,
    now_ms: int,
) -> Json:
    error = error_document(summary.last_error)
    if error is not None:
        error["at"] = rfc3339(summary.last_error_at_ms)
    return {
        "name": summary.destination,
        "bucket": bucket,
        "configured": bucket is not None,
        "health": health(summary, view),
        "lag_s": round(lag_s(summary, now_ms), 3),
        "backlog_jobs": summary.backlog,
        "backlog_bytes": summary.backlog_bytes,
        "waiting_jobs": summary.waiting,
        "replicated": summary.settled,
        "superseded": summary.superseded,
        "failed": summary.dead,
        "different": summary.different,
        "last_replicated_at": rfc3339(summary.last_settled_at_ms),
        "paused_at": rfc3339(summary.paused_at_ms),
        "paused_reason": summary.paused_reason or None,
        "pause_ends_at": rfc3339(summary.pause_ends_at_ms),
        "pause_left_s": _left_s(summary.pause_ends_at_ms, now_ms),
        "deletes_held_at": rfc3339(guard.held_at_ms),
        "deletes_held_reason": guard.held_reason or None,
        "last_error": error,
        "in_flight": None if view is None else view.in_flight,
        "circuit_open": None if view is None else view.circuit_open,
    }
