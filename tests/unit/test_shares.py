"""A share of memory: bytes in hand, in the order of asking."""

from __future__ import annotations

import asyncio

from s3fanout.engine.shares import Share, Shares


class Holder:
    """Somebody who has bytes in hand until told to let go."""

    def __init__(self, share: Share, cost_bytes: int) -> None:
        self.has = False
        self._done = asyncio.Event()
        self._share, self._cost_bytes = share, cost_bytes
        self.task = asyncio.ensure_future(self._hold())

    async def _hold(self) -> None:
        await self._share.take(self._cost_bytes)
        self.has = True
        await self._done.wait()
        self._share.give_back(self._cost_bytes)

    async def let_go(self) -> None:
        self._done.set()
        await self.task
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def holders(share: Share, *costs_bytes: int) -> list[Holder]:
    found = [Holder(share, cost) for cost in costs_bytes]
    await settled()
    return found


async def test_no_more_than_the_share_is_in_hand_and_turns_are_in_order() -> None:
    share = Share(10)
    first, second, third, small = await holders(share, 6, 4, 8, 1)
    assert [each.has for each in (first, second, third, small)] == [True, True, False, False]
    await first.let_go()
    assert not third.has, "4 and 8 are too many"
    assert not small.has, "nobody passes those before, or they would wait for ever"
    await second.let_go()
    assert (third.has, small.has, share.used_bytes) == (True, True, 9)
    await third.let_go()
    await small.let_go()
    assert share.used_bytes == 0


async def test_what_is_larger_than_the_share_is_in_hand_alone() -> None:
    share = Share(10)
    large, small = await holders(share, 11, 1)
    assert (large.has, small.has) == (True, False)
    await large.let_go()
    assert small.has
    await small.let_go()


async def test_who_gives_up_in_the_line_lets_the_next_one_pass() -> None:
    share = Share(10)
    first, large, small = await holders(share, 6, 8, 4)
    large.task.cancel()
    await settled()
    assert (small.has, share.used_bytes) == (True, 10)
    await small.let_go()
    await first.let_go()
    assert share.used_bytes == 0


async def test_a_turn_that_came_too_late_is_given_back() -> None:
    share = Share(10)
    await share.take(10)
    second, third = await holders(share, 10, 10)
    share.give_back(10)
    second.task.cancel()  # it is its turn, and it does not know it yet
    await settled()
    assert (second.has, third.has, share.used_bytes) == (False, True, 10)
    await third.let_go()
    assert share.used_bytes == 0


def test_all_shares_and_one_more_fill_the_memory() -> None:
    shares = Shares(64, destinations=3)
    assert shares.of("a") is shares.of("a")
    assert shares.of("a") is not shares.of("b")
    assert shares.of("a")._bytes_max == 16
