"""All interleavings of attempts that nobody keeps apart end with the newest object."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from s3fanout.decide.turns import Relation, Verdict, judge_turn, relation
from s3fanout.engine.turns import Turned
from s3fanout.model.events import OrderPoint
from s3fanout.model.objects import Probe
from s3fanout.model.turns import Answer, Recorded
from tests.functional.turns import KEY, Run, Scene, State, Story, attempt, every_run, some_runs

ONE, TWO, THREE = State("one", 1), State("two", 2), State("three", 4)
SAME_BYTES = State("one", 3)

STORIES = {
    "an overwrite": Story([ONE, TWO], [0, 1]),
    "an event delivered twice": Story([ONE, TWO], [1, 1]),
    "no order": Story([ONE, TWO], [0, 1], ordered=False),
    "the same bytes with other attributes": Story([ONE, SAME_BYTES], [0, 1]),
    "other attributes, no order": Story([ONE, SAME_BYTES], [0, 1], ordered=False),
    "a late event while a newer change is copied": Story([ONE, TWO, THREE], [0, 2], begun=1),
}
GUARDED_STORIES = {
    "guarded, the newer twice": Story([ONE, TWO], [1, 1], guarded=True),
    "guarded, an overwrite": Story([ONE, TWO], [0, 1], guarded=True),
    "guarded, no order": Story([ONE, TWO], [0, 1], ordered=False, guarded=True),
    "guarded, the same bytes": Story([ONE, SAME_BYTES], [0, 1], guarded=True),
    "guarded, a late event": Story([ONE, TWO, THREE], [0, 2], begun=1, guarded=True),
    "guarded, there and back": Story([ONE, TWO, ONE], [0, 1, 2], guarded=True),
}
DEADLY_STORIES = {
    "an overwrite, one attempt dies": Story([ONE, TWO], [0, 1], deaths=1),
    "no order, one attempt dies": Story([ONE, TWO], [0, 1], ordered=False, deaths=1),
}
LONG_STORIES = {
    "an overwrite, the older twice": Story([ONE, TWO], [0, 0, 1]),
    "an overwrite, the newer twice": Story([ONE, TWO], [0, 1, 1]),
    "a message delivered twice, one attempt dies": Story(
        [ONE, TWO], [0, 1, 1], twins=True, deaths=1
    ),
    "there and back": Story([ONE, TWO, SAME_BYTES], [0, 1, 2]),
}
RUNS_MAX = int(os.environ.get("S3FANOUT_TURNS_RUNS", "2000"))
"""Of the stories with many orders: that many are drawn by chance, the same every time; 0 is all."""


def check(story: Story, runs: Iterator[Run] | None = None) -> int:
    """Every run ends with the newest state in replica and ledger; the number of runs."""
    count = 0
    for run in runs or every_run(story):
        count += 1
        choices = [choice for choice, _ in run.taken]
        assert run.scene.replica == story.states[-1], choices
        if story.recorded:
            last = run.scene.ledger.records["a", KEY]
            assert last.source_etag == story.states[-1].etag, choices
    return count


@pytest.mark.parametrize("name", STORIES)
def test_every_interleaving_ends_with_the_newest_object(name: str) -> None:
    assert check(STORIES[name]) > 30


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", DEADLY_STORIES | LONG_STORIES)
def test_interleavings_of_many_attempts_end_with_the_newest_object(name: str) -> None:
    """Drawn by chance in CI; all of them, for as long as it takes, with S3FANOUT_TURNS_RUNS=0."""
    story = (DEADLY_STORIES | LONG_STORIES)[name]
    assert check(story, some_runs(story, RUNS_MAX) if RUNS_MAX else None) >= RUNS_MAX


@pytest.mark.timeout(0)
@pytest.mark.parametrize("source_first", [True, False])
@pytest.mark.parametrize("name", GUARDED_STORIES)
def test_attempts_that_compare_first_end_with_the_newest_object(
    name: str, source_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that finds the replica equal records as if it had written it."""

    async def gather(source: Awaitable[Probe], replica: Awaitable[Probe]) -> tuple[Probe, Probe]:
        if source_first:
            return await source, await replica
        late = await replica
        return await source, late

    monkeypatch.setattr("s3fanout.engine.comparing.asyncio", SimpleNamespace(gather=gather))
    story = GUARDED_STORIES[name]
    count = RUNS_MAX // len(GUARDED_STORIES)
    assert check(story, some_runs(story, count) if RUNS_MAX else None) >= count


async def _yes(*_: object) -> bool:
    return True


def test_without_a_ledger_the_source_is_asked_after_every_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stories = [
        Story([ONE, TWO], [0, 1], recorded=False),
        Story([ONE, TWO], [1, 1], recorded=False),
        Story([ONE, TWO, ONE], [0, 1, 2], recorded=False),
    ]
    for story in stories:
        assert check(story, some_runs(story, 500)) == 500
    monkeypatch.setattr("s3fanout.engine.turns.TurnTaker._source_is", _yes)
    with pytest.raises(AssertionError):
        check(stories[0])


