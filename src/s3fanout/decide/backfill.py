"""Which objects that a listing shows need a job? An item, a rule and a record → a word.

| item | record | choice |
|---|---|---|
| a key that is not UTF-8 | any | NOT_TEXT |
| older than asked for | any | OLDER |
| the rule does not want it | any | UNWANTED |
| deleted, and the rule does not want all versions | any | UNWANTED |
| wanted | a job is not settled yet | BUSY |
| wanted, with an etag | settled, made equal to this etag | EQUAL |
| wanted | otherwise | QUEUE |
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from s3fanout.decide.match import refusal
from s3fanout.model.events import ChangeKind
from s3fanout.model.items import Item
from s3fanout.model.jobs import JobState, NewJob, ReplicaRecord
from s3fanout.model.limits import Limits
from s3fanout.model.objects import is_text
from s3fanout.model.rules import Rule, Versions


class Choice(StrEnum):
    """What becomes of an item at one destination."""

    QUEUE = "queue"
    EQUAL = "equal"
    BUSY = "busy"
    UNWANTED = "unwanted"
    OLDER = "older"
    NOT_TEXT = "not_text"


def choose(
    item: Item, rule: Rule, record: ReplicaRecord | None, *, since_at_ms: int | None
) -> Choice:
    """What becomes of ``item``. An unknown time is not older than anything."""
    if not is_text(item.key):
        return Choice.NOT_TEXT
    at_ms = item.last_modified_at_ms
    if since_at_ms is not None and at_ms is not None and at_ms < since_at_ms:
        return Choice.OLDER
    if refusal(rule, item.key, item.size_bytes) is not None:
        return Choice.UNWANTED
    if item.is_deleted and rule.versions is not Versions.ALL:
        return Choice.UNWANTED
    if record is None:
        return Choice.QUEUE
    if record.state in {JobState.READY, JobState.LEASED, JobState.WAITING}:
        return Choice.BUSY
    if record.state is JobState.SETTLED and item.etag and record.source_etag == item.etag:
        return Choice.EQUAL
    return Choice.QUEUE


def unfilled(enabled: Iterable[str], known: Iterable[str]) -> list[str]:
    """Destinations that the ledger knows nothing of: what was there before is not in them."""
    return sorted(set(enabled) - set(known))


def requests_of(size_bytes: int | None, *, on_server: bool, part_bytes: int, limits: Limits) -> int:
    """Requests that copying one object costs. An unknown size is taken for a small one.

    | way | small | larger |
    |---|---|---|
    | copied by the store | 1 | one for each part, to begin, and to complete |
    | streamed | a read and a write | both for each part, to begin, and to complete |

    Destinations that stream share their reads, so for several of them this is an upper bound.
    """
    size = size_bytes or 0
    each = 1 if on_server else 2
    small_max = limits.copy_bytes_max if on_server else part_bytes
    if size <= small_max:
        return each
    return each * -(-size // (limits.copy_part_bytes if on_server else part_bytes)) + 2


def job_of(item: Item, destination: str, *, now_ms: int) -> NewJob:
    """The job of an item that is to be queued. Its event is that somebody looked."""
    return NewJob(
        destination=destination,
        key=item.key,
        kind=ChangeKind.EXISTS,
        event_at_ms=now_ms,
        etag=item.etag or None,
        size_bytes=item.size_bytes,
    )
