"""One look at a source object for all destinations that want it.

A look serves only the jobs of the message that it was made for (they share a fence): an older one
could show attributes of before.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3fanout.model.jobs import Job
    from s3fanout.model.objects import Probe
    from s3fanout.ports.object_store import ObjectStore
    from s3fanout.ports.system import Clock

AGE_S_MAX = 10.0
"""Older looks serve nobody: attributes may have changed without an event."""
LOOKS_MAX = 1024
"""Looks that are kept for destinations that did not ask yet, about 2 MB; who comes later looks."""


@dataclass(slots=True)
class _Look:
    task: asyncio.Task[Probe]
    began_s: float
    takers_left: int

    @property
    def failed(self) -> bool:
        task = self.task
        return task.done() and (task.cancelled() or task.exception() is not None)


class SharedLooks:
    """Facts of source objects, read once per message."""

    def __init__(self, source: ObjectStore, *, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._looks: OrderedDict[tuple[str, int], _Look] = OrderedDict()

    async def look(self, job: Job, *, takers: int) -> Probe:
        """Facts of the job's source object; ``takers`` destinations will probably ask.

        Raises:
            StoreError: As ``ObjectStore.head``, the same for all who share it.
        """
        if takers <= 1:
            return await self._source.head(job.key)
        name = (job.key, job.fence)
        now_s = self._clock.monotonic_s()
        look = self._looks.get(name)
        if look is None or look.failed or now_s - look.began_s > AGE_S_MAX:
            task = asyncio.get_running_loop().create_task(self._source.head(job.key))
            look = self._looks[name] = _Look(task, now_s, takers)
            if len(self._looks) > LOOKS_MAX:
                self._looks.popitem(last=False)
        look.takers_left -= 1
        if look.takers_left <= 0:
            self._looks.pop(name, None)
        # Shielded: one destination that stops must not end the look of the others.
        return await asyncio.shield(look.task)
