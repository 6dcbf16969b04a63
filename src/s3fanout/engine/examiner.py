"""Looks closely at one object and its replica: facts, attributes, tags, bytes. Never writes.

| what is asked for | requests for a pair |
|---|---|
| facts | two ``HEAD`` |
| attributes | two ``HEAD``; two for tags, unless both sides are known to tell that there are none |
| bytes, of an object of at most ``STEP_BYTES`` | two ``GET``; the tags as above |
| bytes, of a larger one | two ``HEAD``, and two ranged ``GET`` for each ``STEP_BYTES``; the tags |
| either, where every version counts | one listing of the versions of each side more |

A ``HEAD`` tells how many tags an object has, if the store does that and the caller may read them; 0
is told by silence. So a side is only believed to have none if it told the count of another object.

Memory: bytes are read on both sides in step, ``READS_AT_ONCE`` steps at a time whatever the number
and size of the objects: twice that many pieces of ``STEP_BYTES``, 64 MiB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TypeVar

from s3fanout.decide.compare import (
    Standing,
    Verdict,
    compare,
    known_differences,
    with_differences,
)
from s3fanout.decide.compare_attributes import (
    attribute_differences,
    by_checksums,
    etag_is_hash,
)
from s3fanout.decide.compare_histories import compare_histories
from s3fanout.decide.keeping import NO_TAGS_CODES
from s3fanout.decide.reconcile import Pair
from s3fanout.decide.versions import wanted
from s3fanout.engine.patience import patiently
from s3fanout.model.errors import (
    AccessDenied,
    Refused,
    SourceAbsent,
    SourceChanged,
    StoreError,
)
from s3fanout.model.jobs import ReplicaRecord
from s3fanout.model.keeping import Difference
from s3fanout.model.objects import Absent, Listed, Present, Probe, Version
from s3fanout.model.rules import Rule, Versions
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

STEP_BYTES = 4 * 1024 * 1024
READS_AT_ONCE = 8
STEPS_AT_ONCE = 4
"""Of one object: a large one alone does not wait for one answer after the other."""

ATTEMPTS_MAX = 3
"""Of one request. A store that is down fails the listing; here every object would wait for it."""

VERSIONS_MAX = 10_000
"""Of one key, about 3 MB."""

Answer = TypeVar("Answer")
Records = Callable[[Sequence[str]], Awaitable[Mapping[str, ReplicaRecord]]]

_MOVED = Verdict(Standing.UNKNOWN, "moved", "changed while it was compared")
_TOO_LONG = Verdict(Standing.UNKNOWN, "history-too-long", f"more than {VERSIONS_MAX} versions")
_BYTES = Verdict(Standing.SAME, "bytes", "equal bytes and attributes")


class Depth(StrEnum):
    """What is compared beyond listings and ledger."""

    LISTING = "listing"
    ATTRIBUTES = "attributes"
    """What ``HEAD`` tells, checksums included, and the tags."""
    BYTES = "bytes"
    """The bytes too: each pair is read."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One side: facts, and the bytes if they came along."""

    facts: Probe
    content: bytes | None = None


@dataclass(slots=True)
class _Tags:
    """What a side is known to do with tags.

    Attributes:
        store: The side.
        tells: It told how many an object has.
        has_any: It did not say that it knows no tags.
    """

    store: ObjectStore
    tells: bool = False
    has_any: bool = True


