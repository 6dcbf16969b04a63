"""Reads that nobody else tries again: what may pass is asked for again, a few times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from s3fanout.model.errors import Throttled, Unavailable
from s3fanout.ports.system import Clock

Answer = TypeVar("Answer")
ATTEMPTS_MAX = 6
RETRY_BASE_S = 0.2


async def patiently(
    clock: Clock, ask: Callable[[], Awaitable[Answer]], *, attempts_max: int = ATTEMPTS_MAX
) -> Answer:
    """What ``ask`` answers, asked at most ``attempts_max`` times.

    Raises:
        StoreError: The last answer, or the first one that does not pass by itself.
    """
    for attempt in range(1, attempts_max):
        try:
            return await ask()
        except (Unavailable, Throttled) as error:
            await clock.sleep(error.retry_after_s or RETRY_BASE_S * 2**attempt)
    return await ask()
