"""Promises about copies that were made before: equal replicas are left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from s3fanout.adapters.store.memory import MemoryStore, MemoryStores
from s3fanout.decide.equal import is_same_but_tags
from s3fanout.engine.comparing import KEYS_MAX, ComparingCopier
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.tags import Tags
from s3fanout.model.acls import FULL_CONTROL, AclGrant
from s3fanout.model.errors import AccessDenied
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.keeping import Keeping
from s3fanout.model.objects import (
    Checksum,
    ChecksumAlgorithm,
    Extras,
    ObjectAttributes,
    ObjectLock,
    Present,
    Probe,
)
from s3fanout.model.rules import Rule
from s3fanout.model.vendors import OTHER, Vendor, VendorName, vendor_named
from tests.conformance.object_stores import PLAIN, body_of
from tests.functional.clock import VirtualClock
from tests.functional.world import TELLS_ALL

AWS = vendor_named(VendorName.AWS)
CRC = Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==", full_object=True)
FACTS = Present("k", 3, "e", attributes=ObjectAttributes({"content-type": "a/b"}, {"m": "1"}))


@pytest.mark.parametrize(
    ("replica", "same"),
    [
        (FACTS, True),
        (replace(FACTS, key="other", last_modified_at_ms=5, version_id="v"), True),
        (replace(FACTS, size_bytes=4), False),
        (replace(FACTS, etag="f"), False),
        (replace(FACTS, etag="f", checksums=(CRC,)), True),
        (replace(FACTS, etag="f", checksums=(replace(CRC, value="BBBBBB=="),)), False),
        (replace(FACTS, attributes=ObjectAttributes({"content-type": "a/b"}, {"m": "2"})), False),
        (replace(FACTS, attributes=ObjectAttributes({}, {"m": "1"})), False),
    ],
)
def test_when_two_objects_are_the_same(replica: Present, same: bool) -> None:
    assert is_same_but_tags(replace(FACTS, checksums=(CRC,)), replica) == same


def test_a_checksum_of_parts_proves_nothing() -> None:
    parts = replace(CRC, full_object=False)
    one = replace(FACTS, checksums=(parts,))
    assert not is_same_but_tags(one, replace(one, etag="f"))


class Counting:
    """A copier that says it copied, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.carried: Extras | None = None
        self.hints: list[str | None] = []

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        del stop_at_s
        self.count += 1
        self.hints.append(job.etag)
        etag = job.etag or body_of(b"x").md5_hex
        return Replicated(etag, 1, "r", "copied", carried=self.carried)

    def take_written(self, job: Job) -> str | None:
        return None


USUAL = Keeping()
KEEPS_ACLS = Keeping(acl="keep", same_accounts=True)
OWNER = AclGrant("owner", FULL_CONTROL)


async def _other() -> Vendor:
    return OTHER


class Pair:
    """A source and a replica bucket with a comparing copier between them."""

    def __init__(
        self, *, always: bool = False, keeping: Keeping = USUAL, store: Vendor = TELLS_ALL
    ) -> None:
        clock = VirtualClock()
        stores = MemoryStores(clock)

        async def kind() -> Vendor:
            return store

        self.source = stores.create_bucket("source")
        self.replica = stores.create_bucket("replica")
        self.copier = Counting()
        self.comparing = ComparingCopier(
            self.copier,
            rule=Rule("a"),
            source=self.source,
            destination=self.replica,
            keeper=Keeper(keeping, destination=self.replica, vendor=_other, clock=clock),
            tags=Tags(self.source, vendor=kind, clock=clock),
            replica_tags=Tags(self.replica, vendor=kind, clock=clock),
            always=always,
        )

    async def put(self, content: bytes, tags: dict[str, str] | None = None) -> str:
        attributes = replace(PLAIN, tags=tags)
        for bucket in (self.source, self.replica):
            await bucket.put("k", body_of(content), attributes)
        return body_of(content).md5_hex

    async def attempt(self, etag: str | None, kind: ChangeKind = ChangeKind.CREATED) -> Outcome:
        return await self.comparing.attempt(Job("a", "k", 1, kind, 0, etag=etag, size_bytes=1))


