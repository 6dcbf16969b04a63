"""Stores' abilities of the memory journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.model.abilities import AbilityRecord


class MemoryAbilities:
    """``Abilities`` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._abilities: dict[tuple[str, str], AbilityRecord] = {}

    async def abilities(self) -> Sequence[AbilityRecord]:
        return [self._abilities[name] for name in sorted(self._abilities)]

    async def keep_abilities(self, records: Sequence[AbilityRecord]) -> None:
        for record in records:
            self._abilities[record.store, record.ability] = record
