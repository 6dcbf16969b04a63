"""The durable journal of the simulation: what a crash takes away, and what it does not.

A write takes effect when it is durable, as in the SQLite journal, and is confirmed a moment later.
A crash before the first loses it, a crash between the two loses only the confirmation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.events import Malformed
from s3fanout.model.histories import VersionRecord
from s3fanout.model.jobs import Job, NewJob, Settlement
from s3fanout.model.limits import Limits
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.ports.queue import Accepted

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

COMMIT_S = 0.002


class SimJournal(MemoryJournal):
    """``MemoryJournal`` as one process has it."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(clock=world.clock)
        self._world = world
        self._process = process

    def reopened_by(self, process: Process) -> SimJournal:
        """What the next process finds."""
        fresh = SimJournal(self._world, process)
        fresh._kept, fresh._checkpoints = self._kept, self._checkpoints
        fresh._versions = self._versions
        fresh._uploads, fresh._asked = self._uploads, self._asked
        return fresh

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        await self._commit()
        accepted = await super().accept(jobs, now_ms=now_ms)
        await self._confirm()
        return accepted

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        await self._commit()
        written = await super().settle(settlements)
        for settlement, is_written in zip(settlements, written, strict=True):
            if is_written:
                self._world.audit.settled(settlement)
        await self._confirm()
        return written

    async def claim(
        self, destination: str, limit: int, *, now_ms: int, later_max: int | None = None
    ) -> Sequence[Job]:
        self._process.check()
        if self._world.ledger_fails():
            self._world.audit.faults += 1
            raise LedgerUnavailable("the disk is full")
        jobs = await super().claim(destination, limit, now_ms=now_ms, later_max=later_max)
        self._world.audit.claimed(jobs)
        return jobs

    async def release(self, jobs: Sequence[Job], *, due_at_ms: int) -> None:
        self._process.check()
        await super().release(jobs, due_at_ms=due_at_ms)

    async def finish(self, jobs: Sequence[Job]) -> None:
        self._process.check()
        await super().finish(jobs)

    async def admit_delete(
        self, destination: str, *, accepted_at_ms: int, now_ms: int, limits: Limits
    ) -> bool:
        await self._commit()
        admitted = await super().admit_delete(
            destination, accepted_at_ms=accepted_at_ms, now_ms=now_ms, limits=limits
        )
        await self._confirm()
        return admitted

    async def keep_versions(
        self, destination: str, key: str, records: Sequence[VersionRecord]
    ) -> None:
        await self._commit()
        await super().keep_versions(destination, key, records)
        await self._confirm()

    async def forget_version(self, destination: str, key: str, source_version_id: str) -> None:
        await self._commit()
        await super().forget_version(destination, key, source_version_id)
        await self._confirm()

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        await self._commit()
        await super().keep_malformed(letters, route=route, now_ms=now_ms)
        await self._confirm()

    async def keep_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        await self._commit()
        await super().keep_checkpoint(name, checkpoint)
        await self._confirm()

    async def _commit(self) -> None:
        self._process.check()
        await asyncio.sleep(COMMIT_S)
        self._process.check()
        if self._world.ledger_fails():
            self._world.audit.faults += 1
            raise LedgerUnavailable("the disk is full")
        self._world.effect()
        self._process.check()

    async def _confirm(self) -> None:
        self._world.effect()
        self._process.check()
        await asyncio.sleep(COMMIT_S / 2)
