"""Copies to destinations whose key template may give two source keys one replica key.

The first key that gets there owns the replica key, by a claim in the ledger that is made before
anything is written. The others are refused, with both keys named; nothing is overwritten in turns.

| the replica key is owned by | outcome |
|---|---|
| nobody, or this key | as ``Copier`` |
| a key that the rule no longer maps there | taken over, then as ``Copier`` |
| another key, and this one was removed | Skip: nothing of it was ever written |
| another key | Refuse ``key-collision`` |
"""

from __future__ import annotations

from typing import Protocol

from s3fanout.decide.match import refusal, replica_key
from s3fanout.decide.plan import Refuse, Skip
from s3fanout.engine.copier import Outcome
from s3fanout.engine.remover import Removed
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.rules import Rule
from s3fanout.ports.replica_keys import ReplicaKeys


class Attempts(Protocol):
    """What makes attempts at replicas in one destination."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        """See ``engine.copier.Copier.attempt``."""
        ...

    def take_written(self, job: Job) -> str | None:
        """See ``engine.copier.Copier.take_written``."""
        ...


class ExclusiveCopier:
    """A copier that owns a replica key before it writes. One commit of the ledger per attempt."""

    def __init__(self, copier: Attempts, *, rule: Rule, replica_keys: ReplicaKeys) -> None:
        """``replica_keys`` holds the claims for ``rule``, which ``copier`` works by."""
        self._copier = copier
        self._rule = rule
        self._replica_keys = replica_keys

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        """As ``Copier.attempt``, where the replica key is ours.

        Raises:
            LedgerUnavailable: Whose it is, is not known: nothing was written.
        """
        target = replica_key(self._rule.key_map, job.key)
        owner = await self._replica_keys.claim_replica_key(job.destination, target, job.key)
        if owner != job.key and not self._leads_to(owner, target):
            owner = await self._replica_keys.claim_replica_key(
                job.destination, target, job.key, instead_of=owner
            )
        if owner != job.key:
            return _collision(job, target, owner)
        outcome = await self._copier.attempt(job, stop_at_s=stop_at_s)
        if isinstance(outcome, Removed):
            await self._replica_keys.release_replica_key(job.destination, target, job.key)
        return outcome

    def take_written(self, job: Job) -> str | None:
        """See ``Attempts``."""
        return self._copier.take_written(job)

    def _leads_to(self, key: str, target: str) -> bool:
        """Whether the rule, as it is now, writes ``key`` to ``target``."""
        return (
            refusal(self._rule, key, None) is None
            and replica_key(self._rule.key_map, key) == target
        )


def _collision(job: Job, target: str, owner: str) -> Skip | Refuse:
    if job.kind is ChangeKind.REMOVED:
        return Skip("key-collision", f"its replica key {target!r} is the replica of {owner!r}")
    return Refuse(
        "key-collision",
        f"{job.key!r} and {owner!r} have one replica key, {target!r}, and {owner!r} has it",
        "rename one of them, or use {path} and {name} in the key template; then: s3fanout redrive",
    )