class Examiner:
    """Looks at pairs of one destination."""

    def __init__(
        self,
        *,
        rule: Rule,
        source: ObjectStore,
        replica: ObjectStore,
        records: Records,
        clock: Clock,
        ignored: Collection[str],
        step_bytes: int,
    ) -> None:
        """Bind to a destination.

        Args:
            rule: What it wants.
            source: The source bucket.
            replica: The destination bucket.
            records: Of the ledger, by source key.
            clock: Times retries, and says which retention is over.
            ignored: What may differ.
            step_bytes: How much of an object is read at once.
        """
        self._rule = rule
        self._source = source
        self._replica = replica
        self._records = records
        self._clock = clock
        self._ignored = ignored
        self._step_bytes = step_bytes
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._tags = (_Tags(source), _Tags(replica))

    async def examine(
        self, key: str, target: str, listed: Pair, depth: Depth
    ) -> tuple[Pair, Verdict | None]:
        """The pair as it is now, and what is to be said about it.

        Raises:
            StoreError: A side did not answer.
        """
        source_row, replica_row = listed
        is_small = (
            depth is Depth.BYTES
            and source_row is not None
            and replica_row is not None
            and max(source_row.size_bytes, replica_row.size_bytes) <= self._step_bytes
        )
        record = (await self._records([key])).get(key)
        # The replica first: what is written meanwhile then looks newer.
        if is_small:
            async with self._reads:
                theirs = await self._get(self._replica, target)
                ours = await self._get(self._source, key)
        else:
            theirs = await self._head(self._replica, target)
            ours = await self._head(self._source, key)
        pair = (_row(ours.facts, source_row), _row(theirs.facts, replica_row))
        verdict = compare(*pair, record, rule=self._rule, ignored=self._ignored)
        if (
            verdict is None
            or not goes_deeper(verdict)
            or not isinstance(ours.facts, Present)
            or not isinstance(theirs.facts, Present)
        ):
            return pair, verdict
        verdict = _by_facts(verdict, ours.facts, theirs.facts)
        if depth is Depth.LISTING:
            return pair, verdict
        by_class = verdict.evidence if _is_class(verdict) else ""
        if depth is Depth.BYTES:
            verdict = await self._by_bytes(ours, theirs, key, target)
        if verdict.standing in {Standing.SAME, Standing.UNKNOWN} or _is_class(verdict):
            try:
                facts, unread = await self._tagged(ours.facts, theirs.facts), ""
            except (AccessDenied, Refused) as error:
                facts, unread = (ours.facts, theirs.facts), error.message
            found = self._differences(*facts)
            if by_class:
                found.setdefault(Difference.STORAGE_CLASS, by_class)
            verdict = with_differences(verdict, found, self._known(record, pair))
            if unread and verdict.standing is Standing.SAME:
                verdict = Verdict(Standing.UNKNOWN, "tags-unread", f"no tags compared: {unread}")
        if self._rule.versions is Versions.ALL and verdict.standing is Standing.SAME:
            verdict = await self._by_history(ours.facts, theirs.facts) or verdict
        return pair, verdict

    async def _head(self, store: ObjectStore, key: str) -> _Seen:
        return _Seen(await self._asked(lambda: store.head(key)))

    async def _get(self, store: ObjectStore, key: str) -> _Seen:
        """All of a small object; only its facts if it is large by now."""
        try:
            body = await self._asked(
                lambda: store.get(key, if_match=None, size_bytes_max=self._step_bytes)
            )
        except SourceAbsent:
            return _Seen(Absent(key))
        except Refused as error:
            if error.s3_code != "EntityTooLarge":
                raise
            return await self._head(store, key)
        return _Seen(body.facts, body.content)

    async def _tagged(self, ours: Present, theirs: Present) -> tuple[Present, Present]:
        """Both sides with their tags, where they are to be compared and may have any.

        Raises:
            StoreError: They could not be read.
        """
        if Difference.TAGS in self._ignored:
            return ours, theirs
        source, replica = self._tags
        source.tells |= bool(ours.tag_count)
        replica.tells |= bool(theirs.tag_count)
        is_told = source.tells and replica.tells
        if is_told and not ours.tag_count and not theirs.tag_count:
            return ours, theirs
        return await self._with_tags(source, ours), await self._with_tags(replica, theirs)

    def _differences(self, ours: Present, theirs: Present) -> dict[str, str]:
        """What differs beside the bytes, and is not ignored: sentences by name."""
        found = attribute_differences(ours, theirs, self._rule.keeping, now_ms=self._clock.now_ms())
        return {name: text for name, text in found.items() if name not in self._ignored}

    def _known(self, record: ReplicaRecord | None, pair: Pair) -> Collection[str]:
        source, replica = pair
        if source is None or replica is None:
            return ()
        return known_differences(record, source, replica, self._rule.keeping)

    async def _with_tags(self, side: _Tags, facts: Present) -> Present:
        if facts.attributes.tags:
            return facts  # they came along with the bytes
        tags: Mapping[str, str] = {}
        if side.has_any:
            try:
                tags = await self._asked(lambda: side.store.get_tags(facts.key))
            except StoreError as error:
                if error.s3_code not in NO_TAGS_CODES:
                    raise
                side.has_any = False
        return replace(facts, attributes=replace(facts.attributes, tags=tags))

    async def _by_history(self, ours: Present, theirs: Present) -> Verdict | None:
        replica = await self._history(self._replica, theirs.key)
        source = await self._history(self._source, ours.key)
        if source is None or replica is None:
            return _TOO_LONG
        return compare_histories(
            wanted(source, ours.key, self._rule),
            replica,
            etags_are_hashes=etag_is_hash(ours) and etag_is_hash(theirs),
        )

    async def examine_deleted(self, key: str, target: str) -> Verdict | None:
        """Of a key that is deleted at the source: are its versions in the replica?

        ``None`` if there is nothing to say: it is there again, the rule wants none of its versions,
        or the replica is, and is reported as an extra object.

        Raises:
            StoreError: A side did not answer.
        """
        replica = await self._history(self._replica, target)
        source = await self._history(self._source, key)
        if source is None or replica is None:
            return _TOO_LONG
        ours = wanted(source, key, self._rule)
        is_shown = bool(replica) and not replica[0].is_marker
        if not ours or not source[0].is_marker or is_shown:
            return None
        if not replica:
            return Verdict(
                Standing.MISSING, "missing", f"deleted; none of its {len(ours)} versions was copied"
            )
        newest = [
            await self._head_of(store, name, history)
            for store, name, history in (
                (self._source, key, ours),
                (self._replica, target, replica),
            )
        ]
        hashed = all(isinstance(facts, Present) and etag_is_hash(facts) for facts in newest)
        lacks = compare_histories(ours, replica, etags_are_hashes=hashed)
        return lacks or Verdict(Standing.SAME, "history", "deleted, and has every version")

    async def _head_of(self, store: ObjectStore, key: str, history: Sequence[Version]) -> Probe:
        """Facts of the newest version that is an object."""
        named = next((each.version_id for each in history if not each.is_marker), None)
        if named is None:
            return Absent(key)
        return await self._asked(lambda: store.head(key, version_id=named))

    async def _history(self, store: ObjectStore, key: str) -> list[Version] | None:
        """All versions, newest first; ``None`` if there are more than we hold."""
        found: list[Version] = []
        token: str | None = None
        while len(found) <= VERSIONS_MAX:
            page = await self._asked(partial(store.list_versions, key, token=token))
            found += page.versions
            token = page.next_token
            if token is None:
                return found
        return None

    async def _by_bytes(self, ours: _Seen, theirs: _Seen, key: str, target: str) -> Verdict:
        if ours.content is not None and theirs.content is not None:
            at = first_difference(ours.content, theirs.content)
        else:
            assert isinstance(ours.facts, Present)
            assert isinstance(theirs.facts, Present)
            try:
                at = await self._in_step(ours.facts, theirs.facts, key, target)
            except (SourceChanged, SourceAbsent):
                return _MOVED
        if at is None:
            return _BYTES
        return Verdict(Standing.DIFFERS, "bytes", f"the bytes differ at {at}, counted from 0")

    async def _in_step(self, ours: Present, theirs: Present, key: str, target: str) -> int | None:
        """Where the bytes differ, perhaps not first."""
        starts = iter(range(0, ours.size_bytes, self._step_bytes))
        found: list[int] = []

        async def read(starts: Iterator[int]) -> None:
            for first in starts:
                if found:
                    return
                last = min(first + self._step_bytes, ours.size_bytes) - 1
                async with self._reads:
                    left, right = await asyncio.gather(
                        self._range(self._source, key, ours.etag, first, last),
                        self._range(self._replica, target, theirs.etag, first, last),
                    )
                at = first_difference(left, right)
                if at is not None:
                    found.append(first + at)

        readers = [asyncio.ensure_future(read(starts)) for _ in range(STEPS_AT_ONCE)]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        return min(found, default=None)

    async def _range(self, store: ObjectStore, key: str, etag: str, first: int, last: int) -> bytes:
        part = await self._asked(
            lambda: store.get_range(key, first=first, last=last, if_match=etag)
        )
        return part.content

    def _asked(self, ask: Callable[[], Awaitable[Answer]]) -> Awaitable[Answer]:
        return patiently(self._clock, ask, attempts_max=ATTEMPTS_MAX)


