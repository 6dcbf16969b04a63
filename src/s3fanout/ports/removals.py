"""What the ledger remembers for the mass-delete guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from s3fanout.model.limits import Limits
from s3fanout.model.removals import DeleteGuard


class Removals(Protocol):
    """The durable part of ``decide.guard``: a restart forgets neither a count nor a hold."""

    async def admit_delete(
        self, destination: str, *, accepted_at_ms: int, now_ms: int, limits: Limits
    ) -> bool:
        """Whether one more replica may be deleted; counted, and durable on return.

        Raises:
            LedgerUnavailable: Not known: then nothing may be deleted.
        """
        ...

    async def delete_guards(self) -> Mapping[str, DeleteGuard]:
        """The guards of all destinations that ever deleted anything, by name."""
        ...

    async def release_deletes(self, destination: str, *, now_ms: int) -> int:
        """Let the deletes go that changes accepted until now ask for.

        Returns:
            How many jobs were put back because of it.
        """
        ...
