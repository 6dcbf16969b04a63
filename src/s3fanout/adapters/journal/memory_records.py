"""What becomes of a record of the memory journal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from s3fanout.model.jobs import EARLIER_ETAGS_MAX, JobState

if TYPE_CHECKING:
    from s3fanout.model.jobs import ReplicaRecord, Settlement
    from s3fanout.ports.ledger import FailureSelection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause:
    """Of one destination; ``ends_at_ms`` is infinite where a person has to end it."""

    at_ms: int
    reason: str
    ends_at_ms: float

    @property
    def known_end(self) -> int | None:
        """When it ends by itself."""
        return None if math.isinf(self.ends_at_ms) else int(self.ends_at_ms)


def is_selected(record: ReplicaRecord, selection: FailureSelection) -> bool:
    """Whether a dead letter is among those that are meant."""
    stopped_at_ms = record.settled_at_ms or 0
    return (
        selection.destination in {None, record.destination}
        and record.key.startswith(selection.key_prefix)
        and selection.code in {None, record.error.code if record.error else None}
        and stopped_at_ms >= (selection.since_at_ms or 0)
        and (selection.until_at_ms is None or stopped_at_ms <= selection.until_at_ms)
    )


def settled_record(record: ReplicaRecord, settlement: Settlement, fence: int) -> ReplicaRecord:
    """``record`` after ``settlement``.

    A settled job says all about the replica, also what is not there any more. Any other outcome
    left the replica as it was, so what is known of it stays unless the settlement knows better.
    """
    after = replace(
        record,
        fence=fence,
        state=settlement.state,
        due_at_ms=settlement.due_at_ms if settlement.state is JobState.WAITING else 0,
        attempts=settlement.attempts,
        reason=settlement.reason,
        settled_at_ms=None if settlement.state is JobState.WAITING else settlement.at_ms,
        size_bytes=_first(settlement.size_bytes, record.size_bytes),
        source_etag=settlement.source_etag,
        source_version_id=settlement.source_version_id,
        replica_etag=settlement.replica_etag,
        differences=settlement.differences,
        error=settlement.error,
    )
    if settlement.state is JobState.SETTLED:
        return after
    return replace(
        after,
        source_etag=_first(after.source_etag, record.source_etag),
        source_version_id=_first(after.source_version_id, record.source_version_id),
        replica_etag=_first(after.replica_etag, record.replica_etag),
        differences=record.differences
        if settlement.replica_etag is None
        else settlement.differences,
    )


def with_replica(record: ReplicaRecord, settlement: Settlement) -> ReplicaRecord:
    """``record`` with what an overtaken ``settlement`` knows of the replica."""
    return replace(
        record,
        source_etag=settlement.source_etag,
        source_version_id=settlement.source_version_id,
        replica_etag=settlement.replica_etag,
        differences=settlement.differences,
    )


def earlier_etags(record: ReplicaRecord) -> tuple[str, ...]:
    """What a job that replaces ``record``'s has to remember of it."""
    known = record.state is JobState.SETTLED or (
        record.state is JobState.SUPERSEDED and record.replica_etag == ""
    )
    if known or record.etag is None or record.etag in record.earlier_etags:
        return () if known else record.earlier_etags
    return (*record.earlier_etags, record.etag)[-EARLIER_ETAGS_MAX:]


def _first(new: T | None, known: T | None) -> T | None:
    return known if new is None else new
