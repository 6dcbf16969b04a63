"""How much of the memory for streamed bodies each destination may have in hand.

A body in hand, that of a request which is being sent, cannot be let go. So that destinations which
stand still in the middle of sending leave memory to the others, each has a share: all shares and
one more fill the memory. Who waits for its own share holds nothing meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Share:
    """That of one destination; one body at a time where a body is larger."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.used_bytes = 0

    async def take(self, cost_bytes: int) -> None:
        """Have ``cost_bytes`` more in hand, as soon as it is this one's turn."""
        if self._line or not self._fits(cost_bytes):
            await self._turn(cost_bytes)
        else:
            self.used_bytes += cost_bytes

    def give_back(self, cost_bytes: int) -> None:
        """Have what was taken in hand no longer."""
        self.used_bytes -= cost_bytes
        self._go_on()

    async def _turn(self, cost_bytes: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._line.append((cost_bytes, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._go_on()  # who is behind may be smaller
            else:
                self.give_back(cost_bytes)
            raise

    def _go_on(self) -> None:
        while self._line:
            cost_bytes, turn = self._line[0]
            if not turn.done():
                if not self._fits(cost_bytes):
                    return
                self.used_bytes += cost_bytes
                turn.set_result(None)
            self._line.popleft()

    def _fits(self, cost_bytes: int) -> bool:
        return not self.used_bytes or self.used_bytes + cost_bytes <= self._bytes_max


class Shares:
    """Those of all destinations."""

    def __init__(self, bytes_max: int, *, destinations: int) -> None:
        """``bytes_max`` is the memory, ``destinations`` how many stream."""
        self._share_bytes = bytes_max // (destinations + 1)
        self._shares: dict[str, Share] = {}

    def of(self, destination: str) -> Share:
        """The share of one."""
        return self._shares.get(destination) or self._shares.setdefault(
            destination, Share(self._share_bytes)
        )
