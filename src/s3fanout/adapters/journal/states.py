"""Which states a record is kept in, and which ones a settlement may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3fanout.model.jobs import ReplicaRecord, Settlement

UNSETTLED = frozenset({JobState.READY, JobState.WAITING})
"""A leased job is kept in one of these: the lease itself is not kept."""

_SETTLEABLE = frozenset({JobState.WAITING, JobState.SETTLED, JobState.SUPERSEDED, JobState.DEAD})


def check_settleable(settlements: Iterable[Settlement]) -> None:
    """Refuse settlements that say nothing about how an attempt ended.

    Raises:
        ValueError: One of them has another state.
    """
    for settlement in settlements:
        if settlement.state not in _SETTLEABLE:
            raise ValueError(f"not the state of a settlement: {settlement.state}")


def is_later(record: ReplicaRecord) -> bool:
    """A ready job that comes after all others."""
    return record.kind is ChangeKind.EXISTS and record.state is JobState.READY


def is_due(record: ReplicaRecord, now_ms: int) -> bool:
    """A ready job is due whatever the clock says (it may have jumped back)."""
    return record.state is JobState.READY or record.due_at_ms <= now_ms
