"""Deletes one replica whose source is confirmed absent: only if we wrote it, never in masses.

| what is known | outcome |
|---|---|
| a newer change of the key was accepted | Skip: its attempt decides |
| nothing is at the destination | Removed |
| its etag is none that we wrote or may have written | Refuse ``foreign-replica`` |
| the guard holds deletes back | Held |
| else | deleted pinned to that etag, Removed |

We wrote what the record says that we wrote (``replica_etag``). A write whose outcome was lost with
a crash is known by the etag that its job was accepted with: a plain copy has its source's etag.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3fanout.decide.plan import Refuse, Skip
from s3fanout.model.jobs import Job, ReplicaRecord
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Absent
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.removals import Removals
from s3fanout.ports.system import Clock


@dataclass(frozen=True, slots=True)
class Removed:
    """The replica is absent, as its source is."""

    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """The guard holds the delete back until a person releases it."""


class Remover:
    """Deletes replicas in one destination."""

    def __init__(
        self,
        *,
        destination: ObjectStore,
        ledger: Ledger,
        removals: Removals,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._removals = removals
        self._clock = clock
        self._limits = limits

    async def remove(
        self, job: Job, replica_key: str, *, wrote_etag: str | None
    ) -> Removed | Held | Skip | Refuse:
        """Make the replica absent. One or two requests; the caller has seen the source absent.

        Args:
            job: The job.
            replica_key: What to delete.
            wrote_etag: What this very attempt wrote before the source went away.

        Raises:
            StoreError: The attempt failed; the delete may have been applied.
            LedgerUnavailable: Nothing is known, and nothing was deleted.
        """
        record = await self._ledger.get(job.destination, job.key)
        if record is None or record.fence != job.fence:
            return Skip("overtaken", "a newer change of the key was accepted")
        replica = await self._destination.head(replica_key)
        if isinstance(replica, Absent):
            return Removed("the source object is gone, and so is the replica")
        if replica.etag not in _written_etags(record) | {wrote_etag}:
            return Refuse(
                "foreign-replica",
                "the source object is gone, but what the destination holds is not known to be "
                f"what s3fanout wrote etag={replica.etag}",
                "look at the object; delete it by hand if it is not wanted, then: s3fanout redrive",
            )
        admitted = await self._removals.admit_delete(
            job.destination,
            accepted_at_ms=record.accepted_at_ms,
            now_ms=self._clock.now_ms(),
            limits=self._limits,
        )
        if not admitted:
            return Held()
        await self._destination.delete(replica_key, if_match=replica.etag)
        return Removed("the source object is gone, and the replica was deleted")


def _written_etags(record: ReplicaRecord) -> set[str]:
    """Etags of everything that we wrote last, or that a lost attempt may have written."""
    return {record.replica_etag or "", record.etag or "", *record.earlier_etags} - {""}
