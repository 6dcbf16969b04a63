"""Promises about what objects carry beside bytes, headers, metadata and tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from s3fanout.adapters.store.memory import MemoryStore, StoredObject
from s3fanout.decide.plan import Way
from s3fanout.model.acls import CANNED, FULL_CONTROL, AclGrant
from s3fanout.model.errors import AccessDenied, Refused
from s3fanout.model.jobs import JobState
from s3fanout.model.keeping import Carry, Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.objects import (
    NO_EXTRAS,
    Body,
    Encryption,
    Extras,
    ObjectAttributes,
    ObjectLock,
    Probe,
    Written,
)
from s3fanout.model.vendors import OTHER
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
EXTRAS = Extras(
    "STANDARD_IA",
    "/elsewhere",
    Encryption("aws:kms"),
    ObjectLock("GOVERNANCE", "2131-02-03T04:05:06Z"),
)
SPECIAL = ObjectAttributes({"content-type": "text/plain"}, {"a": "b"}, {"t": "1"}, EXTRAS)
PARTS = Limits(part_bytes=4, copy_bytes_max=4, copy_part_bytes=4, part_bytes_min=1)


class Picky:
    """A store that refuses what ``refuses`` names, and drops what ``drops`` names."""

    def __init__(
        self, store: ObjectStore, *, refuses: Callable[[Extras], str], drops: str = ""
    ) -> None:
        self._store = store
        self._refuses = refuses
        self._drops = drops

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def _taken(self, extras: Extras) -> Extras:
        code = self._refuses(extras)
        if code:
            raise Refused(f"no {code}", operation="PutObject", status=400, s3_code=code)
        match self._drops:
            case "redirect":
                return replace(extras, redirect="")
            case "storage-class":
                return replace(extras, storage_class="")
        return extras

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        extras = self._taken(attributes.extras)
        return await self._store.put(key, body, replace(attributes, extras=extras))

    async def copy(self, key: str, *, extras: Extras = NO_EXTRAS, **options: object) -> Written:
        return await self._store.copy(key, extras=self._taken(extras), **options)  # type: ignore[arg-type]

    async def create_upload(self, key: str, attributes: ObjectAttributes, **options: object) -> str:
        extras = self._taken(attributes.extras)
        return await self._store.create_upload(
            key,
            replace(attributes, extras=extras),
            **options,  # type: ignore[arg-type]
        )


def picky(
    refuses: Callable[[Extras], str] = lambda _: "", *, drops: str = ""
) -> Callable[[ObjectStore], ObjectStore]:
    return lambda store: Picky(store, refuses=refuses, drops=drops)  # type: ignore[return-value]


def no_classes(extras: Extras) -> str:
    return "InvalidStorageClass" if extras.storage_class else ""


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_all_that_an_object_carries_arrives(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    world = world_of(To("a", way, store=OTHER), limits=limits)
    await world.receive(world.put("key", b"content", SPECIAL))
    await world.rest()
    world.assert_equal()
    assert world.known("a", "key").differences == ()


async def test_destinations_whose_copies_lose_attributes_share_one_look(
    world_of: MakeWorld,
) -> None:
    world = world_of(*(To(name, store=OTHER) for name in "abc"))
    await world.receive(world.put("key"))
    await world.rest()
    assert world.requests() == {"HeadObject": 1, "CopyObject": 3}
    await world.receive(world.put("key", b"other", SPECIAL))
    await world.rest()
    world.assert_equal()


async def test_a_look_for_one_message_serves_no_later_one(world_of: MakeWorld) -> None:
    """The etag is the same: the look kept for a paused destination shows attributes of before."""
    world = world_of(To("a", store=OTHER), To("b", store=OTHER))
    await world.journal.pause("b", now_ms=world.clock.now_ms(), reason="for the test")
    await world.receive(world.put("key", b"content"))
    await quiet()
    await world.receive(world.put("key", b"content", SPECIAL))
    await quiet()
    await world.journal.resume("b")
    await world.rest()
    world.assert_equal()


async def test_nothing_is_looked_at_for_what_a_destination_does_not_want(
    world_of: MakeWorld,
) -> None:
    world = world_of(To("a", store=OTHER, keeping=Keeping(Carry.COPIED, storage_class="ONEZONE")))
    await world.receive(world.put("key", b"content", SPECIAL))
    await world.rest()
    assert world.requests() == {"CopyObject": 1}
    assert world.buckets["a"].objects["key"].attributes.extras == Extras("ONEZONE")


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_what_a_store_refuses_is_left_out_named_and_not_asked_for_again(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    world = world_of(To("a", way, store=OTHER, wrap=picky(no_classes)), limits=limits)
    await world.receive(world.put("one", b"content", SPECIAL))
    await world.rest()
    first = world.known("a", "one")
    assert (first.state, first.differences) == (JobState.SETTLED, ("storage-class",))
    assert world.buckets["a"].objects["one"].attributes.extras == replace(EXTRAS, storage_class="")
    calls = len(world.ports["a"].calls)
    await world.receive(world.put("two", b"content", SPECIAL))
    await world.rest()
    assert world.known("a", "two").differences == ("storage-class",)
    assert len(world.ports["a"].calls) - calls < calls, "the second needs no refusal"


async def test_vague_refusals_are_answered_one_by_one(world_of: MakeWorld) -> None:
    def nothing_but_redirects(extras: Extras) -> str:
        return "InvalidArgument" if extras.lock or extras.encryption else ""

    world = world_of(To("a", store=OTHER, wrap=picky(nothing_but_redirects)))
    await world.receive(world.put("key", b"content", SPECIAL))
    await world.rest()
    assert world.known("a", "key").differences == ("encryption", "object-lock")
    assert world.buckets["a"].objects["key"].attributes.extras == Extras(
        "STANDARD_IA", "/elsewhere"
    )


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_what_a_store_drops_without_a_word_is_named_too(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    world = world_of(To("a", way, store=OTHER, wrap=picky(drops="redirect")), limits=limits)
    for key in ("one", "two"):
        await world.receive(world.put(key, b"content", SPECIAL))
        await world.rest()
        assert world.known("a", key).differences == ("redirect",)


class Untagged:
    """A store that takes tags and drops them, and whose ``HEAD`` tells of none."""

    tags_denied = False

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def _forget(self, key: str) -> None:
        stored = self._store.objects[key]
        untagged = replace(stored.attributes, tags={})
        self._store.objects[key] = replace(stored, attributes=untagged)

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        return await self._store.put(key, body, replace(attributes, tags={}))

    async def create_upload(self, key: str, attributes: ObjectAttributes, **options: object) -> str:
        return await self._store.create_upload(key, replace(attributes, tags={}), **options)  # type: ignore[arg-type]

    async def copy(self, key: str, **options: object) -> Written:
        written = await self._store.copy(key, **options)  # type: ignore[arg-type]
        self._forget(key)
        return written

    async def get_tags(self, key: str, **options: object) -> Mapping[str, str]:
        if self.tags_denied:
            raise AccessDenied("no permission s3:GetObjectTagging")
        return await self._store.get_tags(key, **options)  # type: ignore[arg-type]


class UntaggedAndSilent(Untagged):
    tags_denied = True


TAGGED = ObjectAttributes({"content-type": "text/plain"}, {"a": "b"}, {"t": "1"})


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_tags_that_a_store_drops_without_a_word_are_named(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    to = To("a", way, store=OTHER, wrap=Untagged)  # type: ignore[arg-type]
    world = world_of(to, limits=limits)
    for key in ("one", "two"):
        await world.receive(world.put(key, b"content", TAGGED))
        await world.rest()
        assert world.known("a", key).differences == ("tags",)
    await world.receive(world.put("plain", b"content"))
    await world.rest()
    assert world.known("a", "plain").differences == ()


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_a_destination_that_lets_nobody_read_tags_has_its_replicas_all_the_same(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    """Without that permission Amazon S3 does not tell how many there are either."""
    to = To("a", way, store=OTHER, wrap=UntaggedAndSilent)  # type: ignore[arg-type]
    world = world_of(to, limits=limits)
    await world.receive(world.put("key", b"content", TAGGED))
    await world.rest()
    record = world.known("a", "key")
    assert (record.state, record.differences) == (JobState.SETTLED, ())


class Bare:
    """A store that keeps bytes and their type, and says nothing of the rest."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        bare = ObjectAttributes({"content-type": attributes.headers["content-type"]})
        return await self._store.put(key, body, bare)


