"""Engines with one deliberate bug each: if the simulation does not find it, it finds nothing.

Each mutant names the auditor that has to catch it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from s3fanout.decide.match import replica_key
from s3fanout.decide.plan import Refuse, Skip
from s3fanout.decide.versions import HistoryPlan
from s3fanout.engine.backfill import Backfill
from s3fanout.engine.copier import Copier, Outcome, Replicated
from s3fanout.engine.history import HistoryCopier
from s3fanout.engine.lane import Lane
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.receive import Receipt, Receiver
from s3fanout.engine.remover import Held, Removed, Remover
from s3fanout.engine.sweep import Sweeper
from s3fanout.model.errors import (
    LedgerUnavailable,
    S3FanoutError,
    SourceAbsent,
    StoreError,
    Unavailable,
)
from s3fanout.model.events import Malformed
from s3fanout.model.histories import VersionRecord
from s3fanout.model.items import Item
from s3fanout.model.jobs import DestinationSummary, Job, JobState, NewJob, Settlement
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Absent, Body, Present, Probe
from s3fanout.model.rules import Deletes
from s3fanout.ports.queue import Accepted
from tests.simulation.journal import SimJournal
from tests.simulation.options import Options, draw
from tests.simulation.process import Parts


class _AckBeforeDurable(Receiver):
    """The sender is told "thank you" while the jobs are on their way to the disk."""

    async def receive(self, body: bytes, *, route: str) -> Receipt:
        writing = asyncio.ensure_future(super().receive(body, route=route))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Receipt(1, 1, 0, 0, 0, 0, 0, ())


class _Unpinned:
    """A destination that is never told which state of the source to copy."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def copy(self, key: str, **options: Any) -> Any:
        return await self._store.copy(key, **options | {"if_match": None})


class _UnpinnedCopy(Copier):
    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts | {"destination": _Unpinned(parts["destination"])})


class _SettleWithoutCompare(Copier):
    """What the store answers is believed, whatever it wrote."""

    async def _check(self, job: Job, target: str, source: Present, written_etag: str) -> Present:
        return source


