"""Writes outcomes down in batches: ledger first, then the queue lets go.

Workers do not wait for the ledger's disk. They hand a settlement over and take the next job; up to
``unsettled_max`` may be on their way. If the process dies with them, their jobs are done again: a
replica is then written twice, never lost.
"""

from __future__ import annotations

import asyncio
import logging

from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.jobs import Job, JobState, Settlement
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.queue import Queue
from s3fanout.ports.system import Clock

LOG = logging.getLogger(__name__)

BATCH_MAX = 512
GATHER_S = 0.02
"""What ``gather_s`` should be: a flush of the ledger costs as much as several replicas."""
LEDGER_RETRY_S = 1.0


class Settler:
    """Takes settlements from workers and makes them durable."""

    def __init__(
        self,
        *,
        queue: Queue,
        ledger: Ledger,
        clock: Clock,
        unsettled_max: int,
        gather_s: float = 0.0,
    ) -> None:
        """Bind to the ports.

        Args:
            queue: Lets go of what was settled.
            ledger: Records it.
            clock: Times ``gather_s`` and the pause after a refusal.
            unsettled_max: Settlements on their way after which ``put`` waits.
            gather_s: How long the first settlement of a batch waits for others. Nobody waits for
                it: the replica is there, and the lane goes on.
        """
        self._gather_s = gather_s
        self._queue = queue
        self._ledger = ledger
        self._clock = clock
        self._pending: asyncio.Queue[Settlement] = asyncio.Queue(unsettled_max)
        self._task: asyncio.Task[None] | None = None
        self.failing_since_ms: int | None = None
        """Since when the ledger refuses writes; ``None`` while it works."""

    def start(self) -> None:
        """Begin writing."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="settler")

    @property
    def task(self) -> asyncio.Task[None] | None:
        """Ends by itself only by a defect; ``None`` while not started."""
        return self._task

    async def put(self, settlement: Settlement) -> None:
        """Hand over; waits only while ``unsettled_max`` are on their way."""
        try:
            self._pending.put_nowait(settlement)
        except asyncio.QueueFull:
            await self._pending.put(settlement)

    async def stop(self, *, timeout_s: float) -> int:
        """Write what is left, up to ``timeout_s``. Returns how many settlements were given up."""
        if self._task is None:
            return 0
        written = asyncio.ensure_future(self._pending.join())
        # A settler that a defect ended writes nothing more: there is nothing to wait for.
        await asyncio.wait(
            {written, self._task}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not written.done():
            LOG.warning("ledger did not take all outcomes in time; those jobs will be done again")
        written.cancel()
        self._task.cancel()
        await asyncio.gather(written, self._task, return_exceptions=True)
        self._task = None
        return self._pending.qsize()

    async def _run(self) -> None:
        while True:
            batch = [await self._pending.get()]
            if self._gather_s and self._pending.qsize() < BATCH_MAX:
                await self._clock.sleep(self._gather_s)
            while len(batch) < BATCH_MAX and not self._pending.empty():
                batch.append(self._pending.get_nowait())
            await self._write(batch)
            for _ in batch:
                self._pending.task_done()

    async def _write(self, batch: list[Settlement]) -> None:
        while True:
            try:
                await self._ledger.settle(batch)
                await self._let_go(batch)
            except LedgerUnavailable as error:
                if self.failing_since_ms is None:
                    self.failing_since_ms = self._clock.now_ms()
                    LOG.error("ledger refuses outcomes, trying again: %s", error)  # noqa: TRY400
                await self._clock.sleep(LEDGER_RETRY_S)
            else:
                if self.failing_since_ms is not None:
                    LOG.info("ledger takes outcomes again")
                    self.failing_since_ms = None
                return

    async def _let_go(self, batch: list[Settlement]) -> None:
        finished: list[Job] = []
        for settlement in batch:
            if settlement.state is JobState.WAITING:
                await self._queue.release([settlement.job], due_at_ms=settlement.due_at_ms)
            else:
                finished.append(settlement.job)
        if finished:
            await self._queue.finish(finished)
