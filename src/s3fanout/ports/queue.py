"""The queue of jobs: one logical queue per destination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from s3fanout.model.jobs import Job, NewJob


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of the jobs offered in one call; the three add up to their number.

    Attributes:
        queued: Will be worked on (a waiting job of the same key is superseded by it).
        duplicate: The same change was accepted before.
        stale: A newer change of the key was accepted before (trusted order points only).
    """

    queued: int
    duplicate: int
    stale: int


class Queue(Protocol):
    """Jobs between acceptance and a final state.

    At least once: a job that was accepted is claimed again and again, over restarts, until it is
    finished. No order is promised beyond "roughly oldest first".
    """

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        """Make ``jobs`` durable; when this returns, a crash cannot lose them. All or nothing.

        For one (destination, key) the newest change wins by ``decide.order``: an equal order point
        with equal hints is a duplicate, a smaller trusted one is stale, anything else replaces the
        job that is there, whatever its state; its attempts start from 0.

        Raises:
            LedgerUnavailable: Nothing of this call was accepted; the sender must try again.
        """
        ...

    async def claim(
        self, destination: str, limit: int, *, now_ms: int, later_max: int | None = None
    ) -> Sequence[Job]:
        """Up to ``limit`` jobs that are due, now leased to the caller. Does not wait.

        Of them at most ``later_max`` are of objects that were only seen in a listing; these come
        after all others. ``None`` is no bound; a queue that cannot tell them apart has none.

        No two jobs of one (destination, key) are ever leased at the same time. A destination that
        is paused has nothing to claim.
        """
        ...

    async def wait(
        self, destination: str, *, now_ms: int, timeout_s: float, later: bool = True
    ) -> None:
        """Return when ``claim`` may have something, or after ``timeout_s``. May wake for nothing.

        Without ``later``, jobs of objects that were only seen in a listing do not count.

        Jobs that become due, are accepted, released or redriven, and a resumed destination, wake.
        """
        ...

    async def finish(self, jobs: Sequence[Job]) -> None:
        """End the leases of jobs that the ledger holds a final state of (or a newer job replaced).

        Called only after ``Ledger.settle`` returned for them.
        """
        ...

    async def release(self, jobs: Sequence[Job], *, due_at_ms: int) -> None:
        """Give leased jobs back, to be claimed again when due.

        Used by a graceful stop, and after ``Ledger.settle`` recorded a ``WAITING`` outcome (then it
        changes nothing but the lease).
        """
        ...