def hide_counts(store: MemoryStore) -> None:
    """Tell of no object how many tags it has."""
    head = store.head

    async def hiding(key: str, *, version_id: str | None = None) -> Probe:
        probe = await head(key, version_id=version_id)
        return replace(probe, tag_count=0) if isinstance(probe, Present) else probe

    store.head = hiding  # type: ignore[method-assign]


def deny_tags(store: MemoryStore) -> None:
    async def denied(key: str, *, version_id: str | None = None) -> Mapping[str, str]:
        raise AccessDenied(f"no s3:GetObjectTagging key={key}", s3_code="AccessDenied")

    store.get_tags = denied  # type: ignore[method-assign]


async def test_the_first_copy_of_an_object_costs_no_look() -> None:
    pair = Pair()
    etag = await pair.put(b"x")
    before = pair.source.requests["HeadObject"]
    assert isinstance(await pair.attempt(etag), Replicated)
    assert pair.source.requests["HeadObject"] == before


@pytest.mark.parametrize(("tags", "requests"), [(None, 2), ({"a": "b"}, 4)])
async def test_what_was_copied_is_compared_and_left_alone_if_equal(
    tags: dict[str, str] | None, requests: int
) -> None:
    pair = Pair()
    etag = await pair.put(b"x", tags)
    await pair.attempt(etag)
    before = pair.source.requests + pair.replica.requests
    found = await pair.attempt(etag)
    assert (pair.source.requests + pair.replica.requests - before).total() == requests
    assert found == Replicated(etag, 1, etag, "the replica is equal already", wrote=False)
    assert pair.copier.count == 1


@pytest.mark.parametrize("strict", [False, True])
async def test_what_an_equal_replica_lacks_is_told_again(*, strict: bool) -> None:
    pair = Pair(always=True, keeping=Keeping(strict=strict))
    etag = await pair.put(b"x")
    redirected = replace(PLAIN, extras=Extras(redirect="/there"))
    await pair.source.put("k", body_of(b"x"), redirected)
    found = await pair.attempt(etag)
    assert isinstance(found, Replicated)
    # A strict destination leaves the verdict to the copier, whose answer this is.
    assert found.differences == (() if strict else ("redirect",))
    assert pair.copier.count == strict


REDIRECTED = replace(PLAIN, extras=Extras(redirect="/there"))
HELD = replace(PLAIN, extras=Extras(lock=ObjectLock(legal_hold=True)))


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "keeping"),
    [
        (PLAIN, REDIRECTED, USUAL),
        (REDIRECTED, PLAIN, USUAL),
        (PLAIN, replace(PLAIN, extras=Extras("STANDARD_IA")), USUAL),
        (PLAIN, HELD, USUAL),
        (HELD, PLAIN, USUAL),
        (PLAIN, replace(PLAIN, extras=Extras(acl="public-read")), KEEPS_ACLS),
        (replace(PLAIN, extras=Extras(acl="public-read")), PLAIN, KEEPS_ACLS),
        (
            replace(PLAIN, extras=Extras(grants=(AclGrant("a", "READ"), OWNER))),
            replace(PLAIN, extras=Extras(grants=(AclGrant("b", "READ"), OWNER))),
            KEEPS_ACLS,
        ),
    ],
)
async def test_a_change_of_what_no_etag_shows_is_written_once(
    *, before: ObjectAttributes, after: ObjectAttributes, keeping: Keeping, always: bool
) -> None:
    """Also when it takes something away. Nothing is written again for what would not help."""
    pair = Pair(always=always, keeping=keeping)
    etag = body_of(b"x").md5_hex
    for bucket in (pair.source, pair.replica):
        await bucket.put("k", body_of(b"x"), before)
    pair.copier.carried = before.extras  # as a copier that looked
    await pair.attempt(etag)
    await pair.attempt(etag)
    count = pair.copier.count
    await pair.source.put("k", body_of(b"x"), after)
    await pair.attempt(etag)
    assert (pair.copier.count, pair.copier.hints[-1]) == (count + 1, None)
    # This copier writes nothing, as a store that holds no such thing.
    await pair.attempt(etag)
    assert pair.copier.count == count + 1


