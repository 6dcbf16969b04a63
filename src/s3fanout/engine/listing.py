"""Listings as streams: pages read ahead, cut into partitions, put into byte order where need be.

Facts. A listing of Amazon S3 is in the order of the keys' UTF-8 bytes (API reference of
ListObjectsV2, read 2026-11-24), and so are those of MinIO and Ceph. SeaweedFS lists directory by
directory: ``o/a/x`` before ``o/a-b`` (probed with 4.48). Python compares texts by code point, which
is the order of UTF-8 bytes too. A continuation token goes on where the page ended in any order.

Partitions are prefixes, never ranges of keys: "everything below ``a/``" means the same to a store
of any order. They are found with a delimiter, level by level, until there are enough of them.

Memory: of each listing one page is in hand and one under way, 1,000 rows of about 500 bytes each;
sorting holds ``SORTED_ROWS_MAX`` rows and writes the rest to temporary files.
"""

from __future__ import annotations

import asyncio
import heapq
import pickle
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Protocol

from s3fanout.engine.patience import patiently
from s3fanout.model.errors import ListingUnordered, Unavailable
from s3fanout.model.objects import Listed, ListPage
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

PARTITIONS_WANTED = 16
LEVEL_PAGES_MAX = 4
"""A level of more entries is not split further: finding its prefixes would cost a listing."""
SORTED_ROWS_MAX = 50_000
SORTED_PAGE_ROWS = 1000

