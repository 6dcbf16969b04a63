"""Queues what was there before: every object of a listing that a destination has not got yet.

The jobs go through the same queue, engine and ledger as live changes, and come after them. A page
of the listing is accepted in one call, so the destinations of an object share its read. What the
ledger knows to be equal is passed over: going over everything again costs the listing alone.

After each page the place is kept in the ledger, never before its jobs are durable: whoever is
killed and starts again repeats one page at most, and its jobs are there already.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from s3fanout.decide.backfill import Choice, choose, job_of
from s3fanout.engine.listing import Partition, Side, partitions, side_by_side
from s3fanout.engine.patience import patiently
from s3fanout.model.errors import CheckpointMismatch, Refused
from s3fanout.model.items import Batch, Item
from s3fanout.model.jobs import DestinationSummary, NewJob, ReplicaRecord
from s3fanout.model.objects import is_text
from s3fanout.model.rules import Rule, Versions
from s3fanout.ports.checkpoints import Checkpoint, Checkpoints
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.queue import Accepted, Queue
from s3fanout.ports.system import Clock

CHECKPOINT = "backfill"
LATER_MAX = 10_000
"""Jobs that may wait in one destination's queue; the listing goes on when there are fewer."""
LOOK_S = 0.5
PARTITIONS_AT_ONCE = 4
_DELETED = "deleted"


class Summaries(Protocol):
    """The part of the ledger that knows how long the queues are."""

    async def summaries(self) -> Sequence[DestinationSummary]:
        """See ``Ledger``."""
        ...


class BackfillBooks(Summaries, Checkpoints, Protocol):
    """What a backfill needs of queue and ledger."""

    async def accept(self, jobs: Sequence[NewJob], *, now_ms: int) -> Accepted:
        """See ``Queue``."""
        ...

    async def records(self, destination: str, keys: Sequence[str]) -> Mapping[str, ReplicaRecord]:
        """See ``Ledger``."""
        ...


class Books(Queue, Ledger, Checkpoints, Protocol):
    """Where jobs, records and checkpoints are."""


@dataclass(slots=True)
class BackfillTally:
    """What happened so far, earlier runs of the same backfill included.

    Attributes:
        items: Objects that the input named.
        choices: By destination, how often each choice was made.
        queued_bytes: Known sizes of what was queued, by destination.
        requests: What copying it costs, by destination.
        pages: Requests for the listing of the source.
        resumed: It went on from a checkpoint.
        share: Of the input, about how much was read; ``None`` if nobody knows.
        left, left_bytes: Jobs that the queues of all destinations hold now, and their sizes.
    """

    items: int = 0
    choices: dict[str, dict[Choice, int]] = field(default_factory=dict)
    queued_bytes: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    pages: int = 0
    resumed: bool = False
    share: float | None = None
    left: int = 0
    left_bytes: int = 0

    def count(self, choice: Choice) -> int:
        """Over all destinations."""
        return sum(each.get(choice, 0) for each in self.choices.values())


async def listed(
    store: ObjectStore,
    clock: Clock,
    prefix: str,
    position: str | None,
    *,
    with_deleted: bool = False,
) -> AsyncGenerator[Batch]:
    """The objects of a bucket as batches; ``with_deleted`` then those that are deleted.

    A position is JSON: that of ``_objects``, or the token of the listing of deleted objects.

    Raises:
        StoreError, CheckpointMismatch: As ``_objects``.
    """
    token, is_among_deleted = _place_among_deleted(position)
    if not is_among_deleted:
        async with aclosing(_objects(store, clock, prefix, position)) as batches:
            async for batch in batches:
                is_last = with_deleted and batch.position is None
                yield replace(batch, position=json.dumps({_DELETED: None})) if is_last else batch
    if not with_deleted:
        return
    while True:
        page = await patiently(clock, partial(store.list_deleted, prefix, token=token))
        items = [
            Item(row.key, last_modified_at_ms=row.deleted_at_ms or None, is_deleted=True)
            for row in page.rows
        ]
        token = page.next_token
        if token is None:
            yield Batch(items, None, 1.0, requests=1)
            return
        yield Batch(items, json.dumps({_DELETED: token}), requests=1)


