"""When the daemon is ready, and what it says when it is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s3fanout.config.load import parse
from s3fanout.engine.receive import Receipt
from s3fanout.model.errors import LedgerUnavailable, Unavailable
from s3fanout.service.daemon import REFUSED_S, RunningDaemon
from s3fanout.service.metrics import Metrics
from tests.configurations import DAEMON
from tests.functional.clock import START_MS, VirtualClock


class Parts:
    """What a daemon is made of, as far as readiness asks for it: no destination among it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.engine = SimpleNamespace(ledger_failing_since_ms=None, stop=self._stop)
        self.receiver = SimpleNamespace(receive=self._receive)
        self.refuses = False

    async def close(self) -> None:
        """Nothing is open."""

    async def _stop(self, *, drain_s: float) -> int:
        return int(drain_s * 0)

    async def _receive(self, _body: bytes, *, route: str) -> Receipt:
        if self.refuses:
            raise LedgerUnavailable(f"disk full for the {route}")
        return Receipt(1, 1, 0, 0, 0, 0, 0, ())


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def daemon(parts: Any) -> RunningDaemon:
    settings = parse(DAEMON, path=Path("s3fanout.toml"), env={}).settings
    return RunningDaemon(settings, parts, Metrics())


async def test_it_is_ready_until_it_stops(daemon: RunningDaemon) -> None:
    assert daemon.not_ready_reason() is None
    await daemon.stop()
    assert daemon.not_ready_reason() == "the daemon is stopping"


def test_it_is_not_while_outcomes_are_refused(daemon: RunningDaemon, parts: Parts) -> None:
    parts.engine.ledger_failing_since_ms = START_MS
    reason = "the ledger refuses writes since 2027-01-15T08:00:00.000Z"
    assert daemon.not_ready_reason() == reason
    parts.engine.ledger_failing_since_ms = None
    assert daemon.not_ready_reason() is None


async def test_it_is_not_for_a_while_after_an_event_was_refused(
    daemon: RunningDaemon, parts: Parts
) -> None:
    parts.refuses = True
    with pytest.raises(LedgerUnavailable):
        await daemon.receive(b"{}")
    await parts.clock.advance(REFUSED_S - 1)
    assert daemon.not_ready_reason() == "the ledger refused an event just now"
    await parts.clock.advance(1)
    assert daemon.not_ready_reason() is None, "or nobody would ever send the event that shows it"
    with pytest.raises(LedgerUnavailable):
        await daemon.receive(b"{}")
    parts.refuses = False
    await daemon.receive(b"{}")
    assert daemon.not_ready_reason() is None


def test_it_is_not_while_the_queue_cannot_be_polled(daemon: RunningDaemon) -> None:
    daemon._poller = SimpleNamespace(last_error=Unavailable("no answer"))  # type: ignore[assignment]
    assert daemon.not_ready_reason() == "the queue cannot be polled: no answer"
