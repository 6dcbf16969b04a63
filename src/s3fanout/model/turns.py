"""What a ledger that several processes write tells an attempt about its record."""

from __future__ import annotations

from dataclasses import dataclass

from s3fanout.model.events import OrderPoint


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of a replica.

    Attributes:
        turn: How many writes were recorded; 0 while only failures were.
        order: The replica was made from a source state at least as new as this change.
        source_etag, replica_etag: Of the last recorded write.
    """

    turn: int
    order: OrderPoint | None
    source_etag: str | None
    replica_etag: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the ledger said to one record.

    Attributes:
        held: The condition held, and the record was written.
        before: What was recorded before; ``None`` if nothing ever was.
    """

    held: bool
    before: Recorded | None

    @property
    def turn(self) -> int:
        """The record's turn now."""
        return (self.before.turn if self.before else 0) + (1 if self.held else 0)
