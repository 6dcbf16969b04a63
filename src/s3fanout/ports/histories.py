"""What is remembered of versions that were replicated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from s3fanout.model.histories import VersionRecord


class Histories(Protocol):
    """Which version of a replica is which of its source. Asked only where every version counts.

    Raises:
        LedgerUnavailable: By every method; nothing is known or was kept.
    """

    async def versions_kept(
        self, destination: str, key: str, *, limit: int | None = None
    ) -> Sequence[VersionRecord]:
        """Records of a key, newest first; all of them without a ``limit``."""
        ...

    async def keep_versions(
        self, destination: str, key: str, records: Sequence[VersionRecord]
    ) -> None:
        """Remember versions as the newest of the key, in this order; durable on return.

        A record takes the place of an earlier one of the same source version.
        """
        ...

    async def forget_version(self, destination: str, key: str, source_version_id: str) -> None:
        """Forget one. Idempotent."""
        ...
