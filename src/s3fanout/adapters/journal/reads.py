"""Everything that is read of the ledger file, as values of the model.

Each read returns one row of JSON where it can, see ``statements``.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from s3fanout.adapters.journal import statements
from s3fanout.adapters.journal.backlog import Page, page_of
from s3fanout.adapters.journal.file import dead_letters
from s3fanout.adapters.journal.schema import KIND_CODES, READY_LATER, STATE_CODES
from s3fanout.model.events import OrderPoint
from s3fanout.model.jobs import (
    DestinationSummary,
    ErrorRecord,
    Job,
    JobState,
    MalformedRecord,
    ReplicaRecord,
)
from s3fanout.ports.checkpoints import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from sqlite3 import Connection
    from typing import Any

    from s3fanout.ports.ledger import FailureSelection

_STATES = {code: state for state, code in STATE_CODES.items()} | {READY_LATER: JobState.READY}
_KINDS = {code: kind for kind, code in KIND_CODES.items()}

_RECORD = """
json_array(
    destination.name, key, fence, state, kind, event_at_ms, accepted_at_ms, due_at_ms, attempts,
    order_scheme, order_token, order_trusted, etag, size_bytes, version_id, reason, settled_at_ms,
    source_etag, source_version_id, replica_etag, error_code, error_message, error_hint,
    earlier_etags, differences
)
"""

_IS_PAUSED = "(paused_at_ms IS NOT NULL AND ifnull(pause_ends_at_ms > :now_ms, 1))"

_SUMMARIES = f"""
SELECT json_group_array(json_array(
    name, ready, waiting, later, backlog_bytes, settled, superseded, dead, oldest_event_at_ms,
    last_settled_at_ms, error_code, error_message, error_hint, error_at_ms,
    iif({_IS_PAUSED}, paused_at_ms, NULL), iif({_IS_PAUSED}, paused_reason, NULL),
    iif({_IS_PAUSED}, pause_ends_at_ms, NULL), different
))
FROM destination
LEFT JOIN (
    SELECT
        destination_id,
        sum(state <> 1 OR due_at_ms <= :now_ms) AS ready,
        sum(state = 1 AND due_at_ms > :now_ms) AS waiting,
        sum(state = 5) AS later,
        sum(size_bytes) AS backlog_bytes,
        min(iif(state = 5, NULL, event_at_ms)) AS oldest_event_at_ms
    FROM replica INDEXED BY replica_backlog
    WHERE settled_at_ms IS NULL
    GROUP BY destination_id
) AS backlog ON backlog.destination_id = destination.id
LEFT JOIN (
    SELECT id AS destination_id, (
        SELECT replica.id FROM replica
        WHERE replica.destination_id = destination.id AND error_code IS NOT NULL
        ORDER BY error_at_ms DESC, key LIMIT 1
    ) AS replica_id
    FROM destination
) AS failed ON failed.destination_id = destination.id
LEFT JOIN replica ON replica.id = failed.replica_id
WHERE backlog.destination_id IS NOT NULL OR settled + superseded + dead > 0
    OR {_IS_PAUSED}
