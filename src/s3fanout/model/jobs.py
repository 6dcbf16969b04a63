"""A job, its states, and the record that the ledger keeps of it.

```
            accept              claim                settle
   (event) ───────▶  ready  ──────────▶  leased  ──────────▶  settled | superseded | dead
                       ▲                    │                             │
                       │     due            │ release                     │ redrive
                       └──────── waiting ◀──┘                             │
                       └──────────────────────────────────────────────────┘
```

A newer change of the key replaces the record's job in any state; the attempt that is in hand then
settles nothing, because its fence no longer matches.

What is made anew for every replica is a tuple here: a frozen dataclass takes three times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from s3fanout.model.events import ChangeKind, OrderPoint


class JobState(StrEnum):
    """Where a job stands."""

    READY = "ready"
    """May be claimed now."""
    LEASED = "leased"
    """An attempt is in hand."""
    WAITING = "waiting"
    """An attempt failed or was throttled; may be claimed when it is due."""
    SETTLED = "settled"
    """The replica was equal to the source when last looked at."""
    SUPERSEDED = "superseded"
    """Nothing was left to do: the source object is gone or the rule no longer wants it."""
    DEAD = "dead"
    """Stopped with a named reason; ``redrive`` puts it back."""


class NewJob(NamedTuple):
    """A change that one destination needs, before the queue accepted it.

    ``destination`` and ``key`` are its identity: at most one job exists for the two at any time.
    ``key`` is the *source* key; the destination's key map says what the replica is called.

    ``etag`` and ``size_bytes`` are hints from the event: they save requests, every read is pinned
    to them, and they are never believed.
    """

    destination: str
    key: str
    kind: ChangeKind
    event_at_ms: int
    order: OrderPoint | None = None
    etag: str | None = None
    size_bytes: int | None = None
    version_id: str | None = None


class Job(NamedTuple):
    """A claimed job: what an attempt needs to know.

    Attributes:
        destination, key: Identity.
        fence: Belongs to one call of ``Queue.accept`` for ever, over restarts; the jobs of one call
            share it (a key that is repeated in the call gets the next). A settlement whose fence is
            not the record's is refused.
        kind, event_at_ms, etag, size_bytes, version_id: From the newest accepted change.
        attempts: Attempts that failed so far and counted (throttling does not).
        order: From the change, where a queue hands it on because no fence keeps attempts apart.
        pinned_version_id: The attempt is about this version of the source object, and not about
            the current one. No queue sets it.
    """

    destination: str
    key: str
    fence: int
    kind: ChangeKind
    event_at_ms: int
    etag: str | None = None
    size_bytes: int | None = None
    version_id: str | None = None
    attempts: int = 0
    order: OrderPoint | None = None
    pinned_version_id: str | None = None


EARLIER_ETAGS_MAX = 8


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """The last error of a job, fit to print: no secrets, no raw key bytes."""

    code: str
    message: str
    hint: str


class Settlement(NamedTuple):
    """What an attempt came to, to be written where the record still has the job's fence.

    Attributes:
        job: The job as claimed.
        state: ``SETTLED``, ``SUPERSEDED``, ``DEAD`` or ``WAITING``.
        at_ms: When the attempt ended.
        reason: Why, in words that ``explain`` prints.
        attempts: Counted attempts, this one included if it counts.
        due_at_ms: For ``WAITING`` only: when it may be claimed again.
        source_etag, size_bytes, source_version_id: The source state that the replica now equals.
        replica_etag: What the destination answered; ``""`` after the replica was deleted.
        differences: What the replica lacks of what it was to have, sorted names.
        error: For ``WAITING`` and ``DEAD``.
        wrote: Whether a ``SETTLED`` replica was written, or was found equal; for counting only.
    """

    job: Job
    state: JobState
    at_ms: int
    reason: str
    attempts: int
    due_at_ms: int = 0
    source_etag: str | None = None
    size_bytes: int | None = None
    source_version_id: str | None = None
    replica_etag: str | None = None
    differences: tuple[str, ...] = ()
    error: ErrorRecord | None = None
    wrote: bool = True


@dataclass(frozen=True, slots=True)
class ReplicaRecord:
    """One row of the ledger: everything known about one (destination, key).

    Attributes:
        earlier_etags: Hints of the jobs that this one replaced since the replica's state was last
            known, oldest first, at most ``EARLIER_ETAGS_MAX``: what a lost attempt may have
            written.
        differences: What the replica lacks of what it was to have, sorted names.
    """

    destination: str
    key: str
    fence: int
    state: JobState
    kind: ChangeKind
    event_at_ms: int
    accepted_at_ms: int
    due_at_ms: int
    attempts: int
    order: OrderPoint | None
    etag: str | None
    size_bytes: int | None
    version_id: str | None
    reason: str
    settled_at_ms: int | None
    source_etag: str | None
    source_version_id: str | None
    replica_etag: str | None
    error: ErrorRecord | None
    earlier_etags: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DestinationSummary:
    """Roll-up of one destination, derived from the records at the moment of asking.

    Attributes:
        ready, waiting: Unsettled jobs (a leased job counts as ready: a lease is not persisted by
            every queue); ``backlog = ready + waiting``.
        later: Of the ready ones those that come after all others: seen in a listing.
        backlog_bytes: Sum of the known sizes of the backlog.
        settled, superseded, dead: Records in those states.
        different: Replicas that lack something of what they were to have.
        oldest_event_at_ms: Event time of the oldest unsettled change; ``None`` without backlog.
        last_settled_at_ms: Newest settlement of any replica, also of one that changed again since;
            ``None`` when nothing was settled yet.
        last_error, last_error_at_ms: Newest error among unsettled and dead records.
        paused_at_ms, paused_reason: Set while the destination is paused by a person.
        pause_ends_at_ms: When the pause ends by itself; ``None``: when a person ends it.
    """

    destination: str
    ready: int = 0
    waiting: int = 0
    later: int = 0
    backlog_bytes: int = 0
    settled: int = 0
    superseded: int = 0
    dead: int = 0
    different: int = 0
    oldest_event_at_ms: int | None = None
    last_settled_at_ms: int | None = None
    last_error: ErrorRecord | None = None
    last_error_at_ms: int | None = None
    paused_at_ms: int | None = None
    paused_reason: str = ""
    pause_ends_at_ms: int | None = None

    @property
    def backlog(self) -> int:
        """Jobs accepted and not yet in a final state."""
        return self.ready + self.waiting


@dataclass(frozen=True, slots=True)
class MalformedRecord:
    """A message that intake could not understand, kept for a person to look at."""

    id: int
    received_at_ms: int
    route: str
    reason: str
    detail: str
    payload: bytes
