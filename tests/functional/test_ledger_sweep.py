"""The sweep that runs a piece at a time, against the ledger."""

from __future__ import annotations

import pytest

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.decide.heal import is_overdue
from s3fanout.engine.ledger_sweep import LATER_MAX, LedgerSweep, Pass
from s3fanout.model.events import ChangeKind
from s3fanout.model.items import Item
from s3fanout.model.jobs import ErrorRecord, Job, JobState, ReplicaRecord, Settlement
from s3fanout.model.rules import KeyFilter, Rule
from tests.functional.clock import VirtualClock

RULE = Rule("a", KeyFilter(exclude_prefixes=("tmp/",)))
INTERVAL_S, GRACE_S = 3600.0, 60.0
COUNT = 2500


class World:
    """A source of ``COUNT`` objects that no event told of, and a ledger."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.source = MemoryStores(self.clock).create_bucket("source")
        self.journal = MemoryJournal(clock=self.clock)
        for number in range(COUNT):
            self.source.objects[f"k{number:05}"] = StoredObject.of(b"%d" % number)

    def sweep(self, rule: Rule = RULE) -> LedgerSweep:
        """As another invocation has it: nothing is remembered but the ledger."""
        return LedgerSweep(
            rule=rule,
            source=self.source,
            books=self.journal,
            clock=self.clock,
            interval_s=INTERVAL_S,
            grace_s=GRACE_S,
        )

    async def run(self, *, time_s: float = 0.0, rule: Rule = RULE) -> tuple[Pass, int]:
        return await self.sweep(rule).run(stop_at_s=self.clock.monotonic_s() + time_s)

    async def work_off(self, state: JobState = JobState.SETTLED) -> int:
        """Play the functions; the number of jobs."""
        count = 0
        while jobs := await self.journal.claim("a", 1000, now_ms=self.clock.now_ms()):
            await self.journal.settle([self._ended(job, state) for job in jobs])
            await self.journal.finish(jobs)
            count += len(jobs)
        return count

    def _ended(self, job: Job, state: JobState) -> Settlement:
        is_dead = state is JobState.DEAD
        return Settlement(
            job,
            state,
            self.clock.now_ms(),
            "why",
            attempts=0,
            source_etag=None if is_dead else job.etag,
            replica_etag=None if is_dead else job.etag,
            error=ErrorRecord("code", "message", "hint") if is_dead else None,
        )


async def test_lost_events_heal_a_page_at_a_time_and_are_counted_once() -> None:
    world = World()
    await world.clock.advance(2 * GRACE_S)
    healed, runs = 0, 0
    while True:
        now, count = await world.run()
        healed, runs = healed + count, runs + 1
        await world.work_off()
        if now.ended_at_ms is not None:
            break
    assert (healed, runs, now.healed, now.seen) == (COUNT, 3, COUNT, COUNT)
    assert await world.run() == (now, 0), "the next pass is not due"
    await world.clock.advance(INTERVAL_S)
    world.source.objects["k00007"] = StoredObject.of(b"another")
    await world.clock.advance(2 * GRACE_S)
    again, count = await world.run(time_s=60)
    assert (again.ended_at_ms is not None, count) == (True, 1)


async def test_a_long_queue_ends_the_run_and_the_next_goes_on() -> None:
    world = World()
    await world.clock.advance(2 * GRACE_S)
    now, _ = await world.run(time_s=1e9)
    assert LATER_MAX < now.healed < COUNT
    assert await world.run(time_s=1e9) == (now, 0), "nobody worked anything off"
    assert await world.work_off() == now.healed
    ended, _ = await world.run(time_s=1e9)
    assert ended.healed == COUNT


async def test_what_stopped_with_a_reason_waits_for_a_person() -> None:
    world = World()
    await world.clock.advance(2 * GRACE_S)
    ended = False
    while not ended:
        now, _ = await world.run()
        ended = now.ended_at_ms is not None
        await world.work_off(JobState.DEAD)
    await world.clock.advance(INTERVAL_S)
    _, count = await world.run(time_s=1e9)
    assert count == 0


async def test_another_rule_begins_anew() -> None:
    world = World()
    await world.clock.advance(2 * GRACE_S)
    await world.run()
    now, _ = await world.run(rule=Rule("a"))
    assert now.seen == 1000


@pytest.mark.parametrize(
    ("record", "age_s", "overdue"),
    [
        (None, 61, True),
        (None, 59, False),
        ((JobState.SETTLED, "e"), 61, False),
        ((JobState.SETTLED, "old"), 61, True),
        ((JobState.WAITING, "old"), 61, False),
        ((JobState.SUPERSEDED, None), 61, True),
        ((JobState.DEAD, "e"), 61, False),
        ((JobState.DEAD, None), 61, False),
        ((JobState.DEAD, "old"), 61, True),
    ],
)
def test_when_an_event_was_lost(
    record: tuple[JobState, str | None] | None, age_s: int, overdue: bool
) -> None:
    known = None
    if record is not None:
        state, etag = record
        known = ReplicaRecord(
            destination="a",
            key="k",
            fence=0,
            state=state,
            kind=ChangeKind.CREATED,
            event_at_ms=0,
            accepted_at_ms=0,
            due_at_ms=0,
            attempts=0,
            order=None,
            etag=etag,
            size_bytes=1,
            version_id=None,
            reason="",
            settled_at_ms=None,
            source_etag=etag,
            source_version_id=None,
            replica_etag=etag,
            error=None,
        )
    item = Item("k", 1, "e", 0)
    assert is_overdue(item, RULE, known, now_ms=age_s * 1000, grace_ms=60_000) == overdue
    other = Item("tmp/k", 1, "e", 0)
    assert not is_overdue(other, RULE, None, now_ms=10**9, grace_ms=0)
