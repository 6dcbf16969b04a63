"""Every version of an object, in order: attempts of destinations that get all of its history.

An attempt reads both histories of its key as far down as they are not known to be equal, decides
(``decide.versions``) and does the steps, oldest first. Versions never change, so each is copied
pinned to its id, by the copier that copies current objects elsewhere.

Before a version is written the ledger says so, and afterwards which version of the replica it is.
So an attempt that ended anywhere is followed by one that knows what is ours. The normal case, one
new version, costs a page of each history beside the copy: three requests and two commits.

| what happens | outcome |
|---|---|
| the destination keeps no versions | Refuse ``not-versioned`` |
| somebody else's version lies above ours | Refuse ``foreign-version`` |
| a history is longer than ``HISTORY_MAX`` | Refuse ``history-too-long`` |
| a version cannot be copied | as the copier says; those after it wait, because order counts |
| a version is removed from the source meanwhile | the plan is made again |
| the guard holds a marker or a removal back | Held; what does not hide or remove anything is done |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from s3fanout.decide.match import replica_key
from s3fanout.decide.plan import Refuse, Skip
from s3fanout.decide.versions import (
    Adopt,
    CopyVersion,
    Foreign,
    PutMarker,
    RemoveVersion,
    base_of,
    end_of_new,
    plan_history,
)
from s3fanout.engine.copier import Replicated
from s3fanout.engine.remover import Held, Removed
from s3fanout.model.errors import SourceChanged, Unavailable
from s3fanout.model.events import ChangeKind
from s3fanout.model.histories import MARKER_ETAG, VersionRecord
from s3fanout.model.objects import Present
from s3fanout.model.rules import Deletes

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3fanout.decide.versions import HistoryPlan, Step
    from s3fanout.engine.copier import Outcome
    from s3fanout.engine.exclusive import Attempts
    from s3fanout.model.jobs import Job
    from s3fanout.model.limits import Limits
    from s3fanout.model.objects import Version
    from s3fanout.model.rules import Rule
    from s3fanout.ports.histories import Histories
    from s3fanout.ports.ledger import Ledger
    from s3fanout.ports.object_store import ObjectStore
    from s3fanout.ports.removals import Removals
    from s3fanout.ports.system import Clock

LOOK = 100
"""Versions and records that are looked at first: most changes are found there."""
PAGE = 1000
HISTORY_MAX = 100_000
"""Versions of one key that are held in memory, about 30 MB."""


class HistoryTooLong(Exception):
    """More than ``HISTORY_MAX`` versions would have to be looked at."""


class HistoryCopier:
    """Makes the history of a replica equal to that of its source."""

    def __init__(
        self,
        copier: Attempts,
        *,
        rule: Rule,
        source: ObjectStore,
        destination: ObjectStore,
        ledger: Ledger,
        histories: Histories,
        removals: Removals,
        clock: Clock,
        limits: Limits,
    ) -> None:
        """``copier`` copies single versions and deletes nothing, whatever ``rule`` says.

        ``histories`` knows which versions are ours.
        """
        self._copier = copier
        self._rule = rule
        self._source = source
        self._destination = destination
        self._ledger = ledger
        self._histories = histories
        self._removals = removals
        self._clock = clock
        self._limits = limits
        self._keeps_versions = False

    def take_written(self, job: Job) -> str | None:
        """See ``Attempts``."""
        return self._copier.take_written(job)

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        """Bring the replica's history up to the source's, as it is now.

        Args:
            job: Whose history.
            stop_at_s: As ``Copier.attempt``, for each version that is copied in parts.

        Raises:
            StoreError: The attempt failed; a version may have been written.
            LedgerUnavailable: What is ours is not known, or was not kept.
        """
        if not self._keeps_versions:
            self._keeps_versions = await self._destination.keeps_versions()
            if not self._keeps_versions:
                return _not_versioned()
        for _ in range(self._limits.replans_max):
            try:
                plan = await self._plan(job)
            except HistoryTooLong:
                return Refuse(
                    "history-too-long",
                    f"the key has more than {HISTORY_MAX} versions that are not known to be equal",
                    "let a lifecycle rule expire old versions; then: s3fanout redrive",
                )
            if isinstance(plan, Refuse):
                return plan
            outcome = await self._follow(job, plan, stop_at_s)
            if outcome is not None:
                return outcome
        raise SourceChanged(
            f"versions were removed from the source in each of {self._limits.replans_max} tries",
            operation="CopyObject",
            hint="it is tried again when it rests",
        )

    async def _plan(self, job: Job) -> HistoryPlan | Refuse:
        """Read both histories as far as needed, and decide."""
        target = replica_key(self._rule.key_map, job.key)
        deletes_versions = self._rule.version_deletes is Deletes.REPLICATE
        limit = None if deletes_versions else LOOK
        records = await self._histories.versions_kept(job.destination, job.key, limit=limit)
        replica = _Reading(self._destination, target)
        await replica.read_while(lambda: base_of(replica.versions, records) is None)
        if len(records) == limit and base_of(replica.versions, records) is None:
            records = await self._histories.versions_kept(job.destination, job.key)
        found = base_of(replica.versions, records)
        base = None if found is None else found[1]
        source = _Reading(self._source, job.key)
        await source.read_while(
            lambda: deletes_versions or end_of_new(source.versions, records, base) is None
        )
        plan = plan_history(
            source.versions,
            replica.versions,
            records,
            key=job.key,
            rule=self._rule,
            source_is_whole=source.is_whole,
        )
        return _foreign(plan, target) if isinstance(plan, Foreign) else plan

    async def _follow(self, job: Job, plan: HistoryPlan, stop_at_s: float | None) -> Outcome | None:
        """Do the steps; ``None`` if the source has another history by now."""
        run = _Run(job, replica_key(self._rule.key_map, job.key), stop_at_s)
        for step in plan.steps:
            ended = await self._do(run, step)
            if ended is not None:
                return None if ended is _AGAIN else ended
        await self._keep(run)
        if not run.replica_etag:
            run.replica_etag = plan.top_etag
            if run.removed:  # Another version may be the newest now.
                top = (await self._destination.list_versions(run.target, limit=1)).versions
                run.replica_etag = top[0].etag if top else ""
        if plan.newest is None and self._rule.version_deletes is Deletes.REPLICATE:
            return Removed("the source has no version of the key, and the replica none of ours")
        return _outcome(plan, run)

    async def _do(self, run: _Run, step: Step) -> Outcome | None:
        """One step; ``None`` if the next one may follow."""
        match step:
            case Adopt():
                run.unkept.append(step.record)
                return None
            case CopyVersion():
                return await self._copy(run, step.version)
            case PutMarker():
                return await self._put_marker(run, step)
            case RemoveVersion():
                await self._keep(run)
                return await self._remove(run, step.record)

    async def _copy(self, run: _Run, version: Version) -> Outcome | None:
        await self._keep(run, _record(version, ""))
        outcome = await self._copier.attempt(
            run.job._replace(
                kind=ChangeKind.CREATED,
                etag=version.etag or None,
                size_bytes=version.size_bytes,
                version_id=version.version_id,
                pinned_version_id=version.version_id,
            ),
            stop_at_s=run.stop_at_s,
        )
        match outcome:
            case Replicated():
                written_id = outcome.replica_version_id
                if written_id is None:
                    written_id = await self._newest_id(run.target, outcome.replica_etag)
                run.unkept.append(_record(version, written_id))
                run.written += 1
                run.replica_etag = outcome.replica_etag
                run.differences = outcome.differences
                return None
            case Skip():
                return _AGAIN
            case Refuse():
                reason = f"version {version.version_id}: {outcome.reason}"
                return replace(outcome, reason=reason)
            case _:
                return outcome

    async def _newest_id(self, target: str, etag: str) -> str:
        """Version id of what was just written: some stores do not tell (Ceph RGW of a copy)."""
        page = await self._destination.list_versions(target, limit=1)
        if not page.versions or page.versions[0].is_marker or page.versions[0].etag != etag:
            raise Unavailable(
                f"the store does not tell which version it wrote key={target!r}",
                operation="ListObjectVersions",
                maybe_applied=True,
            )
        return page.versions[0].version_id

    async def _put_marker(self, run: _Run, step: PutMarker) -> Outcome | None:
        if step.hides and (ended := await self._admitted(run.job)) is not None:
            await self._keep(run)
            return ended
        await self._keep(run, _record(step.version, ""))
        marker_id = await self._destination.delete(run.target)
        if marker_id is None:  # Ceph RGW puts no second marker on top of one: that one stands for
            page = await self._destination.list_versions(run.target, limit=1)  # both.
            if not page.versions or not page.versions[0].is_marker:
                return _not_versioned()
            marker_id = page.versions[0].version_id
        run.unkept.append(_record(step.version, marker_id))
        run.written += 1
        return None

    async def _remove(self, run: _Run, record: VersionRecord) -> Outcome | None:
        job = run.job
        if not record.is_marker:
            # A listing says that it is gone. Nobody but the store itself is believed in that.
            source_id = record.source_version_id
            facts = await self._source.head(job.key, version_id=source_id)
            if isinstance(facts, Present) and facts.etag == record.source_etag:
                return _AGAIN
            if (ended := await self._admitted(job)) is not None:
                return ended
        if not record.is_marker or await self._stands_alone(job, record):
            await self._destination.delete_version(run.target, record.replica_version_id)
        await self._histories.forget_version(job.destination, job.key, record.source_version_id)
        run.removed += 1
        return None

    async def _stands_alone(self, job: Job, marker: VersionRecord) -> bool:
        """Whether a marker of the replica stands for no other one (see ``_put_marker``)."""
        records = await self._histories.versions_kept(job.destination, job.key)
        return sum(each.replica_version_id == marker.replica_version_id for each in records) == 1

    async def _admitted(self, job: Job) -> Outcome | None:
        """``None`` if what hides or removes a version may be done, as ``engine.remover`` says."""
        record = await self._ledger.get(job.destination, job.key)
        if record is None or record.fence != job.fence:
            return Skip("overtaken", "a newer change of the key was accepted")
        admitted = await self._removals.admit_delete(
            job.destination,
            accepted_at_ms=record.accepted_at_ms,
            now_ms=self._clock.now_ms(),
            limits=self._limits,
        )
        return None if admitted else Held()

    async def _keep(self, run: _Run, *records: VersionRecord) -> None:
        """Make durable what was written, and that ``records`` are about to be."""
        kept = [*run.unkept, *records]
        if kept:
            await self._histories.keep_versions(run.job.destination, run.job.key, kept)
        run.unkept.clear()


_AGAIN = Skip("history-changed", "the source has another history by now")


@dataclass(slots=True)
class _Run:
    """An attempt in its steps."""

    job: Job
    target: str
    stop_at_s: float | None
    unkept: list[VersionRecord] = field(default_factory=list)
    written: int = 0
    removed: int = 0
    replica_etag: str = ""
    differences: tuple[str, ...] = ()


class _Reading:
    """A history that is read page by page, newest first."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self.versions: list[Version] = []
        self.is_whole = False
        self._store = store
        self._key = key

    async def read_while(self, is_needed: Callable[[], bool]) -> None:
        """Read on until nothing more is needed.

        Raises:
            HistoryTooLong: It is as long as we can hold, and more is needed.
        """
        token: str | None = None
        while not self.is_whole:
            limit = PAGE if self.versions else LOOK
            page = await self._store.list_versions(self._key, token=token, limit=limit)
            self.versions += page.versions
            token = page.next_token
            self.is_whole = token is None
            if not is_needed():
                return
            if len(self.versions) >= HISTORY_MAX:
                raise HistoryTooLong


