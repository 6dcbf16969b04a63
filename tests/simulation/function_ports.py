"""Bucket and turn ledger as one invocation of a function reaches them, in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from s3fanout.adapters.store.memory import MemoryStore, StoredObject
from s3fanout.model.errors import (
    LedgerUnavailable,
    SourceAbsent,
    SourceChanged,
    Throttled,
    Unavailable,
)
from s3fanout.model.jobs import Settlement
from s3fanout.model.objects import Probe, Written
from s3fanout.model.turns import Answer

if TYPE_CHECKING:
    from tests.simulation.functions import Invocation

TIME_S = 10.0
"""What an invocation has."""


class SteppedStore:
    """A bucket as one invocation reaches it; a copy reads and lands at two moments."""

    def __init__(self, invocation: Invocation, store: MemoryStore) -> None:
        self._invocation, self._world, self._store = invocation, invocation.world, store
        self.bucket = store.bucket

    async def head(self, key: str, **_: object) -> Probe:
        await self._sent()
        found = await self._store.head(key)
        await self._invocation.breathe()
        return found

    async def copy(
        self, key: str, *, source_bucket: str, source_key: str, if_match: str | None, **_: object
    ) -> Written:
        world = self._world
        await self._sent()
        world.copies += 1
        stored = world.source.objects.get(source_key)
        if stored is None:
            raise SourceAbsent("gone", operation="CopyObject")
        if if_match not in {None, stored.etag}:
            raise SourceChanged("other etag", operation="CopyObject")
        world.landing += 1
        landing = world.loop.create_task(self._land(key, stored))
        await asyncio.shield(landing)
        await self._invocation.breathe()
        if world.chance(world.options.lost_after):
            raise Unavailable("the answer got lost", maybe_applied=True)
        return Written(stored.etag)

    async def _land(self, key: str, stored: StoredObject) -> None:
        """What the store does by itself, whatever became of who asked."""
        await asyncio.sleep(self._world.latency_s())
        self._world.landing -= 1
        self._store.objects[key] = stored
        self._world.note("landed", key, stored.etag)
        self._world.landed(key, stored)

    async def _sent(self) -> None:
        await self._invocation.breathe()
        await asyncio.sleep(min(self._world.latency_s(), TIME_S))
        if self._world.chance(self._world.options.fails):
            raise self._world.rng.choice(
                (Unavailable("internal error", status=500), Throttled("slow down", status=503))
            )


class SimTurnLedger:
    """The one turn ledger as one invocation reaches it."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation, self._world = invocation, invocation.world

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        world = self._world
        await self._invocation.breathe()
        await asyncio.sleep(world.options.latency_s * world.rng.random())
        if world.chance(world.options.ledger_fails):
            raise LedgerUnavailable("throttled")
        answer = await world.turns.record(settlement, turn=turn)
        world.note("recorded", settlement.job.key, settlement.state, answer.held)
        await self._invocation.breathe()
        if world.chance(world.options.ledger_fails):
            raise LedgerUnavailable("the answer got lost")
        return answer