async def _objects(
    store: ObjectStore, clock: Clock, prefix: str, position: str | None
) -> AsyncGenerator[Batch]:
    """The current objects, ``PARTITIONS_AT_ONCE`` prefixes at a time.

    A position says how many partitions there were, and of those that are left prefix, whether it is
    all of it, and the continuation token.

    Raises:
        StoreError: As ``pages``.
        CheckpointMismatch: The store does not go on from a token that it gave before.
    """
    side = Side(store)
    if position is None:
        parts = await partitions([side], clock, prefix)
        starts: list[tuple[Partition, str | None]] = [(part, None) for part in parts]
        count = len(starts)
    else:
        starts, count = _places(position)
    left = dict(enumerate(starts))
    listing = side_by_side(side, clock, starts, at_once=PARTITIONS_AT_ONCE)
    try:
        async with aclosing(listing):
            async for number, page in listing:
                if page.next_token is None:
                    del left[number]
                else:
                    left[number] = (left[number][0], page.next_token)
                items = [Item(row[0], row[1], row[2], row[3]) for row in page.objects]
                share = 1.0 - len(left) / count if count > 1 else None
                share = share if left else 1.0
                yield Batch(items, _position(count, left.values()), share, requests=1)
    except Refused as error:
        if position is None:
            raise
        raise CheckpointMismatch(
            f"the store does not go on from where the listing was: {error.message}"
        ) from error


def _place_among_deleted(position: str | None) -> tuple[str | None, bool]:
    """Token to go on with, and whether the position is of the listing of deleted objects.

    Raises:
        CheckpointMismatch: It is, and is damaged.
    """
    try:
        document = json.loads(position or "null")
    except (ValueError, RecursionError):
        return None, False  # ``_places`` says so.
    if not isinstance(document, dict) or _DELETED not in document:
        return None, False
    token = document[_DELETED]
    if token is not None and not isinstance(token, str):
        raise CheckpointMismatch("the place of an unfinished backfill cannot be read")
    return token, True


def _places(position: str) -> tuple[list[tuple[Partition, str | None]], int]:
    """What ``_position`` made.

    Raises:
        CheckpointMismatch: It is damaged.
    """
    try:
        document = json.loads(position)
        rows = [(below, whole, token) for below, whole, token in document["left"]]
        count = document["partitions"]
    except (ValueError, KeyError, TypeError, RecursionError):
        rows, count = [], 0
    is_sound = type(count) is int and 0 < len(rows) <= count
    for below, whole, token in rows:
        is_sound = is_sound and isinstance(below, str) and isinstance(whole, bool)
        is_sound = is_sound and (token is None or isinstance(token, str))
    if not is_sound:
        raise CheckpointMismatch("the place of an unfinished backfill cannot be read")
    return [(Partition(below, whole), token) for below, whole, token in rows], count


def _position(count: int, left: Iterable[tuple[Partition, str | None]]) -> str | None:
    rows = [(part.prefix, part.whole, token) for part, token in left]
    return json.dumps({"partitions": count, "left": rows}) if rows else None