def instead(of: Verdict, other: Verdict) -> Callable[..., Verdict]:
    """The decision with one verdict taken for another."""

    def judge(answer: Answer, **known: Any) -> Verdict:
        verdict = judge_turn(answer, **known)
        return other if verdict is of else verdict

    return judge


def etag_blind(answer: Answer, *, replica_etag: str, **known: Any) -> Verdict:
    """The decision without the rule on equal etags."""
    return judge_turn(answer, replica_etag=replica_etag + "-other", **known)


def turn_blind(answer: Answer, *, turn: int | None, **known: Any) -> Verdict:
    """The decision without the rule on turns."""
    return Verdict.DONE if turn is not None else judge_turn(answer, turn=turn, **known)


def twin_blind(answer: Answer, *, order: OrderPoint | None, **known: Any) -> Verdict:
    """The decision that trusts the other attempt at the same change to make good what it owes."""
    before = answer.before
    if before is not None and relation(order, before.order) is Relation.SAME:
        return Verdict.DONE
    return judge_turn(answer, order=order, **known)


def go_on(running: Coroutine[Any, Any, Turned], *, to: str) -> None:
    """Up to the effect ``to``, which is not carried out yet."""
    while running.send(None) != to:
        pass


def finish(running: Coroutine[Any, Any, Turned]) -> None:
    with suppress(StopIteration):
        while True:
            running.send(None)


@pytest.mark.parametrize(
    ("judge", "ends_with"), [(judge_turn, TWO), (twin_blind, ONE)], ids=["rule", "without it"]
)
def test_what_a_twin_owed_when_it_died_is_made_good_by_the_other(
    judge: Callable[..., Verdict], ends_with: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message is delivered twice; who finishes deletes it, so nobody comes back for the dead.

    Too rare an order to be drawn by chance: an older write lands on top of both twins' and is
    recorded first; the twin that learns of it dies before it does anything about it.
    """
    monkeypatch.setattr("s3fanout.engine.turns.judge_turn", judge)
    scene = Scene(source=ONE)
    older, newer = (OrderPoint("aws", token, trusted=True) for token in ("0000", "0001"))
    late = attempt(scene, older, ONE.etag, guarded=False)
    go_on(late, to="land")
    scene.source = TWO
    first, second = (attempt(scene, newer, TWO.etag, guarded=False) for _ in range(2))
    for twin in (first, second):
        go_on(twin, to="record")
    finish(late)
    assert scene.replica == ONE, "on top of both"
    first.send(None)
    assert scene.ledger.records["a", KEY].order == newer, "the first twin has learned of it"
    first.close()
    finish(second)
    assert scene.replica == ends_with


def test_a_change_without_an_order_is_not_lost_under_two_older_copies() -> None:
    """Two overwrites and a change of tags, whose event S3 gives no order; both copies land late.

    The record of the newest state has the order point of the change before all three. Who lands the
    first of the old copies on top must not think that it is the newest because of that.
    """
    begun, first, second = (OrderPoint("aws", f"000{n}", trusted=True) for n in range(3))
    scene = Scene(source=ONE, replica=ONE)
    scene.ledger.records["a", KEY] = Recorded(1, begun, ONE.etag, ONE.etag)
    late = []
    for order, state in ((first, TWO), (second, THREE)):
        scene.source = state
        running = attempt(scene, order, state.etag, guarded=False)
        go_on(running, to="land")
        late.append(running)
    scene.source = State(THREE.etag, 5)
    finish(attempt(scene, None, THREE.etag, guarded=False))
    assert scene.replica == scene.source
    for running in late:
        finish(running)
    assert scene.replica == scene.source


JUDGE = "s3fanout.engine.turns.judge_turn"


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (JUDGE, instead(Verdict.AGAIN, Verdict.DONE)),
        (JUDGE, instead(Verdict.AGAIN, Verdict.LOOK)),
        (JUDGE, instead(Verdict.LOOK, Verdict.DONE)),
        ("s3fanout.engine.turns.TurnTaker._source_is", _yes),
        ("s3fanout.engine.turns.TurnTaker._replica_is", _yes),
        (JUDGE, etag_blind),
        (JUDGE, turn_blind),
    ],
    ids=[
        "again is done",
        "again is look",
        "look is done",
        "no look at the source",
        "no look at the replica",
        "equal etags",
        "turns",
    ],
)
def test_every_rule_is_needed(
    rule: str, broken: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, some interleaving ends with an older object."""
    monkeypatch.setattr(rule, broken)
    caught = False
    for story in STORIES.values():
        try:
            check(story)
        except AssertionError:
            caught = True
            break
    assert caught
