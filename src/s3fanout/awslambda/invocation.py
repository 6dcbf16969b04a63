"""One invocation: what Lambda was given, sorted into jobs, worked off in time, and answered.

| what came | answer |
|---|---|
| a replica was made, or nothing is to be done | the message is done |
| a copy in parts that time is too short for | its job is sent on and goes on; that one is done |
| the same, and no part was copied since it was sent on | the message comes back: it counts |
| an attempt failed and may be tried again | its message comes back after the decided delay |
| an attempt can never work | its job goes to the dead-letter queue now; the message is done |
| a message that cannot be understood | kept in the ledger with its payload; the message is done |
| a test event | the message is done |
| the ledger or a queue refused | the message comes back |
| time ran out in the middle of an attempt | the message comes back when its visibility ends |

Without a queue (classic) there is nothing to give back: any failure raises, and Lambda tries the
event again, twice, and then hands it to the function's failure destination. A copy that is sent on
starts the function itself once more, with the upload in the event.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from s3fanout.awslambda.environment import FunctionSettings
from s3fanout.awslambda.report import Report
from s3fanout.decide.match import match
from s3fanout.decide.retry import backoff_cap_s
from s3fanout.decide.turns import Relation, later, relation
from s3fanout.engine.delivery import Delivered, Deliverer
from s3fanout.engine.uploader import Unfinished
from s3fanout.intake import PAYLOAD_BYTES_MAX, parse_message
from s3fanout.intake.job_message import is_job_message, job_message, read_continued
from s3fanout.model.errors import (
    LedgerUnavailable,
    MalformedEvent,
    S3FanoutError,
    Unavailable,
)
from s3fanout.model.events import Malformed
from s3fanout.model.jobs import Job, JobState, NewJob
from s3fanout.model.uploads import Continued
from s3fanout.ports.system import Clock
from s3fanout.ports.uploads import Uploads

PARTS_SHARE = 0.6
"""Of the time at the beginning: after it no part is begun, so that those in flight can land."""

MARGIN_S = 3.0
MARGIN_SHARE = 0.25
"""What is kept of the time that is left, for giving back what was not done: 3 s, or a quarter."""


class Messages(Protocol):
    """The part of SQS that is needed; see ``adapters.aws.sqs_messages``."""

    async def send(
        self, queue_url: str, bodies: Sequence[str], *, attributes: Mapping[str, str] | None = None
    ) -> None: ...
    async def put_off(self, queue_url: str, delays_s: Mapping[str, int]) -> None: ...


class Keeper(Protocol):
    """The part of the ledger that keeps malformed messages."""

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None: ...


@dataclass(slots=True)
class _Message:
    """A message of the batch.

    Attributes:
        id, handle: As SQS names it.
        received: Deliveries, this one included.
        delay_s: It comes back after so long; ``None``: it is done.
        stays: It comes back when its visibility ends, whatever ``delay_s`` says.
    """

    id: str
    handle: str
    received: int
    delay_s: int | None = None
    stays: bool = False

    def come_back(self, delay_s: float) -> None:
        self.delay_s = max(self.delay_s or 0, math.ceil(delay_s))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a message asks for: a job on a source bucket, perhaps one that goes on with a copy."""

    bucket: str
    job: NewJob
    continued: Continued | None = None


@dataclass(slots=True)
class _Group:
    """All that the batch says about one key: one attempt serves it.

    Attributes:
        sent_on: It is not finished, and another invocation goes on with it.
    """

    bucket: str
    job: Job
    messages: list[_Message] = field(default_factory=list)
    continued: Continued | None = None
    sent_on: bool = False


