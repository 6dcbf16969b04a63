"""What the sweep knows of its passes over one destination; kept as a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

COUNT_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999; no count comes near it."""
RECENT = "recent"
"""Name of the checkpoint of looks at what was written lately."""


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """The pass that is under way, if one is, and the last complete one.

    Attributes:
        began_at_ms: When the newest pass began.
        is_running: It has not ended yet. After a crash it is begun again.
        keys: Rows of both listings that it has read so far.
        failure: Why it ended before it was complete; empty otherwise.
        ended_at_ms: When the last complete pass ended; ``None`` before the first.
        took_ms, keys_all: How long that one took, and how many rows it read.
        healed: Jobs that it queued: differences that no event told of.
        drifted: Replicas that it found changed by somebody else, and left.
        foreign: Objects in the destination that it did not touch, because they are not ours.
        healed_total: Jobs of all passes of this ledger.
    """

    began_at_ms: int = 0
    is_running: bool = False
    keys: int = 0
    failure: str = ""
    ended_at_ms: int | None = None
    took_ms: int = 0
    keys_all: int = 0
    healed: int = 0
    drifted: int = 0
    foreign: int = 0
    healed_total: int = 0

    @property
    def share(self) -> float | None:
        """How much of the pass is done, by the last one's number of keys; ``None`` if unknown."""
        if not self.is_running or not self.keys_all:
            return None
        return min(1.0, self.keys / self.keys_all)

    def position(self) -> str:
        """As a checkpoint keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, position: str) -> SweepRecord:
        """What ``position`` made. What an older version did not have is as at first.

        So is what is damaged: these are counts, and no reason to stop a sweep.
        """
        try:
            document = json.loads(position)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(document, dict):
            return cls()
        first = asdict(cls())
        return cls(
            **{
                name: value
                for name, value in document.items()
                if name in first and _is_like(value, first[name])
            }
        )


def _is_like(value: object, first: object) -> bool:
    """Whether ``value`` may stand in the field that begins with ``first``."""
    kind = int if first is None else type(first)
    if type(value) is not kind:
        return False
    return not isinstance(value, int) or 0 <= value <= COUNT_MAX


def checkpoint_name(destination: str) -> str:
    """Of the checkpoint that holds a destination's record."""
    return f"sweep {destination}"


def worst_lag_s(
    records: Iterable[SweepRecord | None], *, interval_s: float, grace_s: float
) -> float | None:
    """How late a change without an event is noticed at most; ``None`` before the first passes.

    It may come right behind a pass's look at its key, and be younger than the grace in the next
    one: so the grace, a rest, and two passes over all destinations, as long as the last ones took.
    """
    took_ms = 0
    for record in records:
        if record is None or record.ended_at_ms is None:
            return None
        took_ms += record.took_ms
    return grace_s + interval_s + 2 * took_ms / 1000
