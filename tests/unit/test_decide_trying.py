"""When to try again: ``decide.retry``, ``decide.circuit`` and ``decide.pace``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.decide.circuit import CLOSED, Circuit, admitted, after_failure
from s3fanout.decide.pace import DECREASE_EVERY_S, Pace, after_success, after_throttle
from s3fanout.decide.retry import (
    CREDENTIAL_CODES,
    REGION_CODES,
    RetryDecision,
    asks_for_bucket,
    backoff_cap_s,
    blames_store,
    decide_retry,
)
from s3fanout.model.errors import (
    AccessDenied,
    LedgerUnavailable,
    NoSuchBucket,
    Refused,
    ReplicaMismatch,
    S3FanoutError,
    SourceChanged,
    Throttled,
    Unavailable,
)
from s3fanout.model.limits import Limits

LIMITS = Limits(attempts_max=3, retry_base_s=1.0, retry_cap_s=100.0)
UNIT = st.floats(0, 1)
BOTH = (True, False)
DENIED = AccessDenied("no", s3_code="AccessDenied")
EXPIRED = AccessDenied("no", s3_code="ExpiredToken")


def decided(
    error: S3FanoutError, *, attempts: int = 0, closed: bool = True, jitter: float = 1.0
) -> RetryDecision:
    return decide_retry(
        error, attempts=attempts, circuit_closed=closed, jitter=jitter, limits=LIMITS
    )


def later(delay_s: float, *, counted: bool) -> RetryDecision:
    return RetryDecision(dead=False, counted=counted, delay_s=delay_s)


@pytest.mark.parametrize("closed", BOTH)
@pytest.mark.parametrize(
    "error", [Throttled("x"), SourceChanged("x"), NoSuchBucket("x"), EXPIRED], ids=repr
)
def test_what_is_not_the_objects_fault_never_counts(error: S3FanoutError, closed: bool) -> None:
    assert decided(error, attempts=2, closed=closed) == later(2.0, counted=False)


@pytest.mark.parametrize("closed", BOTH)
def test_what_will_never_work_is_dead_at_once(closed: bool) -> None:
    dead = RetryDecision(dead=True, counted=True, delay_s=0.0)
    assert decided(Refused("x"), closed=closed) == dead


OTHERS = [Unavailable("x"), DENIED, ReplicaMismatch("x"), LedgerUnavailable("x")]


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_nothing_counts_while_the_circuit_is_open(error: S3FanoutError) -> None:
    assert decided(error, attempts=99, closed=False).dead is False
    assert decided(error, attempts=1, closed=False) == later(1.0, counted=False)


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_failures_count_until_attempts_are_used_up(error: S3FanoutError) -> None:
    assert decided(error, attempts=0) == later(1.0, counted=True)
    assert decided(error, attempts=1) == later(2.0, counted=True)
    assert decided(error, attempts=2) == RetryDecision(dead=True, counted=True, delay_s=0.0)


@pytest.mark.parametrize(
    ("asked_s", "jitter", "delay_s"),
    [(None, 0.25, 0.25), (7.0, 0.5, 7.0), (0.1, 0.5, 0.5), (5000.0, 0.5, 100.0)],
)
def test_the_store_may_ask_for_a_longer_wait_up_to_the_cap(
    asked_s: float | None, jitter: float, delay_s: float
) -> None:
    error = Throttled("x", retry_after_s=asked_s)
    assert decided(error, jitter=jitter) == later(delay_s, counted=False)


@pytest.mark.parametrize("code", sorted(CREDENTIAL_CODES))
def test_wrong_credentials_blame_the_destination(code: str) -> None:
    assert blames_store(AccessDenied("x", s3_code=code))
    assert not blames_store(Unavailable("x", s3_code=code))


@pytest.mark.parametrize("code", sorted(REGION_CODES))
def test_a_wrong_region_blames_the_destination_and_kills_nothing(code: str) -> None:
    error = Refused("x", status=400, s3_code=code)
    assert blames_store(error)
    assert decided(error, attempts=99) == later(100.0, counted=False)
    assert blames_store(Refused("x", status=301))
    assert not blames_store(Refused("x", status=400, s3_code="InvalidArgument"))


@pytest.mark.parametrize(
    ("error", "attempts", "asks"),
    [
        (Unavailable("x", status=500), 2, True),
        (Unavailable("x", status=503), 9, True),
        (Unavailable("x", status=500), 1, False),
        (Unavailable("x"), 2, False),
        (Throttled("x", status=503), 2, False),
        (DENIED, 2, False),
    ],
)
def test_the_bucket_is_asked_for_before_a_job_dies_of_a_5xx(
    error: S3FanoutError, attempts: int, asks: bool
) -> None:
    assert asks_for_bucket(error, attempts=attempts, limits=LIMITS) is asks


def test_a_denied_object_does_not_blame_the_destination() -> None:
    assert blames_store(NoSuchBucket("x"))
    assert not blames_store(DENIED)


@given(st.integers(1, 10_000), st.floats(0.001, 100), st.floats(0.001, 10_000))
def test_back_off_never_shrinks_and_never_passes_its_cap(
    attempt: int, base_s: float, cap_s: float
) -> None:
    limits = Limits(retry_base_s=base_s, retry_cap_s=cap_s)
    wait_s = backoff_cap_s(attempt, limits)
    assert min(base_s, cap_s) <= wait_s <= cap_s
    assert wait_s <= backoff_cap_s(attempt + 1, limits)


@given(st.integers(0, 10_000), UNIT, st.booleans(), st.none() | st.floats(0, 1e6))
def test_every_delay_is_within_its_bounds(
    attempts: int, jitter: float, closed: bool, asked_s: float | None
) -> None:
    error = Unavailable("x", retry_after_s=asked_s)
    decision = decided(error, attempts=attempts, closed=closed, jitter=jitter)
    assert 0 <= decision.delay_s <= LIMITS.retry_cap_s
    assert decision.dead == (closed and attempts + 1 >= LIMITS.attempts_max)


# The circuit

CIRCUIT_LIMITS = Limits(circuit_failures=3, circuit_base_s=1.0, circuit_cap_s=8.0)


def failed(
    circuit: Circuit,
    now_s: float = 0.0,
    *,
    key: str = "key",
    answered: bool = False,
    blames: bool = False,
    jitter: float = 1.0,
) -> Circuit:
    return after_failure(
        circuit,
        key=key,
        answered=answered,
        blames_store=blames,
        now_s=now_s,
        jitter=jitter,
        limits=CIRCUIT_LIMITS,
    )


def opened(openings: int, until_s: float) -> Circuit:
    return Circuit(openings=openings, open_until_s=until_s)


def test_attempts_without_an_answer_in_a_row_open_the_circuit() -> None:
    twice = failed(failed(CLOSED))
    assert twice == Circuit(unanswered=2)
    assert twice.is_closed
    assert failed(twice, 10.0) == opened(1, 11.0)


def test_an_answer_counts_once_per_key() -> None:
    circuit = CLOSED
    for _ in range(100):
        circuit = failed(circuit, answered=True)
    assert circuit == Circuit(failed_keys=frozenset({"key"}))
    circuit = failed(circuit, key="other", answered=True)
    assert circuit.is_closed
    assert failed(circuit, 10.0, key="third", answered=True) == opened(1, 11.0)


def test_failures_with_and_without_an_answer_add_up() -> None:
    twice = failed(failed(CLOSED, answered=True))
    assert twice == Circuit(unanswered=1, failed_keys=frozenset({"key"}))
    assert failed(twice, 10.0) == opened(1, 11.0)


@pytest.mark.parametrize("answered", BOTH)
def test_one_failure_that_blames_the_destination_is_enough(answered: bool) -> None:
    assert failed(CLOSED, 10.0, answered=answered, blames=True) == opened(1, 11.0)


def test_attempts_in_flight_at_the_opening_tell_nothing_new() -> None:
    assert failed(opened(1, 11.0), 10.5, blames=True) == opened(1, 11.0)


@pytest.mark.parametrize("answered", BOTH)
def test_a_failed_probe_doubles_the_pause_up_to_the_cap(answered: bool) -> None:
    circuit, now_s, pauses = opened(1, 1.0), 1.0, []
    for _ in range(5):
        circuit = failed(circuit, now_s, answered=answered)
        pauses.append(circuit.open_until_s - now_s)
        now_s = circuit.open_until_s
    assert pauses == [2.0, 4.0, 8.0, 8.0, 8.0]


@given(st.integers(1, 10_000), UNIT)
def test_a_pause_is_between_a_half_and_the_whole_of_its_cap(openings: int, jitter: float) -> None:
    circuit = failed(opened(openings, 0.0), 0.0, jitter=jitter)
    cap_s = min(8.0, 2.0 ** min(openings, 10))
    assert cap_s / 2 <= circuit.open_until_s <= cap_s


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=30))
def test_what_a_closed_circuit_remembers_is_bounded(failures: list[tuple[str, bool]]) -> None:
    circuit = CLOSED
    for key, answered in failures:
        circuit = failed(circuit, key=key, answered=answered)
        assert circuit.unanswered + len(circuit.failed_keys) < CIRCUIT_LIMITS.circuit_failures
        if not circuit.is_closed:
            break


@pytest.mark.parametrize(
    ("circuit", "now_s", "in_flight", "expected"),
    [
        (CLOSED, 0.0, 0, 8),
        (CLOSED, 0.0, 3, 5),
        (CLOSED, 0.0, 9, 0),
        (opened(1, 5.0), 4.9, 0, 0),
        (opened(1, 5.0), 5.0, 0, 1),
        (opened(1, 5.0), 5.0, 1, 0),
    ],
)
def test_an_open_circuit_admits_one_probe_when_its_pause_is_over(
    circuit: Circuit, now_s: float, in_flight: int, expected: int
) -> None:
    assert admitted(circuit, now_s=now_s, in_flight=in_flight, limit=8) == expected


# The pace


def test_throttling_halves_the_limit_at_most_once_a_second() -> None:
    first = after_throttle(Pace(8.0, 8), now_s=10.0, retry_after_s=None)
    assert first == Pace(4.0, 8, decreased_at_s=10.0, hold_until_s=10.0)
    soon = after_throttle(first, now_s=10.0 + DECREASE_EVERY_S / 2, retry_after_s=None)
    assert (soon.limit, soon.decreased_at_s) == (4.0, 10.0)
    assert after_throttle(soon, now_s=10.0 + DECREASE_EVERY_S, retry_after_s=None).limit == 2.0


def test_retry_after_holds_everything_and_never_shortens_a_hold() -> None:
    held = after_throttle(Pace(8.0, 8), now_s=10.0, retry_after_s=30.0)
    assert held.hold_until_s == 40.0
    assert after_throttle(held, now_s=11.0, retry_after_s=1.0).hold_until_s == 40.0
    assert after_throttle(held, now_s=10.5, retry_after_s=60.0).hold_until_s == 70.5


def test_the_limit_grows_by_one_in_as_many_successes() -> None:
    pace = Pace(4.0, 8)
    for _ in range(4):
        pace = after_success(pace)
    assert 4.8 < pace.limit <= 5.0


def test_a_limit_at_its_maximum_stays_as_it_is() -> None:
    full = Pace(8.0, 8)
    assert after_success(full) is full


@given(st.integers(1, 500), st.lists(st.booleans(), max_size=200))
def test_the_limit_stays_between_one_and_its_maximum(limit_max: int, answers: list[bool]) -> None:
    pace = Pace(float(limit_max), limit_max)
    for now_s, throttled in enumerate(answers):
        pace = (
            after_throttle(pace, now_s=float(now_s), retry_after_s=None)
            if throttled
            else after_success(pace)
        )
        assert 1.0 <= pace.limit <= limit_max
