"""What a function says: one JSON line for each attempt, one line of metrics for each invocation.

The metrics line is in CloudWatch's embedded metric format: CloudWatch Logs makes metrics of it, at
no request and no permission (AWS, "Embedded metric format specification", read 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from s3fanout.engine.delivery import UNFINISHED
from s3fanout.model.jobs import JobState, Settlement

if TYPE_CHECKING:  # A cold function does not compare.
    from s3fanout.engine.verify import Finding

NAMESPACE = "s3fanout"
DIMENSION = "FunctionName"
"""As Lambda's own metrics have it: no two functions of an account and Region share one, where two
deployments may well have destinations of one name."""
MALFORMED = "Malformed"
DRIFTS_MAX = 100
"""Lines about single replicas in one invocation; the metric counts all, ``verify`` names all."""
_UNITS = {
    "Replicated": "Count",
    "ReplicatedBytes": "Bytes",
    "LagSeconds": "Seconds",
    "Failures": "Count",
    "DeadLetters": "Count",
    MALFORMED: "Count",
    "Unwanted": "Count",
    "Healed": "Count",
    "Drifted": "Count",
}
_ACTIONS = {
    JobState.SETTLED: "replicated",
    JobState.SUPERSEDED: "superseded",
    JobState.WAITING: "waiting",
    JobState.DEAD: "dead",
}


def _level(settlement: Settlement) -> str:
    if settlement.state is JobState.DEAD:
        return "error"
    failed = settlement.error is not None and settlement.error.code != UNFINISHED
    return "warning" if failed else "info"


class Report:
    """The telemetry port of one invocation."""

    def __init__(
        self,
        *,
        destination: str,
        function: str,
        write: Callable[[str], object],
        now_ms: Callable[[], int],
    ) -> None:
        """Begin.

        Args:
            destination: In every line.
            function: Name of the Lambda function, the dimension of the metrics.
            write: Takes a line with its line feed.
            now_ms: Wall clock.
        """
        self._destination = destination
        self._function = function
        self._write = write
        self._now_ms = now_ms
        self._counts: dict[str, float] = {}
        self._drifts = 0
        self.request_id = ""
        """Of the invocation, in every line."""

    def say(self, action: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        """One line."""
        at = datetime.fromtimestamp(self._now_ms() / 1000, UTC).isoformat(timespec="milliseconds")
        entry = {
            "at": at,
            "level": level,
            "action": action,
            "request_id": self.request_id,
            "destination": self._destination,
            **{name: value for name, value in fields.items() if value is not None},
        }
        self._write(json.dumps(entry, ensure_ascii=True) + "\n")

    def count(self, name: str, value: float = 1) -> None:
        """Add to a metric of this invocation."""
        self._counts[name] = self._counts.get(name, 0) + value

    def received(self, route: str, *, events: int, ignored: int, malformed: int) -> None:
        del route, events, ignored
        if malformed:
            self.count(MALFORMED, malformed)

    def unwanted(self, reason: str, count: int) -> None:
        self.say("unwanted", {"reason": reason, "count": count})
        self.count("Unwanted", count)

    def settled(self, settlement: Settlement, *, lag_s: float) -> None:
        job, error = settlement.job, settlement.error
        failed = error is not None
        unfinished = error is not None and error.code == UNFINISHED
        self.say(
            UNFINISHED if unfinished else _ACTIONS[settlement.state],
            {
                "key": job.key,
                "event_id": None if job.order is None else job.order.token,
                "attempt": job.attempts + 1,
                "reason": settlement.reason,
                "size_bytes": settlement.size_bytes,
                "source_etag": settlement.source_etag,
                "lag_s": round(lag_s, 3),
                "error_code": error.code if error else None,
                "hint": error.hint if error else None,
            },
            level=_level(settlement),
        )
        if settlement.state is JobState.SETTLED and settlement.wrote:
            self.count("Replicated")
            self.count("ReplicatedBytes", settlement.size_bytes or 0)
            self._counts["LagSeconds"] = max(self._counts.get("LagSeconds", 0.0), lag_s)
        elif failed and not unfinished:
            self.count("Failures")
        if settlement.state is JobState.DEAD:
            self.count("DeadLetters")

    def throttled(self, destination: str, *, concurrency: int) -> None:
        del destination, concurrency

    def asked_again(self, operation: str) -> None:
        del operation

    def circuit(self, destination: str, *, is_open: bool, of_source: bool) -> None:
        del destination, is_open, of_source

    def drifted(self, finding: Finding) -> None:
        """A replica that somebody else changed or removed; a line for the first ones of a run."""
        self._drifts += 1
        if self._drifts <= DRIFTS_MAX:
            self.say(
                "drift",
                {
                    "key": finding.key,
                    "replica_key": finding.replica_key,
                    "reason": finding.verdict.evidence,
                },
                level="warning",
            )

    def swept(self, *, seen: int, found: Mapping[str, int], is_complete: bool) -> None:
        """One run of the sweep.

        Args:
            seen: Source objects of the whole pass so far.
            found: What this run counted: ``healed``, ``drifted``, ``foreign``.
            is_complete: The pass has ended.
        """
        fields = {"seen": seen, **found, "complete": is_complete}
        is_quiet = not (found["healed"] or found["drifted"])
        self.say("swept", fields, level="info" if is_quiet else "warning")
        for name, metric in (("healed", "Healed"), ("drifted", "Drifted")):
            if found[name]:
                self.count(metric, found[name])

    def flush(self) -> None:
        """The line of metrics, if there is anything to count; begins again at nothing."""
        counts, self._counts = self._counts, {}
        self._drifts = 0
        if not counts:
            return
        metrics = [{"Name": name, "Unit": _UNITS[name]} for name in counts]
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [[DIMENSION]],
            "Metrics": metrics,
        }
        entry = {
            "_aws": {"Timestamp": self._now_ms(), "CloudWatchMetrics": [directive]},
            DIMENSION: self._function,
            "destination": self._destination,
            "request_id": self.request_id,
            **counts,
        }
        self._write(json.dumps(entry) + "\n")
