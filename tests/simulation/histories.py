"""Auditors of runs in which every version counts.

| auditor | what must be true |
|---|---|
| never torn | each version that is written is one that the source really had |
| one each, in order | no version is written twice, and none after a newer one |
| nothing foreign | a version is removed only if its source is gone and the rule asks for it |
| nothing foreign | what was there before stays below |
| converges | at rest, both histories are equal: bytes, attributes, markers, and their order |
| converges | where a message was lost, at least what both show |
| ledger agrees | at rest, the ledger's versions are those of the replica, in their order |
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from s3fanout.adapters.store.memory_versions import VersionedObjects
from s3fanout.model.jobs import JobState, Settlement
from s3fanout.model.rules import Deletes
from tests.simulation.audit import Audit

if TYPE_CHECKING:
    from s3fanout.adapters.store.memory import StoredObject
    from s3fanout.adapters.store.memory_versions import Entry
    from tests.simulation.options import Place
    from tests.simulation.world import World


def entries_of(objects: dict[str, StoredObject], key: str) -> list[Entry[StoredObject]]:
    """A key's history, oldest first."""
    assert isinstance(objects, VersionedObjects)
    return objects.history.get(key, [])


def _looks(entry: Entry[StoredObject]) -> object:
    stored = entry.stored
    return None if stored is None else (stored.content, stored.attributes)


class HistoryAudit(Audit):
    """All auditors of one run; what is not about versions is as in others."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._below: Counter[tuple[str, str]] = Counter()
        """By destination and replica key: how many versions were there before."""

    def wrote(self, place: Place, key: str, stored: StoredObject) -> None:
        where = (place.name, self._world.source_key(place, key))
        state = self._state(where[1], stored)
        self._theirs.discard(where)
        state = self._found(state, f"never torn: {where} is no version of the source")
        last = self._written.get(where, -1)
        self._require(state > last, f"one each, in order: {where} got {state} after {last}")
        self._written[where] = state

    def deleted(self, place: Place, key: str, before: StoredObject) -> None:
        self._require(
            place.deletes is Deletes.REPLICATE, f"nothing foreign: {place.name} {key} was hidden"
        )

    def removed(self, place: Place, key: str, entry: Entry[StoredObject]) -> None:
        """A version or marker of a replica was removed for good."""
        if entry.stored is None:
            return
        source = entries_of(self._world.source.objects, self._world.source_key(place, key))
        is_gone = _looks(entry) not in [_looks(each) for each in source]
        self._require(
            is_gone and place.version_deletes is Deletes.REPLICATE,
            f"nothing foreign: {entry.version_id} of {place.name} {key} was removed",
        )

    def was_below(self, place: Place, key: str) -> None:
        self._below[place.name, key] += 1
        self._theirs.add((place.name, self._world.source_key(place, key)))

    def settled(self, settlement: Settlement) -> None:
        """A replica may have versions on top by now that the job did not know of."""

    def _converged(self, place: Place, key: str, replica: StoredObject | None) -> None:
        world, where = self._world, (place.name, key)
        below = self._below[place.name, place.prefix + key]
        all_of_it = entries_of(world.buckets[place.name].objects, place.prefix + key)
        for entry in all_of_it[:below]:
            self._require(
                entry.stored is not None and self._was_before(entry.stored),
                f"nothing foreign: what was below {where} is gone",
            )
        entries = all_of_it[below:]
        record = world.process.journal._kept.records.get(where)
        if record is None:
            # A backfill sees what a listing shows, and of removals this destination hears nothing.
            self._require(
                world.untold and key not in world.source.objects and not entries,
                f"nothing lost: {where} has no record",
            )
            return
        self._require(self._is_equal(place, key, entries), f"converges: {where} differs")
        self._require(
            record.state in {JobState.SETTLED, JobState.SUPERSEDED},
            f"ledger agrees: {where} {record.state}",
        )
        kept = world.process.journal._versions.get(where, {}).values()
        known = [
            each.replica_version_id
            for each in kept
            if each.replica_version_id and not each.is_below
        ]
        self._require(
            known == [each.version_id for each in entries], f"ledger agrees: versions of {where}"
        )
        if record.state is JobState.SETTLED:
            etag = None if replica is None else replica.etag
            self._require(record.replica_etag == etag, f"ledger agrees: {where}: replica_etag")

    def _is_equal(self, place: Place, key: str, entries: list[Entry[StoredObject]]) -> bool:
        world = self._world
        expected = [_looks(each) for each in entries_of(world.source.objects, key)]
        if place.deletes is Deletes.IGNORE:
            expected = [each for each in expected if each is not None]
        found = [_looks(each) for each in entries]
        if key not in world.lost:
            return found == expected
        # The sweep compares what is shown: the rest comes with the next change.
        if place.deletes is Deletes.IGNORE and key not in world.source.objects:
            return True
        shown, expected = found[-1:], expected[-1:]
        return shown == expected or not any((*shown, *expected))

    def _bounded(self) -> None:
        versions = sum(
            len(entries_of(self._world.source.objects, key)) + len(self.history[key])
            for key in self.history
        )
        # A page holds three versions, and an attempt reads both histories at most once a plan.
        most = self._claims * (self._world.options.limits.replans_max + 1) * (10 + 12 * versions)
        total = self._world.requests.total()
        self._require(total <= most, f"bounded: {total} requests of {self._claims} attempts")
