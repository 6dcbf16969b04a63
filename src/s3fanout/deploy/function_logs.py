"""Log lines of the functions, merged by time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from s3fanout.deploy.names import DestinationNames
from s3fanout.deploy.session import AwsSession, asking, error_code
from s3fanout.ports.system import Clock

POLL_S = 2.0
_LATE_MS = 10_000
"""Lines may become visible out of order; following looks back as far, and tells each line once."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one function."""

    at_ms: int
    destination: str
    id: str
    text: str


class FunctionLogs:
    """The log groups of some destinations. A read costs one request per group and 10,000 lines."""

    def __init__(self, session: AwsSession, of: Sequence[DestinationNames]) -> None:
        self._client: Any = session.client("logs")
        self._of = of

    def since(self, at_ms: int, *, containing: str = "") -> list[LogLine]:
        """Lines from ``at_ms`` on, oldest first; a group that was never written to has none."""
        lines = [
            line
            for names in self._of
            for line in self._group(names, at_ms)
            if containing in line.text
        ]
        # Stable: lines of one millisecond stay in the order in which they were written.
        return sorted(lines, key=lambda line: line.at_ms)

    async def follow(self, at_ms: int, *, clock: Clock) -> AsyncIterator[LogLine]:
        """Lines from ``at_ms`` on as they come, for ever."""
        told: dict[str, int] = {}
        while True:
            for line in self.since(at_ms):
                if line.id not in told:
                    told[line.id] = line.at_ms
                    yield line
            at_ms = max([at_ms, *(at - _LATE_MS for at in told.values())])
            told = {id_: at for id_, at in told.items() if at >= at_ms}
            await clock.sleep(POLL_S)

    def _group(self, names: DestinationNames, at_ms: int) -> Iterator[LogLine]:
        pages = self._client.get_paginator("filter_log_events")
        with asking(f"the logs of {names.destination}"):
            try:
                for page in pages.paginate(logGroupName=names.log_group, startTime=at_ms):
                    for event in page["events"]:
                        yield LogLine(
                            at_ms=int(event["timestamp"]),
                            destination=names.destination,
                            # The emulator gives no ids.
                            id=str(event.get("eventId") or sorted(event.items())),
                            text=str(event["message"]).rstrip("\n"),
                        )
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
