"""The daemon asks stores what they can do behind everything else, and nothing of it can fail."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.engine.knowledge import StoreKnowledge
from s3fanout.model.abilities import YES, Ability
from s3fanout.model.errors import Unavailable
from s3fanout.model.vendors import OTHER, Vendor
from s3fanout.service.abilities import DELAY_S, LOOK_S, Asked, ask_for_ever
from tests.functional.clock import VirtualClock


async def other() -> Vendor:
    return OTHER


class Answering:
    """A store that names itself, or does not answer, and counts what it was asked."""

    def __init__(self, server: str | None) -> None:
        self.server = server
        self.asked = 0

    async def send(self, *_: object) -> object:
        self.asked += 1
        if self.server is None:
            raise Unavailable("no answer")
        return SimpleNamespace(headers={"server": self.server})


async def test_it_waits_first_goes_on_after_a_failure_and_then_asks_once_an_hour() -> None:
    clock = VirtualClock()
    book = MemoryJournal(clock=clock)
    stores = {"silent": Answering(None), "known": Answering("Sea 4")}
    asked = []
    for name, store in stores.items():
        known = StoreKnowledge(name, program="1.0", vendor=other, book=book, clock=clock)
        known.met("Sea 4")
        await known.keep({Ability.DIGESTS: YES}, by="check")
        asked.append(Asked(store, known, key="trial", prefix="", source=None))  # type: ignore[arg-type]
    asking = asyncio.ensure_future(ask_for_ever(asked, clock=clock))
    await clock.advance(DELAY_S - 1)
    assert [each.asked for each in stores.values()] == [0, 0]
    await clock.advance(1)
    assert [each.asked for each in stores.values()] == [1, 1]
    await clock.advance(2 * LOOK_S)
    assert [each.asked for each in stores.values()] == [3, 3]
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
