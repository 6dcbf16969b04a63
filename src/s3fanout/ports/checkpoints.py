"""How far a walk over a listing came, kept where its jobs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place to go on from.

    Attributes:
        fingerprint: Of everything that the walk depended on; a checkpoint of another one is void.
        kept_at_ms: When it was kept.
        position: The walk's own words (JSON).
    """

    fingerprint: str
    kept_at_ms: int
    position: str


class Checkpoints(Protocol):
    """Checkpoints by name; durable on return."""

    async def checkpoint(self, name: str) -> Checkpoint | None:
        """The checkpoint, if there is one."""
        ...

    async def keep_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep it instead of the one of this name.

        Raises:
            LedgerUnavailable: It was not kept.
        """
        ...

    async def drop_checkpoint(self, name: str) -> None:
        """Forget it. Idempotent."""
        ...
