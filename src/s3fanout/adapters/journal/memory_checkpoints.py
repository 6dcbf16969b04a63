"""Checkpoints of the journal in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3fanout.ports.checkpoints import Checkpoint


class MemoryCheckpoints:
    """``Checkpoints`` without a disk."""

    def __init__(self) -> None:
        super().__init__()
        self._checkpoints: dict[str, Checkpoint] = {}

    async def checkpoint(self, name: str) -> Checkpoint | None:
        return self._checkpoints.get(name)

    async def keep_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        self._checkpoints[name] = checkpoint

    async def drop_checkpoint(self, name: str) -> None:
        self._checkpoints.pop(name, None)
