"""Multipart uploads in the ledger file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.uploads import ReplicaUpload

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
