"""What every ledger must do, the one in memory included."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import (
    DestinationSummary,
    JobState,
    ReplicaRecord,
)
from s3fanout.model.uploads import ReplicaUpload
from s3fanout.ports.ledger import FailureSelection
from tests.conformance.journals import (
    BROKEN,
    START_MS,
    World,
    new_job,
    record_of,
    settlement,
)

if TYPE_CHECKING:
    pass


async def test_nothing_is_known_of_a_key_that_never_changed(world: World) -> None:
    await world.accept(new_job("other"))
    assert await world.journal.get("a", "k") is None
    assert await world.journal.get("b", "other") is None
    assert list(await world.journal.records_of_key("k")) == []
    assert list(await world.journal.failures(FailureSelection(), limit=10)) == []


async def test_what_a_replica_lacks_is_known_and_counted_until_it_is_made_again(
    world: World,
) -> None:
    async def settle(*differences: str) -> tuple[tuple[str, ...], int]:
        job = await world.claim_one()
        written = settlement(job, source_etag="s", replica_etag="r", differences=differences)
        await world.journal.settle([written])
        await world.journal.finish([job])
        (summary,) = await world.journal.summaries()
        return (await record_of(world)).differences, summary.different

    await world.accept(new_job(etag="1"))
    assert await settle("acl", "storage-class") == (("acl", "storage-class"), 1)
    await world.accept(new_job(etag="2"))
    (summary,) = await world.journal.summaries()
    assert summary.different == 1, "the replica is there as it was"
    assert await settle() == ((), 0)


async def test_a_record_follows_its_job(world: World) -> None:
    await world.accept(
        new_job(token="t", trusted=False, etag="e", version_id="v", kind=ChangeKind.REMOVED)
    )
    accepted = await record_of(world)
    assert accepted == ReplicaRecord(
        destination="a",
        key="k",
        fence=accepted.fence,
        state=JobState.READY,
        kind=ChangeKind.REMOVED,
        event_at_ms=START_MS - 500,
        accepted_at_ms=START_MS,
        due_at_ms=START_MS,
        attempts=0,
        order=OrderPoint("aws", "t", trusted=False),
        etag="e",
        size_bytes=10,
        version_id="v",
        reason="",
        settled_at_ms=None,
        source_etag=None,
        source_version_id=None,
        replica_etag=None,
        error=None,
    )
    job = await world.claim_one()
    assert await record_of(world) == replace(accepted, state=JobState.LEASED)

    waiting = settlement(job, JobState.WAITING, due_at_ms=START_MS + 5, error=BROKEN, attempts=2)
    await world.journal.settle([waiting])
    postponed = await record_of(world)
    assert postponed == replace(
        accepted,
        fence=postponed.fence,
        state=JobState.WAITING,
        due_at_ms=START_MS + 5,
        attempts=2,
        reason="because waiting",
        error=BROKEN,
    )
    world.clock.advance(5)
    job = await world.claim_one()
    assert (await record_of(world)).state is JobState.LEASED

    final = settlement(
        job, at_ms=START_MS + 9, source_etag="s", size_bytes=11, source_version_id="sv",
        replica_etag="r", attempts=3,
    )  # fmt: skip
    await world.journal.settle([final])
    assert await record_of(world) == replace(
        postponed,
        state=JobState.SETTLED,
        due_at_ms=0,
        attempts=3,
        reason="because settled",
        settled_at_ms=START_MS + 9,
        size_bytes=11,
        source_etag="s",
        source_version_id="sv",
        replica_etag="r",
        error=None,
    )


async def test_a_lease_is_not_part_of_the_record(world: World) -> None:
    await world.accept(new_job())
    await world.claim_one()
    await world.start()
    assert (await record_of(world)).state is JobState.READY


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.SUPERSEDED, JobState.DEAD])
async def test_what_is_known_of_the_replica_stays_until_it_is_settled_again(
    world: World, state: JobState
) -> None:
    """Deletes need to know that we wrote the replica, also after failed attempts."""
    await world.accept(new_job())
    job = await world.claim_one()
    known = settlement(job, size_bytes=3, source_etag="s", source_version_id="sv", replica_etag="r")
    await world.journal.settle([known])
    await world.journal.finish([job])

    await world.accept(new_job(kind=ChangeKind.REMOVED, size_bytes=None))
    job = await world.claim_one()
    record = await record_of(world)
    assert (record.source_etag, record.source_version_id, record.replica_etag) == ("s", "sv", "r")
    assert (record.settled_at_ms, record.size_bytes, record.reason) == (None, None, "")

    await world.journal.settle([settlement(job, state)])
    record = await record_of(world)
    assert (record.source_etag, record.source_version_id, record.replica_etag) == ("s", "sv", "r")

    await world.journal.finish([job])
    await world.accept(new_job(kind=ChangeKind.REMOVED))
    await world.journal.settle([settlement(await world.claim_one())])
    record = await record_of(world)
    assert (record.source_etag, record.source_version_id, record.replica_etag) == (None,) * 3


async def test_the_etags_of_the_last_eight_changes_are_known_until_the_replica_is(
    world: World,
) -> None:
    """What was begun for any of them may have been written: a delete has to know it as ours."""
    for number in range(11):
        await world.accept(new_job(etag=str(number)))
    record = await record_of(world)
    assert (record.etag, record.earlier_etags) == ("10", tuple("23456789"))
    await world.journal.settle([settlement(await world.claim_one(), replica_etag="r")])
    await world.accept(new_job(etag="newer"))
    assert (await record_of(world)).earlier_etags == ()


async def test_an_overtaken_settlement_is_refused(world: World) -> None:
    await world.accept(new_job("old"), new_job("k"))
    other, job = (await world.claim())[::-1]
    await world.accept(new_job("k", etag="newer"))
    outcomes = await world.journal.settle([settlement(other), settlement(job)])
    assert list(outcomes) == [True, False][:: 1 if other.key == "old" else -1]
    assert (await record_of(world)).state is JobState.READY
    assert (await record_of(world, "old")).state is JobState.SETTLED


async def test_what_an_overtaken_attempt_made_of_the_replica_is_known(world: World) -> None:
    await world.accept(new_job(etag="old"))
    job = await world.claim_one()
    await world.accept(new_job(etag="newer"))
    wrote = settlement(job, source_etag="s", replica_etag="r", differences=("acl",))
    assert list(await world.journal.settle([wrote])) == [False]
    record = await record_of(world)
    assert (record.state, record.etag, record.settled_at_ms) == (JobState.READY, "newer", None)
    assert (record.source_etag, record.replica_etag, record.differences) == ("s", "r", ("acl",))


async def test_many_settlements_of_one_call_are_answered_one_by_one(world: World) -> None:
    await world.accept(*(new_job(f"k{n:03}") for n in range(300)))
    jobs = await world.claim()
    await world.accept(*(new_job(f"k{n:03}", etag="newer") for n in range(0, 300, 7)))
    outcomes = await world.journal.settle(
        [
            settlement(job, JobState.WAITING if index % 3 else JobState.SETTLED)
            for index, job in enumerate(jobs)
        ]
    )
    assert list(outcomes) == [bool(n % 7) for n in range(300)]


async def test_settlements_of_one_key_in_one_call_follow_each_other(world: World) -> None:
    await world.accept(new_job())
    job = await world.claim_one()
    first = settlement(job, JobState.WAITING, due_at_ms=world.now_ms + 5)
    assert list(await world.journal.settle([first, settlement(job)])) == [True, False]
    assert (await record_of(world)).state is JobState.WAITING


async def test_an_attempt_that_ends_twice_goes_on_with_what_is_on_record(world: World) -> None:
    await world.accept(new_job())
    job = await world.claim_one()
    await world.journal.settle([settlement(job, size_bytes=9)])
    assert list(await world.journal.settle([settlement(job, JobState.WAITING)])) == [True]
    assert (await world.claim_one()).size_bytes == (await record_of(world)).size_bytes == 9


async def test_a_settlement_of_an_unknown_key_is_refused(world: World) -> None:
    await world.accept(new_job())
    job = (await world.claim_one())._replace(key="unknown")
    assert list(await world.journal.settle([settlement(job)])) == [False]
    assert await world.journal.get("a", "unknown") is None


async def test_settling_nothing_is_nothing(world: World) -> None:
    assert list(await world.journal.settle([])) == []


@pytest.mark.parametrize("state", [JobState.READY, JobState.LEASED])
async def test_a_settlement_says_how_the_attempt_ended(world: World, state: JobState) -> None:
    await world.accept(new_job())
    job = await world.claim_one()
    with pytest.raises(ValueError, match=state):
        await world.journal.settle([settlement(job, state)])
    assert (await record_of(world)).state is JobState.LEASED


async def test_a_job_that_was_settled_before_its_claim_is_not_claimed(world: World) -> None:
    await world.accept(new_job(), new_job("other"))
    (job, _) = await world.claim()
    await world.journal.release([job], due_at_ms=world.now_ms)
    assert list(await world.journal.settle([settlement(job)])) == [True]
    assert await world.claim() == []


async def test_records_of_a_key_are_those_of_all_destinations(world: World) -> None:
    await world.accept(*(new_job("k", destination=name) for name in ("b", "c", "a")))
    await world.accept(new_job("other"), new_job("k\0", destination="d"))
    await world.claim_one("b")
    records = await world.journal.records_of_key("k")
    assert [(record.destination, record.state) for record in records] == [
        ("a", JobState.READY),
        ("b", JobState.LEASED),
        ("c", JobState.READY),
    ]


async def test_a_summary_is_counted_from_the_records(world: World) -> None:
    await world.accept(
        new_job("done", size_bytes=1),
        new_job("gone", size_bytes=2),
        new_job("dead", size_bytes=4),
        new_job("late", size_bytes=8, event_at_ms=START_MS - 900),
        new_job("soon", size_bytes=None, event_at_ms=START_MS - 100),
    )
    dead, done, gone, late, soon = await world.claim()
    await world.journal.settle(
        [
            settlement(done, at_ms=START_MS + 1),
            settlement(gone, JobState.SUPERSEDED, at_ms=START_MS + 2),
            settlement(dead, JobState.DEAD, at_ms=START_MS + 3, error=BROKEN),
            settlement(
                late,
                JobState.WAITING,
                at_ms=START_MS + 4,
                due_at_ms=START_MS + 9,
                error=replace(BROKEN, message="newest"),
            ),
        ]
    )
    await world.journal.pause("idle", now_ms=START_MS, reason="why not")
    world.clock.advance(5)
    expected = DestinationSummary(
        destination="a",
        ready=1,
        waiting=1,
        backlog_bytes=8,
        settled=1,
        superseded=1,
        dead=1,
        oldest_event_at_ms=START_MS - 900,
        last_settled_at_ms=START_MS + 1,
        last_error=replace(BROKEN, message="newest"),
        last_error_at_ms=START_MS + 4,
    )
    paused = DestinationSummary("idle", paused_at_ms=START_MS, paused_reason="why not")
    assert list(await world.journal.summaries()) == [expected, paused]
    assert expected.backlog == 2

    world.clock.advance(4)  # Due: it may be claimed, so it counts as ready.
    expected = replace(expected, ready=2, waiting=0)
    assert list(await world.journal.summaries()) == [expected, paused]

    again = await world.claim_one()
    await world.journal.settle([settlement(job, at_ms=START_MS + 20) for job in (again, soon)])
    await world.journal.resume("idle")
    assert list(await world.journal.summaries()) == [
        replace(
            expected,
            ready=0,
            backlog_bytes=0,
            settled=3,
            oldest_event_at_ms=None,
            last_settled_at_ms=START_MS + 20,
            last_error=BROKEN,
            last_error_at_ms=START_MS + 3,
        )
    ]


async def test_summaries_of_an_empty_ledger_are_none(world: World) -> None:
    assert list(await world.journal.summaries()) == []


async def test_summaries_come_by_name(world: World) -> None:
    await world.accept(*(new_job(destination=name) for name in ("b", "Z", "a")))
    assert [summary.destination for summary in await world.journal.summaries()] == ["Z", "a", "b"]


async def test_a_second_pause_keeps_the_beginning(world: World) -> None:
    await world.journal.pause("a", now_ms=1, reason="first")
    await world.journal.pause("a", now_ms=2, reason="second")
    (summary,) = await world.journal.summaries()
    assert (summary.paused_at_ms, summary.paused_reason) == (1, "second")


async def test_a_pause_for_a_time_is_shown_until_it_is_over(world: World) -> None:
    ends_at_ms = world.now_ms + 1000
    await world.journal.pause("a", now_ms=world.now_ms, reason="r", ends_at_ms=ends_at_ms)
    world.clock.advance(999)
    (summary,) = await world.journal.summaries()
    assert summary == DestinationSummary(
        "a", paused_at_ms=ends_at_ms - 1000, paused_reason="r", pause_ends_at_ms=ends_at_ms
    )
    world.clock.advance(1)
    assert list(await world.journal.summaries()) == []
    assert not await world.journal.resume("a"), "it was over"
    await world.journal.pause("a", now_ms=world.now_ms, reason="again")
    (summary,) = await world.journal.summaries()
    assert (summary.paused_at_ms, summary.pause_ends_at_ms) == (ends_at_ms, None)


async def test_an_upload_is_remembered_until_it_is_forgotten(world: World) -> None:
    first = ReplicaUpload("a", "k\n", "r/k", "id-1", "print", 8)
    await world.journal.forget_upload("a", "k\n")
    assert await world.journal.upload_of("a", "k\n") is None
    await world.journal.keep_upload(first)
    await world.journal.keep_upload(replace(first, destination="b", upload_id="id-2"))
    assert await world.journal.upload_of("a", "k\n") == first
    await world.stop()
    await world.start()
    assert await world.journal.upload_of("a", "k\n") == first
    await world.journal.keep_upload(replace(first, upload_id="id-3"))
    assert await world.journal.upload_of("a", "k\n") == replace(first, upload_id="id-3")
    await world.journal.forget_upload("a", "k\n")
    assert await world.journal.upload_of("a", "k\n") is None
    assert await world.journal.upload_of("b", "k\n") is not None
