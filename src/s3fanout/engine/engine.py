"""Starts and stops the lanes: the whole engine behind one object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from s3fanout.engine.lane import Lane, LaneView
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.settler import Settler

LOG = logging.getLogger(__name__)


class Engine:
    """All lanes of one source bucket, and the settler that they share."""

    def __init__(self, lanes: Sequence[Lane], *, settler: Settler, reads: SharedReads) -> None:
        self._lanes = tuple(lanes)
        self._settler = settler
        self._reads = reads
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work. What an earlier process left unsettled is claimed like anything else."""
        self._settler.start()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(lane.run(), name=f"lane {lane.destination}") for lane in self._lanes
        ]

    async def stop(self, *, drain_s: float) -> int:
        """Claim nothing more, finish what is in hand within ``drain_s``, release the rest.

        Returns how many attempts were given back unfinished; they are done after the next start.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        released = await asyncio.gather(*(lane.stop(timeout_s=drain_s) for lane in self._lanes))
        await self._reads.close()
        await self._settler.stop(timeout_s=drain_s)
        return sum(released)

    async def wait_failed(self) -> BaseException:
        """Return the defect that ended a lane or the settler; waits for ever while all is well."""
        watched = [*self._tasks, *([self._settler.task] if self._settler.task else ())]
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        task = done.pop()
        return task.exception() or RuntimeError(f"{task.get_name()} ended by itself")

    def views(self) -> list[LaneView]:
        """How each lane is doing."""
        return [lane.view() for lane in self._lanes]

    @property
    def ledger_failing_since_ms(self) -> int | None:
        """Since when outcomes cannot be written; ``None`` while they can."""
        return self._settler.failing_since_ms
