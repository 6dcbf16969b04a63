"""Replicated versions in the ledger file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.histories import VersionRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from sqlite3 import Connection


def versions_kept(
    connection: Connection, destination: str, key: str, limit: int | None
) -> list[VersionRecord]:
    """Records of a key, newest first."""
    rows = connection.execute(
        "SELECT source_version_id, source_etag, size_bytes, replica_version_id FROM version"
        " JOIN destination ON destination.id = destination_id WHERE name = ? AND key = ?"
        " ORDER BY number DESC LIMIT ?",
        (destination, key, -1 if limit is None else limit),
    )
    return [VersionRecord(*row) for row in rows]


def keep_versions(
    connection: Connection, destination_id: int, key: str, records: Sequence[VersionRecord]
) -> None:
    """Remember some as the newest, in place of those of the same source versions."""
    for record in records:
        forget_version(connection, destination_id, key, record.source_version_id)
        connection.execute(
            "INSERT INTO version VALUES (?, ?, 1 + coalesce((SELECT max(number) FROM version"
            " WHERE destination_id = ? AND key = ?), 0), ?, ?, ?, ?)",
            (
                destination_id,
                key,
                destination_id,
                key,
                record.source_version_id,
                record.source_etag,
                record.size_bytes,
                record.replica_version_id,
            ),
        )


def forget_version(
    connection: Connection, destination_id: int, key: str, source_version_id: str
) -> None:
    """Forget one."""
    connection.execute(
        "DELETE FROM version WHERE destination_id = ? AND key = ? AND source_version_id = ?",
        (destination_id, key, source_version_id),
    )
