"""The table of decide.turns, row by row."""

from __future__ import annotations

import pytest

from s3fanout.decide.turns import Relation, Verdict, judge_turn, later, relation
from s3fanout.model.events import OrderPoint
from s3fanout.model.turns import Answer, Recorded


def order(token: str, *, scheme: str = "aws-s3", trusted: bool = True) -> OrderPoint:
    return OrderPoint(scheme, token, trusted)


def recorded(at: OrderPoint | None, *, etag: str = "theirs", turn: int = 3) -> Recorded:
    return Recorded(turn, at, "source", etag)


@pytest.mark.parametrize(
    ("held", "before", "verdict"),
    [
        (True, None, Verdict.DONE),
        (True, recorded(None, turn=0), Verdict.DONE),
        (False, recorded(order("6")), Verdict.AGAIN),
        (True, recorded(order("4")), Verdict.LOOK),
        (True, recorded(order("4"), etag="ours"), Verdict.AGAIN),
        (True, recorded(order("5")), Verdict.LOOK),
        (True, recorded(order("5"), etag="ours"), Verdict.AGAIN),
        (True, recorded(None), Verdict.LOOK),
        (True, recorded(None, etag="ours"), Verdict.AGAIN),
        (True, recorded(order("4", scheme="other")), Verdict.LOOK),
        (True, recorded(order("4", trusted=False)), Verdict.LOOK),
    ],
)
def test_the_first_record_of_an_attempt(
    held: bool, before: Recorded | None, verdict: Verdict
) -> None:
    answer = Answer(held, before)
    assert judge_turn(answer, order=order("5"), replica_etag="ours", turn=None) is verdict


@pytest.mark.parametrize(("held", "verdict"), [(True, Verdict.DONE), (False, Verdict.AGAIN)])
def test_later_records_of_an_attempt(held: bool, verdict: Verdict) -> None:
    answer = Answer(held, recorded(order("9")))
    assert judge_turn(answer, order=order("5"), replica_etag="ours", turn=3) is verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "stands"),
    [
        (None, order("1"), Relation.UNKNOWN),
        (order("1"), None, Relation.UNKNOWN),
        (order("1"), order("1", scheme="x"), Relation.UNKNOWN),
        (order("1", trusted=False), order("1", trusted=False), Relation.SAME),
        (order("1"), order("2", trusted=False), Relation.UNKNOWN),
        (order("1"), order("2"), Relation.NEWER),
        (order("2"), order("1"), Relation.OLDER),
    ],
)
def test_where_a_recorded_change_stands(
    ours: OrderPoint | None, theirs: OrderPoint | None, stands: Relation
) -> None:
    assert relation(ours, theirs) is stands


def test_the_later_of_two_order_points_is_recorded() -> None:
    one, two = order("1"), order("2")
    assert [later(one, two), later(two, one), later(None, two), later(one, None)] == [
        two,
        two,
        two,
        one,
    ]


def test_a_turn_grows_only_by_what_was_written() -> None:
    assert Answer(held=True, before=None).turn == 1
    assert Answer(held=True, before=recorded(None)).turn == 4
    assert Answer(held=False, before=recorded(None)).turn == 3
