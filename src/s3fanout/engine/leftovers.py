"""Takes away multipart uploads that nobody will finish: invisible, and their parts are billed.

A listing of uploads tells keys, ids and ages, and nothing of what they were begun for. So one is
ours only if the ledger knows its id, or if it fits a request of ours that was not answered; whether
others are is for the user to say (``abort_after_s``).

| an unfinished upload | it is |
|---|---|
| known, and its job is still to be done | kept: an attempt goes on with it |
| known, and its job ended ``AGE_S`` ago (source gone, dead letter) | aborted and forgotten |
| known, of a destination that is switched off | aborted and forgotten |
| not known, fits a request of ours without answer, has no part after ``AGE_S`` | aborted |
| not known (a ledger that was lost), no ``abort_after_s`` | left alone |
| not known, of a key that the rule cannot make | left alone |
| not known, younger than ``abort_after_s`` | left alone |
| not known, older | aborted |
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from s3fanout.decide.match import common_prefix
from s3fanout.model.errors import S3FanoutError, UploadGone
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import ListedUpload
from s3fanout.model.rules import Rule
from s3fanout.model.uploads import AskedUpload, ReplicaUpload
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock
from s3fanout.ports.uploads import KnownUploads, Uploads

LOG = logging.getLogger(__name__)

INTERVAL_S = 6 * 3600.0
AGE_S = 24 * 3600.0
"""How long a dead letter keeps its parts: ``redrive`` goes on with them."""
SKEW_S = 1800.0
"""Around a request: an upload that was begun by it has its key and is of that time.

The store dates uploads, by its own clock: S3 refuses what is 15 minutes off
(``RequestTimeTooSkewed``), and a request may lie for as long before it is
carried out.
"""
ABORTS_MAX = 1000
"""In one pass of one destination."""
PAGES_MAX = 100
PAUSE_S = 0.05
"""Between two requests: this is nobody's hurry."""
_ENDED = frozenset({JobState.SETTLED, JobState.SUPERSEDED, JobState.DEAD})


class Books(Ledger, Uploads, KnownUploads, Protocol):
    """What is known of replicas and their uploads."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a pass did: how many uploads it aborted.

    Attributes:
        known: That the ledger knew.
        unknown: Others, because the user said so.
        lost: That were begun for us, and the answer was lost.
    """

    known: int
    unknown: int
    lost: int = 0


class UploadSweeper:
    """The unfinished uploads of one destination."""

    def __init__(
        self,
        *,
        rule: Rule,
        destination: ObjectStore,
        books: Books,
        clock: Clock,
        abort_after_s: float | None,
        is_off: bool = False,
    ) -> None:
        """``abort_after_s`` is the age from which uploads that the ledger does not know go too.

        ``is_off``: nobody copies to this destination, and nobody will go on with an upload.
        """
        self._rule = rule
        self._destination = destination
        self._books = books
        self._clock = clock
        self._abort_after_s = abort_after_s
        self._is_off = is_off

    async def sweep(self) -> Swept:
        """One pass.

        Raises:
            StoreError, LedgerUnavailable: It is not complete.
        """
        name = self._rule.destination
        swept = Swept(await self._known(), await self._unknown(), await self._lost())
        if swept != Swept(0, 0):
            LOG.warning(
                "aborted uploads that nobody would have finished",
                extra={
                    "action": "uploads",
                    "destination": name,
                    "known": swept.known,
                    "unknown": swept.unknown,
                    "lost": swept.lost,
                },
            )
        return swept

    async def _known(self) -> int:
        name = self._rule.destination
        known = await self._books.uploads_of(name)
        records = await self._books.records(name, [upload.key for upload in known])
        ended_before_ms = self._clock.now_ms() - round(AGE_S * 1000)
        ended = [
            upload
            for upload in known
            if self._is_off
            or (
                (record := records.get(upload.key)) is not None
                and record.state in _ENDED
                and (record.settled_at_ms or 0) <= ended_before_ms
            )
        ]
        for upload in ended[:ABORTS_MAX]:
            await self._clock.sleep(PAUSE_S)
            await self._destination.abort_upload(upload.replica_key, upload.upload_id)
            await self._books.forget_upload(name, upload.key)
        return len(ended[:ABORTS_MAX])

    async def _unknown(self) -> int:
        if self._abort_after_s is None:
            return 0
        begun_before_ms = self._clock.now_ms() - round(self._abort_after_s * 1000)
        old = [
            upload
            for upload in await self._listed(common_prefix(self._rule.key_map))
            # Without a time it may have been begun just now.
            if 0 < upload.begun_at_ms <= begun_before_ms
        ]
        # Known ones are asked for after the listing: whatever was begun since is young.
        known = _ids(await self._books.uploads_of(self._rule.destination)) if old else set()
        unknown = [upload for upload in old if (upload.key, upload.upload_id) not in known]
        for upload in unknown[:ABORTS_MAX]:
            await self._clock.sleep(PAUSE_S)
            await self._destination.abort_upload(upload.key, upload.upload_id)
        return len(unknown[:ABORTS_MAX])

    async def _lost(self) -> int:
        name, aborted = self._rule.destination, 0
        before_ms = self._clock.now_ms() - round(AGE_S * 1000)
        for asked in await self._books.asked_of(name):
            if asked.last_at_ms > before_ms:
                continue
            await self._clock.sleep(PAUSE_S)
            listed = await self._destination.list_uploads(asked.replica_key)
            known = _ids(await self._books.uploads_of(name))
            for upload in listed:
                if (upload.key, upload.upload_id) not in known and _may_answer(upload, asked):
                    aborted += await self._abort_empty(upload)
            await self._books.forget_asked(asked)
        return aborted

    async def _abort_empty(self, upload: ListedUpload) -> bool:
        """Abort an upload unless it has a part: then somebody is at work on it."""
        try:
            if await self._destination.list_parts(upload.key, upload.upload_id):
                return False
        except UploadGone:
            return False
        await self._destination.abort_upload(upload.key, upload.upload_id)
        return True

    async def _listed(self, prefix: str) -> Iterable[ListedUpload]:
        found: dict[tuple[str, str], ListedUpload] = {}
        after: ListedUpload | None = None
        for _ in range(PAGES_MAX):
            page = await self._destination.list_uploads(prefix, after=after)
            fresh = [
                upload
                for upload in page
                if upload.key.startswith(prefix) and (upload.key, upload.upload_id) not in found
            ]
            if not fresh:
                break
            found |= {(upload.key, upload.upload_id): upload for upload in fresh}
            after = fresh[-1]
            await self._clock.sleep(PAUSE_S)
        return found.values()


def _may_answer(upload: ListedUpload, asked: AskedUpload) -> bool:
    """Whether it may be what a store began when it was asked for it."""
    skew_ms = round(SKEW_S * 1000)
    return (
        upload.key == asked.replica_key
        and asked.first_at_ms - skew_ms <= upload.begun_at_ms <= asked.last_at_ms + skew_ms
    )


def _ids(known: Sequence[ReplicaUpload]) -> set[tuple[str, str]]:
    return {(upload.replica_key, upload.upload_id) for upload in known}


async def sweep_for_ever(sweepers: Sequence[UploadSweeper], *, clock: Clock) -> None:
    """Sweep all destinations, again and again."""
    while True:
        for sweeper in sweepers:
            try:
                await sweeper.sweep()
            except S3FanoutError as error:
                LOG.warning("unfinished uploads were not swept, again later: %s", error)
        await clock.sleep(INTERVAL_S)