def goes_deeper(verdict: Verdict) -> bool:
    """Whether a closer look may say something else: of bytes that are not known to differ."""
    return (
        verdict.standing in {Standing.SAME, Standing.UNKNOWN}
        or verdict.code == "etag"
        or _is_class(verdict)
    )


def first_difference(ours: bytes, theirs: bytes) -> int | None:
    """Index of the first byte that is not the same; ``None`` if all are."""
    if ours == theirs:
        return None
    low, high = 0, min(len(ours), len(theirs))
    while low < high:
        middle = (low + high) // 2
        if ours[low : middle + 1] == theirs[low : middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


def _by_facts(verdict: Verdict, ours: Present, theirs: Present) -> Verdict:
    """``verdict`` of rows, with what checksums and encryption say."""
    proof = by_checksums(ours, theirs)
    if proof is not None and proof.standing is Standing.DIFFERS:
        return proof
    if verdict.standing is Standing.SAME or _is_class(verdict):
        return verdict
    if proof is not None:
        return proof
    if verdict.code == "etag" and not (etag_is_hash(ours) and etag_is_hash(theirs)):
        return Verdict(
            Standing.UNKNOWN,
            "etag-says-nothing",
            "equal sizes, and etags of objects encrypted with a key: use --attributes or --deep",
        )
    return verdict


def _is_class(verdict: Verdict) -> bool:
    return verdict.code == Difference.STORAGE_CLASS


def _row(seen: Probe, listed: Listed | None) -> Listed | None:
    """What a listing would say now. An answer without a class means the default one, or nothing."""
    if not isinstance(seen, Present):
        return None
    row = Listed(seen.key, seen.size_bytes, seen.etag, seen.last_modified_at_ms)
    told = seen.attributes.extras.storage_class
    if told or listed is None:
        return row._replace(storage_class=told)
    is_as_listed = (listed.etag, listed.last_modified_at_ms // 1000) == (
        row.etag,
        row.last_modified_at_ms // 1000,
    )
    return row._replace(storage_class=listed.storage_class if is_as_listed else "STANDARD")
