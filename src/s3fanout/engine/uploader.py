"""Makes one replica part by part: resumable, pinned, and nothing visible before all of it is there.

Every part is of the state of the source that the upload was begun for. What an earlier attempt sent
is found again: the ledger knows the upload (``ports.uploads``), the store its parts.

| what happens | the upload | the attempt |
|---|---|---|
| a part fails, the process ends, the attempt is cancelled | kept | fails; the next one goes on |
| the deadline comes | kept | ``Unfinished``; the next one goes on |
| the source is another one now | aborted | ``SourceChanged``: plan again |
| the store refuses for good | aborted | fails: a dead letter |
| the parts do not make the object (lost ones, another checksum) | aborted | fails; begun again |
| what was read has not the source's checksum | aborted | fails; all of it is read again |
| the store knows no such upload (expired, aborted) | forgotten | begins another one, once |
| likewise, when it is to be completed | forgotten | the replica decides: an earlier try did it |
| copied parts lack the checksums that it was begun for | aborted | begins one without, besides |
| its parts may not be listed | aborted, if that may be | begins another one, once |
| likewise, and there is a deadline | kept | fails: a row of attempts would never end |
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3fanout.decide.checksums import composite_checksum, parts_of_composite
from s3fanout.decide.parts import (
    Layout,
    choose_layout,
    etag_of_parts,
    fingerprint,
    missing_parts,
    parts_of,
    rest_s,
    stood_still,
)
from s3fanout.decide.plan import Refuse, Way
from s3fanout.decide.proof import altered_parts
from s3fanout.decide.retry import blames_store
from s3fanout.engine.upload_run import AlteredBytes, PartChecksums, Source, TwiceRead, UploadRun
from s3fanout.model.errors import (
    AccessDenied,
    Refused,
    ReplicaMismatch,
    SourceAbsent,
    SourceChanged,
    StoreError,
    UploadGone,
)
from s3fanout.model.limits import PART_BYTES_MAX
from s3fanout.model.objects import Present, Written
from s3fanout.model.uploads import ReplicaUpload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from s3fanout.engine.keeper import Keeper, Load
    from s3fanout.engine.part_reads import PartReads
    from s3fanout.model.jobs import Job
    from s3fanout.model.limits import Limits
    from s3fanout.model.objects import Checksum, FirstPart, ObjectAttributes, UploadedPart
    from s3fanout.ports.object_store import ObjectStore
    from s3fanout.ports.system import Clock
    from s3fanout.ports.uploads import Uploads

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The deadline came first. Nothing is lost: another attempt goes on with ``upload``."""

    parts_done: int
    parts: int
    upload: ReplicaUpload

    @property
    def reason(self) -> str:
        """For people."""
        return f"copied {self.parts_done} of {self.parts} parts; another attempt goes on"


@dataclass(frozen=True, slots=True)
class Made:
    """A replica that was completed.

    ``sent_etag`` is the etag that S3 makes of the digests of what this attempt read and sent;
    ``None`` if it did not send all of it. ``is_as_told`` says that what it read has the checksum
    that the source keeps of the whole object.
    """

    written: Written
    sent_etag: str | None
    is_as_told: bool


class _ChecksumsUntold(Exception):
    """The store tells no checksums of parts that it copied; completing takes those of all."""


