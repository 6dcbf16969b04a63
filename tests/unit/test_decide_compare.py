"""Every row of the table of ``decide.compare``, and the merge of two listings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.decide.compare import Standing, Verdict, compare, share_wrong_max
from s3fanout.decide.reconcile import Join, Pair
from s3fanout.decide.repair import Left, is_seen_to, repair_of
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState, NewJob, ReplicaRecord
from s3fanout.model.keeping import Carry, Keeping
from s3fanout.model.objects import Listed
from s3fanout.model.rules import KeyFilter, Rule

A, B = "a" * 32, "b" * 32
MISSING = Verdict(Standing.MISSING, "missing", "")
GONE = Verdict(Standing.MISSING, "replica-gone", "", drift=True)
EXTRA = Verdict(Standing.EXTRA, "source-gone", "")
RULE = Rule("paris", KeyFilter(exclude_prefixes=("tmp/",)))


def row(etag: str = A, size_bytes: int = 1, key: str = "k") -> Listed:
    return Listed(key, size_bytes, etag, 0)


def record(
    source_etag: str | None, replica_etag: str | None, state: JobState = JobState.SETTLED
) -> ReplicaRecord:
    return ReplicaRecord(
        destination="paris",
        key="k",
        fence=1,
        state=state,
        kind=ChangeKind.CREATED,
        event_at_ms=1,
        accepted_at_ms=1,
        due_at_ms=0,
        attempts=0,
        order=None,
        etag=None,
        size_bytes=None,
        version_id=None,
        reason="because",
        settled_at_ms=1,
        source_etag=source_etag,
        source_version_id=None,
        replica_etag=replica_etag,
        error=None,
    )


@pytest.mark.parametrize(
    ("source", "replica", "known", "expected"),
    [
        (None, row(), None, "- foreign"),
        (None, row(), record(A, A), "- source-gone"),
        (row(key="tmp/k"), None, None, None),
        (row(key="tmp/k"), row(), None, "- filtered-key"),
        (row(), None, None, "+ missing"),
        (row(), None, record(B, B), "+ missing"),
        (row(), None, record(A, A, JobState.WAITING), "+ missing"),
        (row(), None, record(A, A), "+ replica-gone drift"),
        (row(), row(A, 2), None, "* size"),
        (row(), row(B, 2), record(A, A), "* size drift"),
        (row(), row(), None, "= etag"),
        (row(), row("x-2"), record(A, "x-2"), "= ledger"),
        (row(), row(B), record(A, B), "= ledger"),
        (row(), row("x-2"), record(B, "x-2"), "* outdated"),
        (row(), row("y-2"), record(A, "x-2"), "* replica-changed drift"),
        (row(B, 1), row(A, 2), record(A, A), "* outdated"),
        (row(B, 1), row("y-2", 2), record(A, A), "* size"),
        (row(), row(B, 2), replace(record(A, A), earlier_etags=(B,)), "* outdated"),
        (row(), row(B), None, "* etag"),
        (row(), row(B), record(A, B, JobState.READY), "* etag"),
        (row(), row("x-2"), None, "? etag-says-nothing"),
        (row("", 1), row("", 1), None, "? etag-says-nothing"),
        (row(), row("x-2"), record(A, None), "? etag-says-nothing"),
    ],
)
def test_the_table(
    source: Listed | None, replica: Listed | None, known: ReplicaRecord | None, expected: str | None
) -> None:
    verdict = compare(source, replica, known, rule=RULE)
    shown = verdict and f"{verdict.standing.value} {verdict.code}" + " drift" * verdict.drift
    assert shown == expected


REMOVED = replace(record(A, A, JobState.SUPERSEDED), kind=ChangeKind.REMOVED)


@pytest.mark.parametrize(
    ("verdict", "source", "now", "seen_to"),
    [
        (MISSING, row(), None, False),
        (MISSING, row(), record(None, None, JobState.READY), True),
        (MISSING, row(), record(None, None, JobState.WAITING), True),
        (MISSING, row(), record(None, None, JobState.DEAD), False),
        (MISSING, row(), record(A, A), True),
        (MISSING, row(), record(B, B), False),
        (GONE, row(), record(A, A), False),
        (MISSING, row(), record(A, None), False),
        (GONE, None, record(A, A, JobState.LEASED), True),
        (GONE, None, record(A, A), False),
        # A history whose newest version is gone for good at the source was looked at.
        (EXTRA, None, REMOVED, True),
        (EXTRA, None, replace(REMOVED, kind=ChangeKind.CREATED), False),
        (EXTRA, None, record(A, A), False),
    ],
)
def test_what_was_copied_since_it_was_seen_is_no_lost_event(
    verdict: Verdict, source: Listed | None, now: ReplicaRecord | None, seen_to: bool
) -> None:
    assert is_seen_to(verdict, source, None, now) is seen_to


def test_what_differs_in_no_listing_is_not_seen_to_by_the_copy_that_made_it() -> None:
    poor = Verdict(Standing.DIFFERS, "tags", "tags differ: team", differences=("tags",))
    assert not is_seen_to(poor, row(), row(), record(A, A))
    assert is_seen_to(poor, row(), row(etag=B), record(A, A)), "it was written again since"


@pytest.mark.parametrize(
    ("verdict", "etag"),
    [
        (MISSING, A),
        (Verdict(Standing.DIFFERS, "etag", ""), A),
        (Verdict(Standing.DIFFERS, "tags", "", differences=("tags",)), None),
        (Verdict(Standing.DIFFERS, "bytes", ""), None),
    ],
)
def test_what_only_a_close_look_shows_is_copied_whatever_the_etag(
    verdict: Verdict, etag: str | None
) -> None:
    job = repair_of("k", verdict, row(), dead=None, rule=RULE, now_ms=10, grace_ms=0)
    assert isinstance(job, NewJob)
    assert job.etag == etag


def test_what_the_ledger_knows_a_replica_to_lack_is_left() -> None:
    known = Verdict(Standing.SAME, "known-difference", "", differences=("tags",))
    left = repair_of("k", known, row(), dead=None, rule=RULE, now_ms=10, grace_ms=0)
    assert left is Left.KNOWN


IA, COLD = "STANDARD_IA", "GLACIER"


@pytest.mark.parametrize(
    ("ours", "theirs", "keeping", "lacks", "expected"),
    [
        (IA, "STANDARD", Keeping(), (), "* storage-class"),
        (IA, "STANDARD", Keeping(), ("storage-class",), "= known-difference"),
        (IA, "STANDARD", Keeping(), ("tags",), "* storage-class"),
        (IA, "STANDARD", Keeping(strict=True), ("storage-class",), "* storage-class"),
        (IA, "STANDARD", Keeping(storage_class="STANDARD"), (), "= etag"),
        (IA, IA, Keeping(storage_class=COLD), (), "* storage-class"),
        (IA, "STANDARD", Keeping(attributes=Carry.COPIED), (), "= etag"),
        (IA, IA, Keeping(attributes=Carry.COPIED, storage_class=COLD), (), "* storage-class"),
        (IA, IA, Keeping(), (), "= etag"),
        (IA, "", Keeping(), (), "= etag"),
        ("", IA, Keeping(), (), "= etag"),
    ],
)
def test_the_class_that_listings_tell(
    ours: str, theirs: str, keeping: Keeping, lacks: tuple[str, ...], expected: str
) -> None:
    source, replica = (row()._replace(storage_class=name) for name in (ours, theirs))
    known = replace(record(A, A), differences=lacks)
    rule = replace(RULE, keeping=keeping)
    verdict = compare(source, replica, known, rule=rule)
    assert verdict is not None
    assert f"{verdict.standing.value} {verdict.code}" == expected
    ignoring = compare(source, replica, known, rule=rule, ignored={"storage-class"})
    assert ignoring is not None
    assert ignoring.is_plainly_same
    elsewhere = compare(source, replica._replace(etag="x-2"), None, rule=rule)
    assert elsewhere is not None
    assert elsewhere.code in {"storage-class", "etag-says-nothing"}


@pytest.mark.parametrize(
    ("checked", "wrong", "expected"),
    # 0 of n: 1 - 0.05**(1/n); 1 of 100 and 5 of 50: the usual tables of Clopper and Pearson.
    [(0, 0, 1.0), (10, 10, 1.0), (300, 0, 0.00994), (100, 1, 0.04656), (50, 5, 0.19884)],
)
def test_what_a_sample_proves(checked: int, wrong: int, expected: float) -> None:
    assert share_wrong_max(checked, wrong) == pytest.approx(expected, abs=2e-5)


NAMES = st.sets(st.text(st.characters(codec="utf-8"), min_size=1, max_size=3))


@given(NAMES, NAMES, st.integers(1, 4), st.integers(1, 4))
def test_two_listings_in_step_make_the_pairs_of_two_sets(
    ours: set[str], theirs: set[str], left_piece: int, right_piece: int
) -> None:
    left = [row(key="s/" + name) for name in sorted(ours)]
    right = [row(key=name) for name in sorted(theirs)]
    join = Join(source_cut=2)
    found: list[Pair] = []
    while join.wants_source or join.wants_replica:
        if join.wants_source:
            join.offer_source(left[:left_piece] or None)
            del left[:left_piece]
        if join.wants_replica:
            join.offer_replica(right[:right_piece] or None)
            del right[:right_piece]
        found += join.pairs()
    names = [(s and s.key[2:], r and r.key) for s, r in found]
    assert names == [
        (name if name in ours else None, name if name in theirs else None)
        for name in sorted(ours | theirs)
    ]
