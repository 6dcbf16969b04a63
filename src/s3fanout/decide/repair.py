"""What is done about a finding? A verdict and a rule → a job, or a word for why it is left.

| standing | condition | answer |
|---|---|---|
| any | the key is not UTF-8 | NOT_TEXT |
| MISSING, DIFFERS | a dead letter of this very state | DEAD |
| EXTRA | a dead letter of the removal | DEAD |
| MISSING, DIFFERS | drift, and the rule only reports it | DRIFT |
| MISSING, DIFFERS | the source object is younger than the grace | YOUNG |
| MISSING, DIFFERS | otherwise | a job of kind ``exists`` |
| SAME | – | KNOWN: the ledger has it that the replica cannot hold more |
| EXTRA ``source-gone`` | the rule replicates deletes | a job of kind ``removed`` |
| EXTRA | otherwise | FOREIGN |
| UNKNOWN, ERROR | – | UNKNOWN |

A dead letter waits for a person: putting it back in every pass would try for ever what stopped with
a reason, and report it as healed.

A job is only the wish to look: its attempt reads the source as it is then, and a removal passes the
mass-delete guard as any other.
"""

from __future__ import annotations

from enum import StrEnum

from s3fanout.decide.compare import Standing, Verdict
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState, NewJob, ReplicaRecord
from s3fanout.model.keeping import Difference
from s3fanout.model.objects import Listed, is_text
from s3fanout.model.rules import Deletes, Drift, Rule

REPAIR_IGNORES = frozenset({Difference.STORAGE_CLASS})
"""A lifecycle rule of either bucket moves objects to other classes, again and again: what only
differs so is reported, and not copied again by itself."""


class Left(StrEnum):
    """Why nothing is done."""

    NOT_TEXT = "not_text"
    DEAD = "dead"
    DRIFT = "drift"
    YOUNG = "young"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    KNOWN = "known"


def repair_of(
    key: str,
    verdict: Verdict,
    source: Listed | None,
    *,
    dead: ReplicaRecord | None,
    rule: Rule,
    now_ms: int,
    grace_ms: int,
) -> NewJob | Left:
    """The job that repairs a pair that is not equal, or why there is none.

    Args:
        key: Of the source.
        verdict: On the pair.
        source: As listed.
        dead: The key's record, if that is a dead letter which is to be left alone.
        rule: Of the destination.
        now_ms: Now.
        grace_ms: Younger objects are left to their events.
    """
    if not is_text(key):
        return Left.NOT_TEXT
    if dead is not None and _is_told(dead, source):
        return Left.DEAD
    match verdict.standing:
        case Standing.MISSING | Standing.DIFFERS if source is not None:
            if verdict.drift and rule.drift is Drift.REPORT:
                return Left.DRIFT
            if now_ms - source.last_modified_at_ms < grace_ms:
                return Left.YOUNG
            return NewJob(
                destination=rule.destination,
                key=key,
                kind=ChangeKind.EXISTS,
                event_at_ms=now_ms,
                etag=None if _is_hidden(verdict) else source.etag or None,
                size_bytes=source.size_bytes,
            )
        case Standing.EXTRA:
            if verdict.code != "source-gone" or rule.deletes is not Deletes.REPLICATE:
                return Left.FOREIGN
            return NewJob(
                destination=rule.destination,
                key=key,
                kind=ChangeKind.REMOVED,
                event_at_ms=now_ms,
            )
        case Standing.SAME:
            return Left.KNOWN
        case _:
            return Left.UNKNOWN


def _is_hidden(verdict: Verdict) -> bool:
    """Whether only a close look shows the difference.

    An attempt that is told an etag which was copied already takes an equal replica for done.
    """
    return bool(verdict.differences) or verdict.code in {"bytes", "checksum", "history"}


def is_seen_to(
    verdict: Verdict, source: Listed | None, replica: Listed | None, record: ReplicaRecord | None
) -> bool:
    """Whether a difference has a job, or had one that ended after the difference was seen.

    The listings of a pass are older than its words: what is being copied meanwhile is neither a
    lost event nor to be counted as one. A record that already was like this when the two sides were
    compared would have made the difference drift; or it is of this very replica, and the difference
    shows in no listing.
    """
    if record is None:
        return False
    if record.state in {JobState.READY, JobState.LEASED, JobState.WAITING}:
        return True
    if verdict.standing is Standing.EXTRA:
        # A history may end with a version whose source is gone for good: it was looked at.
        return record.state is JobState.SUPERSEDED and record.kind is ChangeKind.REMOVED
    return (
        record.state is JobState.SETTLED
        and not verdict.drift
        and source is not None
        and bool(source.etag and record.replica_etag)
        and record.source_etag == source.etag
        and (replica is None or record.replica_etag != replica.etag)
    )


def _is_told(dead: ReplicaRecord, source: Listed | None) -> bool:
    """Whether a dead letter is of what the source is now."""
    if source is None:
        return dead.kind is ChangeKind.REMOVED
    return dead.kind is not ChangeKind.REMOVED and bool(dead.etag) and dead.etag == source.etag
