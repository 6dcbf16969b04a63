"""The mass-delete guard: may one more replica be deleted now?

| deletes | answer |
|---|---|
| its change was accepted before a person released the deletes | yes, and it is not counted |
| are held | no |
| more than ``deletes_max`` in this window | no, and they are held from now on |
| more than ``deletes_percent_max`` of the replicas that the window began with, and more than \
``DELETES_FREE`` | no, and they are held from now on |
| else | yes, counted |

A window begins with the first delete after the one before is over. An attempt counts when it is
let through, so one that fails and is made again counts twice: the guard errs on the side of asking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from s3fanout.model.limits import Limits
from s3fanout.model.removals import DeleteGuard

DELETES_FREE = 10
"""Deletes in a window that no share forbids, or a bucket of three objects could lose none."""


def admit(
    guard: DeleteGuard,
    *,
    accepted_at_ms: int,
    now_ms: int,
    replicas: Callable[[], int],
    limits: Limits,
) -> tuple[DeleteGuard, bool]:
    """The guard after one more delete was asked for, and whether it may be made.

    Args:
        guard: What is remembered of the destination.
        accepted_at_ms: When the change that asks for the delete was accepted.
        now_ms: Now.
        replicas: Counts the destination's replicas; called only when a window begins.
        limits: What is too many.
    """
    if accepted_at_ms <= guard.released_at_ms:
        return guard, True
    if guard.held_at_ms is not None:
        return guard, False
    age_ms = now_ms - guard.window_at_ms
    if not 0 <= age_ms < limits.deletes_window_s * 1000:  # Negative: the clock was set back.
        guard = replace(guard, window_at_ms=now_ms, deleted=0, replicas=replicas())
    reason = _overrun(guard, limits)
    if reason is not None:
        return replace(guard, held_at_ms=now_ms, held_reason=reason), False
    return replace(guard, deleted=guard.deleted + 1), True


def release(guard: DeleteGuard, *, now_ms: int) -> DeleteGuard:
    """The guard after a person said that the deletes accepted so far are meant."""
    return DeleteGuard(released_at_ms=max(now_ms, guard.released_at_ms))


def _overrun(guard: DeleteGuard, limits: Limits) -> str | None:
    within = f"within {limits.deletes_window_s:g} s"
    if guard.deleted >= limits.deletes_max:
        return f"more than {limits.deletes_max} deletes {within}"
    share_max = guard.replicas * limits.deletes_percent_max // 100
    if guard.deleted >= max(share_max, DELETES_FREE):
        return (
            f"more than {limits.deletes_percent_max} % of {guard.replicas} replicas "
            f"deleted {within}"
        )
    return None
