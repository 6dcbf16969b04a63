"""Time that moves only when a test says so: no test here ever sleeps for real."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

START_MS = 1_800_000_000_000
_ROUNDS_MAX = 100_000


class VirtualClock:
    """``Clock`` whose sleepers are parked on a heap until the test moves time past them."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._numbers = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return START_MS + round(self._now_s * 1000)

    def monotonic_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self._now_s + max(0.0, seconds), next(self._numbers), sleeper)
        heapq.heappush(self._sleepers, entry)
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking sleepers one by one in order."""
        until_s = self._now_s + seconds
        await quiet()
        while (next_s := self._next_s()) is not None and next_s <= until_s:
            self._now_s = next_s
            self._wake()
            await quiet()
        self._now_s = until_s

    async def run_until(self, reached: Callable[[], bool], *, within_s: float = 3600.0) -> None:
        """Let time pass, from sleeper to sleeper, until ``reached()``.

        Raises:
            AssertionError: It was not reached within ``within_s``, or nobody is left to wake.
        """
        until_s = self._now_s + within_s
        await quiet()
        while not reached():
            next_s = self._next_s()
            if next_s is None or next_s > until_s:
                raise AssertionError(f"not reached within {within_s} virtual seconds")
            self._now_s = next_s
            self._wake()
            await quiet()

    def _next_s(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # cancelled
        return self._sleepers[0][0] if self._sleepers else None

    def _wake(self) -> None:
        sleeper = heapq.heappop(self._sleepers)[2]
        sleeper.set_result(None)


class CreepingClock(VirtualClock):
    """Time also passes between two looks at the clock, and sleepers wake a little early.

    So every pause ends between the look that finds it on and the next one.
    """

    LOOK_S = 2.0**-20

    def monotonic_s(self) -> float:
        now_s = super().monotonic_s()
        self._now_s += self.LOOK_S
        return now_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds - 1.5 * self.LOOK_S)


async def quiet() -> None:
    """Return when every task waits for something that only time or the test can bring."""
    loop = asyncio.get_running_loop()
    ready: object = vars(loop)["_ready"]  # asyncio shows nowhere else that it has nothing to do
    for _ in range(_ROUNDS_MAX):
        await asyncio.sleep(0)
        if not ready:
            return
    raise AssertionError("the event loop never comes to rest")
