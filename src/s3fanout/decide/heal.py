"""A listed object and its record: was an event of it lost?

| item | record | answer |
|---|---|---|
| ``decide.backfill`` would not queue it | any | no |
| younger than the grace | any | no: its event may be on its way |
| else | a dead letter of this very state | no: it waits for a person |
| else | else | yes |
"""

from __future__ import annotations

from s3fanout.decide.backfill import Choice, choose
from s3fanout.model.items import Item
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.rules import Rule


def is_overdue(
    item: Item, rule: Rule, record: ReplicaRecord | None, *, now_ms: int, grace_ms: int
) -> bool:
    """Whether a job is to be queued that no event asked for."""
    if choose(item, rule, record, since_at_ms=None) is not Choice.QUEUE:
        return False
    at_ms = item.last_modified_at_ms
    if at_ms is not None and now_ms - at_ms < grace_ms:
        return False
    if record is None or record.state is not JobState.DEAD:
        return True
    # An unknown state may be the listed one; redrive puts it back.
    return record.etag is not None and record.etag != item.etag
