"""Ratios of programs that took turns, so that a slow minute of the machine slows all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.processes import Usage

US = "s3fanout"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of some rounds, and their extremes."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return Spread(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g}..{self.most:.3g})"


@dataclass(frozen=True, slots=True)
class Line:
    """One number of the report.

    Attributes:
        scenario: Its letter.
        what: The number's name, unit included.
        value: Of all rounds.
        target: What it should be, as a bound; ``None`` where it is only for information.
        at_least: Whether ``target`` is the least or the most.
    """

    scenario: str
    what: str
    value: Spread
    target: float | None = None
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """``met``, ``MISSED``, or nothing without a target."""
        if self.target is None:
            return ""
        good = (
            self.value.median >= self.target
            if self.at_least
            else (self.value.median <= self.target)
        )
        return "met" if good else "MISSED"


Rounds = Mapping[str, Sequence[Usage]]
"""By program; the n-th of each program ran in the n-th round."""


def absolute(scenario: str, rounds: Rounds, replicas: int) -> list[Line]:
    """Every program's speed, CPU and memory. These do not travel between machines."""
    lines = []
    for name, usages in rounds.items():
        lines += [
            Line(scenario, f"{name}: replicas/s", Spread.of([replicas / u.wall_s for u in usages])),
            Line(
                scenario,
                f"{name}: CPU s per 1,000 replicas",
                Spread.of([u.cpu_s / replicas * 1000 for u in usages]),
            ),
            Line(scenario, f"{name}: peak memory, MiB", Spread.of([u.rss_mib for u in usages])),
        ]
    return lines


def speed(rounds: Rounds, peer: str) -> Spread:
    """How many times faster we are."""
    return Spread.of([b.wall_s / a.wall_s for a, b in zip(rounds[US], rounds[peer], strict=True)])


def cpu(rounds: Rounds, peer: str) -> Spread:
    """Our CPU as a share of theirs."""
    return Spread.of([a.cpu_s / b.cpu_s for a, b in zip(rounds[US], rounds[peer], strict=True)])