async def test_what_a_copy_without_a_look_may_have_left_is_written_if_the_object_has_it() -> None:
    for attributes, writes in ((REDIRECTED, 1), (PLAIN, 0)):
        pair = Pair()
        etag = await pair.put(b"x")
        await pair.replica.put("k", body_of(b"x"), HELD)  # a bucket's own default, say
        await pair.attempt(etag)
        await pair.source.put("k", body_of(b"x"), attributes)
        await pair.attempt(etag)
        assert pair.copier.count - 1 == writes


async def test_what_a_walk_over_listings_found_different_is_written_though_it_looks_equal() -> None:
    """A circle cannot come of it: what is written there is no such job."""
    pair = Pair(always=True)
    etag = await pair.put(b"x")
    await pair.attempt(etag, ChangeKind.EXISTS)
    assert pair.copier.count == 0
    await pair.attempt(None, ChangeKind.EXISTS)
    assert pair.copier.count == 1
    await pair.attempt(None)
    assert pair.copier.count == 1


async def test_what_settings_ask_for_is_not_taken_from_the_object() -> None:
    pair = Pair(keeping=Keeping(storage_class="ONEZONE_IA"))
    etag = await pair.put(b"x")
    await pair.attempt(etag)
    await pair.attempt(etag)
    await pair.source.put("k", body_of(b"x"), replace(PLAIN, extras=Extras("STANDARD_IA")))
    await pair.attempt(etag)
    assert pair.copier.count == 1


async def test_a_change_of_tags_alone_is_copied() -> None:
    pair = Pair()
    etag = await pair.put(b"x", {"a": "1"})
    await pair.attempt(etag)
    await pair.attempt(etag)
    assert pair.copier.count == 1
    await pair.source.put("k", body_of(b"x"), replace(PLAIN, tags={"a": "2"}))
    await pair.attempt(etag)
    assert pair.copier.count == 2


async def test_tags_that_nobody_told_of_are_compared_too() -> None:
    """Of a store that tells no counts; what was taken away at the source is not left either."""
    pair = Pair(always=True, store=OTHER)
    for side in (pair.source, pair.replica):
        hide_counts(side)
    etag = await pair.put(b"x", {"a": "1"})
    await pair.attempt(etag)
    assert pair.copier.count == 0
    await pair.source.put("k", body_of(b"x"), PLAIN)
    await pair.attempt(etag)
    assert pair.copier.count == 1


async def test_tags_that_may_not_be_read_end_the_circle_as_a_difference() -> None:
    pair = Pair(always=True, store=AWS)
    hide_counts(pair.source)
    deny_tags(pair.source)
    etag = await pair.put(b"x", {"a": "1"})
    outcome = await pair.attempt(etag)
    assert isinstance(outcome, Replicated)
    assert (outcome.wrote, outcome.differences) == (False, ("tags-unread",))

    pair = Pair(always=True, store=AWS)
    hide_counts(pair.replica)
    deny_tags(pair.replica)
    outcome = await pair.attempt(await pair.put(b"x"))
    assert isinstance(outcome, Replicated)
    assert (outcome.wrote, outcome.differences) == (False, ("tags-unread",))
    etag = await pair.put(b"x", {"a": "1"})
    with pytest.raises(AccessDenied):
        await pair.attempt(etag)
    assert pair.copier.count == 0


async def test_a_replica_that_is_gone_is_copied_again() -> None:
    pair = Pair(always=True)
    etag = await pair.put(b"x")
    await pair.replica.delete("k")
    await pair.attempt(etag)
    assert pair.copier.count == 1


async def test_always_compares_the_first_time_too_but_never_a_removal() -> None:
    pair = Pair(always=True)
    etag = await pair.put(b"x")
    await pair.attempt(etag)
    assert pair.copier.count == 0
    await pair.attempt(etag, ChangeKind.REMOVED)
    assert pair.copier.count == 1


async def test_what_is_remembered_is_bounded() -> None:
    pair = Pair()
    for number in range(KEYS_MAX + 10):
        job = Job("a", f"k{number}", 1, ChangeKind.CREATED, 0, etag="e", size_bytes=1)
        await pair.comparing.attempt(job)
    assert len(pair.comparing._seen) == KEYS_MAX
    assert "k0" not in pair.comparing._seen
