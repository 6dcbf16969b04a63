"""What ``verify`` and ``reconcile`` show a person while they compare."""

from __future__ import annotations

from s3fanout.cli.output import Ticker
from s3fanout.decide.compare import Standing
from s3fanout.engine.verify import Tally
from s3fanout.ports.system import Clock


class ComparisonProgress(Ticker):
    """How far each destination's comparison is, how fast, and what it found."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.began_s = clock.monotonic_s()

    def tell(self, destination: str, tally: Tally) -> None:
        """Show it, if it is time to."""
        now_s = self._clock.monotonic_s()
        if self.is_due(now_s):
            self.show(progress_line(destination, tally, passed_s=now_s - self.began_s))


def progress_line(destination: str, tally: Tally, *, passed_s: float) -> str:
    """One line."""
    found = sum(count for at, count in tally.counts.items() if at is not Standing.SAME)
    closely = f", {tally.read:,} looked at closely" if tally.read else ""
    return (
        f"{destination}: {tally.keys:,} keys listed, {tally.keys / max(passed_s, 0.001):,.0f} "
        f"keys/s{closely}; {tally.counts[Standing.SAME]:,} same, {found:,} others"
    )
