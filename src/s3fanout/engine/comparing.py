"""Leaves a replica alone that is equal already: what ends the circle of two replicators.

Where replicas come back as changes of the source (two daemons that replicate into each other), a
copy would be answered by a copy for ever. So an object whose etag was copied already is compared
first; with ``always`` every object is, and then a change makes one hop and no write back.

| the object's etag | ``always`` | what is done |
|---|---|---|
| was not copied by this process lately | no | as ``Copier``: no request more |
| was copied already, or any | yes | both sides are looked at: settled as it is, or as ``Copier`` |
| is not told by a walk over listings, which compared | any | as ``Copier`` |

An equal replica may still have another storage class, redirect, lock or ACL:

| its object when this process saw it last | the replica | what is done |
|---|---|---|
| was not seen | has others | a difference, if it lacks any: they may be the other side's own |
| was copied without a look at them | lacks any | as ``Copier``, with a look |
| had others than now | has others | as ``Copier``, with a look |
| had the same | has others | a difference, if it lacks any: writing it again would not help |

So each change of them is written once, and what a store does not hold goes in no circle.

What was seen is only remembered in memory, for ``KEYS_MAX`` keys: forgetting costs a copy.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from s3fanout.decide.equal import is_same_but_tags
from s3fanout.decide.match import replica_key
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.exclusive import Attempts
from s3fanout.engine.keeper import Found, Keeper, unread
from s3fanout.engine.tags import Tags
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.objects import Extras, Present
from s3fanout.model.rules import Rule
from s3fanout.ports.object_store import ObjectStore

KEYS_MAX = 10_000
"""About 3 MB for a destination, with keys of 100 characters."""


class _Seen(NamedTuple):
    """A source object as this process saw it last; ``extras`` if it looked at them."""

    etag: str
    extras: Extras | None


class ComparingCopier:
    """A copier that looks before it writes what it wrote before."""

    def __init__(
        self,
        copier: Attempts,
        *,
        rule: Rule,
        source: ObjectStore,
        destination: ObjectStore,
        keeper: Keeper,
        tags: Tags,
        replica_tags: Tags,
        always: bool,
    ) -> None:
        """Bind to a destination.

        Args:
            copier: Copies what is not equal.
            rule: What it wants.
            source: The source bucket.
            destination: The destination bucket.
            keeper: Knows what replicas carry.
            tags: Of the source's objects.
            replica_tags: Of the destination's.
            always: Look at every object first.
        """
        self._copier = copier
        self._rule = rule
        self._source = source
        self._destination = destination
        self._keeper = keeper
        self._tags = tags
        self._replica_tags = replica_tags
        self._always = always
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        """By key, oldest first."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        """As ``Copier.attempt``. Two requests more for what is compared, four if it has tags.

        Two or three more with ``acl = "keep"``; with ``annotations = "keep"`` one, and what it
        takes to put those that the replica lacks.

        Raises:
            StoreError: One side could not be read; nothing was written.
        """
        seen = self._seen.get(job.key)
        repeats = job.etag is not None and seen is not None and seen.etag == job.etag
        found: Found | None = None
        if (repeats or self._always) and not _is_meant(job) and job.kind is not ChangeKind.REMOVED:
            equal = await self._equal(job.key)
            if equal is not None:
                replicated, found = equal
                if not _is_outdated(seen, replicated.source_etag, found):
                    self._remember(job.key, replicated.source_etag, found.carried)
                    return replicated
                # Without the hint the copier looks at all that the object carries.
                job = job._replace(etag=None)
        outcome = await self._copier.attempt(job, stop_at_s=stop_at_s)
        if isinstance(outcome, Replicated):
            carried = outcome.carried if found is None else found.carried
            self._remember(job.key, outcome.source_etag, carried)
        return outcome

    def _remember(self, key: str, etag: str, extras: Extras | None) -> None:
        self._seen[key] = _Seen(etag, extras)
        self._seen.move_to_end(key)
        if len(self._seen) > KEYS_MAX:
            self._seen.popitem(last=False)

    async def _equal(self, key: str) -> tuple[Replicated, Found] | None:
        """What both sides hold; ``None`` if they are not equal."""
        target = replica_key(self._rule.key_map, key)
        source, replica = await asyncio.gather(
            self._source.head(key), self._destination.head(target)
        )
        if not isinstance(source, Present) or not isinstance(replica, Present):
            return None
        if not is_same_but_tags(source, replica):
            return None
        ours, theirs = await asyncio.gather(
            self._tags.known(source), self._replica_tags.known(replica)
        )
        tags, replica_tags = ours.attributes.tags, theirs.attributes.tags
        too_many = frozenset[str]() if tags else unread(theirs)
        if tags and replica_tags is None:
            # To be refused: they may be outdated, and a copy each time would end no circle.
            replica_tags = dict(await self._destination.get_tags(target))
        if tags is not None and replica_tags is not None and tags != replica_tags:
            return None
        found = await self._keeper.differences_found(
            self._source, source, target, replica, lost=unread(ours)
        )
        if found is None:
            return None
        replicated = Replicated(
            source.etag,
            source.size_bytes,
            replica.etag,
            "the replica is equal already",
            wrote=False,
            differences=tuple(sorted({*found.differences, *too_many})),
        )
        return replicated, found

    def take_written(self, job: Job) -> str | None:
        """See ``Attempts``."""
        return self._copier.take_written(job)


def _is_meant(job: Job) -> bool:
    """Whether a walk over listings found what is to be written whatever the etag."""
    return job.kind is ChangeKind.EXISTS and job.etag is None


def _is_outdated(seen: _Seen | None, etag: str, found: Found) -> bool:
    """Whether a replica that is equal but for its extras is to be written for them."""
    if seen is None or seen.etag != etag:
        return False
    return (
        found.lacking
        if seen.extras is None
        else found.carried != seen.extras and bool(found.unlike)
    )
