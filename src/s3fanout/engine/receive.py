"""One message in: parse, match, accept. Returns only when a crash cannot lose what it held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3fanout.decide.match import match
from s3fanout.intake import parse_message
from s3fanout.model.jobs import NewJob
from s3fanout.model.rules import Rule
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.queue import Accepted, Queue
from s3fanout.ports.system import Clock
from s3fanout.ports.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message.

    Attributes:
        events: Changes that it held.
        queued, duplicate, stale: Jobs (one per destination that wants an event).
        unwanted: (event, destination) pairs that no rule wants.
        ignored: Records that need no replica (test events, multipart noise).
        malformed: Records that could not be understood and were kept.
        notes: One line per ignored or malformed record or kind of unwanted event, for the sender.
    """

    events: int
    queued: int
    duplicate: int
    stale: int
    unwanted: int
    ignored: int
    malformed: int
    notes: tuple[str, ...]


class Receiver:
    """Takes messages of any route in."""

    def __init__(
        self,
        *,
        source_bucket: str,
        rules: Sequence[Rule],
        queue: Queue,
        ledger: Ledger,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._source_bucket = source_bucket
        self._rules = tuple(rules)
        self._queue = queue
        self._ledger = ledger
        self._clock = clock
        self._telemetry = telemetry

    async def receive(self, body: bytes, *, route: str) -> Receipt:
        """Take one message in; durable on return.

        Args:
            body: The message as it arrived.
            route: How it arrived (``webhook``, ``sqs``), for metrics and kept messages.

        Raises:
            LedgerUnavailable: Nothing may be acknowledged; the sender must send again.
        """
        now_ms = self._clock.now_ms()
        parsed = parse_message(body, received_at_ms=now_ms)
        jobs: list[NewJob] = []
        unwanted: dict[str, int] = {}
        for event in parsed.events:
            matched = match(event, source_bucket=self._source_bucket, rules=self._rules)
            jobs.extend(matched.jobs)
            for refusal in matched.unwanted:
                unwanted[refusal.reason] = unwanted.get(refusal.reason, 0) + 1
        accepted = await self._queue.accept(jobs, now_ms=now_ms) if jobs else Accepted(0, 0, 0)
        if parsed.malformed:
            # Last: if anything before fails the sender sends all again, and jobs that are accepted
            # again are the same jobs, but a malformed record would be kept twice.
            await self._ledger.keep_malformed(parsed.malformed, route=route, now_ms=now_ms)
        self._telemetry.received(
            route,
            events=len(parsed.events),
            ignored=len(parsed.ignored),
            malformed=len(parsed.malformed),
        )
        for reason, count in unwanted.items():
            self._telemetry.unwanted(reason, count)
        notes = [f"ignored {entry.reason}: {entry.detail}" for entry in parsed.ignored]
        notes += [f"kept {entry.reason}: {entry.detail}" for entry in parsed.malformed]
        notes += [f"unwanted {reason}: {count}" for reason, count in unwanted.items()]
        return Receipt(
            events=len(parsed.events),
            queued=accepted.queued,
            duplicate=accepted.duplicate,
            stale=accepted.stale,
            unwanted=sum(unwanted.values()),
            ignored=len(parsed.ignored),
            malformed=len(parsed.malformed),
            notes=tuple(notes),
        )
