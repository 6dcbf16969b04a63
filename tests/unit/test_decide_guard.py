"""The table of the mass-delete guard."""

from __future__ import annotations

import pytest

from s3fanout.decide.guard import DELETES_FREE, admit, release
from s3fanout.model.limits import Limits
from s3fanout.model.removals import DeleteGuard

LIMITS = Limits(deletes_max=100, deletes_percent_max=25, deletes_window_s=60)
NOW_MS = 1_000_000


def window(
    deleted: int, replicas: int, *, held_at_ms: int | None = None, released_at_ms: int = 0
) -> DeleteGuard:
    return DeleteGuard(NOW_MS - 1000, deleted, replicas, held_at_ms, "", released_at_ms)


@pytest.mark.parametrize(
    ("guard", "admitted", "deleted", "held"),
    [
        (window(0, 1000), True, 1, False),
        (window(99, 1000), True, 100, False),
        (window(100, 1000), False, 100, True),
        (window(49, 200), True, 50, False),
        (window(50, 200), False, 50, True),
        (window(DELETES_FREE - 1, 3), True, DELETES_FREE, False),
        (window(DELETES_FREE, 3), False, DELETES_FREE, True),
        (window(0, 1000, held_at_ms=1), False, 0, True),
        (window(100, 1000, released_at_ms=NOW_MS), True, 100, False),
        (window(0, 1000, held_at_ms=1, released_at_ms=NOW_MS - 1), False, 0, True),
        # Another window: this one is over, or the clock was set back.
        (DeleteGuard(window_at_ms=NOW_MS - 60_000, deleted=100, replicas=5), True, 1, False),
        (DeleteGuard(window_at_ms=NOW_MS + 1, deleted=100, replicas=5), True, 1, False),
    ],
)
def test_the_table(guard: DeleteGuard, admitted: bool, deleted: int, held: bool) -> None:
    after, answer = admit(
        guard, accepted_at_ms=NOW_MS, now_ms=NOW_MS, replicas=lambda: 500, limits=LIMITS
    )
    assert (answer, after.deleted, after.held_at_ms is not None) == (admitted, deleted, held)


def test_a_new_window_counts_the_replicas() -> None:
    after, _ = admit(
        DeleteGuard(), accepted_at_ms=NOW_MS, now_ms=NOW_MS, replicas=lambda: 500, limits=LIMITS
    )
    assert (after.window_at_ms, after.replicas) == (NOW_MS, 500)


def test_the_reason_is_for_people() -> None:
    many, _ = admit(
        window(100, 1000), accepted_at_ms=NOW_MS, now_ms=NOW_MS, replicas=lambda: 0, limits=LIMITS
    )
    share, _ = admit(
        window(50, 200), accepted_at_ms=NOW_MS, now_ms=NOW_MS, replicas=lambda: 0, limits=LIMITS
    )
    assert many.held_reason == "more than 100 deletes within 60 s"
    assert share.held_reason == "more than 25 % of 200 replicas deleted within 60 s"


def test_a_release_ends_the_hold_and_starts_to_count_anew() -> None:
    held = window(100, 1000, held_at_ms=NOW_MS)
    assert release(held, now_ms=NOW_MS + 5) == DeleteGuard(released_at_ms=NOW_MS + 5)
