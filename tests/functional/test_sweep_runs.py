"""The sweep that runs a piece at a time, against the ledger or the destination itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.decide.heal import is_overdue
from s3fanout.engine.sweep_pages import AgainstLedger, AgainstReplicas
from s3fanout.engine.sweep_runs import LATER_MAX, Pages, Pass, SweepRuns
from s3fanout.engine.verify import Finding
from s3fanout.model.errors import AccessDenied, ListingUnordered
from s3fanout.model.events import ChangeKind
from s3fanout.model.items import Item
from s3fanout.model.jobs import ErrorRecord, Job, JobState, ReplicaRecord, Settlement
from s3fanout.model.objects import ListPage
from s3fanout.model.rules import Drift, KeyFilter, KeyMap, Rule
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

    def pages(self, rule: Rule) -> Pages:
        """What compares."""
        return AgainstLedger(
            rule=rule,
            source=self.source,
            books=self.journal,
            clock=self.clock,
            grace_s=GRACE_S,
        )

    async def run(self, *, time_s: float = 0.0, rule: Rule = RULE) -> tuple[Pass, Pass]:
        """As another invocation does it: nothing is remembered but the ledger."""
        runs = SweepRuns(
            rule=rule,
            source_bucket="source",
            pages=self.pages(rule),
            books=self.journal,
            clock=self.clock,
            interval_s=INTERVAL_S,
        )
        return await runs.run(stop_at_s=self.clock.monotonic_s() + time_s)

    async def whole_pass(self, rule: Rule = RULE) -> tuple[Pass, int]:
        """All runs of a pass, a page each; what it found and how many runs it took."""
        runs = 0
        while True:
            now, _ = await self.run(rule=rule)
            runs += 1
            assert runs < 20
            if now.ended_at_ms is not None:
                return now, runs

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
        now, done = await world.run()
        healed, runs = healed + done.healed, runs + 1
        await world.work_off()
        if now.ended_at_ms is not None:
            break
    assert (healed, runs, now.healed, now.seen) == (COUNT, 3, COUNT, COUNT)
    assert (await world.run())[1].healed == 0, "the next pass is not due"
    assert (await world.run())[0] == now
    await world.clock.advance(INTERVAL_S)
    world.source.objects["k00007"] = StoredObject.of(b"another")
    await world.clock.advance(2 * GRACE_S)
    again, done = await world.run(time_s=60)
    assert (again.ended_at_ms is not None, done.healed) == (True, 1)


async def test_a_long_queue_ends_the_run_and_the_next_goes_on() -> None:
    world = World()
    await world.clock.advance(2 * GRACE_S)
    now, _ = await world.run(time_s=1e9)
    assert LATER_MAX < now.healed < COUNT
    assert (await world.run(time_s=1e9))[0] == now, "nobody worked anything off"
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
    _, done = await world.run(time_s=1e9)
    assert done.healed == 0


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


class ReplicaWorld(World):
    """As ``World``, with a destination whose listing is read too."""

    def __init__(self) -> None:
        super().__init__()
        self.replica = MemoryStores(self.clock).create_bucket("a")
        self.drifts: list[Finding] = []

    def pages(self, rule: Rule) -> Pages:
        return AgainstReplicas(
            rule=rule,
            source=self.source,
            replica=self.replica,
            ledger=self.journal,
            books=self.journal,
            clock=self.clock,
            grace_s=GRACE_S,
            drifted=self.drifts.append,
        )

    async def replicate(self) -> int:
        """Play the functions, and what they write."""
        for key, stored in self.source.objects.items():
            if key.startswith("raw/"):
                self.replica.objects["copy/" + key.removeprefix("raw/")] = stored
        return await self.work_off()


MAPPED = Rule("a", KeyFilter(exclude_prefixes=("raw/tmp/",)), KeyMap("raw/", "copy/"))


async def replica_world() -> ReplicaWorld:
    """2,500 objects that were copied, and one pass that saw it."""
    world = ReplicaWorld()
    for key in list(world.source.objects):
        world.source.objects[f"raw/{key}"] = world.source.objects.pop(key)
    await world.clock.advance(2 * GRACE_S)
    passes: list[Pass] = []
    for _ in range(3):
        passes += [(await world.run(rule=MAPPED))[0]]
        await world.work_off()
    last = passes[-1]
    assert (last.ended_at_ms is not None, last.healed, last.seen) == (True, COUNT, COUNT)
    await world.replicate()
    await world.clock.advance(INTERVAL_S)
    return world


@pytest.mark.parametrize("drift", list(Drift))
async def test_what_somebody_did_to_replicas_is_found_by_their_listing(drift: Drift) -> None:
    world = await replica_world()
    rule = replace(MAPPED, drift=drift)
    replicas = world.replica.objects
    for number in (0, 999, 1000, 2499):
        replicas[f"copy/k{number:05}"] = StoredObject.of(b"by somebody else")
    for number in range(1200, 1700):
        del replicas[f"copy/k{number:05}"]
    for number in range(1500):
        replicas[f"copy/a{number:05}"] = StoredObject.of(b"not ours")
    world.source.objects["raw/k00500"] = StoredObject.of(b"nobody told of it")
    world.source.objects["raw/tmp/x"] = StoredObject.of(b"not wanted")
    await world.clock.advance(2 * GRACE_S)
    world.source.requests.clear()
    world.replica.objects["copy/tmp/x"] = StoredObject.of(b"not wanted either")
    now, runs = await world.whole_pass(rule)
    assert world.source.requests["HeadObject"] == 505, "what is not ours costs no look"
    repaired = 504 if drift is Drift.REPAIR else 0
    assert (now.healed, now.drifted, now.foreign) == (1 + repaired, 504 - repaired, 1501)
    assert now.seen == COUNT + 1
    assert runs >= 4
    assert {finding.key for finding in world.drifts} == {
        f"raw/k{number:05}" for number in (0, 999, 1000, 2499, *range(1200, 1700))
    }
    assert len(world.drifts) == 504, "each is told once, whoever went on"
    assert await world.replicate() == 1 + repaired


async def test_a_pass_in_one_run_costs_a_listing_of_each_side_and_no_look() -> None:
    world = await replica_world()
    world.source.requests.clear()
    world.replica.requests.clear()
    now, done = await world.run(time_s=1e9, rule=MAPPED)
    assert (now.ended_at_ms is not None, done.healed, done.drifted) == (True, 0, 0)
    assert world.source.requests == {"ListObjectsV2": 3}
    assert world.replica.requests == {"ListObjectsV2": 3}


async def test_a_pass_that_is_refused_stays_where_it_is() -> None:
    world = await replica_world()
    before, _ = await world.run(rule=MAPPED)
    whole = world.replica.list_page

    async def denied(*_: object, **__: object) -> ListPage:
        raise AccessDenied("not yours", operation="ListObjectsV2")

    world.replica.list_page = denied  # type: ignore[method-assign]
    with pytest.raises(AccessDenied):
        await world.run(rule=MAPPED)
    world.replica.list_page = whole  # type: ignore[method-assign]
    now, _ = await world.whole_pass(MAPPED)
    assert (now.began_at_ms, now.seen, now.healed) == (before.began_at_ms, COUNT, 0)


async def test_a_bucket_that_lists_in_another_order_is_refused_by_name() -> None:
    world = await replica_world()
    whole = world.replica.list_page

    async def backwards(*arguments: Any, **options: Any) -> ListPage:
        page = await whole(*arguments, **options)
        return replace(page, objects=page.objects[::-1])

    world.replica.list_page = backwards  # type: ignore[method-assign]
    with pytest.raises(ListingUnordered, match="bucket=a"):
        await world.run(rule=MAPPED)


async def test_compared_with_something_else_a_pass_begins_anew() -> None:
    world = await replica_world()
    now, _ = await world.run(rule=MAPPED)
    assert now.ended_at_ms is None
    world.pages = super(ReplicaWorld, world).pages  # type: ignore[method-assign]
    again, _ = await world.run(rule=MAPPED)
    assert again.began_at_ms == world.clock.now_ms()