class WriteOnly(Bare):
    async def head(self, _key: str, **_options: object) -> Probe:
        raise AccessDenied("no permission s3:GetObject")


USUAL = ObjectAttributes({"content-type": "text/plain", "cache-control": "no-cache"}, {"a": "b"})


async def test_usual_attributes_that_a_store_drops_are_named_too(world_of: MakeWorld) -> None:
    to = To("a", Way.STREAM, store=OTHER, wrap=Bare)  # type: ignore[arg-type]
    world = world_of(to)
    for key in ("one", "two"):
        await world.receive(world.put(key, b"content", USUAL))
        await world.rest()
        assert world.known("a", key).differences == ("cache-control", "metadata")
    assert world.buckets["a"].requests == {"PutObject": 2, "HeadObject": 1}


async def test_a_destination_that_may_only_be_written_to_has_its_replicas(
    world_of: MakeWorld,
) -> None:
    to = To("a", Way.STREAM, store=OTHER, wrap=WriteOnly)  # type: ignore[arg-type]
    world = world_of(to)
    await world.receive(world.put("key", b"content", USUAL))
    await world.rest()
    assert world.states("key") == {"a": JobState.SETTLED}


async def test_a_store_is_asked_once_what_it_drops(world_of: MakeWorld) -> None:
    world = world_of(To("a", Way.STREAM, store=OTHER, wrap=picky(drops="redirect")))
    for key in ("one", "two", "three"):
        await world.receive(world.put(key, b"content", SPECIAL))
        await world.rest()
    assert world.buckets["a"].requests == {"PutObject": 3, "HeadObject": 1}


