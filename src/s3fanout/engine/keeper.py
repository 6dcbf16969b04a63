"""Sees to it that a replica carries what it is to carry, and knows what it lacks.

What a destination does not hold is known from its vendor's table, from a refusal, or from a look at
a replica; the last two are remembered for ``REMEMBER_S``, so that they cost one request for each
attribute. Where the table says what the store drops, no replica is looked at for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from s3fanout.decide.checksums import WHOLE_OF_PARTS, composite_checksum
from s3fanout.decide.grants import (
    canned_of,
    grants_less,
    grants_other,
    kept_grants,
    with_owner,
)
from s3fanout.decide.keeping import (
    NO_TAGS_CODES,
    blamed,
    changeable,
    is_certain,
    is_left_unprotected,
    lost_in_one_piece,
    may_blame_checksum,
    missing,
    names_of,
    not_held,
    suspects,
    wanted,
    without,
)
from s3fanout.engine.annotations import Annotated, carry
from s3fanout.model.acls import CANNED
from s3fanout.model.errors import AccessDenied, NotExact, StoreError
from s3fanout.model.keeping import KEEP, Carry, Difference, Keeping
from s3fanout.model.objects import NO_EXTRAS, Extras, ObjectAttributes, Present

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s3fanout.model.acls import Acl
    from s3fanout.model.objects import Checksum, Written
    from s3fanout.model.vendors import Vendor
    from s3fanout.ports.object_store import ObjectStore
    from s3fanout.ports.system import Clock

Answer = TypeVar("Answer")
REMEMBER_S = 3600.0
_NOTHING = ObjectAttributes()
_GRANTS = "grants"
"""What explicit grants are remembered by."""


class Load(NamedTuple):
    """What is sent with a replica.

    Attributes:
        attributes: With what is left of the extras.
        lacks: What was left out because the store does not hold it.
    """

    attributes: ObjectAttributes
    lacks: frozenset[str] = frozenset()


class Replica(NamedTuple):
    """An object that was written, and what it must still be."""

    key: str
    etag: str


@dataclass(frozen=True, slots=True)
class Found:
    """How a replica that is there already carries what it is to carry.

    Attributes:
        differences: What it lacks, sorted.
        carried: What it is to have, as far as the destination holds it.
        unlike: What it has otherwise of the source object's own, and a write would mend.
    """

    differences: tuple[str, ...] = ()
    carried: Extras = NO_EXTRAS
    unlike: frozenset[str] = frozenset()

    @property
    def lacking(self) -> bool:
        """Whether any of that is something that the source object has, and not one too many."""
        return bool(self.unlike & names_of(ObjectAttributes(extras=self.carried)))


_NO_LOAD = Load(_NOTHING)


class Keeper:
    """What replicas of one destination carry."""

    def __init__(
        self,
        keeping: Keeping,
        *,
        destination: ObjectStore,
        vendor: Callable[[], Awaitable[Vendor]],
        clock: Clock,
    ) -> None:
        """Bind to a destination; ``vendor`` says which store it is, and remembers."""
        self._keeping = keeping
        self._destination = destination
        self._vendor = vendor
        self._clock = clock
        self._held: dict[tuple[str, str], tuple[bool, float]] = {}
        """By attribute and what was asked for: whether it is held, and when that was seen."""
        self._bucket_owner: tuple[str, float] | None = None
        """Whose the destination's bucket is, and when that was read."""
        self._reads_acl = keeping.acl == KEEP
        self._is_usual = keeping == Keeping(
            attributes=keeping.attributes,
            source_encrypts_all=keeping.source_encrypts_all,
            same_accounts=keeping.same_accounts,
            annotations=keeping.annotations,
            strict=keeping.strict,
        )

    async def must_look(self) -> bool:
        """Whether the source must be looked at before the store copies an object."""
        if self._keeping.strict or self._keeping.attributes is Carry.ALL or self._reads_acl:
            return True
        if self._keeping.attributes is Carry.COPIED:
            return False
        return not (await self._vendor()).copies_keep_class

    async def load(
        self,
        facts: Present | None,
        *,
        lost: frozenset[str] = frozenset(),
        read_acl: Callable[[], Awaitable[Acl]],
    ) -> Load:
        """What to send with the replica of an object; without ``facts`` only what is set.

        ``lost`` is what could not be read of it. ``read_acl`` asks the source for its ACL, and is
        called only where that is to be kept.

        Raises:
            NotExact: The destination is known not to hold it, and is strict.
        """
        if facts is None and self._is_usual:
            return _NO_LOAD
        vendor = await self._vendor()
        source = _NOTHING if facts is None else facts.attributes
        if self._reads_acl and facts is not None:
            source, acl_lost = await self._with_acl(source, await read_acl(), vendor)
            lost |= acl_lost
        attributes = wanted(source, self._keeping, vendor=vendor, now_ms=self._clock.now_ms())
        lacks = not_held(attributes, vendor)
        if is_left_unprotected(source, self._keeping):
            lacks |= {Difference.ENCRYPTION}
        for name in names_of(attributes):
            if self._is_held(name, attributes) is False:
                lacks |= {name}
        for name in lacks:
            attributes = without(attributes, name)
        return self._exact(Load(attributes, lacks | lost))

    async def write(
        self, load: Load, send: Callable[[ObjectAttributes], Awaitable[Answer]]
    ) -> tuple[Answer, Load]:
        """Send, again and again without what the store refuses; what was sent in the end.

        Raises:
            StoreError: It is about something else.
            NotExact: The destination is strict.
        """
        while True:
            try:
                return await send(load.attributes), load
            except StoreError as error:
                name = blamed(error, load.attributes)
                if name is None:
                    raise
                if is_certain(error, load.attributes):
                    self._remember(name, load.attributes, held=False)
                load = Load(without(load.attributes, name), load.lacks | {name})
                try:
                    load = self._exact(load)
                except NotExact as verdict:
                    raise verdict from error

    async def checked(
        self, checksum: Checksum | None, send: Callable[[Checksum | None], Awaitable[Answer]]
    ) -> Answer:
        """Send with a checksum for the store to compare and keep, or without if it refuses that.

        Raises:
            StoreError: It is about something else.
        """
        if (
            checksum is None
            or (await self._vendor()).checksums is False
            or self._is_held(_kind(checksum), _NOTHING) is False
        ):
            return await send(None)
        try:
            return await send(checksum)
        except StoreError as error:
            if not may_blame_checksum(error):
                raise
            answer = await send(None)
        self._remember(_kind(checksum), _NOTHING, held=False)
        return answer

    async def checksum_of_parts(self, facts: Present) -> Checksum | None:
        """One of the whole object that the replica can have too, if it is written in parts."""
        vendor = await self._vendor()
        possible = frozenset() if vendor.checksums is False else vendor.checksums_of_parts
        for checksum in facts.checksums:
            if checksum.full_object and checksum.algorithm in (
                WHOLE_OF_PARTS if possible is None else possible & WHOLE_OF_PARTS
            ):
                return checksum
        return None

    async def composite_checksum(self, facts: Present) -> Checksum | None:
        """One of parts that the replica can have too, if it is written in such parts."""
        holds = (await self._vendor()).checksums
        return None if holds is False else composite_checksum(facts)

    async def source_layout_matters(self, facts: Present) -> bool:
        """Whether copied parts must be the source's for an equal etag or checksum."""
        composite = not all(checksum.full_object for checksum in facts.checksums)
        return composite or (await self._vendor()).copied_parts_have_digests

    async def differences(
        self, load: Load, facts: Present, target: str, *, replica: Present | None, copied: bool
    ) -> frozenset[str]:
        """What the replica that was just written in one piece lacks.

        No request, or one look at the replica where nothing else says it; ``replica`` is one that
        was made already.
        """
        lacks = load.lacks | lost_in_one_piece(facts)
        asked = suspects(facts, load.attributes, copied=copied)
        if not asked:
            return lacks
        vendor = await self._vendor()
        if vendor.checksums is False or any(
            self._is_held(each.algorithm, _NOTHING) is False for each in facts.checksums
        ):
            lacks |= asked & {Difference.CHECKSUM}
            asked -= {Difference.CHECKSUM}
        if vendor.loses is not None:
            return lacks | (asked & vendor.loses)
        await self._see(asked, load, facts, target, replica)
        return lacks | {name for name in asked if self._is_held(name, load.attributes) is False}

    async def _see(
        self,
        asked: frozenset[str],
        load: Load,
        facts: Present,
        target: str,
        replica: Present | None,
    ) -> None:
        """Remember which of these the store holds; one look at most, if any is not known."""
        if replica is None and all(
            self._is_held(name, load.attributes) is not None for name in asked
        ):
            return
        seen: frozenset[str] = frozenset()
        try:
            found = replica or await self._destination.head(target)
        except AccessDenied:
            pass  # Who may only write cannot look: the store is taken at its word for as long.
        else:
            if not isinstance(found, Present):
                return
            seen = missing(facts, load.attributes, found)
            if await self._lost_acl(load.attributes, target):
                seen |= {Difference.ACL}
            tags = Difference.TAGS
            is_known = self._is_held(tags, load.attributes) is True
            if tags in asked and not is_known and await self._lost_tags(load, facts, found):
                seen |= {tags}
        for name in asked:
            self._remember(name, load.attributes, held=name not in seen)

    async def differences_of_parts(
        self, load: Load, facts: Present, target: str, replica: Present
    ) -> frozenset[str]:
        """What a replica lacks that was written in parts; one request more if tags look lost."""
        refused = {
            name
            for name in names_of(load.attributes)
            if self._is_held(name, load.attributes) is False
        }
        if (await self._vendor()).loses is None and await self._lost_acl(load.attributes, target):
            refused.add(Difference.ACL)
        lacks = load.lacks | refused | missing(facts, load.attributes, replica)
        if load.attributes.tags and await self._lost_tags(load, facts, replica):
            lacks |= {Difference.TAGS}
        return lacks

    async def annotated(
        self, load: Load, source: ObjectStore, key: str, replica: Replica, *, version_id: str | None
    ) -> Load:
        """``load``, after annotations were put on the replica: it lacks them if that cannot be.

        Args:
            load: What the replica was written with.
            source: The source bucket.
            key: The source object.
            replica: What was written, and is the current object.
            version_id: Of the source object, if it is not the current one.
        """
        if not self._keeping.annotations:
            return load
        kept = await carry(
            Annotated(
                source=source,
                destination=self._destination,
                key=key,
                version_id=version_id,
                target=replica.key,
                etag=replica.etag,
                is_locked=load.attributes.extras.lock is not None,
            )
        )
        return load if kept else load._replace(lacks=load.lacks | {Difference.ANNOTATIONS})

    async def differences_found(
        self,
        source: ObjectStore,
        facts: Present,
        target: str,
        replica: Present,
        *,
        lost: frozenset[str],
    ) -> Found | None:
        """How a replica of the current object is; ``None`` if it may not stay as it is.

        ``lost`` is what could not be compared. Annotations that it lacks are put on it.
        One request more with ``acl = "keep"``, two where the store may drop ACLs.
        """
        if self._keeping.attributes is Carry.COPIED:
            return None if self._forbids(lost) else Found(tuple(sorted(lost)))
        try:
            load = await self.load(facts, lost=lost, read_acl=lambda: source.get_acl(facts.key))
        except NotExact:
            return None
        written = Replica(target, replica.etag)
        load = await self.annotated(load, source, facts.key, written, version_id=None)
        lacks = await self.differences_of_parts(load, facts, target, replica)
        if self._forbids(lacks):
            return None
        vendor, attributes = await self._vendor(), load.attributes
        unlike = changeable(facts, attributes, replica, self._keeping, now_ms=self._clock.now_ms())
        if self._reads_acl and vendor.acls is not False and Difference.ACL not in load.lacks:
            extras = attributes.extras
            found = await self._destination.get_acl(target)
            if grants_other(extras.grants or CANNED.get(extras.acl, ()), found):
                unlike |= {Difference.ACL}
        unlike -= load.lacks | (vendor.loses or frozenset())
        return Found(tuple(sorted(lacks)), attributes.extras, unlike)

    def _forbids(self, lacks: frozenset[str]) -> bool:
        return self._keeping.strict and bool(lacks - {Difference.CHECKSUM_TYPE})

    async def _lost_acl(self, attributes: ObjectAttributes, target: str) -> bool:
        """Whether the replica grants less; one request if an ACL was asked for that shows."""
        extras = attributes.extras
        grants = extras.grants or CANNED.get(extras.acl, ())
        return bool(grants) and grants_less(grants, await self._destination.get_acl(target))

    async def _lost_tags(self, load: Load, facts: Present, replica: Present) -> bool:
        """Whether the replica has other tags, or if none were sent not as many as the source.

        One request if they look lost: not every store tells how many there are.
        """
        tags = load.attributes.tags
        count = len(tags) if tags else facts.tag_count
        if replica.tag_count == count:
            return False
        try:
            found = dict(await self._destination.get_tags(replica.key))
        except AccessDenied:
            return False  # It cannot be told, and the store took them.
        except StoreError as error:
            if error.s3_code not in NO_TAGS_CODES:
                raise
            found = {}
        return found != dict(tags) if tags else len(found) != count

    async def settled(
        self, lacks: frozenset[str], target: str, written: Written, *, is_version: bool
    ) -> tuple[str, ...]:
        """The differences of a replica that stays, sorted.

        Args:
            lacks: What it lacks.
            target: Its key.
            written: The answer to the write.
            is_version: It is one of many versions, and what is below must stay as it is.

        Raises:
            NotExact: It does not stay: the destination is strict.
        """
        if self._forbids(lacks):
            if is_version and written.version_id is not None:
                await self._destination.delete_version(target, written.version_id)
            else:
                await self._destination.delete(target, if_match=written.etag or None)
            raise _not_exact(lacks)
        return tuple(sorted(lacks))

    async def _with_acl(
        self, source: ObjectAttributes, acl: Acl, vendor: Vendor
    ) -> tuple[ObjectAttributes, frozenset[str]]:
        """``source`` with the ACL that a replica is to have, and whether that is not all of it."""
        same = self._keeping.same_accounts
        kept = kept_grants(acl, same_accounts=same)
        lost = frozenset({Difference.ACL}) if kept != acl.grants else frozenset[str]()
        canned = canned_of(kept)
        if canned is not None:
            return replace(source, extras=replace(source.extras, acl=canned)), lost
        if vendor.acls is False or self._is_known(Difference.ACL, _GRANTS) is False:
            return source, frozenset({Difference.ACL})
        grants = with_owner(kept, acl, bucket_owner=await self._owner(), same_accounts=same)
        return replace(source, extras=replace(source.extras, grants=grants)), lost

    async def _owner(self) -> str:
        """Whose the destination's bucket is; one request in ``REMEMBER_S``."""
        now_s = self._clock.monotonic_s()
        if self._bucket_owner is None or now_s - self._bucket_owner[1] > REMEMBER_S:
            self._bucket_owner = await self._destination.bucket_owner(), now_s
        return self._bucket_owner[0]

    def _exact(self, load: Load) -> Load:
        if load.lacks and self._keeping.strict:
            raise _not_exact(load.lacks)
        return load

    def _is_held(self, name: str, attributes: ObjectAttributes) -> bool | None:
        return self._is_known(name, _detail(name, attributes))

    def _is_known(self, name: str, detail: str) -> bool | None:
        seen = self._held.get((name, detail))
        if seen is None or self._clock.monotonic_s() - seen[1] > REMEMBER_S:
            return None
        return seen[0]

    def _remember(self, name: str, attributes: ObjectAttributes, *, held: bool) -> None:
        self._held[name, _detail(name, attributes)] = (held, self._clock.monotonic_s())


