"""Replicated versions of the memory journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.model.histories import VersionRecord


class MemoryHistories:
    """``Histories`` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[tuple[str, str], dict[str, VersionRecord]] = {}
        """By (destination, key): records by source version id, oldest first."""

    async def versions_kept(
        self, destination: str, key: str, *, limit: int | None = None
    ) -> Sequence[VersionRecord]:
        records = list(self._versions.get((destination, key), {}).values())
        return records[::-1][:limit]

    async def keep_versions(
        self, destination: str, key: str, records: Sequence[VersionRecord]
    ) -> None:
        kept = self._versions.setdefault((destination, key), {})
        for record in records:
            kept.pop(record.source_version_id, None)
            kept[record.source_version_id] = record

    async def forget_version(self, destination: str, key: str, source_version_id: str) -> None:
        self._versions.get((destination, key), {}).pop(source_version_id, None)
