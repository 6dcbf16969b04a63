"""A turn ledger in memory: the fake that convergence is tried on, held to the suite of DynamoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.decide.turns import Relation, relation
from s3fanout.model.jobs import JobState
from s3fanout.model.turns import Answer, Recorded

if TYPE_CHECKING:
    from s3fanout.model.jobs import Settlement


class MemoryTurnLedger:
    """``TurnLedger`` of one process.

    Attributes:
        records: What is recorded, by (destination, key), for tests to look into.
        states: How the last attempt at each ended.
        writes: Calls of ``record`` so far.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Recorded] = {}
        self.states: dict[tuple[str, str], JobState] = {}
        self.writes = 0

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        self.writes += 1
        job = settlement.job
        at = (job.destination, job.key)
        before = self.records.get(at)
        if settlement.state is not JobState.SETTLED:
            self.states[at] = settlement.state
            return Answer(held=True, before=before)
        recorded_order = before.order if before else None
        if turn is None:
            held = relation(job.order, recorded_order) is not Relation.NEWER
        else:
            held = turn == (before.turn if before else 0)
        if held:
            self.states[at] = settlement.state
            self.records[at] = Recorded(
                turn=(before.turn if before else 0) + 1,
                order=job.order or recorded_order,
                source_etag=settlement.source_etag,
                replica_etag=settlement.replica_etag,
            )
        return Answer(held=held, before=before)
