"""Counting the records of one destination while a scan goes by; keeps no record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from s3fanout.adapters.journal.dynamodb_items import (
    Item,
    error_at_ms_of,
    error_of,
    pause_of,
    record_of,
)
from s3fanout.adapters.journal.states import UNSETTLED
from s3fanout.model.jobs import DestinationSummary, JobState

if TYPE_CHECKING:
    from s3fanout.model.jobs import ReplicaRecord


class Tally:
    """What was seen of one destination so far."""

    def __init__(self) -> None:
        self._states: Counter[JobState] = Counter()
        self._ready = 0
        self._different = 0
        self._backlog = 0
        self._backlog_bytes = 0
        self._oldest_event_at_ms: int | None = None
        self._last_settled_at_ms: int | None = None
        self._newest_error: tuple[tuple[int, str], Item] | None = None
        self.paused: Item | None = None

    def add(self, item: Item, *, now_ms: int) -> None:
        """One more record."""
        record = record_of(item)
        self._states[record.state] += 1
        self._different += bool(record.differences)
        if record.state in UNSETTLED:
            self._add_backlog(record, now_ms)
        if record.state is JobState.SETTLED:
            self._last_settled_at_ms = max(self._last_settled_at_ms or 0, record.settled_at_ms or 0)
        if record.error is not None:
            # Of several at one time, that of the smallest key.
            rank = (-error_at_ms_of(item), record.key)
            if self._newest_error is None or rank < self._newest_error[0]:
                self._newest_error = (rank, item)

    def _add_backlog(self, record: ReplicaRecord, now_ms: int) -> None:
        self._backlog += 1
        self._ready += record.state is JobState.READY or record.due_at_ms <= now_ms
        self._backlog_bytes += record.size_bytes or 0
        oldest = self._oldest_event_at_ms
        self._oldest_event_at_ms = (
            record.event_at_ms if oldest is None else min(oldest, record.event_at_ms)
        )

    def summary(self, destination: str) -> DestinationSummary:
        """All of it."""
        error = self._newest_error
        paused_at_ms, paused_reason = pause_of(self.paused) if self.paused else (None, "")
        return DestinationSummary(
            destination=destination,
            ready=self._ready,
            waiting=self._backlog - self._ready,
            backlog_bytes=self._backlog_bytes,
            settled=self._states[JobState.SETTLED],
            superseded=self._states[JobState.SUPERSEDED],
            dead=self._states[JobState.DEAD],
            different=self._different,
            oldest_event_at_ms=self._oldest_event_at_ms,
            last_settled_at_ms=self._last_settled_at_ms,
            last_error=error_of(error[1]) if error else None,
            last_error_at_ms=-error[0][0] if error else None,
            paused_at_ms=paused_at_ms,
            paused_reason=paused_reason,
        )
