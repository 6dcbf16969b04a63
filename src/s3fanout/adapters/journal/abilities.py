"""What stores showed, in the ledger file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.abilities import Ability, AbilityRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from sqlite3 import Connection


def abilities(connection: Connection) -> list[AbilityRecord]:
    """All records, but for those that a newer s3fanout asked for."""
    rows = connection.execute(
        "SELECT store, name, value, found_at_ms, found_by, program, server FROM ability"
        " ORDER BY store, name"
    )
    return [
        AbilityRecord(store, Ability(name), *rest) for store, name, *rest in rows if name in _KNOWN
    ]


def keep_abilities(connection: Connection, records: Sequence[AbilityRecord]) -> None:
    """Replace some."""
    connection.executemany(
        "INSERT OR REPLACE INTO ability"
        " (store, name, value, found_at_ms, found_by, program, server)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                record.store,
                record.ability,
                record.value,
                record.found_at_ms,
                record.found_by,
                record.program,
                record.server,
            )
            for record in records
        ],
    )


_KNOWN = frozenset(map(str, Ability))
