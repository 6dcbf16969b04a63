"""The queue port over SQS: one queue of jobs per destination.

SQS keeps no record and knows no keys. So ``accept`` sends every job, and what is a duplicate or
stale shows when an attempt records; two jobs of one key may be in hand at a time (see "Several
Lambdas" in ``docs/guarantees.md``); and a pause is the queue's trigger being off.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from s3fanout.intake.job_message import job_message, read_job_message
from s3fanout.model.errors import MalformedEvent
from s3fanout.model.jobs import Job, NewJob
from s3fanout.ports.queue import Accepted

if TYPE_CHECKING:
    from s3fanout.adapters.aws.sqs_messages import SqsMessages
    from s3fanout.ports.system import Clock

WAIT_S_MAX = 20
"""Longest long poll (SQS developer guide)."""


class SqsQueue:
    """``Queue`` without order, without a record of what was accepted."""

    def __init__(self, messages: SqsMessages, urls: Mapping[str, str], *, clock: Clock) -> None:
        """Bind to queues.

        Args:
            messages: SQS.
            urls: Queue URL by destination.
            clock: Turns due times into delays.
        """
        self._clock = clock
        self._messages = messages
        self._urls = dict(urls)
        self._handles: dict[int, str] = {}
        self._fence = 0
        self._fetched: defaultdict[str, list[Job]] = defaultdict(list)

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        del now_ms  # The job says when its change happened; when it was sent, SQS knows.
        bodies: defaultdict[str, list[str]] = defaultdict(list)
        for job in jobs:
            bodies[job.destination].append(job_message(job))
        for destination, of in bodies.items():
            await self._messages.send(self._urls[destination], of)
        return Accepted(len(jobs), 0, 0)

    async def claim(
        self, destination: str, limit: int, *, now_ms: int, later_max: int | None = None
    ) -> Sequence[Job]:
        del now_ms, later_max
        fetched = self._fetched[destination]
        if not fetched:
            await self._fetch(destination, wait_s=0, limit=limit)
        claimed = fetched[:limit]
        del fetched[:limit]
        return claimed

    async def wait(
        self, destination: str, *, now_ms: int, timeout_s: float, later: bool = True
    ) -> None:
        del now_ms, later
        if not self._fetched[destination]:
            await self._fetch(destination, wait_s=min(WAIT_S_MAX, round(timeout_s)), limit=1)

    async def finish(self, jobs: Sequence[Job]) -> None:
        for destination, handles in self._ended(jobs).items():
            await self._messages.delete(self._urls[destination], handles)

    async def release(self, jobs: Sequence[Job], *, due_at_ms: int) -> None:
        delay_s = math.ceil((due_at_ms - self._clock.now_ms()) / 1000)
        for destination, handles in self._ended(jobs).items():
            await self._messages.put_off(self._urls[destination], dict.fromkeys(handles, delay_s))

    async def _fetch(self, destination: str, *, wait_s: int, limit: int) -> None:
        url = self._urls.get(destination)
        if url is None:
            return
        for message in await self._messages.receive(url, limit, wait_s=wait_s):
            try:
                offered = read_job_message(message.body)
            except MalformedEvent:
                continue  # The queue moves it to its dead letters; a function keeps its payload.
            self._fence += 1
            self._handles[self._fence] = message.handle
            self._fetched[destination].append(
                Job(
                    destination=destination,
                    key=offered.key,
                    fence=self._fence,
                    kind=offered.kind,
                    event_at_ms=offered.event_at_ms,
                    etag=offered.etag,
                    size_bytes=offered.size_bytes,
                    version_id=offered.version_id,
                    attempts=message.received - 1,
                    order=offered.order,
                )
            )

    def _ended(self, jobs: Sequence[Job]) -> dict[str, list[str]]:
        """Handles of the jobs that are still in hand, by destination."""
        ended: defaultdict[str, list[str]] = defaultdict(list)
        for job in jobs:
            handle = self._handles.pop(job.fence, None)
            if handle is not None:
                ended[job.destination].append(handle)
        return ended
