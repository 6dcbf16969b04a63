"""Lets coroutines sleep until something happens to a destination, or until a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3fanout.ports.system import Clock


class Wakeups:
    """Sleepers by destination. Used on one event loop only; time comes from the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleepers: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def wake(self, destination: str) -> None:
        """Wake everybody who sleeps for ``destination``."""
        for sleeper in self._sleepers.pop(destination, ()):
            if not sleeper.done():
                sleeper.set_result(None)

    def wake_all(self) -> None:
        """Wake everybody."""
        for destination in tuple(self._sleepers):
            self.wake(destination)

    async def sleep(self, destination: str, seconds: float) -> bool:
        """Return ``True`` when woken, ``False`` when ``seconds`` have passed."""
        if seconds <= 0:
            return False
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[destination].add(sleeper)
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((sleeper, timer), return_when=asyncio.FIRST_COMPLETED)
            return sleeper.done()
        finally:
            timer.cancel()
            sleepers = self._sleepers.get(destination)
            if sleepers is not None:
                sleepers.discard(sleeper)
                if not sleepers:
                    del self._sleepers[destination]
