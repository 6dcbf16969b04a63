"""The tables of ``decide.order`` and ``decide.plan``, a row per line, and what a copy proves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.decide.order import Order, compare
from s3fanout.decide.plan import (
    CopyPlan,
    InParts,
    ProbeFirst,
    Refuse,
    ServerCopy,
    Skip,
    Stream,
    Verdict,
    Way,
    judge_copy,
    plan_copy,
)
from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import Job, NewJob
from s3fanout.model.limits import COPY_BYTES_MAX, Limits
from s3fanout.model.objects import Absent, Present, Probe
from s3fanout.model.rules import KeyFilter, Rule


def point(token: str, *, trusted: bool = True, scheme: str = "s3") -> OrderPoint:
    return OrderPoint(scheme, token, trusted)


def change(order: OrderPoint | None, **hints: object) -> NewJob:
    known = {"kind": ChangeKind.CREATED, "etag": "e", "version_id": "v", **hints}
    return NewJob("a", "key", event_at_ms=0, order=order, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recorded", "offered", "answer"),
    [
        (change(None), change(None), Order.NEWER),
        (change(point("1")), change(None), Order.NEWER),
        (change(None), change(point("1")), Order.NEWER),
        (change(point("2", scheme="x")), change(point("1")), Order.NEWER),
        (change(point("1")), change(point("1")), Order.DUPLICATE),
        (change(point("1", trusted=False)), change(point("1", trusted=False)), Order.DUPLICATE),
        (change(point("1")), change(point("1"), etag="f"), Order.NEWER),
        (change(point("1")), change(point("1"), version_id=None), Order.NEWER),
        (change(point("1")), change(point("1"), kind=ChangeKind.REMOVED), Order.NEWER),
        (change(point("1")), change(point("2")), Order.NEWER),
        (change(point("1")), change(point("2", trusted=False)), Order.NEWER),
        (change(point("2")), change(point("1")), Order.STALE),
        (change(point("2")), change(point("1", trusted=False)), Order.NEWER),
    ],
)
def test_order(recorded: NewJob, offered: NewJob, answer: Order) -> None:
    assert compare(offered, recorded) is answer


PART_BYTES = 100
HINTED = Job("a", "key", 1, ChangeKind.CREATED, 0, etag="hint", size_bytes=10)
EVERYTHING = KeyFilter()
SMALL = KeyFilter(size_bytes_max=9)
NOT_KEY = KeyFilter(exclude_prefixes=("key",))


def read(size_bytes: int) -> Present:
    return Present("key", size_bytes, "read")


def plan(
    facts: Probe | None, way: Way = Way.SERVER, *, job: Job = HINTED, of: KeyFilter = EVERYTHING
) -> CopyPlan:
    return plan_copy(job, facts, rule=Rule("a", of), way=way, limits=Limits(part_bytes=PART_BYTES))


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize(
    "job",
    [
        HINTED._replace(etag=None),
        HINTED._replace(etag=""),
        HINTED._replace(size_bytes=None),
        HINTED._replace(etag=None, size_bytes=None),
        HINTED._replace(kind=ChangeKind.REMOVED),
    ],
)
def test_without_an_etag_or_a_size_the_source_is_probed(way: Way, job: Job) -> None:
    assert plan(None, way, job=job) == ProbeFirst()


@pytest.mark.parametrize("way", Way)
def test_a_hint_that_would_end_the_job_is_not_believed(way: Way) -> None:
    assert plan(None, way, of=SMALL) == ProbeFirst()


@pytest.mark.parametrize(
    ("facts", "way", "size_bytes", "expected"),
    [
        (False, Way.SERVER, 10, ServerCopy("hint", 10)),
        (False, Way.SERVER, 0, ServerCopy("hint", 0)),
        (
            True,
            Way.SERVER,
            COPY_BYTES_MAX,
            ServerCopy("read", COPY_BYTES_MAX, read(COPY_BYTES_MAX)),
        ),
        (False, Way.STREAM, PART_BYTES, Stream("hint", PART_BYTES)),
        (True, Way.STREAM, PART_BYTES, Stream("read", PART_BYTES)),
        (False, Way.SERVER, COPY_BYTES_MAX + 1, ProbeFirst()),
        (False, Way.STREAM, PART_BYTES + 1, ProbeFirst()),
    ],
)
def test_what_is_known_is_pinned(
    facts: bool, way: Way, size_bytes: int, expected: CopyPlan
) -> None:
    if facts:
        assert plan(read(size_bytes), way) == expected
    else:
        assert plan(None, way, job=HINTED._replace(size_bytes=size_bytes)) == expected


def test_a_copy_that_needs_attributes_waits_for_the_facts() -> None:
    def planned(facts: Probe | None) -> CopyPlan:
        return plan_copy(
            HINTED, facts, rule=Rule("a"), way=Way.SERVER, limits=Limits(), must_look=True
        )

    assert planned(None) == ProbeFirst()
    assert planned(read(10)) == ServerCopy("read", 10, read(10))


@pytest.mark.parametrize(("way", "limit"), [(Way.SERVER, COPY_BYTES_MAX), (Way.STREAM, PART_BYTES)])
def test_what_was_read_and_is_larger_goes_in_parts(way: Way, limit: int) -> None:
    assert plan(read(limit + 1), way) == InParts(read(limit + 1))


@pytest.mark.parametrize("way", Way)
def test_an_archived_source_is_refused_with_a_hint(way: Way) -> None:
    refused = plan(replace(read(1), archived=True), way)
    assert isinstance(refused, Refuse)
    assert refused.code == "archived"
    assert "restore" in refused.hint


@pytest.mark.parametrize("way", Way)
def test_an_absent_source_is_skipped(way: Way) -> None:
    skip = plan(Absent("key"), way, of=NOT_KEY)
    assert isinstance(skip, Skip)
    assert skip.code == "source-absent"


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize(("of", "code"), [(SMALL, "filtered-size"), (NOT_KEY, "filtered-key")])
def test_what_was_read_and_is_not_wanted_is_skipped(way: Way, of: KeyFilter, code: str) -> None:
    skip = plan(read(COPY_BYTES_MAX * 2), way, of=of)
    assert isinstance(skip, Skip)
    assert skip.code == code


@pytest.mark.parametrize(
    ("answered", "honoured", "verdict"),
    [
        ("e", True, Verdict.PROVEN),
        ("other-2", True, Verdict.PROVEN),
        ("e", False, Verdict.PROVEN),
        ("other-2", False, Verdict.LOOK),
        ("", False, Verdict.LOOK),
    ],
)
def test_what_a_copy_proves(answered: str, honoured: bool, verdict: Verdict) -> None:
    judged = judge_copy(
        pinned_etag="e", answered_etag=answered, conditions_honoured=lambda: honoured
    )
    assert judged is verdict