_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """A bucket, or a part of it.

    Attributes:
        store: The bucket.
        front: What every key of the part starts with and is not of its *name*: so a source with
            ``strip_prefix`` and a destination with ``add_prefix`` call an object the same.
    """

    store: ObjectStore
    front: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of all names.

    Attributes:
        prefix: What its names start with.
        whole: Every name below ``prefix``; otherwise only those without a further delimiter.
    """

    prefix: str
    whole: bool = True

    @property
    def delimiter(self) -> str:
        """For the listing of exactly these keys."""
        return "" if self.whole else "/"


class ListOrder(Protocol):
    """What is known of the order that one side lists in."""

    async def is_unordered(self) -> bool:
        """Whether it is known to be another one than that of bytes; never raises."""
        ...

    async def seen_unordered(self) -> None:
        """Take note that it is another one; never raises."""
        ...


async def list_page(side: Side, clock: Clock, partition: Partition, token: str | None) -> ListPage:
    """One page; what may pass is tried again.

    Raises:
        StoreError: The store cannot be listed. The listing is then not complete.
    """
    prefix, delimiter = side.front + partition.prefix, partition.delimiter
    return await patiently(
        clock, lambda: side.store.list_page(prefix, token=token, delimiter=delimiter)
    )


async def pages(
    side: Side, clock: Clock, partition: Partition, *, token: str | None = None
) -> AsyncGenerator[ListPage]:
    """The pages of a partition, the next one under way while one is looked at.

    Args:
        side: What is listed.
        clock: Times waits between tries.
        partition: Which keys.
        token: Go on behind the page that had this ``next_token``.

    Raises:
        StoreError: As ``list_page``.
        Unavailable: The store's listing goes in a circle.
    """
    coming = asyncio.ensure_future(list_page(side, clock, partition, token))
    try:
        while True:
            page = await coming
            if page.next_token is not None:
                if page.next_token == token:
                    raise Unavailable(
                        f"listing does not go on prefix={partition.prefix!r} "
                        f"bucket={side.store.bucket}",
                        operation="ListObjectsV2",
                    )
                token = page.next_token
                coming = asyncio.ensure_future(list_page(side, clock, partition, token))
            yield page
            if page.next_token is None:
                return
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def side_by_side(
    side: Side, clock: Clock, starts: Sequence[tuple[Partition, str | None]], *, at_once: int
) -> AsyncGenerator[tuple[int, ListPage]]:
    """The pages of several partitions as they come, each with the number of its partition.

    Args:
        side: What is listed.
        clock: As of ``pages``.
        starts: Partitions, each with the token that it goes on from.
        at_once: So many are listed at a time.

    Raises:
        StoreError: As ``pages``, for any of them; nothing more comes then.
    """
    arrived: asyncio.Queue[tuple[int, ListPage]] = asyncio.Queue(at_once)
    waiting = iter(enumerate(starts))

    async def work() -> None:
        for number, (partition, token) in waiting:
            async with aclosing(pages(side, clock, partition, token=token)) as listing:
                async for page in listing:
                    await arrived.put((number, page))

    workers = [asyncio.ensure_future(work()) for _ in range(min(at_once, len(starts)))]
    ended = asyncio.gather(*workers)
    try:
        while not (ended.done() and arrived.empty()):
            coming = asyncio.ensure_future(arrived.get())
            waits: set[asyncio.Future[Any]] = {coming, ended}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                yield coming.result()
                continue
            coming.cancel()
            ended.result()
        ended.result()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(ended, *workers, return_exceptions=True)


async def partitions(
    sides: Sequence[Side], clock: Clock, prefix: str, *, wanted: int = PARTITIONS_WANTED
) -> list[Partition]:
    """Partitions that together are all names of all sides that start with ``prefix``.

    No two overlap. About ``wanted`` of them where the names have so many prefixes, one where they
    have none. Costs, for each prefix that is split, at most ``LEVEL_PAGES_MAX`` requests a side.

    Raises:
        StoreError: As ``list_page``.
    """
    done: list[Partition] = []
    level = [prefix]
    while level and len(done) + len(level) < wanted:
        found: list[str] = []
        for each in level:
            below = await _prefixes_below(sides, clock, each)
            if below:
                done.append(Partition(each, whole=False))
                found += below
            else:
                done.append(Partition(each))
        level = found
    return done + [Partition(each) for each in level]


async def _prefixes_below(sides: Sequence[Side], clock: Clock, prefix: str) -> list[str]:
    """What the names below ``prefix`` start with; empty if that is not worth the requests."""
    found: set[str] = set()
    for side in sides:
        asked = 0
        async with aclosing(pages(side, clock, Partition(prefix, whole=False))) as listing:
            async for page in listing:
                asked += 1
                found.update(each.removeprefix(side.front) for each in page.prefixes)
                if page.next_token is not None and asked >= LEVEL_PAGES_MAX:
                    return []
    return sorted(found)


async def in_order(
    side: Side, clock: Clock, partition: Partition, *, sort: bool
) -> AsyncGenerator[Sequence[Listed]]:
    """The rows of a partition by key.

    Args:
        side: What is listed.
        clock: As of ``pages``.
        partition: Which keys.
        sort: Read it to its end and sort it, in files where it is long.

    Raises:
        ListingUnordered: Without ``sort``: the store lists in another order.
    """
    if sort:
        with ExitStack() as files:
            runs = await _runs(side, clock, partition, files, lambda row: row)
            merged = map(Listed._make, heapq.merge(*runs))
            while piece := list(islice(merged, SORTED_PAGE_ROWS)):
                yield piece
        return
    last = ""
    async for page in pages(side, clock, partition):
        rows = page.objects
        last = refuse_unordered(rows, last, side)
        if rows:
            yield rows


def refuse_unordered(rows: Sequence[Listed], last: str, side: Side) -> str:
    """The key of the last row; ``last`` is that of the page before, and none comes before it.

    Raises:
        ListingUnordered: The store lists in another order than that of the keys' bytes.
    """
    for row in rows:
        if row.key <= last:
            raise ListingUnordered(
                f"the store lists in another order than that of bytes key={row.key!r} "
                f"after={last!r} bucket={side.store.bucket}",
                operation="ListObjectsV2",
            )
        last = row.key
    return last


async def in_order_of(
    side: Side, clock: Clock, partition: Partition, name_of: Callable[[str], str]
) -> AsyncGenerator[Sequence[tuple[str, Listed]]]:
    """The rows of a partition by another name than their key, with that name.

    Raises:
        StoreError: As ``pages``.
    """
    with ExitStack() as files:
        runs = await _runs(side, clock, partition, files, lambda row: (name_of(row.key), *row))
        merged = heapq.merge(*runs)
        while piece := list(islice(merged, SORTED_PAGE_ROWS)):
            yield [(name, Listed._make(row)) for name, *row in piece]


async def _runs(
    side: Side,
    clock: Clock,
    partition: Partition,
    files: ExitStack,
    form: Callable[[Listed], _Row],
) -> list[Iterator[_Row]]:
    """Sorted runs of the listing, in the form to sort by: all but the last one in files."""
    runs: list[Iterator[_Row]] = []
    rows: list[_Row] = []
    async for page in pages(side, clock, partition):
        rows += map(form, page.objects)
        if len(rows) >= SORTED_ROWS_MAX:
            file = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is one
            _write_run(file, sorted(rows))
            runs.append(_read_run(file))
            rows = []
    return [*runs, iter(sorted(rows))]


def _write_run(file: IO[bytes], rows: Sequence[_Row]) -> None:
    for start in range(0, len(rows), SORTED_PAGE_ROWS):
        pickle.dump([tuple(row) for row in rows[start : start + SORTED_PAGE_ROWS]], file)
    file.seek(0)


def _read_run(file: IO[bytes]) -> Iterator[_Row]:
    while True:
        try:
            rows = pickle.load(file)  # noqa: S301 - written by this process, without a name
        except EOFError:
            return
        yield from rows