"""  # noqa: S608 - our own text

_PAGE = """
SELECT json_group_array(json_array(
    key, fence, kind, event_at_ms, etag, size_bytes, version_id, attempts, due_at_ms
))
FROM (
    SELECT * FROM replica
    WHERE settled_at_ms IS NULL AND state = :state
        AND destination_id = (SELECT id FROM destination WHERE name = :destination)
        AND (state <> 1 OR (kind = 4 AND due_at_ms <= :now_ms) = :is_later)
    ORDER BY due_at_ms LIMIT :rows
)
"""
"""Waiting jobs (state 1) that are due and were only seen in a listing (kind 4) are read apart: they
come after all others, and must not take the place of a change."""


def record(connection: Connection, destination: str, key: str) -> ReplicaRecord | None:
    """The record of one replica."""
    row = connection.execute(
        f"SELECT {_RECORD} FROM destination"  # noqa: S608 - our own text
        " JOIN replica ON replica.destination_id = destination.id"
        " WHERE destination.name = ? AND key = ?",
        (destination, key),
    ).fetchone()
    return None if row is None else _record(json.loads(row[0]))


def records_of_key(connection: Connection, key: str) -> list[ReplicaRecord]:
    """The records of one key, by destination name."""
    (text,) = connection.execute(
        f"SELECT json_group_array({_RECORD}) FROM destination"  # noqa: S608 - our own text
        " CROSS JOIN replica ON replica.destination_id = destination.id AND key = ?",
        (key,),
    ).fetchone()
    return sorted(map(_record, _nested(text)), key=lambda found: found.destination)


def records(connection: Connection, destination: str, keys: Sequence[str]) -> list[ReplicaRecord]:
    """The records of these keys in one destination; those that there are."""
    found: list[ReplicaRecord] = []
    for piece in statements.pieces([(destination, key) for key in keys]):
        values = ", ".join(["(?, ?)"] * len(piece))
        statement = (
            f"SELECT json_group_array({_RECORD})"  # noqa: S608 - our own text
            f" FROM (VALUES {values}) AS wanted"
            " CROSS JOIN destination ON destination.name = wanted.column1"
            " CROSS JOIN replica ON replica.destination_id = destination.id"
            " AND replica.key = wanted.column2"
        )
        (text,) = statements.execute(connection, statement, piece).fetchone()
        found += map(_record, _nested(text))
    return found


def owners(connection: Connection, destination: str, replica_keys: Sequence[str]) -> dict[str, str]:
    """Source keys that claim these replica keys, by replica key."""
    found: dict[str, str] = {}
    for piece in statements.pieces([(destination, key) for key in replica_keys]):
        values = ", ".join(["(?, ?)"] * len(piece))
        statement = (
            "SELECT json_group_object(claim.replica_key, claim.key)"  # noqa: S608 - our own text
            f" FROM (VALUES {values}) AS wanted"
            " CROSS JOIN destination ON destination.name = wanted.column1"
            " CROSS JOIN replica_key AS claim ON claim.destination_id = destination.id"
            " AND claim.replica_key = wanted.column2"
        )
        (text,) = statements.execute(connection, statement, piece).fetchone()
        found |= json.loads(text)
    return found


def failures(
    connection: Connection, selection: FailureSelection, limit: int, offset: int
) -> list[ReplicaRecord]:
    """Dead letters, newest first."""
    where, values = dead_letters(selection)
    rows = connection.execute(
        f"SELECT {_RECORD} FROM replica"  # noqa: S608 - our own text
        " JOIN destination ON destination.id = replica.destination_id"
        f" WHERE {where} ORDER BY settled_at_ms DESC, destination.name, key LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [_record(json.loads(text)) for (text,) in rows]


def summaries(connection: Connection, now_ms: int) -> list[DestinationSummary]:
    """One per destination that has a record or is paused, by name. One query.

    Costs no more for more settled rows: triggers count them (``schema``).
    """
    (text,) = connection.execute(_SUMMARIES, {"now_ms": now_ms}).fetchone()
    return sorted(map(_summary, _nested(text)), key=lambda summary: summary.destination)


def malformed_count(connection: Connection) -> int:
    """How many messages are kept."""
    (count,) = connection.execute("SELECT count(*) FROM malformed").fetchone()
    return int(count)


def malformed(connection: Connection, limit: int) -> list[MalformedRecord]:
    """Kept messages, newest first."""
    rows = connection.execute(
        "SELECT id, received_at_ms, route, reason, detail, payload FROM malformed"
        " ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [MalformedRecord(*row) for row in rows]


def page(
    connection: Connection, destination: str, limit: int, later_limit: int, now_ms: int
) -> Page:
    """The part of a destination's backlog that is due first."""
    asked = {"destination": destination, "now_ms": now_ms}
    ready, waiting, later, later_again = (
        _nested(
            connection.execute(
                _PAGE, asked | {"state": state, "is_later": is_later, "rows": rows}
            ).fetchone()[0]
        )
        for state, is_later, rows in (
            (0, False, limit),
            (1, False, limit),
            (READY_LATER, True, later_limit),
            (1, True, later_limit),
        )
    )
    return page_of(
        [(_job(destination, row), row[8]) for row in ready],
        [(_job(destination, row), row[8]) for row in waiting],
        [_job(destination, row) for row in (*later, *later_again)],
        limit=limit,
        later_limit=later_limit,
        now_ms=now_ms,
    )


def destinations(connection: Connection) -> dict[str, float | None]:
    """All destinations by name, and when their pause ends.

    Infinite: when a person ends it; ``None``: there is none.
    """
    (text,) = connection.execute(
        "SELECT json_group_array(json_array(name, paused_at_ms, pause_ends_at_ms)) FROM destination"
    ).fetchone()
    return {
        name: None if at_ms is None else math.inf if ends_at_ms is None else ends_at_ms
        for name, at_ms, ends_at_ms in _nested(text)
    }


def data_version(connection: Connection) -> int:
    """A number that changes when *another* connection has committed something."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def checkpoint(connection: Connection, name: str) -> Checkpoint | None:
    """A checkpoint."""
    row = connection.execute(
        "SELECT fingerprint, kept_at_ms, position FROM checkpoint WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else Checkpoint(*row)


def _nested(text: str) -> Sequence[Sequence[Any]]:
    rows: Sequence[Sequence[Any]] = json.loads(text)
    return rows


def _job(destination: str, row: Sequence[Any]) -> Job:
    return Job(
        destination=destination,
        key=row[0],
        fence=row[1],
        kind=_KINDS[row[2]],
        event_at_ms=row[3],
        etag=row[4],
        size_bytes=row[5],
        version_id=row[6],
        attempts=row[7],
    )


def _record(row: Sequence[Any]) -> ReplicaRecord:
    scheme, token, trusted = row[9:12]
    return ReplicaRecord(
        destination=row[0],
        key=row[1],
        fence=row[2],
        state=_STATES[row[3]],
        kind=_KINDS[row[4]],
        event_at_ms=row[5],
        accepted_at_ms=row[6],
        due_at_ms=row[7],
        attempts=row[8],
        order=None if token is None else OrderPoint(scheme, token, bool(trusted)),
        etag=row[12],
        size_bytes=row[13],
        version_id=row[14],
        reason=row[15],
        settled_at_ms=row[16],
        source_etag=row[17],
        source_version_id=row[18],
        replica_etag=row[19],
        error=None if row[20] is None else ErrorRecord(*row[20:23]),
        earlier_etags=() if row[23] is None else tuple(json.loads(row[23])),
        differences=() if row[24] is None else tuple(json.loads(row[24])),
    )


def _summary(row: Sequence[Any]) -> DestinationSummary:
    return DestinationSummary(
        destination=row[0],
        ready=row[1] or 0,
        waiting=row[2] or 0,
        later=row[3] or 0,
        backlog_bytes=row[4] or 0,
        settled=row[5] or 0,
        superseded=row[6] or 0,
        dead=row[7] or 0,
        oldest_event_at_ms=row[8],
        last_settled_at_ms=row[9],
        last_error=None if row[10] is None else ErrorRecord(*row[10:13]),
        last_error_at_ms=row[13],
        paused_at_ms=row[14],
        paused_reason=row[15] or "",
        pause_ends_at_ms=row[16],
        different=row[17],
    )
