"""One attempt at one replica: read facts if needed, plan, act pinned, check.

The loop is the design's protocol: a plan is made from facts; acting on it may show that the source
moved (412, or an answer that proves nothing), and then the facts are read and the plan is made
again. It never settles a replica on a state of the source that it has not pinned or seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from s3fanout.decide.match import replica_key
from s3fanout.decide.parts import stood_still
from s3fanout.decide.plan import (
    Delete,
    InParts,
    ProbeFirst,
    Refuse,
    ServerCopy,
    Skip,
    Stream,
    Verdict,
    Way,
    judge_copy,
    plan_copy,
)
from s3fanout.decide.proof import contradiction, proof_of_parts
from s3fanout.engine.doubts import Etags
from s3fanout.engine.keeper import Keeper, Load, Replica, unread
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.remover import Held, Removed, Remover
from s3fanout.engine.upload_run import Source
from s3fanout.engine.uploader import Made, Unfinished, Uploader
from s3fanout.model.errors import ReplicaMismatch, SourceAbsent, SourceChanged
from s3fanout.model.jobs import Job
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Body, Extras, Present, Probe, Written
from s3fanout.model.rules import Rule
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock
from s3fanout.ports.uploads import Uploads


class Replicated(NamedTuple):
    """The replica equals this state of the source.

    ``wrote`` tells whether it was written, ``differences`` what it lacks (``model.keeping``),
    ``carried`` what it was to have, if the source was looked at for it.
    ``replica_version_id`` is what the destination told of the write, ``source_version_id`` is known
    where versions are copied.
    """

    source_etag: str
    size_bytes: int
    replica_etag: str
    reason: str
    wrote: bool = True
    differences: tuple[str, ...] = ()
    source_version_id: str | None = None
    replica_version_id: str | None = None
    carried: Extras | None = None


Outcome = Replicated | Removed | Held | Unfinished | Skip | Refuse


class Copier:
    """Makes replicas in one destination."""

    def __init__(
        self,
        *,
        rule: Rule,
        way: Way,
        source: ObjectStore,
        destination: ObjectStore,
        reads: SharedReads,
        keeper: Keeper,
        remover: Remover | None,
        uploads: Uploads,
        takers_of: Callable[[str], Sequence[str]],
        conditions_honoured: Callable[[], bool],
        clock: Clock,
        limits: Limits,
    ) -> None:
        """Bind to a destination.

        Args:
            rule: What it wants.
            way: How bytes get there.
            source: The source bucket.
            destination: The destination bucket.
            reads: Shared reads of the source, and looks at it.
            keeper: Knows what replicas carry.
            remover: Deletes replicas, if the rule asks for it; ``None`` where no rule can.
            uploads: What is remembered of copies in parts.
            takers_of: Names of the destinations that a source key goes to in the same way.
            conditions_honoured: Whether the destination's store is known, at the time, to check
                ``x-amz-copy-source-if-match``.
            clock: For deadlines.
            limits: Bounds.
        """
        self._rule = rule
        self._way = way
        self._source = source
        self._destination = destination
        self._reads = reads
        self._keeper = keeper
        self._remover = remover
        self._uploader = Uploader(
            destination_name=rule.destination,
            way=way,
            source=source,
            destination=destination,
            reads=reads.parts,
            keeper=keeper,
            takers_of=takers_of,
            uploads=uploads,
            clock=clock,
            conditions_honoured=conditions_honoured,
            limits=limits,
        )
        self._takers_of = takers_of
        self._conditions_honoured = conditions_honoured
        self._limits = limits
        self._etags = Etags()
        self._wrote: dict[str, str] = {}
        """By source key; see ``take_written``."""

    def take_written(self, job: Job) -> str | None:
        """Etag of what the attempt at ``job`` wrote before it failed; ``None``: nothing.

        To be asked once, after the attempt: what it wrote is ours, and a delete will want to know.
        An attempt that made the replica says so in its outcome.
        """
        return self._wrote.pop(job.key, None)

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        """Make the replica of ``job.key`` equal to the source, as the source is now.

        Requests on the cheap path: one (server-side copy; where the store's copies lose attributes,
        a share of one look at the source too) or the write plus a share of one read.

        Args:
            job: What to do.
            stop_at_s: A deadline for objects that are copied in parts, on the monotonic time of the
                ``clock``: no part is begun after it, those in flight are waited for, and
                the outcome is ``Unfinished``. Call again with the same job, in any process with the
                same ``ports.uploads``: it goes on after the parts that are there, and copies none
                twice. Leave time for a part (``limits.copy_part_bytes``) and for completing.

        Raises:
            StoreError: The attempt failed; a write may have been applied.
            SourceChanged: The source kept changing for ``replans_max`` rounds.
        """
        outcome = await self._attempt(job, stop_at_s)
        if isinstance(outcome, Replicated):
            self._wrote.pop(job.key, None)
        return outcome

    async def _attempt(self, job: Job, stop_at_s: float | None) -> Outcome:
        facts: Probe | None = None
        must_look = self._way is Way.SERVER and await self._keeper.must_look()
        for _ in range(self._limits.replans_max):
            plan = plan_copy(
                job,
                facts,
                rule=self._rule,
                way=self._way,
                limits=self._limits,
                must_look=must_look,
            )
            try:
                match plan:
                    case ProbeFirst():
                        facts = await self._look(job, shared=must_look)
                    case ServerCopy():
                        done = await self._server_copy(job, plan)
                        if done is not None:
                            return done
                        facts = await self._source.head(job.key, version_id=job.pinned_version_id)
                    case Stream():
                        return await self._stream(job, plan)
                    case InParts():
                        return await self._in_parts(job, plan.facts, stop_at_s)
                    case Delete():
                        target = replica_key(self._rule.key_map, job.key)
                        assert self._remover is not None, "the rule asks for deletes"
                        wrote = self._wrote.get(job.key)
                        return await self._remover.remove(job, target, wrote_etag=wrote)
                    case Skip() | Refuse():
                        return plan
            except (SourceChanged, SourceAbsent):
                # The hint or the facts are out of date; absence too is only believed from a probe.
                facts = await self._source.head(job.key, version_id=job.pinned_version_id)
        raise SourceChanged(
            f"the source object changed during each of {self._limits.replans_max} tries",
            operation="CopyObject",
            hint="it is tried again when it rests",
        )

    async def _look(self, job: Job, *, shared: bool) -> Probe:
        if not shared or job.pinned_version_id is not None:
            return await self._source.head(job.key, version_id=job.pinned_version_id)
        return await self._reads.looks.look(job, takers=len(self._takers_of(job.key)))

    async def _server_copy(self, job: Job, plan: ServerCopy) -> Replicated | None:
        """Copy by the store; ``None`` if the source moved while it did."""
        target = replica_key(self._rule.key_map, job.key)
        facts = plan.facts
        wanted = await self._load(job, facts)
        carried = None if facts is None else wanted.attributes.extras
        written, load = await self._keeper.write(
            wanted,
            lambda attributes: self._destination.copy(
                target,
                source_bucket=self._source.bucket,
                source_key=job.key,
                if_match=plan.etag,
                extras=attributes.extras,
                source_version_id=job.pinned_version_id,
            ),
        )
        self._wrote[job.key] = written.etag
        replica = None
        verdict = judge_copy(
            pinned_etag=plan.etag,
            answered_etag=written.etag,
            conditions_honoured=self._conditions_honoured,
        )
        if verdict is Verdict.LOOK:
            now = await self._source.head(job.key, version_id=job.pinned_version_id)
            if not isinstance(now, Present) or now.etag != plan.etag:
                return None
            if facts is not None and not stood_still(facts, now):
                return None
            replica = await self._check(job, target, now, written.etag)
            facts = facts or now
        return Replicated(
            plan.etag,
            plan.size_bytes,
            written.etag,
            "copied by the store, pinned to the etag",
            differences=await self._differences(
                job, load, facts, target, written, replica=replica, copied=True
            ),
            replica_version_id=written.version_id,
            carried=carried,
        )

    async def _stream(self, job: Job, plan: Stream) -> Replicated:
        return await self._reads.read(
            job.key,
            lambda body, number: self._write(job, body, number),
            etag=plan.etag,
            fence=job.fence,
            size_bytes=plan.size_bytes,
            taker=self._rule.destination,
            takers=len(self._takers_of(job.key)),
            version_id=job.pinned_version_id,
        )

    async def _write(self, job: Job, body: Body, number: int) -> Replicated:
        """Write what the read ``number`` brought."""
        target = replica_key(self._rule.key_map, job.key)
        checksum = next((each for each in body.facts.checksums if each.full_object), None)
        bare = body
        if checksum is not None:
            bare = replace(body, facts=replace(body.facts, checksums=()))
        wanted = await self._load(job, body.facts, lost=unread(body.facts))
        written, load = await self._keeper.write(
            wanted,
            lambda attributes: self._keeper.checked(
                checksum,
                lambda sent: self._destination.put(target, body if sent else bare, attributes),
            ),
        )
        self._wrote[job.key] = written.etag
        self._reads.wrote(job.key, number)
        replica = None
        if written.etag != body.md5_hex:
            # Encrypted by KMS, or a store with other etags: then the size must do, beside the
            # digest that the store itself checked on receipt.
            replica = await self._check(job, target, body.facts, written.etag)
            await self._settle_doubt(job, target, body, replica, written.etag)
        load = await self._annotated(job, load, target, written)
        return Replicated(
            body.facts.etag,
            body.facts.size_bytes,
            written.etag,
            "read once"
            + (", checked by the source's checksum," if body.is_as_told else "")
            + " and written, checked by digest",
            differences=await self._differences(
                job, load, body.facts, target, written, replica=replica, copied=False
            ),
            replica_version_id=written.version_id,
            carried=wanted.attributes.extras,
        )

    async def _in_parts(
        self, job: Job, facts: Present, stop_at_s: float | None
    ) -> Replicated | Unfinished | Refuse:
        number = self._reads.next_number
        facts = await self._reads.tags.known(facts, version_id=job.pinned_version_id, is_large=True)
        target = replica_key(self._rule.key_map, job.key)
        load = await self._load(job, facts, lost=unread(facts))
        made = await self._uploader.replicate(
            job, target, Source(facts, load, job.pinned_version_id), stop_at_s=stop_at_s
        )
        if not isinstance(made, Made):
            return made
        written = made.written
        self._wrote[job.key] = written.etag
        self._reads.wrote(job.key, number)
        replica = await self._check(job, target, facts, written.etag)
        load = await self._annotated(job, load, target, written)
        lacks = await self._keeper.differences_of_parts(load, facts, target, replica)
        proof = proof_of_parts(facts, replica, sent_etag=made.sent_etag, is_as_told=made.is_as_told)
        return Replicated(
            facts.etag,
            facts.size_bytes,
            written.etag,
            f"written in parts, {proof}",
            differences=await self._settled(job, lacks, target, written),
            replica_version_id=written.version_id,
            carried=load.attributes.extras,
        )

    async def _load(
        self, job: Job, facts: Present | None, *, lost: frozenset[str] = frozenset()
    ) -> Load:
        return await self._keeper.load(
            facts,
            lost=lost,
            read_acl=lambda: self._source.get_acl(job.key, version_id=job.pinned_version_id),
        )

    async def _annotated(self, job: Job, load: Load, target: str, written: Written) -> Load:
        return await self._keeper.annotated(
            load,
            self._source,
            job.key,
            Replica(target, written.etag),
            version_id=job.pinned_version_id,
        )

    async def _differences(
        self,
        job: Job,
        load: Load,
        facts: Present | None,
        target: str,
        written: Written,
        *,
        replica: Present | None,
        copied: bool,
    ) -> tuple[str, ...]:
        """What a replica that was written in one piece lacks, as far as the source is known."""
        lacks = load.lacks
        if facts is not None:
            lacks = await self._keeper.differences(
                load, facts, target, replica=replica, copied=copied
            )
        return await self._settled(job, lacks, target, written)

    async def _settled(
        self, job: Job, lacks: frozenset[str], target: str, written: Written
    ) -> tuple[str, ...]:
        is_version = job.pinned_version_id is not None
        return await self._keeper.settled(lacks, target, written, is_version=is_version)

    async def _check(self, job: Job, target: str, source: Present, written_etag: str) -> Present:
        """Look at what was written: the replica. One request.

        Raises:
            ReplicaMismatch: It is not the source. It was removed, if it is what we wrote.
        """
        replica = await self._destination.head(target)
        wrong = contradiction(source, replica)
        if not wrong and isinstance(replica, Present):
            return replica
        if isinstance(replica, Present):
            await self._remove(job, target, replica, written_etag)
        raise ReplicaMismatch(wrong, operation="HeadObject")

    async def _settle_doubt(
        self, job: Job, target: str, body: Body, replica: Present, written_etag: str
    ) -> None:
        """Read back a replica whose etag is another digest than that of what was sent.

        Raises:
            ReplicaMismatch: Its bytes are others. It was removed, if it is what we wrote.
        """
        if replica.etag != written_etag or not self._etags.doubt(
            replica, written_etag, body.md5_hex
        ):
            return
        is_as_sent = await self._etags.is_as_sent(
            body,
            lambda: self._destination.get(
                target,
                if_match=written_etag,
                size_bytes_max=self._limits.part_bytes,
                version_id=job.pinned_version_id and replica.version_id,
            ),
        )
        if not is_as_sent:
            await self._remove(job, target, replica, written_etag)
            raise ReplicaMismatch(
                "the destination holds other bytes than were sent", operation="GetObject"
            )

    async def _remove(self, job: Job, target: str, replica: Present, written_etag: str) -> None:
        """Take away a replica that is not what was read, if it is what we wrote."""
        if not written_etag or replica.etag != written_etag:
            return
        if job.pinned_version_id is not None and replica.version_id is not None:
            await self._destination.delete_version(target, replica.version_id)
        else:
            await self._destination.delete(target, if_match=written_etag)
