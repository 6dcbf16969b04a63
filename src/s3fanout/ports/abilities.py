"""What is remembered of stores' abilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from s3fanout.model.abilities import AbilityRecord


class Abilities(Protocol):
    """The newest answer to each question, by store.

    Raises:
        LedgerUnavailable: By every method; nothing is known or was kept.
    """

    async def abilities(self) -> Sequence[AbilityRecord]:
        """All records, by store and name."""
        ...

    async def keep_abilities(self, records: Sequence[AbilityRecord]) -> None:
        """Keep each in place of the one of its store and ability; durable on return."""
        ...
