"""Promises about destinations, sources and objects that fail."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from s3fanout.adapters.store.faulty import Call, Fault, Line, written
from s3fanout.decide.plan import Way
from s3fanout.model.errors import (
    AccessDenied,
    NoSuchBucket,
    Refused,
    StoreError,
    Throttled,
    Unavailable,
)
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from s3fanout.ports.ledger import FailureSelection
from tests.functional.clock import CreepingClock, VirtualClock, quiet
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
MANY = 1_000_000
PATIENT = Limits(circuit_failures=MANY)


def failing(error: StoreError, *, times: int | None = None, key: str | None = None) -> To:
    """A destination that fails ``times`` times."""
    return To("a", script=written([Line(Fault(error), key=key, last=times)]))


async def test_throttling_halves_the_rate_and_never_counts(world_of: MakeWorld) -> None:
    world = world_of(failing(Throttled("slow down", status=503), times=20))
    await world.receive(world.put("key"))
    await world.rest()
    world.assert_equal()
    assert world.known("a", "key").attempts == 0
    assert world.copiers["a"].attempts["key"] == 21
    assert world.reports.throttles[0] == ("a", 4)
    assert min(limit for _, limit in world.reports.throttles) == 1
    assert world.reports.circuits == []


async def test_a_throttled_destination_slows_no_other(world_of: MakeWorld) -> None:
    world = world_of(failing(Throttled("slow down", retry_after_s=600.0)), To("b"))
    for number in range(20):
        await world.receive(world.put(f"key-{number}"))
    await quiet()
    assert len(world.buckets["b"].objects) == 20
    assert (world.view("a").concurrency, world.view("b").concurrency) == (4, 8)
    assert {record.destination for record in world.unsettled()} == {"a"}


async def test_throttled_answers_of_one_moment_lower_the_rate_once(world_of: MakeWorld) -> None:
    world = world_of(failing(Throttled("slow down"), times=1))
    for number in range(8):
        await world.receive(world.put(f"key-{number}"))
    await quiet()
    assert world.reports.throttles == [("a", 4)] * 8


async def test_concurrency_is_what_the_rate_allows(world_of: MakeWorld) -> None:
    gates: list[asyncio.Event] = []

    def hold(call: Call) -> Fault | None:
        if call.key == "first":
            return Fault(Throttled("slow down")) if call.nth == 1 else None
        gates.append(asyncio.Event())
        return Fault(pause=gates[-1].wait)

    world = world_of(To("a", script=hold, concurrency=8))
    await world.receive(world.put("first"))
    await world.rest()
    for number in range(8):
        await world.receive(world.put(f"key-{number}"))
    await quiet()
    assert len(gates) == world.view("a").in_flight == world.view("a").concurrency == 4
    while gates:
        gates.pop().set()
        await quiet()
    await world.rest()
    world.assert_equal()


async def test_the_rate_grows_again_with_success(world_of: MakeWorld) -> None:
    world = world_of(failing(Throttled("slow down"), times=1, key="key-0"))
    for number in range(60):
        await world.receive(world.put(f"key-{number}"))
    await world.rest()
    assert world.view("a").concurrency == 8


async def test_nothing_starts_before_the_store_allows_it(world_of: MakeWorld) -> None:
    world = world_of(failing(Throttled("slow down", retry_after_s=30.0), times=1, key="key"))
    await world.receive(world.put("key"))
    await quiet()
    await world.receive(world.put("other"))
    await world.clock.advance(29.9)
    assert len(world.ports["a"].calls) == 1
    await world.clock.advance(0.2)
    assert world.unsettled() == []
    world.assert_equal()


async def test_failures_are_tried_again_ever_more_rarely_then_kept(world_of: MakeWorld) -> None:
    at_s: list[float] = []
    world: World

    def down(call: Call) -> Fault:
        at_s.append(world.clock.monotonic_s())
        return Fault(Unavailable("connection refused"))

    world = world_of(To("a", script=down), limits=PATIENT)
    await world.receive(world.put("key"))
    await world.rest()
    waits = [round(later - at, 3) for at, later in itertools.pairwise(at_s)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, *[300] * 5]
    dead = world.known("a", "key")
    assert dead.error is not None
    assert (dead.state, dead.attempts) == (JobState.DEAD, 16)
    assert (dead.error.code, dead.error.message) == ("unavailable", "connection refused")
    assert dead.error.hint == (
        "is the endpoint up and reachable? once the cause is gone: s3fanout redrive"
    )


async def test_a_restart_gives_no_attempts_back(world_of: MakeWorld) -> None:
    broken = failing(Unavailable("internal error", status=500))
    world = world_of(broken, limits=Limits(attempts_max=5))
    await world.receive(world.put("key"))
    for _ in range(3):
        await world.clock.advance(1.0)
        await world.crash()
    await world.rest()
    copies = [call for call in world.ports["a"].calls if call.operation == "CopyObject"]
    assert len(copies) == world.known("a", "key").attempts == 5
    assert world.states("key") == {"a": JobState.DEAD}


async def test_redrive_puts_dead_letters_back(world_of: MakeWorld) -> None:
    world = world_of(failing(Unavailable("down"), times=16), limits=PATIENT)
    await world.receive(world.put("key"))
    await world.rest()
    assert world.states("key") == {"a": JobState.DEAD}
    redriven = await world.journal.redrive(FailureSelection(), now_ms=world.clock.now_ms())
    await world.rest()
    assert redriven == 1
    assert world.known("a", "key").attempts == 0
    world.assert_equal()


async def test_a_new_change_revives_a_dead_letter(world_of: MakeWorld) -> None:
    world = world_of(failing(Refused("no", status=400), times=1))
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(world.put("key", b"other"))
    await world.rest()
    world.assert_equal()


async def test_what_the_store_refuses_is_a_dead_letter_at_once(world_of: MakeWorld) -> None:
    world = world_of(failing(Refused("no such storage class", s3_code="InvalidStorageClass")))
    await world.receive(world.put("key"))
    await world.rest(within_s=0)
    dead = world.known("a", "key")
    assert dead.error is not None
    assert (dead.state, dead.attempts) == (JobState.DEAD, 1)
    assert dead.error.code == "refused:InvalidStorageClass"
    assert dead.error.hint


async def test_one_broken_object_opens_no_circuit(world_of: MakeWorld) -> None:
    world = world_of(failing(Refused("no"), key="broken"))
    for number in range(9):
        await world.receive(world.put(f"key-{number}"))
        await world.receive(world.put("broken", b"%d" % number))
        await quiet()
    assert world.reports.circuits == []
    assert len(world.buckets["a"].objects) == 9


async def test_one_object_that_its_store_cannot_take_becomes_a_dead_letter(
    world_of: MakeWorld,
) -> None:
    """It answers 500 for this key only: that says nothing of the destination."""
    world = world_of(failing(Unavailable("internal error", status=500), key="broken"))
    await world.receive(world.put("broken"))
    await world.rest()
    assert world.states("broken") == {"a": JobState.DEAD}
    assert world.known("a", "broken").attempts == world.limits.attempts_max
    assert world.reports.circuits == []


async def test_answers_that_refuse_many_objects_open_the_circuit(world_of: MakeWorld) -> None:
    world = world_of(failing(Unavailable("internal error", status=500)))
    for number in range(5):
        await world.receive(world.put(f"key-{number}"))
    await quiet()
    assert world.reports.circuits == [("a", True)]
    await world.clock.advance(86_400)
    assert len(world.unsettled()) == 5


@pytest.mark.parametrize("between", [Refused("no", status=400), Throttled("slow down")], ids=repr)
@pytest.mark.parametrize("of_source", [True, False])
async def test_any_other_answer_begins_the_count_of_failures_anew(
    world_of: MakeWorld, between: StoreError, *, of_source: bool
) -> None:
    lines = [Line(Fault(between), key="between"), Line(Fault(Unavailable("down")))]
    world = (
        world_of(To("a", way=Way.STREAM), source_script=written(lines))
        if of_source
        else world_of(To("a", script=written(lines)))
    )
    opened = world.reports.source_circuits if of_source else world.reports.circuits
    for key in ("key-0", "key-1", "key-2", "key-3", "between", "key-4", "key-5", "key-6", "key-7"):
        await world.receive(world.put(key))
        await quiet()
    assert opened == []
    await world.receive(world.put("key-7", b"again"))
    await quiet()
    assert opened == [("a", True)]


async def test_a_lost_answer_is_made_good(world_of: MakeWorld) -> None:
    lost = Fault(Unavailable("reset", maybe_applied=True), applied=True)
    world = world_of(To("a", script=written([Line(lost, last=1)])))
    await world.receive(world.put("key"))
    await world.rest()
    assert world.requests() == {"CopyObject": 2}
    world.assert_equal()


async def test_a_dead_destination_opens_its_circuit_and_burns_no_attempts(
    world_of: MakeWorld,
) -> None:
    world = world_of(failing(Unavailable("down"), times=None), To("b"))
    for number in range(20):
        await world.receive(world.put(f"key-{number}"))
    await world.clock.advance(3600)
    assert len(world.buckets["b"].objects) == 20
    assert world.reports.circuits == [("a", True)]
    assert world.view("a").circuit_open
    assert not world.view("b").circuit_open
    assert len(world.unsettled()) == 20  # no dead letter
    assert sum(record.attempts for record in world.unsettled()) == 4  # before it opened
    # 8 at first; then one at a time after 1, 2, 4 ... 60 seconds.
    assert len(world.ports["a"].calls) < 80


async def test_a_source_that_is_down_is_blamed_on_no_destination(world_of: MakeWorld) -> None:
    world: World

    def until_noon(_call: Call) -> Fault | None:
        return Fault(Unavailable("down")) if world.clock.monotonic_s() < 43_200 else None

    far, near = To("far", way=Way.STREAM), To("near")
    world = world_of(far, near, source_script=until_noon)
    for number in range(20):
        await world.receive(world.put(f"key-{number}"))
    await world.clock.advance(3600)
    # Its store copies by itself: nothing has to be read.
    assert len(world.buckets["near"].objects) == 20
    assert (world.view("near").circuit_open, world.view("near").source_circuit_open) == (
        False,
        False,
    )
    assert (world.view("far").circuit_open, world.view("far").source_circuit_open) == (False, True)
    assert 0 < world.view("far").circuit_retry_in_s <= 60
    error = world.known("far", "key-0").error
    assert error is not None
    assert error.message == "the source could not be read: down"
    assert len(world.unsettled()) == 20  # no dead letter
    assert sum(record.attempts for record in world.unsettled()) == 4  # before it opened
    assert len(world.source_port.calls) < 80
    await world.rest(within_s=86_400)
    world.assert_equal()
    assert world.reports.circuits == []
    assert world.reports.source_circuits == [("far", True), ("far", False)]


@pytest.mark.parametrize("error", [AccessDenied("no", status=403), Throttled("no", status=503)])
async def test_an_answer_of_the_source_closes_no_circuit_of_a_destination(
    world_of: MakeWorld, error: StoreError
) -> None:
    """The destination is down; what the attempts that look for it find out is of the source."""
    later = Line(Fault(error), operation="GetObject", key="secret", first=2)
    world = world_of(
        To("a", way=Way.STREAM, script=written([Line(Fault(Unavailable("down")))])),
        source_script=written([later]),
        limits=Limits(attempts_max=2, circuit_failures=3),
    )
    for key in ("secret", "key-1", "key-2"):  # The oldest job is the one that looks.
        await world.receive(world.put(key))
    await world.clock.advance(3600)
    assert len([call for call in world.source_port.calls if call.key == "secret"]) > 2
    assert world.reports.circuits == [("a", True)]
    assert world.reports.source_circuits == []
    assert world.states("secret") == {"a": JobState.WAITING}


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("who are you", status=403, s3_code="InvalidAccessKeyId"),
        NoSuchBucket("gone", status=404, s3_code="NoSuchBucket"),
    ],
)
async def test_a_source_to_blame_opens_its_circuit_at_once_without_dead_letters(
    world_of: MakeWorld, error: StoreError
) -> None:
    world = world_of(
        To("a", way=Way.STREAM),
        source_script=written([Line(Fault(error), last=100)]),
        limits=Limits(attempts_max=1),
    )
    await world.receive(world.put("key"))
    await quiet()
    assert world.reports.source_circuits == [("a", True)]
    assert world.known("a", "key").attempts == 0
    await world.rest(within_s=86_400)
    world.assert_equal()
    assert world.reports.circuits == []


@pytest.mark.parametrize("clock", [VirtualClock, CreepingClock])
async def test_a_destination_that_recovers_drains_by_itself(
    world_of: MakeWorld, clock: type[VirtualClock]
) -> None:
    world: World

    def until_noon(_call: Call) -> Fault | None:
        return Fault(Unavailable("down")) if world.clock.monotonic_s() < 600 else None

    world = world_of(To("a", script=until_noon), clock=clock())
    for number in range(20):
        await world.receive(world.put(f"key-{number}"))
    await world.clock.advance(590)
    assert 0 < world.view("a").circuit_retry_in_s <= 60
    await world.rest(within_s=120)
    world.assert_equal()
    assert world.reports.circuits == [("a", True), ("a", False)]


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("who are you", status=403, s3_code="InvalidAccessKeyId"),
        NoSuchBucket("gone", status=404, s3_code="NoSuchBucket"),
        Refused("elsewhere", status=301, s3_code="PermanentRedirect"),
    ],
)
async def test_a_destination_to_blame_opens_the_circuit_at_once_without_dead_letters(
    world_of: MakeWorld, error: StoreError
) -> None:
    world = world_of(failing(error, times=100), limits=Limits(attempts_max=1))
    await world.receive(world.put("key"))
    await quiet()
    assert world.reports.circuits == [("a", True)]
    assert world.known("a", "key").attempts == 0
    await world.rest(within_s=86_400)
    assert len(world.ports["a"].calls) == 101
    world.assert_equal()


async def test_a_store_that_answers_500_for_a_missing_bucket_makes_no_dead_letters(
    world_of: MakeWorld,
) -> None:
    """SeaweedFS does; one look at the bucket before a job would die tells."""
    copying = Line(Fault(Unavailable("oops", status=500)), "CopyObject", last=9)
    looking = Line(Fault(NoSuchBucket("gone", status=404)), "HeadObject", last=3)
    world = world_of(
        To("a", script=written([copying, looking])),
        limits=Limits(attempts_max=3, circuit_failures=MANY),
    )
    await world.receive(world.put("key"))
    await world.rest(within_s=86_400)
    assert world.reports.circuits[0] == ("a", True)
    assert world.states("key") == {"a": JobState.SETTLED}
    world.assert_equal()


async def test_a_500_of_a_bucket_that_is_there_makes_a_dead_letter(world_of: MakeWorld) -> None:
    copying = Line(Fault(Unavailable("oops", status=500)), "CopyObject")
    world = world_of(
        To("a", script=written([copying])), limits=Limits(attempts_max=3, circuit_failures=MANY)
    )
    await world.receive(world.put("key"))
    await world.rest(within_s=86_400)
    assert world.states("key") == {"a": JobState.DEAD}
    assert [call.operation for call in world.ports["a"].calls] == [
        *("CopyObject", "CopyObject", "CopyObject", "HeadObject")
    ]


async def test_one_denied_object_is_a_dead_letter_and_the_others_arrive(
    world_of: MakeWorld,
) -> None:
    world = world_of(failing(AccessDenied("no", status=403, s3_code="AccessDenied"), key="secret"))
    await world.receive(world.put("secret"))
    for number in range(50):
        await world.receive(world.put(f"key-{number}"))
        await world.clock.advance(10)
    await world.rest()
    assert world.states("secret") == {"a": JobState.DEAD}
    assert len(world.buckets["a"].objects) == 50
    assert world.reports.circuits == []


async def test_a_paused_destination_keeps_its_backlog(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b"))
    await world.journal.pause("a", now_ms=world.clock.now_ms(), reason="maintenance")
    await world.receive(world.put("key"))
    await world.clock.advance(3600)
    assert world.states("key") == {"a": JobState.READY, "b": JobState.SETTLED}
    await world.journal.resume("a")
    await world.rest(within_s=0)
    world.assert_equal()
