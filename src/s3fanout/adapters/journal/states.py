"""Which states a record is kept in, and which ones a settlement may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3fanout.model.jobs import Settlement

UNSETTLED = frozenset({JobState.READY, JobState.WAITING})
"""A leased job is kept in one of these: the lease itself is not kept."""

_SETTLEABLE = frozenset({JobState.WAITING, JobState.SETTLED, JobState.SUPERSEDED, JobState.DEAD})


def check_settleable(settlements: Iterable[Settlement]) -> None:
    """Refuse settlements that say nothing about how an attempt ended.

    Raises:
        ValueError: One of them has another state.
    """
    for settlement in settlements:
        if settlement.state not in _SETTLEABLE:
            raise ValueError(f"not the state of a settlement: {settlement.state}")
