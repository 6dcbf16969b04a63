"""How many attempts a destination may have in flight: halve on throttling, grow on success.

Additive increase, multiplicative decrease, as TCP does: the limit swings around what the store
takes. Throttled answers of attempts that started before the last decrease say nothing new, so it
falls at most once per ``DECREASE_EVERY_S``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DECREASE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """State of one destination's pace.

    Attributes:
        limit: Attempts in flight that are allowed, as a fraction grows.
        limit_max: What the configuration allows.
        decreased_at_s: Monotonic time of the last decrease.
        hold_until_s: Nothing starts before; from ``Retry-After``.
    """

    limit: float
    limit_max: int
    decreased_at_s: float = float("-inf")
    hold_until_s: float = float("-inf")


def after_throttle(pace: Pace, *, now_s: float, retry_after_s: float | None) -> Pace:
    """The pace after the store asked for fewer requests."""
    hold_until_s = max(pace.hold_until_s, now_s + retry_after_s if retry_after_s else now_s)
    if now_s - pace.decreased_at_s < DECREASE_EVERY_S:
        return replace(pace, hold_until_s=hold_until_s)
    return Pace(max(1.0, pace.limit / 2), pace.limit_max, now_s, hold_until_s)


def after_success(pace: Pace) -> Pace:
    """The pace after an answer that was not throttled."""
    if pace.limit >= pace.limit_max:
        return pace
    return replace(pace, limit=min(float(pace.limit_max), pace.limit + 1.0 / pace.limit))
