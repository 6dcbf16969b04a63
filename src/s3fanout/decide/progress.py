"""How far a backfill is, how fast, and how long it will take. Samples → numbers.

| what is known | until it is done |
|---|---|
| all input is read | jobs left, at the rate at which copies were made |
| which share of the input is read | jobs left and those that the rest will make, at that rate |
| nothing of the input's end, or no rate yet | unknown |
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted at one moment.

    Attributes:
        at_s: Monotonic time.
        items: Objects that were read of the input.
        queued, queued_bytes: Jobs that were queued, earlier runs included.
        left, left_bytes: Jobs in the queues.
        share: Of the input, about how much was read; ``None`` if nobody knows.
    """

    at_s: float
    items: int
    queued: int
    queued_bytes: int
    left: int
    left_bytes: int
    share: float | None


@dataclass(frozen=True, slots=True)
class Speed:
    """From one sample to a later one.

    Attributes:
        items_per_s: Objects read of the input.
        jobs_per_s, bytes_per_s: What was copied.
        left_s: Until everything is copied; ``None`` where it cannot be said.
    """

    items_per_s: float
    jobs_per_s: float
    bytes_per_s: float
    left_s: float | None


def speed(first: Sample, now: Sample) -> Speed:
    """How fast it went from ``first`` to ``now``. Other work of the queues counts too."""
    took_s = max(now.at_s - first.at_s, 0.001)
    done = max(0, (now.queued - now.left) - (first.queued - first.left))
    done_bytes = max(
        0, (now.queued_bytes - now.left_bytes) - (first.queued_bytes - first.left_bytes)
    )
    jobs_per_s = done / took_s
    left_s = None
    if now.share is not None and now.share > 0:
        to_come = now.queued * (1.0 / now.share - 1.0)
        jobs = now.left + to_come
        left_s = 0.0 if not jobs else jobs / jobs_per_s if jobs_per_s else None
    return Speed((now.items - first.items) / took_s, jobs_per_s, done_bytes / took_s, left_s)