async def test_a_key_without_grants_leaves_no_replica_that_is_less_protected(
    world_of: MakeWorld,
) -> None:
    def no_grants(extras: Extras) -> str:
        return "KMS.AccessDeniedException" if extras.encryption else ""

    world = world_of(To("a", store=OTHER, wrap=picky(no_grants)))
    await world.receive(world.put("key", b"content", SPECIAL))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "refused:KMS.AccessDeniedException")
    assert world.buckets["a"].objects == {}


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
@pytest.mark.parametrize("wrap", [picky(no_classes), picky(drops="storage-class")])
async def test_a_strict_destination_has_exact_replicas_or_none(
    world_of: MakeWorld, way: Way, limits: Limits, wrap: Callable[[ObjectStore], ObjectStore]
) -> None:
    strict = Keeping(strict=True)
    world = world_of(To("a", way, store=OTHER, keeping=strict, wrap=wrap), limits=limits)
    await world.receive(world.put("plain", b"content"))
    await world.receive(world.put("key", b"content", SPECIAL))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "not-exact")
    assert record.error.message == "the destination does not hold: storage-class"
    assert list(world.buckets["a"].objects) == ["plain"]
    assert world.states("plain") == {"a": JobState.SETTLED}


async def test_an_archived_source_is_a_dead_letter_that_says_so(world_of: MakeWorld) -> None:
    """Also where the copy itself is the first to say it."""

    def archived(_: Extras) -> str:
        return "InvalidObjectState"

    world = world_of(To("a", wrap=picky(archived)))
    await world.receive(world.put("key"))
    await world.rest()
    record = world.known("a", "key")
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.DEAD, "refused:InvalidObjectState")
    assert isinstance(world.source.objects["key"], StoredObject)


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_an_acl_is_read_and_kept_only_where_that_is_asked_for(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    keep = Keeping(acl="keep")
    world = world_of(To("a", way, store=OTHER, keeping=keep), To("b", way), limits=limits)
    public = ObjectAttributes(extras=Extras(acl="public-read"))
    await world.receive(world.put("key", b"content", public))
    await world.rest()
    assert world.buckets["a"].objects["key"].acl == "public-read"
    assert world.buckets["b"].objects["key"].acl == ""
    assert world.source.requests["GetObjectAcl"] == 1
    assert world.known("a", "key").differences == ()


FRIEND = AclGrant("friend", "READ")
OWNER = AclGrant("owner", FULL_CONTROL)
EVERYBODY = CANNED["public-read"][0]
KNOWS_ACCOUNTS = Keeping(acl="keep", same_accounts=True)


def granting(*grants: AclGrant) -> ObjectAttributes:
    return ObjectAttributes(extras=Extras(grants=grants))


@pytest.mark.parametrize("way", [Way.SERVER, Way.STREAM])
@pytest.mark.parametrize("limits", [Limits(), PARTS])
async def test_grants_to_accounts_and_groups_are_kept_with_full_control_of_the_owner(
    world_of: MakeWorld, way: Way, limits: Limits
) -> None:
    world = world_of(To("a", way, store=OTHER, keeping=KNOWS_ACCOUNTS), limits=limits)
    for key in ("one", "two"):
        await world.receive(world.put(key, b"content", granting(FRIEND, EVERYBODY, OWNER)))
        await world.rest()
        assert world.buckets["a"].objects[key].grants == (FRIEND, EVERYBODY, OWNER)
        assert world.known("a", key).differences == ()
    assert world.buckets["a"].requests["GetBucketAcl"] == 1


async def test_grants_to_accounts_mean_nothing_elsewhere_and_those_to_groups_stay(
    world_of: MakeWorld,
) -> None:
    world = world_of(To("a", Way.STREAM, store=OTHER, keeping=Keeping(acl="keep")))
    await world.receive(world.put("friend", b"content", granting(FRIEND, OWNER)))
    await world.receive(world.put("both", b"content", granting(FRIEND, EVERYBODY, OWNER)))
    seen = AclGrant(EVERYBODY.grantee, "READ_ACP")
    await world.receive(world.put("group", b"content", granting(seen, OWNER)))
    await world.rest()
    replicas = world.buckets["a"].objects
    assert (replicas["friend"].acl, replicas["friend"].grants) == ("", ())
    assert (replicas["both"].acl, replicas["both"].grants) == ("public-read", ())
    assert replicas["group"].grants == (seen, OWNER)
    differences = {key: world.known("a", key).differences for key in replicas}
    assert differences == {"friend": ("acl",), "both": ("acl",), "group": ()}


@pytest.mark.parametrize("strict", [False, True])
async def test_an_account_that_the_store_does_not_know_costs_only_the_acl(
    world_of: MakeWorld, *, strict: bool
) -> None:
    def gone(extras: Extras) -> str:
        return "InvalidArgument" if extras.grants else ""

    keeping = replace(KNOWS_ACCOUNTS, strict=strict)
    world = world_of(To("a", store=OTHER, keeping=keeping, wrap=picky(gone)))
    special = replace(SPECIAL, extras=replace(EXTRAS, grants=(FRIEND,)))
    await world.receive(world.put("key", b"content", special))
    await world.rest()
    record = world.known("a", "key")
    if strict:
        assert record.error is not None
        assert (record.state, record.error.code) == (JobState.DEAD, "not-exact")
        assert world.buckets["a"].objects == {}
    else:
        assert record.differences == ("acl",)
        assert world.buckets["a"].objects["key"].attributes.extras == EXTRAS


async def test_a_bucket_with_acls_switched_off_is_a_difference_only_for_what_is_not_private(
    world_of: MakeWorld,
) -> None:
    def no_acls(extras: Extras) -> str:
        return "AccessControlListNotSupported" if extras.acl or extras.grants else ""

    world = world_of(To("a", store=OTHER, keeping=KNOWS_ACCOUNTS, wrap=picky(no_acls)))
    await world.receive(world.put("private"))
    public = ObjectAttributes(extras=Extras(acl="public-read"))
    await world.receive(world.put("public", b"content", public))
    await world.rest()
    calls = len(world.ports["a"].calls)
    for key in ("one", "two"):
        await world.receive(world.put(key, b"content", granting(FRIEND)))
        await world.rest()
        assert world.known("a", key).differences == ("acl",)
    assert world.known("a", "private").differences == ()
    assert world.known("a", "public").differences == ("acl",)
    tries = len(world.ports["a"].calls) - calls
    assert tries == 4, "two copies, a refusal and whose the bucket is"


async def test_locks_stay_behind_where_a_destination_says_so(world_of: MakeWorld) -> None:
    world = world_of(To("a", store=OTHER, keeping=Keeping(lock=False)))
    await world.receive(world.put("key", b"content", SPECIAL))
    await world.rest()
    assert world.buckets["a"].objects["key"].attributes.extras == replace(EXTRAS, lock=None)
    assert world.known("a", "key").differences == ()