class _ErrorsAreAbsence:
    """A source whose every failure means that the object is gone."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def head(self, key: str, **options: Any) -> Probe:
        try:
            found: Probe = await self._store.head(key, **options)
        except S3FanoutError:
            return Absent(key)
        return found


class _DeleteOnUnknown(Copier):
    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts | {"source": _ErrorsAreAbsence(parts["source"])})


class _DeleteWithoutLooking(Remover):
    """Whatever is at the replica key must be ours."""

    async def remove(self, job: Job, replica_key: str, **_options: Any) -> Removed:
        await self._destination.delete(replica_key)
        return Removed("deleted")


class _TakesItsTime(Remover):
    """Nobody is in a hurry for deletes: what was absent minutes ago must be absent still."""

    async def remove(
        self, job: Job, replica_key: str, **options: Any
    ) -> Removed | Held | Skip | Refuse:
        await asyncio.sleep(180.0)
        return await super().remove(job, replica_key, **options)


class _NoGuard(SimJournal):
    """Every delete is fine."""

    async def admit_delete(
        self, destination: str, *, accepted_at_ms: int, now_ms: int, limits: Limits
    ) -> bool:
        return True


class _NoFence(SimJournal):
    """The outcome of an overtaken attempt settles the newer job."""

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        fenced = []
        for settlement in settlements:
            job = settlement.job
            record = self._kept.records.get((job.destination, job.key))
            fence = job.fence if record is None else record.fence
            fenced.append(settlement._replace(job=job._replace(fence=fence)))
        return await super().settle(fenced)


class _NoLease(SimJournal):
    """A job in hand is handed out once more: two attempts of one key overlap."""

    async def claim(
        self, destination: str, limit: int, *, now_ms: int, later_max: int | None = None
    ) -> Sequence[Job]:
        self._leases.clear()
        return await super().claim(destination, limit, now_ms=now_ms, later_max=later_max)


class _LosesWaiting(SimJournal):
    """Jobs that wait are not counted into the backlog."""

    async def summaries(self) -> Sequence[DestinationSummary]:
        return [replace(summary, waiting=0) for summary in await super().summaries()]


class _LeavesOutTheIdle(SimJournal):
    """A destination with nothing left to do is not worth a line."""

    async def summaries(self) -> Sequence[DestinationSummary]:
        return [summary for summary in await super().summaries() if summary.backlog]


class _DropsRepeats(SimJournal):
    """A change of a key that has a record already must be a duplicate."""

    async def accept(self, jobs: Sequence[Any], *, now_ms: int) -> Accepted:
        new = [job for job in jobs if (job.destination, job.key) not in self._kept.records]
        return await super().accept(new, now_ms=now_ms)


class _FailsForNothing(Lane):
    """Every success is tried twice more, to be sure."""

    def _after_outcome(self, job: Job, outcome: Outcome) -> Settlement:
        if isinstance(outcome, Replicated) and job.attempts < 2:
            return self._after_error(job, Unavailable("are you sure?"))
        return super()._after_outcome(job, outcome)


class _BlamesDestinations(Lane):
    """Whatever failed, it was the destination."""

    def _after_error(self, job: Job, error: S3FanoutError) -> Settlement:
        if isinstance(error, StoreError):
            error = copy(error)
            error.of_source = False
        return super()._after_error(job, error)


class _ForgetsWhatItWrote(SimJournal):
    """Settled, without a word about the replica."""

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        return await super().settle(
            [
                settlement._replace(replica_etag="?")
                if settlement.state is JobState.SETTLED
                else settlement
                for settlement in settlements
            ]
        )


class _SkipsWhatChanged(Copier):
    """A source that moved while it was copied is none of our business."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        try:
            return await super().attempt(job, stop_at_s=stop_at_s)
        except S3FanoutError as error:
            if job.etag is None:
                raise
            return Replicated(job.etag, job.size_bytes or 0, "", error.message)


class _AsksAllTheTime(Copier):
    """Is it there? Is it still there?"""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        for _ in range(100):
            with suppress(StoreError):
                await self._source.head(job.key)
        return await super().attempt(job, stop_at_s=stop_at_s)


class _AsksForEver(Copier):
    """What was copied is looked after, every few seconds."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        self._looking = asyncio.ensure_future(self._look_after(job.key))
        return await super().attempt(job, stop_at_s=stop_at_s)

    async def _look_after(self, key: str) -> None:
        while True:
            await asyncio.sleep(15.0)
            with suppress(StoreError):
                await self._destination.head(key)


class _TidiesUp(Copier):
    """Whatever is in a destination and not in the source has to go."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        with suppress(StoreError):
            for listed in (await self._destination.list_page("")).objects:
                if listed.key.startswith("theirs-"):
                    await self._destination.delete(listed.key)
        return await super().attempt(job, stop_at_s=stop_at_s)


class _WantsEveryRemoval(Receiver):
    """Who wants writes wants removals, too."""

    def __init__(self, **parts: Any) -> None:
        rules = [replace(rule, deletes=Deletes.REPLICATE) for rule in parts["rules"]]
        super().__init__(**parts | {"rules": rules})


class _DeletesUnasked(Copier):
    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts | {"rule": replace(parts["rule"], deletes=Deletes.REPLICATE)})


class _NeverLate(Lane):
    """What was copied was copied at once."""

    def _after_outcome(self, job: Job, outcome: Outcome) -> Settlement:
        return super()._after_outcome(job, outcome)._replace(at_ms=job.event_at_ms)


