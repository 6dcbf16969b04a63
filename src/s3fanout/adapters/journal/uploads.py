"""Multipart uploads in the ledger file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.uploads import AskedUpload, ReplicaUpload

if TYPE_CHECKING:
    from sqlite3 import Connection


def upload_of(connection: Connection, destination: str, key: str) -> ReplicaUpload | None:
    """The upload that was begun for a replica."""
    row = connection.execute(
        "SELECT replica_key, upload_id, fingerprint, part_bytes FROM upload"
        " JOIN destination ON destination.id = destination_id WHERE name = ? AND key = ?",
        (destination, key),
    ).fetchone()
    return None if row is None else ReplicaUpload(destination, key, *row)


def uploads_of(connection: Connection, destination: str) -> list[ReplicaUpload]:
    """All uploads into one destination."""
    rows = connection.execute(
        "SELECT key, replica_key, upload_id, fingerprint, part_bytes FROM upload"
        " JOIN destination ON destination.id = destination_id WHERE name = ?",
        (destination,),
    )
    return [ReplicaUpload(destination, *row) for row in rows]


def keep_upload(connection: Connection, destination_id: int, upload: ReplicaUpload) -> None:
    """Remember one, in place of another."""
    connection.execute(
        "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?, ?)",
        (
            destination_id,
            upload.key,
            upload.replica_key,
            upload.upload_id,
            upload.fingerprint,
            upload.part_bytes,
        ),
    )


def forget_upload(connection: Connection, destination_id: int, key: str) -> None:
    """Forget it."""
    connection.execute(
        "DELETE FROM upload WHERE destination_id = ? AND key = ?", (destination_id, key)
    )


def asked_of(connection: Connection, destination: str) -> list[AskedUpload]:
    """What one destination was asked for, and of which no answer is known."""
    rows = connection.execute(
        "SELECT replica_key, first_at_ms, last_at_ms FROM asked_upload"
        " JOIN destination ON destination.id = destination_id WHERE name = ?",
        (destination,),
    )
    return [AskedUpload(destination, *row) for row in rows]


def ask_upload(connection: Connection, destination_id: int, replica_key: str, at_ms: int) -> None:
    """A store will be asked."""
    connection.execute(
        "INSERT INTO asked_upload VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET last_at_ms = excluded.last_at_ms",
        (destination_id, replica_key, at_ms, at_ms),
    )


def answer_upload(
    connection: Connection, destination_id: int, replica_key: str, asked_at_ms: int
) -> None:
    """It answered; what it was asked before stays in doubt."""
    connection.execute(
        "DELETE FROM asked_upload WHERE destination_id = ? AND replica_key = ? AND first_at_ms = ?",
        (destination_id, replica_key, asked_at_ms),
    )


def forget_asked(connection: Connection, destination_id: int, asked: AskedUpload) -> None:
    """Forget what was asked for until then."""
    connection.execute(
        "DELETE FROM asked_upload WHERE destination_id = ? AND replica_key = ? AND last_at_ms = ?",
        (destination_id, asked.replica_key, asked.last_at_ms),
    )