class Invocations:
    """Works invocations of one function off, one after the other."""

    def __init__(
        self,
        settings: FunctionSettings,
        *,
        deliverers: Mapping[str, Deliverer],
        messages: Messages | None,
        send_on: Callable[[str], Awaitable[None]],
        uploads: Uploads,
        keeper: Keeper | None,
        clock: Clock,
        report: Report,
    ) -> None:
        """Bind to what works.

        Args:
            settings: Of the function.
            deliverers: By source bucket; makes one for a bucket that it does not know.
            messages: SQS; ``None`` in the classic topology.
            send_on: Has another invocation work a job message off.
            uploads: What is remembered of copies in parts.
            keeper: Keeps malformed messages; ``None`` without a ledger.
            clock: Time.
            report: Of what happens.
        """
        self._settings = settings
        self._deliverers = deliverers
        self._messages = messages
        self._send_on = send_on
        self._uploads = uploads
        self._keeper = keeper
        self._clock = clock
        self._report = report

    async def batch(self, records: Sequence[dict[str, Any]], *, time_s: float) -> dict[str, Any]:
        """Messages of the function's queue; the answer names those that come back.

        Raises:
            LedgerUnavailable: Messages could not be put off: the whole batch comes back.
        """
        messages: list[_Message] = []
        groups: dict[tuple[str, str], _Group] = {}
        for record in records:
            message = _Message(
                record["messageId"],
                record["receiptHandle"],
                int(record.get("attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            messages.append(message)
            try:
                for wanted in await self._jobs_of(record.get("body") or ""):
                    _join(groups, wanted, message)
            except LedgerUnavailable as error:
                self._give_back(message, error)
        await self._work(list(groups.values()), time_s=time_s)
        delays_s = {m.handle: m.delay_s for m in messages if m.delay_s is not None and not m.stays}
        if delays_s and self._messages is not None and self._settings.queue_url is not None:
            await self._messages.put_off(self._settings.queue_url, delays_s)
        failures = [{"itemIdentifier": m.id} for m in messages if m.delay_s is not None or m.stays]
        return {"batchItemFailures": failures}

    async def event(self, event: dict[str, Any], *, time_s: float) -> dict[str, Any]:
        """An event that came directly (SNS, S3 or EventBridge).

        Raises:
            S3FanoutError: Something of it is not done.
        """
        groups: dict[tuple[str, str], _Group] = {}
        message = _Message("", "", 1)
        for wanted in await self._jobs_of(json.dumps(event)):
            _join(groups, wanted, message)
            if wanted.continued is not None:
                await self._uploads.keep_upload(wanted.continued.upload)
        results = await self._work(list(groups.values()), time_s=time_s)
        failed = [
            result.settlement
            for result, group in zip(results, groups.values(), strict=True)
            if result is not None and result.settlement.error is not None and not group.sent_on
        ]
        if failed or message.delay_s is not None or message.stays:
            first = f": {failed[0].reason}" if failed else ""
            raise Unavailable(f"not everything was replicated failed={len(failed)}{first}")
        return {"replicated": len(results)}

    async def _jobs_of(self, body: str) -> list[_Wanted]:
        """What a message asks for.

        Raises:
            MalformedEvent: Without a ledger: it cannot be understood.
            LedgerUnavailable: It cannot be understood and could not be kept.
        """
        source = self._settings.source_bucket
        if is_job_message(body):
            try:
                return [_wanted(body, source)]
            except MalformedEvent as error:
                payload = _bytes(body)[:PAYLOAD_BYTES_MAX]
                await self._keep([Malformed(error.reason, str(error), payload)])
                return []
        now_ms = self._clock.now_ms()
        parsed = parse_message(_bytes(body), received_at_ms=now_ms)
        for ignored in parsed.ignored:
            self._report.say("ignored", {"reason": ignored.reason, "detail": ignored.detail})
        if parsed.malformed:
            await self._keep(parsed.malformed)
        jobs: list[_Wanted] = []
        for event in parsed.events:
            bucket = source or event.bucket
            matched = match(event, source_bucket=bucket, rules=(self._settings.rule,))
            jobs += [_Wanted(bucket, job) for job in matched.jobs]
            for refusal in matched.unwanted:
                self._report.unwanted(refusal.reason, 1)
        return jobs

    async def _keep(self, letters: Sequence[Malformed]) -> None:
        self._report.received("lambda", events=0, ignored=0, malformed=len(letters))
        for letter in letters:
            fields = {"reason": letter.reason, "detail": letter.detail}
            self._report.say("malformed", fields, level="error")
        if self._keeper is None:
            raise MalformedEvent(letters[0].reason, letters[0].detail)
        await self._keeper.keep_malformed(letters, route="lambda", now_ms=self._clock.now_ms())

    async def _work(self, groups: list[_Group], *, time_s: float) -> list[Delivered | None]:
        """All attempts, so many at a time, until time runs out; their messages know the rest."""
        slots = asyncio.Semaphore(self._settings.concurrency)
        stop_at_s = self._clock.monotonic_s() + time_s * PARTS_SHARE

        async def one(group: _Group) -> Delivered | None:
            async with slots:
                return await self._deliver(group, stop_at_s)

        tasks = [asyncio.ensure_future(one(group)) for group in groups]
        if not tasks:
            return []
        margin_s = min(MARGIN_S, time_s * MARGIN_SHARE)
        _, late = await asyncio.wait(tasks, timeout=max(0.1, time_s - margin_s))
        for task in late:
            task.cancel()
        # Whatever came of one, none is left running behind the answer.
        await asyncio.gather(*tasks, return_exceptions=True)
        results: list[Delivered | None] = []
        for task, group in zip(tasks, groups, strict=True):
            if task not in late:
                results.append(task.result())
                continue
            self._report.say("out-of-time", {"key": group.job.key}, level="warning")
            results.append(None)
            for message in group.messages:
                # What was asked of the store may land yet; whoever tries next must come after it.
                message.stays = True
        return results

    async def _deliver(self, group: _Group, stop_at_s: float) -> Delivered | None:
        deliverer = self._deliverers[group.bucket]
        try:
            delivered = await deliverer.deliver(group.job, stop_at_s=stop_at_s)
            settlement = delivered.settlement
            if settlement.state is JobState.DEAD:
                await self._bury(group)
            if delivered.unfinished is not None:
                await self._go_on(group, delivered.unfinished)
        except LedgerUnavailable as error:
            for message in group.messages:
                self._give_back(message, error)
            return None
        if settlement.state is JobState.WAITING and not group.sent_on:
            for message in group.messages:
                delay_s = (settlement.due_at_ms - settlement.at_ms) / 1000
                if delivered.unfinished is not None:  # and it stands still
                    delay_s = backoff_cap_s(message.received, self._settings.limits)
                message.come_back(delay_s)
        if delivered.relation in {Relation.SAME, Relation.NEWER}:
            action = "duplicate" if delivered.relation is Relation.SAME else "stale"
            self._report.say(action, {"key": group.job.key})
        return delivered

    async def _bury(self, group: _Group) -> None:
        """Into the dead-letter queue now; without one, the queue counts deliveries and does it."""
        url = self._settings.dead_letter_url
        if url is None or self._messages is None:
            for message in group.messages:
                message.come_back(0)
            return
        await self._messages.send(url, [job_message(group.job)])

    async def _go_on(self, group: _Group, unfinished: Unfinished) -> None:
        """Send the job of an unfinished copy as a new message: its deliveries are no failures."""
        now = Continued(group.bucket, unfinished.upload, unfinished.parts_done)
        if now.is_ahead_of(group.continued):
            await self._send_on(job_message(group.job, now))
            group.sent_on = True

    def _give_back(self, message: _Message, error: S3FanoutError) -> None:
        self._report.say("given-back", {"reason": str(error), "hint": error.hint}, level="error")
        message.come_back(backoff_cap_s(message.received, self._settings.limits))


def _bytes(body: str) -> bytes:
    """A message as bytes, whatever its text: half a surrogate pair is none in UTF-8."""
    return body.encode(errors="backslashreplace")


def _wanted(body: str, source: str | None) -> _Wanted:
    """What a job message asks for.

    Raises:
        MalformedEvent: It cannot be understood, or nobody knows which bucket it is about.
    """
    job, continued = read_continued(body)
    bucket = source or (continued.source_bucket if continued else None)
    if bucket is None:
        raise MalformedEvent("unknown-shape", "job message without a source bucket")
    return _Wanted(bucket, job, continued)


def _join(groups: dict[tuple[str, str], _Group], wanted: _Wanted, message: _Message) -> None:
    """Add a job to its key's group; the newest change leads it, as far as can be told."""
    offered = wanted.job
    job = Job(
        destination=offered.destination,
        key=offered.key,
        fence=0,
        kind=offered.kind,
        event_at_ms=offered.event_at_ms,
        etag=offered.etag,
        size_bytes=offered.size_bytes,
        version_id=offered.version_id,
        attempts=message.received - 1,
        order=offered.order,
    )
    group = groups.setdefault((wanted.bucket, offered.key), _Group(wanted.bucket, job))
    group.messages.append(message)
    group.continued = wanted.continued or group.continued
    if relation(job.order, group.job.order) is Relation.UNKNOWN and group.job is not job:
        # No telling which is newer: the source is asked, and is at least as new as both. What is
        # recorded has to say so: an older copy that lands late would take itself for the newer one.
        order = later(job.order, group.job.order)
        job = job._replace(etag=None, size_bytes=None, order=order)
    elif relation(job.order, group.job.order) is Relation.NEWER:
        job = group.job
    attempts = max(message.received - 1, group.job.attempts)
    event_at_ms = min(offered.event_at_ms, group.job.event_at_ms)
    group.job = job._replace(attempts=attempts, event_at_ms=event_at_ms)
