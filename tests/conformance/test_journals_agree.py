"""The durable journal and the one in memory tell the same story, whatever is asked of them."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import ErrorRecord, Job, JobState, NewJob, ReplicaRecord
from s3fanout.model.limits import Limits
from s3fanout.model.removals import DELETES_HELD
from s3fanout.ports.ledger import FailureSelection
from tests.conformance.journals import START_MS, Journal, StandingClock, World, settlement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")

DESTINATIONS = ("a", "b")
KEYS = ("k", "k\0", "ü", "x", "y", "z")
CODES = ("refused", "unavailable", DELETES_HELD)

orders = st.none() | st.builds(
    OrderPoint, st.sampled_from(["aws", "minio"]), st.sampled_from("123"), st.booleans()
)
new_jobs = st.builds(
    NewJob,
    destination=st.sampled_from(DESTINATIONS),
    key=st.sampled_from(KEYS),
    kind=st.sampled_from(ChangeKind),
    event_at_ms=st.integers(0, 5),
    order=orders,
    etag=st.sampled_from([None, "e", "f"]),
    size_bytes=st.sampled_from([None, 0, 7]),
    version_id=st.sampled_from([None, "v"]),
).map(lambda job: job._replace(order=None) if job.kind is ChangeKind.EXISTS else job)
"""A listing tells no order."""
errors = st.builds(ErrorRecord, st.sampled_from(CODES), st.just("m"), st.just("h"))
endings = st.fixed_dictionaries(
    {
        "state": st.sampled_from(
            [JobState.SETTLED, JobState.SUPERSEDED, JobState.DEAD, JobState.WAITING]
        ),
        "attempts": st.integers(0, 3),
        "source_etag": st.sampled_from([None, "s"]),
        "source_version_id": st.sampled_from([None, "sv"]),
        "replica_etag": st.sampled_from([None, "", "r"]),
        "differences": st.sampled_from([(), ("tags",), ("acl", "storage-class")]),
        "size_bytes": st.sampled_from([None, 9]),
        "error": st.none() | errors,
    }
)
selections = st.builds(
    FailureSelection,
    st.sampled_from([None, *DESTINATIONS]),
    st.sampled_from(["", "k", "k\0", "ü"]),
    st.sampled_from([None, *CODES]),
    st.sampled_from([None, START_MS + 1, START_MS + 2000]),
    st.sampled_from([None, START_MS + 1, START_MS + 2000]),
)
delays = st.sampled_from([0, 1, 1000])


class Pair(RuleBasedStateMachine):
    """Both journals get every operation; whatever they answer must be equal but for fences."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = StandingClock()
        self.worlds: list[World] = []
        self.leased: list[tuple[Job, Job]] = []
        self.ended: list[tuple[Job, Job]] = []
        self.fences = [0, 0]

    @initialize(jobs_in_memory_max=st.sampled_from([1, 2, 5_000]))
    def begin(self, jobs_in_memory_max: int) -> None:
        path = Path(self.folder.name, "ledger.db")
        self.worlds = [World(None, clock=self.clock), World(path, jobs_in_memory_max, self.clock)]
        self.reopen()

    def teardown(self) -> None:
        for world in self.worlds:
            self.runner.run(world.stop())
        self.runner.close()
        self.folder.cleanup()

    def run(self, *calls: Coroutine[object, object, T]) -> list[T]:
        async def both() -> list[T]:
            return list(await asyncio.gather(*calls))

        return self.runner.run(both())

    def same(self, call: Callable[[Journal], Awaitable[T]]) -> T:
        async def ask(world: World) -> T:
            return await call(world.journal)

        expected, actual = self.run(*(ask(world) for world in self.worlds))
        assert actual == expected
        return expected

    @rule()
    def reopen(self) -> None:
        self.run(*(world.start() for world in self.worlds))
        self.ended += self.leased
        self.leased = []

    @rule(milliseconds=st.sampled_from([1, 999, 60_000, -500]))
    def advance(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)

    @rule(jobs=st.lists(new_jobs, min_size=1, max_size=8))
    def accept(self, jobs: list[NewJob]) -> None:
        accepted = self.same(lambda journal: journal.accept(jobs, now_ms=self.clock.at_ms))
        assert accepted.queued + accepted.duplicate + accepted.stale == len(jobs)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def claim(self, destination: str) -> None:
        expected, actual = self.run(*(world.claim(destination) for world in self.worlds))
        assert [job._replace(fence=0) for job in actual] == [
            job._replace(fence=0) for job in expected
        ]
        self.leased += zip(expected, actual, strict=True)
        names = [(ours.destination, ours.key) for ours, _ in self.leased]
        assert len(names) == len(set(names)), "two leases of one key"

    @rule(
        jobs=st.lists(new_jobs, min_size=1, max_size=8), destination=st.sampled_from(DESTINATIONS)
    )
    def accept_and_claim(self, jobs: list[NewJob], destination: str) -> None:
        """Most of what is interesting happens to jobs in hand."""
        self.accept(jobs)
        self.claim(destination)

    def draw(self, data: st.DataObject, pairs: list[tuple[Job, Job]]) -> list[tuple[Job, Job]]:
        return data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True))

    def settle(
        self, pairs: list[tuple[Job, Job]], ending: dict[str, object], delay: int
    ) -> list[tuple[Job, Job]]:
        """Settle jobs in both journals. Returns the pairs that were written."""
        now_ms = self.clock.at_ms

        async def call(index: int) -> list[bool]:
            settlements = [
                settlement(pair[index], at_ms=now_ms, due_at_ms=now_ms + delay, **ending)  # type: ignore[arg-type]
                for pair in pairs
            ]
            return list(await self.worlds[index].journal.settle(settlements))

        expected, actual = self.run(call(0), call(1))
        assert actual == expected
        return [pair for pair, is_written in zip(pairs, expected, strict=True) if is_written]

    def finish(self, pairs: list[tuple[Job, Job]]) -> None:
        self.run(
            *(
                world.journal.finish([pair[index] for pair in pairs])
                for index, world in enumerate(self.worlds)
            )
        )

    def release(self, pairs: list[tuple[Job, Job]], delay: int) -> None:
        due_at_ms = self.clock.at_ms + delay
        self.run(
            *(
                world.journal.release([pair[index] for pair in pairs], due_at_ms=due_at_ms)
                for index, world in enumerate(self.worlds)
            )
        )

    def end(self, pairs: list[tuple[Job, Job]]) -> None:
        self.leased = [pair for pair in self.leased if pair not in pairs]
        self.ended += pairs

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), ending=endings, delay=delays, finish=st.booleans())
    def settle_leased(
        self, data: st.DataObject, ending: dict[str, object], delay: int, finish: bool
    ) -> None:
        pairs = self.draw(data, self.leased)
        written = self.settle(pairs, ending, delay)
        if finish:
            self.finish(pairs)
            self.end(pairs)
        elif ending["state"] is JobState.WAITING:
            self.end(written)

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def finish_leased(self, data: st.DataObject) -> None:
        pairs = self.draw(data, self.leased)
        self.finish(pairs)
        self.end(pairs)

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), delay=delays)
    def release_leased(self, data: st.DataObject, delay: int) -> None:
        pairs = self.draw(data, self.leased)
        self.release(pairs, delay)
        self.end(pairs)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), ending=endings, delay=delays)
    def settle_late(self, data: st.DataObject, ending: dict[str, object], delay: int) -> None:
        """It may even be a job that is leased again (after a release): then that lease ends."""
        written = self.settle(self.draw(data, self.ended), ending, delay)
        if ending["state"] is JobState.WAITING:
            fences = {pair[0].fence for pair in written}
            self.end([pair for pair in self.leased if pair[0].fence in fences])

    @precondition(lambda self: self.late())
    @rule(data=st.data(), delay=delays, release=st.booleans())
    def finish_or_release_late(self, data: st.DataObject, delay: int, release: bool) -> None:
        pairs = self.draw(data, self.late())
        if release:
            self.release(pairs, delay)
        else:
            self.finish(pairs)

    def late(self) -> list[tuple[Job, Job]]:
        """Jobs whose lease ended, and that nobody has claimed again unchanged."""
        held = {ours.fence for ours, _ in self.leased}
        return [pair for pair in self.ended if pair[0].fence not in held]

    @rule(selection=selections)
    def redrive(self, selection: FailureSelection) -> None:
        self.same(lambda journal: journal.redrive(selection, now_ms=self.clock.at_ms))

    @rule(destination=st.sampled_from(DESTINATIONS), lasts_ms=st.sampled_from([None, 0, 1, 1000]))
    def pause(self, destination: str, lasts_ms: int | None) -> None:
        now_ms = self.clock.at_ms
        self.same(
            lambda journal: journal.pause(
                destination,
                now_ms=now_ms,
                reason="r",
                ends_at_ms=None if lasts_ms is None else now_ms + lasts_ms,
            )
        )

    @rule(destination=st.sampled_from(DESTINATIONS))
    def resume(self, destination: str) -> None:
        self.same(lambda journal: journal.resume(destination))

    @rule(destination=st.sampled_from(DESTINATIONS), age_ms=st.integers(0, 2000))
    def admit_delete(self, destination: str, age_ms: int) -> None:
        now_ms = self.clock.at_ms
        limits = Limits(deletes_max=2, deletes_window_s=1)
        self.same(
            lambda journal: journal.admit_delete(
                destination, accepted_at_ms=now_ms - age_ms, now_ms=now_ms, limits=limits
            )
        )

    @rule(destination=st.sampled_from(DESTINATIONS))
    def release_deletes(self, destination: str) -> None:
        now_ms = self.clock.at_ms
        self.same(lambda journal: journal.release_deletes(destination, now_ms=now_ms))

    @rule(selection=selections)
    def failures(self, selection: FailureSelection) -> None:
        async def call(journal: Journal) -> list[ReplicaRecord]:
            found = await journal.failures(selection, limit=5)
            return [replace(record, fence=0) for record in found]

        self.same(call)

    @invariant()
    def everything_that_can_be_seen_is_equal(self) -> None:
        if not self.worlds:
            return

        async def call(journal: Journal) -> tuple[object, object, object]:
            records = [
                replace(record, fence=0)
                for key in KEYS
                for record in await journal.records_of_key(key)
            ]
            return records, await journal.summaries(), await journal.delete_guards()

        self.same(call)


TestJournalsAgree = Pair.TestCase
TestJournalsAgree.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
