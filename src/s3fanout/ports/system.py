"""Time and chance, passed in so that decisions can be replayed."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The only source of time."""

    def now_ms(self) -> int:
        """Wall clock, Unix milliseconds. May jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend; cancellable."""
        ...


class Rand(Protocol):
    """The only source of chance."""

    def uniform(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``."""
        ...
