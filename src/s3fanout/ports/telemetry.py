"""What the engine reports while it works; the service turns it into metrics and log lines."""

from __future__ import annotations

from typing import Protocol

from s3fanout.model.jobs import Settlement


class SweepTelemetry(Protocol):
    """As ``Telemetry``, of the sweep."""

    def swept(self, destination: str, *, healed: int, drifted: int) -> None:
        """A pass over a destination is complete: how many jobs it queued, how much it only saw."""
        ...


class RecentTelemetry(Protocol):
    """As ``Telemetry``, of looks at what was written lately."""

    def healed(self, destination: str, count: int) -> None:
        """A look queued jobs: changes that no event told of."""
        ...


class LostTelemetry(SweepTelemetry, RecentTelemetry, Protocol):
    """Of everything that looks for lost events."""


class Telemetry(Protocol):
    """Called synchronously on the engine's thread: implementations must be quick."""

    def received(self, route: str, *, events: int, ignored: int, malformed: int) -> None:
        """A message was taken in."""
        ...

    def unwanted(self, reason: str, count: int) -> None:
        """Events that no destination wanted, by reason."""
        ...

    def settled(self, settlement: Settlement, *, lag_s: float) -> None:
        """An attempt ended (every state that a settlement can have)."""
        ...

    def throttled(self, destination: str, *, concurrency: int) -> None:
        """A destination asked for a lower rate; its new limit of attempts in flight."""
        ...

    def asked_again(self, operation: str) -> None:
        """A read of a store failed and is asked for once more, within the same attempt."""
        ...

    def circuit(self, destination: str, *, is_open: bool, of_source: bool) -> None:
        """A circuit of a destination opened or closed: its own, or its lane's of the source."""
        ...
