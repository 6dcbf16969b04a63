"""Leaves a replica alone that is equal already: what ends the circle of two replicators.

Where replicas come back as changes of the source (two daemons that replicate into each other), a
copy would be answered by a copy for ever. So an object whose etag was copied already is compared
first; with ``always`` every object is, and then a change makes one hop and no write back.

| the object's etag | ``always`` | what is done |
|---|---|---|
| was not copied by this process lately | no | as ``Copier``: no request more |
| was copied already, or any | yes | both sides are looked at: settled as it is, or as ``Copier`` |

What was copied lately is only remembered in memory, for ``KEYS_MAX`` keys: forgetting costs a copy.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from s3fanout.decide.equal import is_same_but_tags
from s3fanout.decide.match import replica_key
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.exclusive import Attempts
from s3fanout.engine.keeper import Keeper
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.objects import Present
from s3fanout.model.rules import Rule
from s3fanout.ports.object_store import ObjectStore

KEYS_MAX = 10_000
"""About 3 MB for a destination, with keys of 100 characters."""


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
        always: bool,
    ) -> None:
        """Bind to a destination; ``always`` looks at every object first."""
        self._copier = copier
        self._rule = rule
        self._source = source
        self._destination = destination
        self._keeper = keeper
        self._always = always
        self._copied: OrderedDict[str, str] = OrderedDict()
        """Source etag of what was copied last, by key, oldest first."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        """As ``Copier.attempt``. Two requests more for what is compared, four if it has tags.

        Raises:
            StoreError: One side could not be read; nothing was written.
        """
        repeats = job.etag is not None and self._copied.get(job.key) == job.etag
        if (repeats or self._always) and job.kind is not ChangeKind.REMOVED:
            equal = await self._equal(job.key)
            if equal is not None:
                return equal
        outcome = await self._copier.attempt(job, stop_at_s=stop_at_s)
        if isinstance(outcome, Replicated):
            self._copied[job.key] = outcome.source_etag
            self._copied.move_to_end(job.key)
            if len(self._copied) > KEYS_MAX:
                self._copied.popitem(last=False)
        return outcome

    async def _equal(self, key: str) -> Replicated | None:
        """What both sides hold; ``None`` if they are not equal."""
        target = replica_key(self._rule.key_map, key)
        source, replica = await asyncio.gather(
            self._source.head(key), self._destination.head(target)
        )
        if not isinstance(source, Present) or not isinstance(replica, Present):
            return None
        if not is_same_but_tags(source, replica):
            return None
        if source.tag_count or replica.tag_count:
            tags, replica_tags = await asyncio.gather(
                self._source.get_tags(key), self._destination.get_tags(target)
            )
            if tags != replica_tags:
                return None
        differences = await self._keeper.differences_found(
            source, target, replica, read_acl=lambda: self._source.get_acl(key)
        )
        if differences is None:
            return None
        return Replicated(
            source.etag,
            source.size_bytes,
            replica.etag,
            "the replica is equal already",
            wrote=False,
            differences=differences,
        )

    def take_written(self, job: Job) -> str | None:
        """See ``Attempts``."""
        return self._copier.take_written(job)
