"""The statements that write many rows at once.

Python's sqlite3 releases the GIL around every step of a statement and then has to wait, up to
``sys.getswitchinterval`` (5 ms), for a busy event loop to hand it back. A statement per row would
spend a thousand hand-overs on a thousand rows; so rows go into few statements, and what they return
is one row of JSON.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from s3fanout.model.jobs import EARLIER_ETAGS_MAX

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

Value = str | int | None
Row = tuple[Value, ...]

_ROWS_MAX = 256
"""Rows of the largest statement: 18 values a row stay far below SQLite's 32,766 parameters."""

_OFFER_COLUMNS = (
    "destination_id, key, fence, kind, event_at_ms, accepted_at_ms, due_at_ms,"
    " order_scheme, order_token, order_trusted, etag, size_bytes, version_id"
)
_OFFER_VALUES = 14

_EARLIER = f"""
CASE
    WHEN replica.state = 2 OR (replica.state = 3 AND replica.replica_etag = '') THEN NULL
    WHEN replica.etag IS NULL THEN replica.earlier_etags
    WHEN replica.earlier_etags IS NULL THEN json_array(replica.etag)
    WHEN EXISTS (SELECT 1 FROM json_each(replica.earlier_etags) WHERE value = replica.etag)
        THEN replica.earlier_etags
    WHEN json_array_length(replica.earlier_etags) < {EARLIER_ETAGS_MAX}
        THEN json_insert(replica.earlier_etags, '$[#]', replica.etag)
    ELSE json_remove(json_insert(replica.earlier_etags, '$[#]', replica.etag), '$[0]')
END
"""  # noqa: S608 - our own text

_OFFER = """
INSERT INTO replica ({columns}, state) VALUES {{rows}}
ON CONFLICT (key, destination_id) DO UPDATE SET
    state = excluded.state, ({columns}) = ({excluded}), earlier_etags = {earlier},
    attempts = 0, reason = '', settled_at_ms = NULL,
    error_code = NULL, error_message = NULL, error_hint = NULL, error_at_ms = NULL
WHERE (excluded.state = 0 OR replica.settled_at_ms IS NOT NULL) AND (
    replica.order_token IS NULL
    OR excluded.order_token IS NULL
    OR excluded.order_scheme <> replica.order_scheme
    OR excluded.order_token > replica.order_token
    OR (excluded.order_token < replica.order_token AND NOT excluded.order_trusted)
    OR (
        excluded.order_token = replica.order_token
        AND (
            excluded.kind <> replica.kind
            OR excluded.etag IS NOT replica.etag
            OR excluded.version_id IS NOT replica.version_id
        )
    )
)
""".format(
    columns=_OFFER_COLUMNS,
    excluded=", ".join(f"excluded.{name}" for name in _OFFER_COLUMNS.split(", ")),
    earlier=_EARLIER,
)
"""``decide.order`` in SQL. The facts about the replica itself outlive the job."""

_SETTLE_VALUES = 18

_SETTLE = """
UPDATE replica SET
    fence = new.column4, state = new.column5, attempts = new.column6, due_at_ms = new.column7,
    reason = new.column8, settled_at_ms = new.column9,
    size_bytes = coalesce(new.column10, size_bytes),
    source_etag = coalesce(new.column11, iif(new.column5 = 2, NULL, source_etag)),
    source_version_id = coalesce(new.column12, iif(new.column5 = 2, NULL, source_version_id)),
    replica_etag = coalesce(new.column13, iif(new.column5 = 2, NULL, replica_etag)),
    differences = iif(new.column13 IS NULL AND new.column5 <> 2, differences, new.column14),
    error_code = new.column15, error_message = new.column16, error_hint = new.column17,
    error_at_ms = new.column18
FROM (VALUES {rows}) AS new
WHERE replica.destination_id = new.column1 AND replica.key = new.column2
    AND replica.fence = new.column3
"""
"""Columns: destination_id, key, fence, new fence, state, attempts, due, reason, settled at, size,
source etag, source version id, replica etag, differences, error code, message, hint, error at."""

NOTE_REPLICA = """
UPDATE replica SET source_etag = ?, source_version_id = ?, replica_etag = ?, differences = ?
WHERE destination_id = ? AND key = ?
"""
"""What an overtaken attempt made of the replica."""

_RELEASE = """
UPDATE replica SET state = 1, due_at_ms = new.column4
FROM (VALUES {rows}) AS new
WHERE replica.destination_id = new.column1 AND replica.key = new.column2
    AND replica.fence = new.column3 AND replica.settled_at_ms IS NULL
"""

_FINISH = """
UPDATE replica SET
    state = 2, settled_at_ms = new.column4, due_at_ms = 0, reason = 'finished',
    error_code = NULL, error_message = NULL, error_hint = NULL, error_at_ms = NULL
FROM (VALUES {rows}) AS new
WHERE replica.destination_id = new.column1 AND replica.key = new.column2
    AND replica.fence = new.column3 AND replica.settled_at_ms IS NULL
"""

_FOUND = """
SELECT json_group_array(json_array(wanted.column1, replica.fence, replica.order_token))
FROM (VALUES {rows}) AS wanted
JOIN replica ON replica.destination_id = wanted.column2 AND replica.key = wanted.column3
"""


@cache
def offer(rows: int) -> str:
    """Insert so many jobs, each where it is newer than what is on record."""
    return _with_rows(_OFFER, rows, _OFFER_VALUES)


@cache
def settle(rows: int) -> str:
    """Write so many outcomes, each where the record still has the job's fence."""
    return _with_rows(_SETTLE, rows, _SETTLE_VALUES)


@cache
def release(rows: int) -> str:
    """Make so many jobs wait, where the job is still to be done."""
    return _with_rows(_RELEASE, rows, 4)


@cache
def finish(rows: int) -> str:
    """Settle so many jobs without an outcome, where the job is still to be done."""
    return _with_rows(_FINISH, rows, 4)


@cache
def found(rows: int) -> str:
    """Fence and order token of so many records, each with the number that came with it."""
    return _with_rows(_FOUND, rows, 3)


def pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """``rows`` cut into powers of two, so that few statements exist and are kept prepared."""
    start, size = 0, _ROWS_MAX
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        yield rows[start : start + size]
        start += size


def execute(connection: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> sqlite3.Cursor:
    """Run ``statement`` with all values of ``rows``."""
    return connection.execute(statement, tuple(chain.from_iterable(rows)))


def _with_rows(statement: str, rows: int, values: int) -> str:
    row = f"({', '.join('?' * values)})"
    return statement.format(rows=", ".join([row] * rows))