def _kind(checksum: Checksum) -> str:
    """What a store holds or not: of an algorithm it may hold one kind only."""
    return checksum.algorithm if checksum.full_object else f"{checksum.algorithm} of parts"


def _detail(name: str, attributes: ObjectAttributes) -> str:
    """What a store may hold one of and not the other: a handful of values."""
    extras = attributes.extras
    match name:
        case Difference.STORAGE_CLASS:
            return extras.storage_class
        case Difference.ENCRYPTION:
            return extras.encryption.method if extras.encryption else ""
        case Difference.ACL:
            return _GRANTS if extras.grants else extras.acl
        case Difference.METADATA:
            values = attributes.metadata.values()
            return f"{all(values)} {all(map(str.isascii, values))}"
        case _:
            return ""


def unread(facts: Present) -> frozenset[str]:
    """What a replica that is made of ``facts`` may lack because it could not be read."""
    return frozenset({Difference.TAGS_UNREAD}) if facts.attributes.tags is None else frozenset()


def _not_exact(lacks: frozenset[str]) -> NotExact:
    if Difference.TAGS_UNREAD in lacks:
        return NotExact(
            "whether the object has tags is not known: they may not be read",
            hint="grant s3:GetObjectTagging (s3:GetObjectVersionTagging for versions) on the "
            "source, or set strict = false; then: s3fanout redrive",
        )
    return NotExact(f"the destination does not hold: {', '.join(sorted(lacks))}")
