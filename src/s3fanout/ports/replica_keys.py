"""Whose replica a key of a destination is, for key maps that may give two source keys one."""

from __future__ import annotations

from typing import Protocol


class ReplicaKeys(Protocol):
    """Claims of source keys on replica keys, one owner for each. Durable on return.

    Raises (all):
        LedgerUnavailable: Not known: then nothing may be written.
    """

    async def claim_replica_key(
        self, destination: str, replica_key: str, key: str, *, instead_of: str | None = None
    ) -> str:
        """The source key that owns ``replica_key``: ``key``, if nobody or ``instead_of`` did."""
        ...

    async def release_replica_key(self, destination: str, replica_key: str, key: str) -> None:
        """Give up the claim of ``key``, after its replica was deleted; nothing if it has none."""
        ...