class Backfill:
    """One walk over an input."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        books: BackfillBooks,
        clock: Clock,
        fingerprint: str,
        since_at_ms: int | None = None,
        rate_per_s: float | None = None,
        bytes_per_s: float | None = None,
        requests_of: Callable[[str, int | None], int] = lambda _name, _size_bytes: 1,
        later_max: int = LATER_MAX,
        dry_run: bool = False,
    ) -> None:
        """Prepare a walk.

        Args:
            rules: Of the destinations that are filled.
            books: Jobs, records, checkpoints.
            clock: Time.
            fingerprint: Of configuration and input.
            since_at_ms: Only what was modified then or later.
            rate_per_s: Most objects queued in a second.
            bytes_per_s: Most bytes of objects queued in a second.
            requests_of: What copying an object of a size to a destination costs.
            later_max: Jobs of it that may wait in one destination's queue.
            dry_run: Only count.
        """
        self._rules = tuple(rules)
        self._wants_deleted = any(rule.versions is Versions.ALL for rule in rules)
        self._books = books
        self._clock = clock
        self._fingerprint = fingerprint
        self._since_at_ms = since_at_ms
        self._rate_per_s = rate_per_s
        self._bytes_per_s = bytes_per_s
        self._requests_of = requests_of
        self._later_max = later_max
        self._dry_run = dry_run
        self.tally = BackfillTally()

    async def resume(self) -> str | None:
        """The position to go on from; ``None`` begins at the start.

        Raises:
            CheckpointMismatch: The checkpoint is of another configuration, input or version, or
                damaged.
        """
        kept = await self._books.checkpoint(CHECKPOINT)
        if kept is None or self._dry_run:
            return None
        if kept.fingerprint != self._fingerprint:
            raise CheckpointMismatch(
                "an unfinished backfill is of another configuration or of other arguments"
            )
        try:
            self.tally, position = _restored(json.loads(kept.position))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointMismatch(
                f"the checkpoint of an unfinished backfill cannot be read: {type(error).__name__}"
            ) from error
        return position

    async def run(
        self,
        batches: AsyncGenerator[Batch],
        *,
        progress: Callable[[BackfillTally], None] = lambda _: None,
    ) -> BackfillTally:
        """Queue what ``batches`` names; ended, the checkpoint is gone.

        Raises:
            StoreError, LedgerUnavailable: As far as it came it stays; run it again.
        """
        began_s, before = self._clock.monotonic_s(), self._queued()
        async with aclosing(batches):
            async for batch in batches:
                await self._take(batch.items)
                self.tally.pages += batch.requests
                self.tally.share = batch.share
                if not self._dry_run and batch.position is not None:
                    await self._keep(batch.position)
                if self._dry_run:
                    progress(self.tally)
                else:
                    await self._wait(began_s, before, progress)
        self.tally.share = 1.0
        if not self._dry_run:
            await self._books.drop_checkpoint(CHECKPOINT)
        return self.tally

    async def _take(self, items: Sequence[Item]) -> None:
        now_ms = self._clock.now_ms()
        if not self._wants_deleted:
            items = [item for item in items if not item.is_deleted]
        jobs = []
        keys = [item.key for item in items if is_text(item.key)]
        for rule in self._rules:
            name = rule.destination
            records = await self._books.records(name, keys)
            choices = self.tally.choices.setdefault(name, {})
            size_bytes = self.tally.queued_bytes.get(name, 0)
            requests = self.tally.requests.get(name, 0)
            for item in items:
                choice = choose(item, rule, records.get(item.key), since_at_ms=self._since_at_ms)
                choices[choice] = choices.get(choice, 0) + 1
                if choice is Choice.QUEUE:
                    jobs.append(job_of(item, name, now_ms=now_ms))
                    size_bytes += item.size_bytes or 0
                    requests += self._requests_of(name, item.size_bytes)
            self.tally.requests[name] = requests
            self.tally.queued_bytes[name] = size_bytes
        self.tally.items += len(items)
        if jobs and not self._dry_run:
            await self._books.accept(jobs, now_ms=now_ms)

    async def _keep(self, position: str) -> None:
        document = {
            "position": position,
            "items": self.tally.items,
            "choices": self.tally.choices,
            "queued_bytes": self.tally.queued_bytes,
            "requests": self.tally.requests,
            "pages": self.tally.pages,
        }
        checkpoint = Checkpoint(self._fingerprint, self._clock.now_ms(), json.dumps(document))
        await self._books.keep_checkpoint(CHECKPOINT, checkpoint)

    def _queued(self) -> tuple[float, float]:
        """Objects and bytes that were queued, for the mean destination."""
        tally, rules = self.tally, len(self._rules)
        return tally.count(Choice.QUEUE) / rules, sum(tally.queued_bytes.values()) / rules

    async def _wait(
        self,
        began_s: float,
        before: tuple[float, float],
        progress: Callable[[BackfillTally], None],
    ) -> None:
        """Until the rates allow more, and the queues are short enough."""
        for rate, queued, earlier in zip(
            (self._rate_per_s, self._bytes_per_s), self._queued(), before, strict=True
        ):
            if rate is not None:
                early_s = (queued - earlier) / rate - (self._clock.monotonic_s() - began_s)
                if early_s > 0:
                    await self._clock.sleep(early_s)

        def looked(summaries: Sequence[DestinationSummary]) -> None:
            self.tally.left = sum(summary.backlog for summary in summaries)
            self.tally.left_bytes = sum(summary.backlog_bytes for summary in summaries)
            progress(self.tally)

        names = [rule.destination for rule in self._rules]
        await wait_for_room(
            self._books, names, self._clock, looked=looked, later_max=self._later_max
        )


async def wait_for_room(
    ledger: Summaries,
    destinations: Sequence[str],
    clock: Clock,
    *,
    looked: Callable[[Sequence[DestinationSummary]], None] = lambda _: None,
    later_max: int = LATER_MAX,
) -> None:
    """Until at most ``later_max`` jobs that were seen in listings wait in each queue.

    Args:
        ledger: Knows.
        destinations: Whose queues.
        clock: Times the looks.
        looked: Told of those that are not paused, at each look.
        later_max: As above.
    """
    while True:
        summaries = [
            summary
            for summary in await ledger.summaries()
            if summary.destination in destinations and summary.paused_at_ms is None
        ]
        looked(summaries)
        if all(summary.later <= later_max for summary in summaries):
            return
        await clock.sleep(LOOK_S)


def _restored(document: dict[str, Any]) -> tuple[BackfillTally, str]:
    """What a checkpoint says.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: Not what ``Backfill`` writes.
    """
    numbers = [document["items"], document["pages"], *document["queued_bytes"].values()]
    numbers += [*document["requests"].values()]
    choices = {
        name: {Choice(word): count for word, count in counts.items()}
        for name, counts in document["choices"].items()
    }
    numbers += [count for counts in choices.values() for count in counts.values()]
    position = document["position"]
    if not isinstance(position, str) or not all(type(number) is int for number in numbers):
        raise TypeError("not the types of a checkpoint")
    if min(numbers) < 0:
        raise ValueError("less than nothing")
    tally = BackfillTally(
        document["items"],
        choices,
        document["queued_bytes"],
        document["requests"],
        document["pages"],
        resumed=True,
    )
    return tally, position