def _record(version: Version, replica_version_id: str) -> VersionRecord:
    etag = MARKER_ETAG if version.is_marker else version.etag
    return VersionRecord(version.version_id, etag, version.size_bytes, replica_version_id)


def _outcome(plan: HistoryPlan, run: _Run) -> Outcome:
    done = [
        f"{count} {what}"
        for count, what in ((run.written, "written"), (run.removed, "removed"))
        if count
    ]
    reason = "versions in the order of the source: " + (", ".join(done) or "all were there")
    newest = plan.newest
    if newest is None:
        return Skip("source-absent", f"the source has no version of the key; {reason}")
    if newest.is_marker:
        return Removed(f"the object is deleted on both sides; {reason}")
    return Replicated(
        newest.etag,
        newest.size_bytes,
        run.replica_etag,
        reason,
        wrote=run.written > 0,
        differences=run.differences,
        source_version_id=newest.version_id,
    )


def _not_versioned() -> Refuse:
    return Refuse(
        "not-versioned",
        "the destination's bucket does not keep versions, and its rule wants all of them",
        'enable versioning, or set versions = "latest"; then: s3fanout redrive',
    )


def _foreign(found: Foreign, target: str) -> Refuse:
    what = "delete marker" if found.version.is_marker else "version"
    return Refuse(
        "foreign-version",
        f"somebody else put a {what} on top of the replica {target!r}: {found.version.version_id}; "
        "what came after it would not be the source's history",
        "delete it by its version id if it is not wanted; then: s3fanout redrive",
    )
