"""Refuses a replica key that the destination's store would not hold as it is, with the reason.

Some stores keep ``a//b`` under ``a/b``, without a word: the replica would be at another key, and
might overwrite one that is not its own.

Where keys are paths of a file system, ``x`` and ``x/y`` cannot both be. That depends on what else
is there, so such a store is asked only after it failed to write (the MinIO front end answers 500):
then the other key is named. Where ``x/`` would take the place of an ``x`` (SeaweedFS), it is asked
for ``x`` before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from s3fanout.decide.keys import why_not_held
from s3fanout.decide.match import replica_key
from s3fanout.decide.plan import Refuse, Skip
from s3fanout.engine.copier import Outcome
from s3fanout.engine.exclusive import Attempts
from s3fanout.model.errors import Refused, StoreError, Unavailable
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.objects import Present
from s3fanout.model.rules import Rule
from s3fanout.model.vendors import Vendor
from s3fanout.ports.object_store import ObjectStore


class HoldingCopier:
    """A copier that writes only what the store holds.

    Costs no request of its own, but for one where only the size says that a key cannot be held (the
    event's size is a hint: the MinIO front end tells 4,096 bytes of an empty ``a/``), and a look
    for ``x`` before ``x/`` where one may not be beside the other.
    """

    def __init__(
        self,
        copier: Attempts,
        *,
        rule: Rule,
        source: ObjectStore,
        destination: ObjectStore,
        vendor: Callable[[], Awaitable[Vendor]],
    ) -> None:
        """``vendor`` says which store it is; it never raises, and remembers."""
        self._copier = copier
        self._rule = rule
        self._source = source
        self._destination = destination
        self._vendor = vendor

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        """As ``Copier.attempt``, where the store holds the key."""
        vendor = await self._vendor()
        target = replica_key(self._rule.key_map, job.key)
        why = why_not_held(target, vendor.keys, job.size_bytes)
        if why is not None and why_not_held(target, vendor.keys, None) is None:
            # Only the hint speaks against the key.
            facts = await self._source.head(job.key)
            size_bytes = facts.size_bytes if isinstance(facts, Present) else None
            why = why_not_held(target, vendor.keys, size_bytes)
        if why is None:
            return await self._beside_others(job, target, vendor, stop_at_s=stop_at_s)
        if job.kind is ChangeKind.REMOVED:
            return Skip("key-not-held", "nothing of this key was ever written")
        return Refuse(
            "key-not-held",
            f"{vendor.title} does not hold the key {target!r}: {why}",
            "exclude such keys, or give the destination a key template; if its store holds them, "
            'set its vendor to "other" and: s3fanout redrive',
        )

    async def _beside_others(
        self, job: Job, target: str, vendor: Vendor, *, stop_at_s: float | None
    ) -> Outcome:
        """An attempt where another key may be in the way."""
        file = target.removesuffix("/")
        if (
            file != target
            and not vendor.keys.file_beside_marker
            and isinstance(await self._destination.head(file), Present)
        ):
            return _conflict(job, target, file, vendor)
        try:
            return await self._copier.attempt(job, stop_at_s=stop_at_s)
        except (Unavailable, Refused) as error:
            if vendor.keys.file_beside_folder or not error.status or job.kind is ChangeKind.REMOVED:
                raise
            other = await self._in_the_way(target)
            if other is None:
                raise
            return _conflict(job, target, other, vendor)

    async def _in_the_way(self, target: str) -> str | None:
        """A key that makes a file of what ``target`` needs as a directory, or the other way.

        One request for each ``/`` in the key, and one more.
        """
        try:
            below = await self._destination.list_page(target + "/", limit=1)
            if below.objects:
                return below.objects[0].key
            at = target.rfind("/")
            while at > 0:
                if isinstance(await self._destination.head(target[:at]), Present):
                    return target[:at]
                at = target.rfind("/", 0, at)
        except StoreError:
            pass  # It does not say: the error of the attempt stands.
        return None

    def take_written(self, job: Job) -> str | None:
        """See ``Attempts``."""
        return self._copier.take_written(job)


def _conflict(job: Job, target: str, other: str, vendor: Vendor) -> Skip | Refuse:
    if job.kind is ChangeKind.REMOVED:
        return Skip("key-conflict", f"there is no {target!r} where there is {other!r}")
    return Refuse(
        "key-conflict",
        f"the destination holds {other!r}, and {vendor.title} cannot hold {target!r} beside it",
        "rename or remove one of them, or give the destination a key template; then: "
        "s3fanout redrive",
    )