class Uploader:
    """Multipart uploads into one destination."""

    UNLISTED_MAX = 1000

    def __init__(
        self,
        *,
        destination_name: str,
        way: Way,
        source: ObjectStore,
        destination: ObjectStore,
        reads: PartReads,
        keeper: Keeper,
        takers_of: Callable[[str], Sequence[str]],
        uploads: Uploads,
        clock: Clock,
        conditions_honoured: Callable[[], bool],
        limits: Limits,
    ) -> None:
        """As ``Copier``; ``takers_of`` names the destinations that stream a source key."""
        self._name = destination_name
        self._way = way
        self._source = source
        self._destination = destination
        self._reads = reads
        self._keeper = keeper
        self._takers_of = takers_of
        self._uploads = uploads
        self._clock = clock
        self._conditions_honoured = conditions_honoured
        self._limits = limits
        self._twice_read = TwiceRead()
        self._part_checksums = PartChecksums()
        self._copies_tell_checksums = True
        self._unlisted: dict[str, str] = {}
        """Upload ids, by source key: the first whose parts might not be listed."""

    async def replicate(
        self, job: Job, replica_key: str, source: Source, *, stop_at_s: float | None
    ) -> Made | Unfinished | Refuse:
        """Write ``source`` to ``replica_key``, going on where an earlier attempt stopped.

        Costs a request per part, and two to four more; each read of a part is shared.

        Args:
            job: Whose replica it is.
            replica_key: What it is called.
            source: What it is to be.
            stop_at_s: On the clock's monotonic time: after it no part is begun, nothing completed.

        Raises:
            StoreError: The attempt failed; what was uploaded is kept, or was aborted if it is worth
                nothing.
        """
        was_gone = False
        while True:
            run = await self._run(job, replica_key, source, stop_at_s)
            if isinstance(run, Refuse):
                return run
            try:
                finished = await self._fill(job, run, stop_at_s)
                if not finished or self._is_late(stop_at_s):
                    # Also with all parts there: who goes on has time to complete it.
                    return Unfinished(len(run.done), run.layout.count, run.upload)
                # What the store copied was not read; its parts may be cut in another way.
                streamed = self._way is Way.STREAM
                is_as_told = streamed and self._twice_read.is_as_told(run)
                written = await self._complete(run)
            except _ChecksumsUntold:
                self._copies_tell_checksums = False  # Once: no other upload is begun with one.
                await self._give_up(run.upload)
            except UploadGone as error:
                await self._uploads.forget_upload(self._name, job.key)
                if was_gone:
                    raise UploadGone(
                        f"the store forgets multipart uploads key={job.key!r}",
                        operation="UploadPart",
                        hint="does a lifecycle rule abort incomplete uploads at once?",
                    ) from error
                was_gone = True
            except (SourceChanged, SourceAbsent, Refused, ReplicaMismatch, AlteredBytes):
                await self._give_up(run.upload)
                raise
            else:
                self._part_checksums.forget(run.upload.upload_id)
                self._unlisted.pop(job.key, None)
                await self._uploads.forget_upload(self._name, job.key)
                return Made(written, run.sent_etag(), is_as_told)

    async def _run(
        self, job: Job, replica_key: str, source: Source, stop_at_s: float | None
    ) -> UploadRun | Refuse:
        """The upload of an earlier attempt, or a new one."""
        facts, attributes = source.facts, source.load.attributes
        states: dict[str, Checksum | None] = {fingerprint(facts, attributes): None}
        carried = await self._composite(facts)
        if carried is not None:
            states[fingerprint(facts, attributes, composite=carried.algorithm)] = carried
        known = await self._uploads.upload_of(self._name, job.key)
        if known is not None:
            if known.fingerprint in states and known.replica_key == replica_key:
                carried = states[known.fingerprint]
                layout = Layout(facts.size_bytes, known.part_bytes)
                parts = await self._parts_there(known, stop_at_s)
                if parts is not None:
                    wanted = set(range(1, layout.count + 1)) - set(missing_parts(layout, parts))
                    done = {part.number: part for part in parts if part.number in wanted}
                    checksums = self._part_checksums.of(known.upload_id)
                    run = UploadRun(source, known, layout, done, carried, checksums)
                    if self._way is Way.STREAM or len(run.done) == len(done):
                        return run
                    # Checksums of copied parts are not listed: a row of processes, each of which
                    # has time for some parts only, would never have those of all.
                    self._copies_tell_checksums = False
            # Not forgotten before another one takes its place: where all is denied for a while,
            # this one is gone on with.
            await self._abort(known)
        chosen = await self._layout(job.key, source)
        if chosen is None:
            return self._too_large(source.facts.size_bytes)
        return await self._anew(job, replica_key, source, chosen)

    async def _parts_there(
        self, upload: ReplicaUpload, stop_at_s: float | None
    ) -> Sequence[UploadedPart] | None:
        """The parts of an upload; ``None``: another one is to be begun.

        Where they may not be listed that is done once until the replica is made, and never by a
        deadline: each attempt may have time for some parts only, and they would never end.
        """
        try:
            return await self._destination.list_parts(upload.replica_key, upload.upload_id)
        except UploadGone:
            return None
        except AccessDenied as error:
            if stop_at_s is not None or blames_store(error):
                raise
            if len(self._unlisted) >= self.UNLISTED_MAX:
                self._unlisted.clear()
            if self._unlisted.setdefault(upload.key, upload.upload_id) != upload.upload_id:
                raise
            LOG.warning(
                "an unfinished upload is of no use, its parts may not be listed: %s",
                error,
                extra={"destination": self._name, "hint": error.hint},
            )
            return None

    async def _anew(self, job: Job, replica_key: str, source: Source, layout: Layout) -> UploadRun:
        """A new upload, with a checksum if the store takes it."""
        carried = await self._composite(source.facts)
        if carried is not None and parts_of_composite(carried) != layout.count:
            carried = None
        checksum = carried or await self._keeper.checksum_of_parts(source.facts)
        asked_at_ms = self._clock.now_ms()
        await self._uploads.ask_upload(self._name, replica_key, at_ms=asked_at_ms)
        upload_id, kept = await self._begin(replica_key, source.load, checksum, asked_at_ms)
        carried = carried if kept == carried else None
        state = fingerprint(
            source.facts,
            source.load.attributes,
            composite=carried.algorithm if carried else "",
        )
        upload = ReplicaUpload(
            self._name, job.key, replica_key, upload_id, state, layout.part_bytes
        )
        try:
            await self._uploads.keep_upload(upload)
        except BaseException:
            with contextlib.suppress(StoreError):
                await asyncio.shield(self._abort(upload))
            raise
        await self._uploads.answer_upload(self._name, replica_key, asked_at_ms=asked_at_ms)
        return UploadRun(source, upload, layout, {}, carried, self._part_checksums.of(upload_id))

    async def _composite(self, facts: Present) -> Checksum | None:
        """The source's checksum of parts that the replica can have too, if they are cut alike."""
        checksum = await self._keeper.composite_checksum(facts)
        if checksum is None:
            return None
        if self._way is Way.SERVER:
            return checksum if self._copies_tell_checksums else None
        return checksum if checksum.algorithm in self._source.computes else None

    async def _begin(
        self, replica_key: str, load: Load, checksum: Checksum | None, asked_at_ms: int
    ) -> tuple[str, Checksum | None]:
        """Ask the store for an upload; its id, and the checksum that it took."""

        async def begin(
            attributes: ObjectAttributes, sent: Checksum | None
        ) -> tuple[str, Checksum | None]:
            begun = self._destination.create_upload(replica_key, attributes, checksum=sent)
            return await begun, sent

        try:
            begun, _ = await self._keeper.write(
                load,
                lambda attributes: self._keeper.checked(
                    checksum, lambda sent: begin(attributes, sent)
                ),
            )
        except StoreError as error:
            if not error.maybe_applied:
                await self._uploads.answer_upload(self._name, replica_key, asked_at_ms=asked_at_ms)
            raise
        return begun

    async def _layout(self, key: str, source: Source) -> Layout | None:
        facts = source.facts
        streamed = self._way is Way.STREAM
        kept = streamed or await self._keeper.source_layout_matters(facts)
        first: FirstPart | None = None
        if kept and (parts_of(facts.etag) or composite_checksum(facts)):
            # moto compares the pin with the etag of the part, and refuses (5.2, 2026-11): then the
            # layout is not known. If the object did change, the pinned reads say so.
            with contextlib.suppress(SourceChanged):
                first = await self._source.first_part(
                    key, if_match=facts.etag, version_id=source.version_id
                )
        limits = self._limits
        return choose_layout(
            facts.size_bytes,
            etag=facts.etag if kept else "",
            first_part=first,
            wanted_bytes=limits.part_bytes if streamed else limits.copy_part_bytes,
            smallest_bytes=limits.part_bytes_min,
            largest_bytes=max(limits.stream_bytes // 4, limits.part_bytes)
            if streamed
            else PART_BYTES_MAX,
        )

    def _too_large(self, size_bytes: int) -> Refuse:
        return Refuse(
            "too-large",
            f"object of {size_bytes} bytes needs more than 10,000 parts of the size that memory "
            "allows",
            "raise limits.stream_memory: parts are at most a quarter of it",
        )

    async def _fill(self, job: Job, run: UploadRun, stop_at_s: float | None) -> bool:
        """Write the parts that are missing. Returns whether all are there."""
        missing = deque(
            number for number in range(1, run.layout.count + 1) if number not in run.done
        )
        if self._way is Way.SERVER:
            if not run.done and self._must_stand_still(run.source):
                await self._clock.sleep(rest_s(run.source.facts))
            return await self._work(
                missing, lambda number: self._copy_part(job.key, run, number), stop_at_s
            )
        async with self._reads.join(
            job.key,
            etag=run.source.facts.etag,
            layout=run.layout,
            taker=self._name,
            takers=self._takers_of(job.key),
            missing=missing,
            version_id=run.source.version_id,
            checksum=run.told.algorithm if run.told else None,
        ) as member:

            async def send(number: int) -> None:
                upload = run.upload
                async with member.take(number) as body:
                    run.sends(number, body)
                    run.done[number] = await self._destination.upload_part(
                        upload.replica_key,
                        upload.upload_id,
                        number,
                        body,
                        checksum=run.carried.algorithm if run.carried else None,
                    )

            return await self._work(missing, send, stop_at_s)

    async def _work(
        self,
        missing: deque[int],
        write: Callable[[int], Awaitable[None]],
        stop_at_s: float | None,
    ) -> bool:
        """Write parts, some at a time, in order. Returns whether none is left."""

        async def work() -> None:
            while missing and not self._is_late(stop_at_s):
                await write(missing.popleft())

        workers = [
            asyncio.ensure_future(work())
            for _ in range(min(self._limits.parts_in_flight, len(missing)))
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return not missing

    async def _copy_part(self, key: str, run: UploadRun, number: int) -> None:
        first, last = run.layout.range_of(number)
        part = await self._destination.upload_part_copy(
            run.upload.replica_key,
            run.upload.upload_id,
            number,
            source_bucket=self._source.bucket,
            source_key=key,
            if_match=run.source.facts.etag,
            first=first,
            last=last,
            source_version_id=run.source.version_id,
        )
        if run.carried is not None and not part.checksum:
            raise _ChecksumsUntold  # As ministack 1.5 does.
        run.copied(part)

    async def _complete(self, run: UploadRun) -> Written:
        facts, upload = run.source.facts, run.upload
        # Parts may be of any state that the source had since: it must have had only one.
        if self._must_stand_still(run.source) and not stood_still(
            facts, await self._source.head(upload.key)
        ):
            raise SourceChanged("the source changed while its parts were copied")
        parts = run.parts()
        if altered := altered_parts(run.sent, parts):
            raise ReplicaMismatch(
                f"the store holds other bytes than were sent parts={altered[:10]} "
                f"key={upload.replica_key!r}",
                operation="UploadPart",
            )

        def complete(checksum: Checksum | None) -> Awaitable[Written]:
            return self._destination.complete_upload(
                upload.replica_key, upload.upload_id, parts, checksum=checksum
            )

        try:
            if run.carried is not None:
                return await complete(run.carried)
            whole = await self._keeper.checksum_of_parts(facts)
            return await self._keeper.checked(whole, complete)
        except UploadGone:
            replica = await self._destination.head(upload.replica_key)
            expected = etag_of_parts(parts)
            if isinstance(replica, Present) and expected and replica.etag == expected:
                return Written(replica.etag, replica.version_id)
            raise

    def _must_stand_still(self, source: Source) -> bool:
        """Whether a part may be of another state than ``source``: the store may ignore the pin."""
        return (
            self._way is Way.SERVER
            and source.version_id is None
            and not self._conditions_honoured()
        )

    def _is_late(self, stop_at_s: float | None) -> bool:
        return stop_at_s is not None and self._clock.monotonic_s() >= stop_at_s

    async def _give_up(self, upload: ReplicaUpload) -> None:
        """Abort and forget, whatever else happens to the attempt.

        What could not be aborted now is remembered: the next attempt tries again, or the sweep.
        """
        with contextlib.suppress(StoreError):
            await asyncio.shield(self._destroy(upload))

    async def _destroy(self, upload: ReplicaUpload) -> None:
        await self._abort(upload)
        await self._uploads.forget_upload(self._name, upload.key)

    async def _abort(self, upload: ReplicaUpload) -> None:
        self._part_checksums.forget(upload.upload_id)
        with contextlib.suppress(AccessDenied, Refused):  # never possible: a lifecycle rule must
            await self._destination.abort_upload(upload.replica_key, upload.upload_id)
