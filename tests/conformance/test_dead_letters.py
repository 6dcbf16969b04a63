"""Dead letters and malformed messages, as every ledger keeps them, the one in memory included."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.events import Malformed
from s3fanout.model.jobs import ErrorRecord, JobState, MalformedRecord
from s3fanout.ports.ledger import MALFORMED_ROWS_MAX, FailureSelection
from tests.conformance.journals import BROKEN, World, new_job, record_of, settlement

EVERYTHING = FailureSelection()


async def kill(world: World, *keys: str, destination: str = "a", code: str = "refused") -> None:
    """Make dead letters, one millisecond apart."""
    for key in keys:
        await world.accept(new_job(key, destination=destination))
        job = await world.claim_one(destination)
        world.clock.advance(1)
        error = ErrorRecord(code, f"no {key!r}", "hint")
        dead = settlement(job, JobState.DEAD, at_ms=world.now_ms, error=error, attempts=5)
        assert list(await world.journal.settle([dead])) == [True]
        await world.journal.finish([job])


async def test_failures_are_newest_first(world: World) -> None:
    await kill(world, "z", "m", "a")
    records = await world.journal.failures(EVERYTHING, limit=10)
    assert [record.key for record in records] == ["a", "m", "z"]
    assert records[0].error == ErrorRecord("refused", "no 'a'", "hint")
    page = await world.journal.failures(EVERYTHING, limit=1, offset=1)
    assert [record.key for record in page] == ["m"]


SELECTIONS = [
    (FailureSelection(), ["a/1", "a/2", "a\0", "b%", "b1"]),
    (FailureSelection(destination="a"), ["a/1", "a/2", "a\0"]),
    (FailureSelection(destination="nowhere"), []),
    (FailureSelection(key_prefix="a"), ["a/1", "a/2", "a\0"]),
    (FailureSelection(key_prefix="a/"), ["a/1", "a/2"]),
    (FailureSelection(key_prefix="a\0"), ["a\0"]),
    (FailureSelection(key_prefix="b%"), ["b%"]),
    (FailureSelection(key_prefix="B"), []),
    (FailureSelection(code="refused"), ["a/1", "a/2", "a\0", "b%"]),
    (FailureSelection(destination="b", key_prefix="b", code="access-denied"), ["b1"]),
]


@pytest.mark.parametrize(("selection", "keys"), SELECTIONS, ids=range(len(SELECTIONS)))
async def test_failures_are_selected_and_redriven(
    world: World, selection: FailureSelection, keys: list[str]
) -> None:
    await kill(world, "a/1", "a/2", "a\0")
    await kill(world, "b%", destination="b")
    await kill(world, "b1", destination="b", code="access-denied")
    await world.accept(new_job("a/alive"))
    (alive,) = await world.claim()
    found = await world.journal.failures(selection, limit=10)
    assert sorted(record.key for record in found) == sorted(keys)
    untouched = await world.journal.get("a", alive.key)

    assert await world.journal.redrive(selection, now_ms=world.now_ms) == len(keys)
    assert await world.journal.redrive(selection, now_ms=world.now_ms) == 0
    jobs = await world.claim("a") + await world.claim("b")
    assert sorted(job.key for job in jobs) == sorted(keys)
    assert {job.attempts for job in jobs} <= {0}
    assert await world.journal.get("a", alive.key) == untouched


async def test_a_redriven_job_keeps_its_history_and_refuses_the_old_attempt(world: World) -> None:
    await world.accept(new_job())
    job = await world.claim_one()
    dead = settlement(job, JobState.DEAD, error=BROKEN, replica_etag="r")
    await world.journal.settle([dead])
    before = await record_of(world)
    world.clock.advance(50)
    assert await world.journal.redrive(EVERYTHING, now_ms=world.now_ms) == 1
    after = await record_of(world)
    assert after.fence > before.fence
    assert after == replace(
        before,
        fence=after.fence,
        state=JobState.READY,
        due_at_ms=world.now_ms,
        attempts=0,
        settled_at_ms=None,
    )
    assert list(await world.journal.settle([settlement(job)])) == [False]
    assert await world.claim() == []  # The old attempt still has its lease.
    await world.journal.finish([job])
    assert [again.fence for again in await world.claim()] == [after.fence]


async def test_failures_are_selected_by_when_they_stopped(world: World) -> None:
    began_ms = world.now_ms
    await kill(world, "a", "b", "c")
    selection = FailureSelection(since_at_ms=began_ms + 2, until_at_ms=began_ms + 2)
    assert [record.key for record in await world.journal.failures(selection, limit=9)] == ["b"]
    older = FailureSelection(until_at_ms=began_ms + 1)
    assert await world.journal.redrive(older, now_ms=world.now_ms) == 1
    newer = FailureSelection(since_at_ms=began_ms + 3)
    assert await world.journal.redrive(newer, now_ms=world.now_ms) == 1
    left = await world.journal.failures(EVERYTHING, limit=9)
    assert [record.key for record in left] == ["b"]


async def test_malformed_messages_are_kept_until_discarded(world: World) -> None:
    letters = [Malformed("not-json", f"line {n}", bytes([0, 255, n])) for n in range(3)]
    await world.journal.keep_malformed(letters[:2], route="webhook", now_ms=1)
    await world.journal.keep_malformed(letters[2:], route="sqs", now_ms=2)
    await world.start()
    kept = await world.journal.malformed(limit=2)
    assert list(kept) == [
        MalformedRecord(3, 2, "sqs", "not-json", "line 2", b"\0\xff\x02"),
        MalformedRecord(2, 1, "webhook", "not-json", "line 1", b"\0\xff\x01"),
    ]
    assert await world.journal.malformed_count() == 3
    assert await world.journal.discard_malformed() == 3
    assert await world.journal.discard_malformed() == 0
    assert await world.journal.malformed_count() == 0
    assert list(await world.journal.malformed(limit=2)) == []
    await world.journal.keep_malformed(letters[:1], route="sqs", now_ms=3)
    assert [letter.id for letter in await world.journal.malformed(limit=2)] == [4]


async def test_malformed_messages_are_bounded(world: World) -> None:
    letter = Malformed("not-json", "", b"")
    almost = [letter] * (MALFORMED_ROWS_MAX - 1)
    await world.journal.keep_malformed(almost, route="sqs", now_ms=1)
    with pytest.raises(LedgerUnavailable, match=str(MALFORMED_ROWS_MAX)):
        await world.journal.keep_malformed([letter] * 2, route="sqs", now_ms=1)
    await world.journal.keep_malformed([letter], route="sqs", now_ms=1)
    with pytest.raises(LedgerUnavailable):
        await world.journal.keep_malformed([letter], route="sqs", now_ms=1)
    assert await world.journal.discard_malformed() == MALFORMED_ROWS_MAX
