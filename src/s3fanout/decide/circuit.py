"""Circuit breaker of one store: when to stop trying, and when to look again.

A lane has two: of its destination, and of the source as its own attempts find it. Each error counts
towards one of them, so nobody is blamed for the other's trouble.

```
 closed ── n failures in a row, or one that blames the store ──▶ open(until)
   ▲                                                                     │ time passes
   └── any other answer ── half-open: one attempt at a time ◀────────────┘
                       └── failure ──▶ open, twice as long (jittered, capped)
```

What counts as a failure in a row:

| failure | counts |
|---|---|
| no answer | each time |
| an answer (500, 403 …) | once per key: one object that its store cannot take opens nothing |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from s3fanout.model.limits import Limits


@dataclass(frozen=True, slots=True)
class Circuit:
    """State of one store's circuit.

    Attributes:
        unanswered: Attempts without an answer, in a row.
        failed_keys: Keys that answers refused, in a row; at most ``circuit_failures``.
        openings: In a row; 0 means closed.
        open_until_s: Monotonic time until which nothing is tried.
    """

    unanswered: int = 0
    failed_keys: frozenset[str] = frozenset()
    openings: int = 0
    open_until_s: float = 0.0

    @property
    def is_closed(self) -> bool:
        """Work flows freely."""
        return self.openings == 0


CLOSED = Circuit()


def admitted(circuit: Circuit, *, now_s: float, in_flight: int, limit: int) -> int:
    """How many more attempts may start now."""
    if circuit.is_closed:
        return max(0, limit - in_flight)
    if now_s < circuit.open_until_s or in_flight > 0:
        return 0
    return 1


def after_failure(
    circuit: Circuit,
    *,
    key: str,
    answered: bool,
    blames_store: bool,
    now_s: float,
    jitter: float,
    limits: Limits,
) -> Circuit:
    """The circuit after a failed attempt (throttling and changed sources are not failures).

    Args:
        circuit: Before.
        key: Of the object.
        answered: The store answered.
        blames_store: One such failure is proof enough.
        now_s: Monotonic time.
        jitter: A random number from 0 to 1; the pause is between a half and the whole of its cap,
            so that many daemons do not look at the same moment.
        limits: Bounds.
    """
    if not circuit.is_closed and now_s < circuit.open_until_s:
        # Attempts that were in flight when it opened tell nothing new.
        return circuit
    failed = replace(
        circuit,
        unanswered=circuit.unanswered + (not answered),
        failed_keys=circuit.failed_keys | {key} if answered else circuit.failed_keys,
    )
    count = failed.unanswered + len(failed.failed_keys)
    if circuit.is_closed and count < limits.circuit_failures and not blames_store:
        return failed
    cap_s = min(limits.circuit_cap_s, limits.circuit_base_s * float(1 << min(circuit.openings, 62)))
    return Circuit(openings=circuit.openings + 1, open_until_s=now_s + cap_s * (0.5 + jitter / 2))
