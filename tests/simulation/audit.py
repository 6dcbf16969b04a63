"""Auditors: they watch the world and never look into the engine.

| auditor | what must be true |
|---|---|
| never torn | what is written, and what is settled, is one state that the source really had |
| never back | the states that a replica goes through get newer, never older |
| nothing lost | what is acknowledged has a record, and garbage is kept |
| nothing foreign | only what we wrote is deleted; what stands beside our replicas is left alone |
| no blind delete | a replica is deleted only after the source said that the object is absent |
| no masses | without a release no more deletes than the guard allows |
| bounded | attempts fail only for a reason, and cost a bounded number of requests |
| right blame | a circuit opens only for as many failures of its own store |
| true counts | the summary is what counting the records gives; lag is what the clock says |
| converges | at rest, every replica equals its source, or is absent as it is |
| heals in time | with the sweep on, a lost message is made good within the stated time |
| ledger agrees | at rest, every record says what the buckets hold |

A violation ends the run; its text begins with the auditor's name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from s3fanout.adapters.store.memory import StoredObject
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import (
    EARLIER_ETAGS_MAX,
    DestinationSummary,
    Job,
    JobState,
    ReplicaRecord,
    Settlement,
)
from s3fanout.model.objects import Absent, Probe
from s3fanout.model.removals import DELETES_HELD
from s3fanout.model.rules import Deletes

if TYPE_CHECKING:
    from tests.simulation.options import Place
    from tests.simulation.world import World

SOURCE = "source"
BELOW = b"before "
"""With this begins what a destination held before."""
PROBE_S_MAX = 120.0
UNSETTLED = frozenset({JobState.READY, JobState.WAITING})
T = TypeVar("T")
Where = tuple[str, str]
"""(destination, source key)."""


def _is_later(record: ReplicaRecord) -> bool:
    return record.kind is ChangeKind.EXISTS and record.state is JobState.READY


class Audit:
    """All auditors of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.history: defaultdict[str, list[StoredObject]] = defaultdict(list)
        self._written: dict[Where, int] = {}
        self._theirs: set[Where] = set()
        self._beside: dict[tuple[str, str], StoredObject] = {}
        self._absent_at_s: dict[str, float] = {}
        self._deletes: Counter[str] = Counter()
        self._garbage = 0
        self.faults = 0
        self._faults_of: Counter[str] = Counter()
        self._faults_at_opening: dict[tuple[str, bool], int] = {}
        self.attempts: Counter[str] = Counter()
        self._claims = 0
        self._changes = 0
        self._told: defaultdict[str, list[bytes]] = defaultdict(list)
        """By key: messages that were acknowledged."""
        self._untold: set[Where] = set()
        """Replicas that were taken for foreign before the message of their state had come."""

    def _require(self, is_so: object, otherwise: str) -> None:
        if not is_so:
            self._world.loop.fail(otherwise)

    def _found(self, value: T | None, otherwise: str) -> T:
        if value is None:
            self._world.loop.fail(otherwise)
        return value

    # The world changes

    def changed(self, key: str, stored: StoredObject | None) -> None:
        self._changes += 1
        if stored is not None:
            self.history[key].append(stored)

    def intruded(self, place: Place, key: str, stored: StoredObject) -> None:
        if key.startswith("theirs-"):
            self._beside[place.name, key] = stored
        else:
            self._theirs.add((place.name, self._world.source_key(place, key)))

    def was_below(self, place: Place, key: str) -> None:
        """Something was in a destination before."""
        raise AssertionError("only histories have something below them")

    # The engine acts

    def probed(self, key: str, answer: Probe) -> None:
        if isinstance(answer, Absent):
            self._absent_at_s[key] = self._world.loop.now_s

    def wrote(self, place: Place, key: str, stored: StoredObject) -> None:
        self._require(not key.startswith("theirs-"), f"nothing foreign: wrote {key}")
        where = (place.name, self._world.source_key(place, key))
        self._theirs.discard(where)
        state = self._state(where[1], stored)
        if state is None:
            mixed = self._mixed(where[1], stored) is not None
            self._require(place.spoils or mixed, f"never torn: {where} is no state of the source")
            return
        self._require(state >= self._written.get(where, 0), f"never back: {where} became older")
        self._written[where] = state

    def deleted(self, place: Place, key: str, before: StoredObject) -> None:
        world = self._world
        where = (place.name, world.source_key(place, key))
        # What the store spoiled is no replica, nor is a state that a store which ignores pins took
        # while the source went there and back: both are taken away and written again.
        wrong = self._state(where[1], before) is None or (place.lies and world.options.reverts > 0)
        if where not in self._theirs and wrong:
            return
        self._require(
            place.deletes is Deletes.REPLICATE, f"nothing foreign: {where} was not to be deleted"
        )
        self._require(
            where not in self._theirs, f"nothing foreign: {where} of {before.etag} was deleted"
        )
        seen_s = self._absent_at_s.get(where[1])
        seen_s = self._found(seen_s, f"no blind delete: {where}, never seen absent")
        self._require(
            world.loop.now_s - seen_s < PROBE_S_MAX, f"no blind delete: {where}, seen long ago"
        )
        limits = world.options.limits
        if world.calm or world.options.clock_jumps or world.loop.now_s >= limits.deletes_window_s:
            return
        self._deletes[place.name] += 1
        count = self._deletes[place.name]
        self._require(count <= limits.deletes_max, f"no masses: {count} in {place.name}")

    def faulted(self, store: str) -> None:
        """An attempt may fail for something that this store did."""
        self.faults += 1
        self._faults_of[store] += 1

    def circuit(self, destination: str, *, is_open: bool, of_source: bool) -> None:
        """A lane stopped trying, or goes on."""
        store = SOURCE if of_source else destination
        self._world.note(destination, "circuit", store, is_open)
        if not is_open:
            return
        count = self._faults_of[store]
        since = count - self._faults_at_opening.get((destination, of_source), 0)
        self._faults_at_opening[destination, of_source] = count
        needed = self._world.options.limits.circuit_failures
        self._require(since >= needed, f"right blame: {since} failures of {store}, not {needed}")

    def claimed(self, jobs: Sequence[Job]) -> None:
        self._claims += len(jobs)

    def attempted(self, settlement: Settlement, lag_s: float) -> None:
        self.attempts[settlement.state] += 1
        job = settlement.job
        self._world.note(job.destination, "attempt", job.key, settlement.state, settlement.reason)
        error = settlement.error
        self._require(error is None or error.code != "defect", f"defect: {error}")
        if error is not None and error.code == DELETES_HELD:
            self.attempts[DELETES_HELD] += 1
        if error is not None and error.code == "foreign-replica":
            self._taken_for_foreign(self._world.places[job.destination], job.key)
        true_s = (self._world.clock.now_ms() - settlement.job.event_at_ms) / 1000
        self._require(
            abs(lag_s - max(0.0, true_s)) < 0.01, f"true counts: lag {lag_s}, not {true_s}"
        )

    def _taken_for_foreign(self, place: Place, key: str) -> None:
        replica = self._world.buckets[place.name].objects.get(place.prefix + key)
        if replica is not None and not any(
            replica.etag.encode() in body for body in self._told[key]
        ):
            self._untold.add((place.name, key))

    def settled(self, settlement: Settlement) -> None:
        """A settlement is durable now."""
        if settlement.state is not JobState.SETTLED:
            return
        job = settlement.job
        where = (job.destination, job.key)
        if where in self._theirs:
            return
        place = self._world.places[job.destination]
        replica = self._world.buckets[job.destination].objects.get(place.prefix + job.key)
        replica = self._found(replica, f"never torn: {where} is settled and absent")
        state = self._found(
            self._mixed(job.key, replica), f"never torn: {where} is settled on no state"
        )
        etag = self.history[job.key][state].etag
        # Whole, but taken for another: docs/guarantees.md, "Copy conditions that are ignored".
        taken_for_another = place.lies and place.opaque and self._world.options.reverts > 0
        self._require(
            settlement.source_etag == etag or taken_for_another,
            f"never torn: {where} is settled on another state",
        )
        self._require(
            settlement.replica_etag == replica.etag, f"ledger agrees: {where}: replica_etag"
        )

    def acknowledged(self, key: str | None, body: bytes) -> None:
        """The sender of a message was told that it can forget it."""
        world = self._world
        kept = world.process.journal._kept
        if key is None:
            self._garbage += 1
            self._require(
                len(kept.letters) >= self._garbage, f"nothing lost: {body!r} was not kept"
            )
            return
        self._told[key].append(body)
        removal = b"ObjectRemoved" in body
        for place in world.options.places:
            if not removal or place.deletes is Deletes.REPLICATE:
                self._require(
                    (place.name, key) in kept.records, f"nothing lost: {place.name} {key}"
                )

    # Looks at the whole

    def counted(self, summaries: Sequence[DestinationSummary]) -> None:
        kept = self._world.process.journal._kept
        by_name: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
        for record in kept.records.values():
            by_name[record.destination].append(record)
        found = {summary.destination: summary for summary in summaries}
        self._require(found.keys() >= by_name.keys(), "true counts: a destination is missing")
        for name, records in by_name.items():
            summary = found[name]
            states = Counter(record.state for record in records)
            backlog = [record for record in records if record.state in UNSETTLED]
            told = [record for record in backlog if not _is_later(record)]
            self._require(
                (
                    summary.backlog,
                    summary.settled,
                    summary.superseded,
                    summary.dead,
                    summary.oldest_event_at_ms,
                )
                == (
                    len(backlog),
                    states[JobState.SETTLED],
                    states[JobState.SUPERSEDED],
                    states[JobState.DEAD],
                    min((record.event_at_ms for record in told), default=None),
                ),
                f"true counts: {name}",
            )

    def at_rest(self, summaries: Sequence[DestinationSummary]) -> None:
        self.counted(summaries)
        self._bounded()
        world = self._world
        for place in world.options.places:
            objects = world.buckets[place.name].objects
            for key in self.history:
                self._converged(place, key, objects.get(place.prefix + key))
        for (name, key), stored in self._beside.items():
            left = world.buckets[name].objects.get(key)
            self._require(left == stored, f"nothing foreign: {key} in {name} was touched")

    def swept(self) -> None:
        """The sweep had its time: what is not equal is being worked on, or is a dead letter."""
        world = self._world
        for place in world.options.places:
            objects = world.buckets[place.name].objects
            for key in self.history:
                record = world.process.journal._kept.records.get((place.name, key))
                if record is not None and record.state in UNSETTLED | {JobState.DEAD}:
                    continue
                source, replica = world.source.objects.get(key), objects.get(place.prefix + key)
                if source is None:
                    kept = place.deletes is Deletes.IGNORE or (place.name, key) in self._theirs
                    is_well = replica is None or kept or self._was_before(replica)
                else:
                    is_well = replica is not None and replica.content == source.content
                self._require(is_well, f"heals in time: {place.name} {key}")

    def _was_before(self, replica: StoredObject) -> bool:
        """Whether it is what a destination held before, and shows again."""
        return replica.content.startswith(BELOW)

    def _converged(self, place: Place, key: str, replica: StoredObject | None) -> None:
        world = self._world
        where = (place.name, key)
        record = world.process.journal._kept.records.get(where)
        if record is None and (replica is None or where in self._theirs) and world.untold:
            self._require(key not in world.source.objects, f"converges: {where} is missing")
            return
        record = self._found(record, f"nothing lost: {where} has no record")
        source = world.source.objects.get(key)
        theirs = where in self._theirs
        if source is None:
            if place.deletes is Deletes.IGNORE or theirs:
                return
            code = record.error.code if record.error is not None else ""
            if replica is not None and code == "foreign-replica":
                self._may_be_unknown(place, where)
                return
            self._require(replica is None, f"converges: {where} is still there, {record.state}")
            self._require(
                record.state is JobState.SUPERSEDED, f"ledger agrees: {where} {record.state}"
            )
            return
        self._require(record.state is JobState.SETTLED, f"ledger agrees: {where} {record.state}")
        self._require(record.source_etag == source.etag, f"ledger agrees: {where}: source_etag")
        if not theirs:
            replica = self._found(replica, f"converges: {where} is missing")
            self._require(
                (replica.content, replica.attributes) == (source.content, source.attributes),
                f"converges: {where} differs",
            )
            self._require(
                record.replica_etag == replica.etag, f"ledger agrees: {where}: replica_etag"
            )

    def _may_be_unknown(self, place: Place, where: Where) -> None:
        """A replica of ours whose etag nobody could know: its answer was lost.

        Nor is it known after more changes than the ledger remembers the hints of, or before the
        message of the state that an attempt met.
        """
        options = self._world.options
        unknowable = place.opaque or place.lies or options.opaque_source or options.large
        unknowable = unknowable or not options.hints
        unknowable = unknowable or len(self.history[where[1]]) > EARLIER_ETAGS_MAX
        unknowable = unknowable or where in self._untold
        lost = options.crashes or options.stops or options.lost_after or options.false_412
        self._require(unknowable, f"converges: {where} should be known as ours")
        self._require(
            lost or options.lost_before or place.spoils, f"converges: {where}, nothing was lost"
        )

    def _bounded(self) -> None:
        limits, total = self._world.options.limits, self._world.requests.total()
        # One plan costs at most a copy, two looks and a delete; deletes look at two buckets. Parts
        # are at least 48 bytes.
        parts = 2 * (self._world.options.large // 48 + 2) if self._world.options.large else 1
        most = self._claims * (2 * limits.replans_max + 4) * parts
        self._require(total <= most, f"bounded: {total} requests of {self._claims} attempts")
        failed = self.attempts[JobState.WAITING] - self.attempts[DELETES_HELD]
        # A read is shared, so its failure is one of every destination; and a source that moves
        # may cost an attempt of each.
        reasons = self.faults + self._changes
        most = reasons * len(self._world.places)
        self._require(failed <= most, f"bounded: {failed} failures of {reasons} reasons")

    def _mixed(self, key: str, stored: StoredObject) -> int | None:
        """As ``_state``; in parts, a replica may have the attributes of another moment for a while.

        Its facts and tags are read apart from its bytes (docs/guarantees.md says so); the event of
        the later change mends it, and ``converges`` looks.
        """
        state = self._state(key, stored)
        if state is not None or not self._world.options.large:
            return state
        states = self.history[key]
        return next(
            (n for n in range(len(states) - 1, -1, -1) if states[n].content == stored.content),
            None,
        )

    def _state(self, key: str, stored: StoredObject) -> int | None:
        """Which state of the source it is: the newest that looks like it."""
        states = self.history[key]
        for number in range(len(states) - 1, -1, -1):
            of = states[number]
            if (of.content, of.attributes) == (stored.content, stored.attributes):
                return number
        return None
