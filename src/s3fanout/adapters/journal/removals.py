"""The mass-delete guards in the ledger file: ``decide.guard`` on one row per destination."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from s3fanout.decide.guard import admit, release
from s3fanout.model.removals import DELETES_HELD, DeleteGuard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from sqlite3 import Connection

    from s3fanout.model.limits import Limits

_COLUMNS = "window_at_ms, deleted, replicas, held_at_ms, held_reason, released_at_ms"


def admit_delete(
    connection: Connection, destination_id: int, accepted_at_ms: int, now_ms: int, limits: Limits
) -> bool:
    """Count one more delete, in the transaction that is open. Returns whether it may be made."""
    guard = _guard(connection, destination_id)
    after, admitted = admit(
        guard,
        accepted_at_ms=accepted_at_ms,
        now_ms=now_ms,
        replicas=lambda: _replicas(connection, destination_id),
        limits=limits,
    )
    if after != guard:
        _keep(connection, destination_id, after)
    return admitted


def release_deletes(connection: Connection, destination_id: int, now_ms: int, fence: int) -> int:
    """End a hold and make its jobs ready. Returns how many there were."""
    _keep(connection, destination_id, release(_guard(connection, destination_id), now_ms=now_ms))
    cursor = connection.execute(
        "UPDATE replica SET state = iif(kind = 4, 5, 0), due_at_ms = ?, fence = ?"
        " WHERE settled_at_ms IS NULL AND destination_id = ? AND state = 1 AND error_code = ?",
        (now_ms, fence, destination_id, DELETES_HELD),
    )
    return cursor.rowcount


def guards(connection: Connection) -> Mapping[str, DeleteGuard]:
    """All guards by destination name."""
    rows = connection.execute(
        f"SELECT name, {_COLUMNS} FROM delete_guard"  # noqa: S608 - our own text
        " JOIN destination ON destination.id = destination_id"
    )
    return {name: DeleteGuard(*row) for name, *row in rows}


def _guard(connection: Connection, destination_id: int) -> DeleteGuard:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM delete_guard WHERE destination_id = ?",  # noqa: S608 - our own
        (destination_id,),
    ).fetchone()
    return DeleteGuard() if row is None else DeleteGuard(*row)


def _keep(connection: Connection, destination_id: int, guard: DeleteGuard) -> None:
    connection.execute(
        f"INSERT OR REPLACE INTO delete_guard (destination_id, {_COLUMNS})"  # noqa: S608 - our own
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (destination_id, *astuple(guard)),
    )


def _replicas(connection: Connection, destination_id: int) -> int:
    """Replicas that exist; of unsettled jobs, those that some earlier one made."""
    (count,) = connection.execute(
        "SELECT (SELECT settled FROM destination WHERE id = :id) + (SELECT count(*) FROM replica"
        " WHERE destination_id = :id AND settled_at_ms IS NULL AND replica_etag <> '')",
        {"id": destination_id},
    ).fetchone()
    return int(count)