class _TearsBodies:
    """Bytes of one read under the attributes of another."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get(self, key: str, **options: Any) -> Body:
        body: Body = await self._store.get(key, **options)
        now = await self._store.head(key)
        if isinstance(now, Absent):
            raise SourceAbsent("gone", operation="GetObject")
        attributes = replace(now.attributes, tags=body.facts.attributes.tags)
        return replace(body, facts=replace(body.facts, attributes=attributes))


class _TornReads(SharedReads):
    def __init__(self, source: Any, **options: Any) -> None:
        super().__init__(_TearsBodies(source), **options)


class _PastAnError(Backfill):
    """What the ledger refused is behind us all the same."""

    async def _take(self, items: Sequence[Item]) -> None:
        with suppress(LedgerUnavailable):
            await super()._take(items)


class _SweepsOnce(Sweeper):
    """Once is enough."""

    async def run(self) -> None:
        for rule in self._rules:
            with suppress(S3FanoutError):
                await self.sweep(rule)
        await asyncio.get_running_loop().create_future()


class _ForgetsRefused(Sweeper):
    """A key that was found once is healed, whatever the ledger said."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"books": _OnceEach(options["books"])})


class _OnceEach:
    """Books that are offered each key once."""

    def __init__(self, books: Any) -> None:
        self._books = books
        self._offered: set[tuple[str, str]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        new = [job for job in jobs if (job.destination, job.key) not in self._offered]
        self._offered |= {(job.destination, job.key) for job in jobs}
        accepted: Accepted = await self._books.accept(new, now_ms=now_ms)
        return accepted


class _WritesWithoutAWord(HistoryCopier):
    """The ledger learns of a version only after it was written."""

    async def _keep(self, run: Any, *records: Any) -> None:
        await super()._keep(run)


class _NewestFirst(HistoryCopier):
    """Versions are written in the order of the listing."""

    async def _plan(self, job: Job) -> Any:
        plan = await super()._plan(job)
        if not isinstance(plan, HistoryPlan):
            return plan
        return replace(plan, steps=plan.steps[::-1])


class _HidesUnasked(HistoryCopier):
    """A delete marker is a version like any other."""

    def __init__(self, copier: Any, **parts: Any) -> None:
        super().__init__(
            copier, **parts | {"rule": replace(parts["rule"], deletes=Deletes.REPLICATE)}
        )


class _RemovesWhatIsThere(HistoryCopier):
    """Only the newest versions are worth keeping."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        outcome = await super().attempt(job, stop_at_s=stop_at_s)
        target = replica_key(self._rule.key_map, job.key)
        page = await self._destination.list_versions(target)
        for version in page.versions[2:]:
            await self._destination.delete_version(target, version.version_id)
        return outcome


class _ForgetsVersions(SimJournal):
    """What was written is not worth a commit: the next look finds out."""

    async def keep_versions(
        self, destination: str, key: str, records: Sequence[VersionRecord]
    ) -> None:
        begun = [record for record in records if not record.replica_version_id]
        await super().keep_versions(destination, key, begun)


class _ForgetsWhatIsShown(HistoryCopier):
    """The replica must have the etag of its source."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        outcome = await super().attempt(job, stop_at_s=stop_at_s)
        if isinstance(outcome, Replicated) and not outcome.wrote:
            return outcome._replace(replica_etag=outcome.source_etag)
        return outcome


class _DropsGarbage(SimJournal):
    """What nobody understands is not kept."""

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        """Gone."""


class _RemovesOnlyFromTheLedger(HistoryCopier):
    """A version that is gone is forgotten, and stays."""

    async def _remove(self, run: Any, record: Any) -> None:
        await self._histories.forget_version(
            run.job.destination, run.job.key, record.source_version_id
        )


def parts(**mine: type) -> type[Parts]:
    """The production engine with some parts of one's own."""
    return type("Mutated", (Parts,), mine)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug, and the auditor that has to find it.

    ``world`` has the options in which it shows, where few drawn worlds have them. ``says`` is what
    the auditor has to say, where it looks at several things.
    """

    name: str
    parts: type[Parts]
    auditor: str
    world: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""
    histories: bool = False
    """The auditor is one of those for runs in which every version counts."""

    def options(self, seed: int) -> Options:
        """Of one run. A world of its own is made from draws without walks and histories."""
        if self.histories:
            return draw(8 * seed + 7)
        return replace(draw(8 * seed), **self.world) if self.world else draw(seed)


def of_histories(name: str, mutated: type[Parts], auditor: str, says: str = "") -> Mutant:
    """A mutant that shows where every version counts."""
    return Mutant(name, mutated, auditor, says=says, histories=True)


IN_ORDER = "one each, in order"
FILLED = {"before": 6, "loses": 0.0, "sweep_s": 0.0, "ledger_fails": 0.3}
SWEPT = {"loses": 0.5, "sweep_s": 5.0, "grace_s": 0.5, "reverts": 0.0, "ledger_fails": 0.3}
MUTANTS = (
    Mutant("ack before durable", parts(receiver=_AckBeforeDurable), "nothing lost"),
    Mutant("delete on unknown", parts(copier=_DeleteOnUnknown), "no blind delete"),
    Mutant("unpinned one-shot copy", parts(copier=_UnpinnedCopy), "never torn"),
    Mutant("settle without compare", parts(copier=_SettleWithoutCompare), "never torn"),
    Mutant("lease without fence", parts(journal=_NoFence), "ledger agrees"),
    Mutant("two attempts at once", parts(journal=_NoLease), "never back"),
    Mutant("delete without looking", parts(remover=_DeleteWithoutLooking), "nothing foreign"),
    Mutant("late deletes", parts(remover=_TakesItsTime), "no blind delete", says=" seen long ago"),
    Mutant("no mass-delete guard", parts(journal=_NoGuard), "no masses"),
    Mutant("waiting jobs uncounted", parts(journal=_LosesWaiting), "true counts"),
    Mutant(
        "idle destinations left out",
        parts(journal=_LeavesOutTheIdle),
        "true counts",
        says=" a destination is missing",
    ),
    Mutant("repeats dropped", parts(journal=_DropsRepeats), "converges"),
    Mutant("fails for nothing", parts(lane=_FailsForNothing), "bounded"),
    Mutant("asks all the time", parts(copier=_AsksAllTheTime), "bounded", says=" requests of "),
    Mutant("asks for ever", parts(copier=_AsksForEver), "bounded", says=" at rest"),
    Mutant("tidies up", parts(copier=_TidiesUp), "nothing foreign", says=" was touched"),
    Mutant(
        "deletes unasked",
        parts(receiver=_WantsEveryRemoval, copier=_DeletesUnasked),
        "nothing foreign",
        says=" was not to be deleted",
    ),
    Mutant("never late", parts(lane=_NeverLate), "true counts", says=" lag "),
    Mutant("source blamed on destinations", parts(lane=_BlamesDestinations), "right blame"),
    Mutant("replica forgotten", parts(journal=_ForgetsWhatItWrote), "ledger agrees"),
    Mutant("errors settled", parts(copier=_SkipsWhatChanged), "never torn"),
    Mutant("watermark past an error", parts(backfill=_PastAnError), "converges", FILLED),
    Mutant("sweep past an error", parts(sweeper=_ForgetsRefused), "heals in time", SWEPT),
    Mutant("one sweep only", parts(sweeper=_SweepsOnce), "heals in time"),
    Mutant("attributes of another read", parts(reads=_TornReads), "never torn"),
    Mutant("garbage dropped", parts(journal=_DropsGarbage), "nothing lost"),
    of_histories("no word before a version", parts(history=_WritesWithoutAWord), IN_ORDER),
    of_histories("versions newest first", parts(history=_NewestFirst), IN_ORDER),
    of_histories("versions only forgotten", parts(history=_RemovesOnlyFromTheLedger), "converges"),
    of_histories("attributes of another version", parts(reads=_TornReads), "never torn"),
    of_histories("old versions removed", parts(history=_RemovesWhatIsThere), "nothing foreign"),
    of_histories(
        "hidden unasked", parts(history=_HidesUnasked), "nothing foreign", says=" was hidden"
    ),
    of_histories("versions not recorded", parts(journal=_ForgetsVersions), "ledger agrees"),
    of_histories("etag of what is shown", parts(history=_ForgetsWhatIsShown), "ledger agrees"),
)
