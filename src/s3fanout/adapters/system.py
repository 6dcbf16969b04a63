"""The real clock and the real dice."""

from __future__ import annotations

import asyncio
import random
import time


class SystemClock:
    """Time of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemRand:
    """Jitter needs no cryptographic quality, only that daemons differ."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
