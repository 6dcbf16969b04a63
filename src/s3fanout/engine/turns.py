"""An attempt among others that nobody keeps apart: write, record, and look again where needed.

The decisions are ``decide.turns``; this only carries them out. Requests beyond the copy: one ledger
write for a key's first replica; a probe of the source and one of the replica more when the key is
overwritten; what it takes to be sure when attempts really overlapped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from s3fanout.decide.match import replica_key
from s3fanout.decide.turns import Relation, Verdict, judge_turn, later, relation
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.exclusive import Attempts
from s3fanout.model.errors import SourceChanged
from s3fanout.model.jobs import Job, Settlement
from s3fanout.model.objects import Present
from s3fanout.model.rules import KeyMap
from s3fanout.model.turns import Answer, Recorded
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.turn_ledger import TurnLedger

ROUNDS_MAX = 6
"""Writes of one attempt. A key that is overwritten all the time keeps its message for later."""


@dataclass(frozen=True, slots=True)
class Turned:
    """An attempt that ended.

    Attributes:
        outcome: Of its last write, or why it wrote nothing.
        recorded: Whether the ledger holds it already (a replica is recorded when it is written).
        relation: Where the change stood to what was recorded before; ``None`` for a first replica.
    """

    outcome: Outcome
    recorded: bool
    relation: Relation | None


class TurnTaker:
    """Makes replicas of one destination while others may do the same."""

    def __init__(
        self,
        *,
        copier: Attempts,
        source: ObjectStore,
        destination: ObjectStore,
        key_map: KeyMap,
        ledger: TurnLedger | None,
    ) -> None:
        """Bind to a destination.

        Args:
            copier: Makes one replica.
            source: For looking again.
            destination: Likewise.
            key_map: What replicas are called.
            ledger: ``None``: there is none, so the source is read again after every write.
        """
        self._copier = copier
        self._source = source
        self._destination = destination
        self._key_map = key_map
        self._ledger = ledger

    async def attempt(
        self,
        job: Job,
        *,
        settlement_of: Callable[[Job, Replicated], Settlement],
        stop_at_s: float | None = None,
    ) -> Turned:
        """Make the replica equal to the source, and see to it that it stays so.

        Args:
            job: With its order point, if its route has one.
            settlement_of: How a replica is recorded.
            stop_at_s: As ``Copier.attempt``.

        Raises:
            StoreError: The attempt failed; it may have written.
            SourceChanged: Others wrote the same replica in every round.
            LedgerUnavailable: The replica was written, and may be recorded or not.
        """
        turn: int | None = None
        stood: Relation | None = None
        for _ in range(ROUNDS_MAX):
            outcome = await self._copier.attempt(job, stop_at_s=stop_at_s)
            if not isinstance(outcome, Replicated):
                return Turned(outcome, recorded=False, relation=stood)
            if self._ledger is None:
                if await self._source_is(job.key, outcome.source_etag):
                    return Turned(outcome, recorded=False, relation=None)
                job = job._replace(etag=None, size_bytes=None)
                continue
            answer = await self._ledger.record(settlement_of(job, outcome), turn=turn)
            verdict = judge_turn(
                answer, order=job.order, replica_etag=outcome.replica_etag, turn=turn
            )
            if turn is None and verdict is not Verdict.DONE and answer.before is not None:
                stood = relation(job.order, answer.before.order)
            if await self._is_done(verdict, job, outcome):
                return Turned(outcome, recorded=True, relation=stood)
            turn = answer.turn
            facts = await self._source.head(job.key)
            if not answer.held and await self._is_made_good(answer, facts, outcome, job.key):
                return Turned(outcome, recorded=True, relation=stood)
            job = _informed(job, facts, answer)
        raise SourceChanged(
            f"others wrote the same replica in each of {ROUNDS_MAX} rounds",
            operation="CopyObject",
            hint="it is tried again when it rests",
        )

    async def _is_done(self, verdict: Verdict, job: Job, outcome: Replicated) -> bool:
        if verdict is not Verdict.LOOK:
            return verdict is Verdict.DONE
        return await self._source_is(job.key, outcome.source_etag) and await self._replica_is(
            job.key, outcome.replica_etag
        )

    async def _is_made_good(
        self, answer: Answer, facts: object, outcome: Replicated, key: str
    ) -> bool:
        """Whether what others recorded is the source's state and lies on top of what we wrote."""
        now: Recorded | None = answer.before
        return (
            now is not None
            and isinstance(facts, Present)
            and facts.etag == now.source_etag
            and now.replica_etag is not None
            and now.replica_etag != outcome.replica_etag  # else it may be ours
            and await self._replica_is(key, now.replica_etag)
        )

    async def _source_is(self, key: str, etag: str) -> bool:
        facts = await self._source.head(key)
        return isinstance(facts, Present) and facts.etag == etag

    async def _replica_is(self, key: str, etag: str) -> bool:
        facts = await self._destination.head(replica_key(self._key_map, key))
        return isinstance(facts, Present) and facts.etag == etag


def _informed(job: Job, facts: object, answer: Answer) -> Job:
    """The job with what was just read: its state is at least as new as all that was recorded."""
    order = later(job.order, answer.before.order if answer.before else None)
    if isinstance(facts, Present):
        return job._replace(etag=facts.etag, size_bytes=facts.size_bytes, order=order)
    return job._replace(etag=None, size_bytes=None, order=order)
