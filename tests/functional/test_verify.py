"""Verify finds what differs, says why, and nothing else; in memory, where bytes can be bent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.memory import MemoryStore, MemoryStores, StoredObject
from s3fanout.decide.compare import Standing
from s3fanout.engine import listing
from s3fanout.engine.examiner import READS_AT_ONCE, Depth
from s3fanout.engine.verify import Finding, Tally, Verifier
from s3fanout.model.errors import AccessDenied, Unavailable
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState, NewJob, Settlement
from s3fanout.model.keeping import Keeping
from s3fanout.model.objects import (
    Checksum,
    ChecksumAlgorithm,
    Encryption,
    Extras,
    Listed,
    ListPage,
    ObjectAttributes,
    ObjectLock,
    PartBody,
    Probe,
)
from s3fanout.model.rules import Deletes, KeyFilter, KeyMap, Rule, Versions
from tests.functional.clock import VirtualClock

STEP_BYTES = 1000
RULE = Rule("paris", KeyFilter(exclude_prefixes=("raw/tmp/",)), KeyMap("raw/", "copy/"))
PLAIN = ObjectAttributes({"content-type": "text/plain"}, {"owner": "ann"}, {"team": "red"})


class Pair:
    """A source and a destination of equal content, and the ledger that knows it."""

    def __init__(self, keys: list[str]) -> None:
        self.clock = VirtualClock()
        stores = MemoryStores(self.clock)
        self.source, self.replica = stores.create_bucket("source"), stores.create_bucket("paris")
        self.ledger = MemoryJournal(clock=self.clock)
        for key in keys:
            stored = StoredObject.of(f"bytes of {key}".encode(), PLAIN)
            self.source.objects[key] = stored
            self.replica.objects[self.target(key)] = stored

    @staticmethod
    def target(key: str) -> str:
        return "copy/" + key.removeprefix("raw/")

    async def know(
        self, key: str, *, source_etag: str, replica_etag: str, lacks: tuple[str, ...] = ()
    ) -> None:
        """Write into the ledger that the key was copied so."""
        await self.ledger.accept([NewJob("paris", key, ChangeKind.CREATED, 1)], now_ms=1)
        (job,) = await self.ledger.claim("paris", 1, now_ms=1)
        await self.ledger.settle(
            [
                Settlement(
                    job,
                    JobState.SETTLED,
                    2,
                    "copied",
                    0,
                    source_etag=source_etag,
                    replica_etag=replica_etag,
                    differences=lacks,
                )
            ]
        )
        await self.ledger.finish([job])

    async def verify(
        self,
        *,
        prefix: str = "",
        depth: Depth = Depth.LISTING,
        sample: float = 1.0,
        ignored: Sequence[str] = (),
        rule: Rule = RULE,
        source: MemoryStore | None = None,
        replica: MemoryStore | None = None,
    ) -> tuple[Tally, dict[str, tuple[str, str]]]:
        """The tally, and sign and code of each finding by key."""
        findings: list[Finding] = []
        verifier = Verifier(
            rule=rule,
            source=source or self.source,
            replica=replica or self.replica,
            ledger=self.ledger,
            clock=self.clock,
            depth=depth,
            sample=sample,
            ignored=ignored,
            step_bytes=STEP_BYTES,
        )

        async def found(some: Sequence[Finding]) -> None:
            findings.extend(some)

        tally = await verifier.run(prefix, found, restarted=findings.clear)
        assert len(findings) == len({finding.key for finding in findings})
        return tally, {
            finding.key: (finding.verdict.standing.value, finding.verdict.code)
            for finding in findings
        }


class ByDirectory(MemoryStore):
    """Lists directory by directory, as SeaweedFS does."""

    async def list_page(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000, delimiter: str = ""
    ) -> ListPage:
        found: list[Listed] = []
        prefixes: list[str] = []
        last = None
        while True:
            page = await super().list_page(prefix, token=last, delimiter=delimiter)
            found += page.objects
            prefixes += page.prefixes
            last = page.next_token
            if last is None:
                break
        found.sort(key=lambda row: row.key.replace("/", "\0"))
        at = int(token or 0)
        more = str(at + limit) if at + limit < len(found) else None
        return ListPage(tuple(found[at : at + limit]), more, tuple(prefixes) if not at else ())


KEYS = [f"raw/{folder}/{number:03}" for folder in ("a", "a-b", "b", "b!") for number in range(30)]


CARRIED = Extras(
    storage_class="STANDARD_IA",
    redirect="/there",
    encryption=Encryption("aws:kms", "key"),
    lock=ObjectLock("GOVERNANCE", "2030-01-01T00:00:00Z", legal_hold=True),
)
FULL = replace(PLAIN, extras=CARRIED)
SHA256 = Checksum(ChecksumAlgorithm.SHA256, "", full_object=True)


def in_parts(content: bytes) -> StoredObject:
    """An object whose etag says nothing, with all that an object can carry."""
    return replace(StoredObject.of(content, FULL), etag=f"{len(content):032}-7")


def lost_attributes() -> Iterator[tuple[StoredObject, StoredObject, str]]:
    """Source objects, replicas that lack something, and what."""
    for extras, code in (
        (replace(CARRIED, storage_class=""), "storage-class"),
        (replace(CARRIED, storage_class="GLACIER_IR"), "storage-class"),
        (replace(CARRIED, redirect=""), "redirect"),
        (replace(CARRIED, encryption=Encryption("AES256")), "encryption"),
        (replace(CARRIED, lock=None), "object-lock"),
        (replace(CARRIED, lock=ObjectLock("GOVERNANCE", "2030-01-01T00:00:00Z")), "object-lock"),
    ):
        poor = StoredObject.of(b"abc", replace(PLAIN, extras=extras))
        yield StoredObject.of(b"abc", FULL), poor, code
    for headers, metadata, tags, code in (
        ({"content-type": "text/html"}, {"owner": "ann"}, {"team": "red"}, "headers"),
        ({"content-type": "text/plain"}, {"owner": "bob"}, {"team": "red"}, "metadata"),
        ({"content-type": "text/plain"}, {}, {"team": "red"}, "metadata"),
        ({"content-type": "text/plain"}, {"owner": "ann"}, {"team": "blue"}, "tags"),
        ({"content-type": "text/plain"}, {"owner": "ann"}, {}, "tags"),
    ):
        other = ObjectAttributes(headers, metadata, tags)
        yield StoredObject.of(b"abc", PLAIN), StoredObject.of(b"abc", other), code
    summed = StoredObject.of(b"abc", PLAIN, checksums=(SHA256,))
    yield summed, StoredObject.of(b"abc", PLAIN), "checksum"


def flipped_bytes() -> Iterator[tuple[StoredObject, StoredObject, str]]:
    """Objects of several steps, of which one byte is another in the replica."""
    for at in (0, STEP_BYTES - 1, 4 * STEP_BYTES, 9 * STEP_BYTES + 5):
        content = bytearray(b"x" * (9 * STEP_BYTES + 6))
        good = in_parts(bytes(content))
        content[at] ^= 1
        yield good, in_parts(bytes(content)), "bytes"


SHOWN_BY_LISTINGS = {"size", "etag", "storage-class", "etag-says-nothing"}


async def test_planted_differences_are_found_and_nothing_else() -> None:
    pair = Pair(KEYS)
    source, replica, target = pair.source.objects, pair.replica.objects, pair.target
    planted = iter(KEYS)
    expected: dict[str, tuple[str, str]] = {}

    def spoil(stored: StoredObject, sign: str, code: str) -> None:
        key = next(planted)
        replica[target(key)] = stored
        expected[key] = (sign, code)

    good = source[KEYS[0]]
    spoil(replace(good, content=b"Bytes" + good.content[5:]), "*", "bytes")  # etag kept
    key = KEYS[1]
    spoil(StoredObject.of(b"Bytes" + source[key].content[5:], PLAIN), "*", "bytes")
    spoil(StoredObject.of(b"trunc", PLAIN), "*", "size")
    spoil(StoredObject.of(source[KEYS[3]].content + b"!", PLAIN), "*", "size")
    spoil(StoredObject.of(b"", PLAIN), "*", "size")
    for ours, theirs, code in (*lost_attributes(), *flipped_bytes()):
        source[KEYS[len(expected)]] = ours
        spoil(theirs, "*", code)
    same = in_parts(b"y" * (3 * STEP_BYTES + 1))
    source[KEYS[-1]] = same
    replica[target(KEYS[-1])] = replace(same, etag="0" * 32 + "-9")
    missing = next(planted)
    del replica[target(missing)]
    expected[missing] = ("+", "missing")
    gone = next(planted)
    await pair.know(gone, source_etag=source[gone].etag, replica_etag=source[gone].etag)
    del replica[target(gone)]
    expected[gone] = ("+", "replica-gone")
    replica["copy/nobody/knows"] = good
    expected["raw/nobody/knows"] = ("-", "foreign")
    old = next(planted)  # the source went on to a new version of equal size
    await pair.know(old, source_etag=source[old].etag, replica_etag=source[old].etag)
    source[old] = StoredObject.of(source[old].content[::-1], PLAIN)
    expected[old] = ("*", "outdated")
    source["raw/tmp/x"] = good  # not wanted by the rule
    replica["copy/tmp/x"] = good
    expected["raw/tmp/x"] = ("-", "filtered-key")
    assert len(expected) == 26

    before = dict(source), dict(replica)
    tally, found = await pair.verify(depth=Depth.BYTES)
    assert found == expected
    assert tally.counts[Standing.SAME] == len(KEYS) - 24
    assert (dict(source), dict(replica)) == before
    operations = {*pair.source.requests, *pair.replica.requests}
    assert operations <= {"ListObjectsV2", "HeadObject", "GetObject", "GetObjectTagging"}

    # Looks at attributes find all but the bytes, and say of which they do not know them.
    pair.source.requests.clear()
    expected[KEYS[1]] = ("*", "etag")
    expected[KEYS[-1]] = ("?", "etag-says-nothing")
    _, by_looks = await pair.verify(depth=Depth.ATTRIBUTES)
    assert by_looks == {key: found for key, found in expected.items() if found[1] != "bytes"}
    # Without them what the listings show is found, and next to nothing is looked at.
    _, shallow = await pair.verify()
    assert shallow == {
        key: found
        for key, found in expected.items()
        if found[1]
        in {*SHOWN_BY_LISTINGS, "filtered-key", "foreign", "missing", "replica-gone", "outdated"}
    }
    assert "GetObject" not in pair.source.requests


async def test_what_the_ledger_knows_a_replica_to_lack_is_told_and_makes_no_difference() -> None:
    pair = Pair(KEYS[:5])
    known, more, moved, bare, gone = KEYS[:5]
    for key in (known, more, moved, bare):
        stored = StoredObject.of(key.encode(), FULL)
        pair.source.objects[key] = stored
        poor = replace(PLAIN, extras=replace(CARRIED, storage_class="", redirect=""))
        pair.replica.objects[pair.target(key)] = StoredObject.of(key.encode(), poor)
        names = ("redirect", "storage-class") if key != more else ("storage-class",)
        if key != bare:
            etag = stored.etag if key != moved else "another"
            await pair.know(key, source_etag=etag, replica_etag=stored.etag, lacks=names)
    tally, found = await pair.verify(depth=Depth.ATTRIBUTES)
    assert found == {
        known: ("=", "known-difference"),
        more: ("*", "redirect"),
        moved: ("*", "storage-class"),
        bare: ("*", "storage-class"),
    }
    assert (tally.counts[Standing.SAME], tally.known) == (2, 1)
    _, found = await pair.verify(rule=replace(RULE, keeping=Keeping(strict=True)))
    assert found[known] == ("*", "storage-class"), "strict replicas lack nothing"
    del pair.replica.objects[pair.target(gone)]
    tally, found = await pair.verify(depth=Depth.ATTRIBUTES, ignored=("storage-class", "redirect"))
    assert found == {gone: ("+", "missing")}
    await pair.know(gone, source_etag="", replica_etag="")
    for key in (more, moved, bare, gone):
        del pair.source.objects[key]
        pair.replica.objects.pop(pair.target(key), None)
    tally, _ = await pair.verify(depth=Depth.ATTRIBUTES)
    assert tally.is_equal


async def test_tags_are_read_only_where_a_look_says_that_there_are_some() -> None:
    pair = Pair(KEYS[:3])
    for key in KEYS[1:3]:
        pair.source.objects[key] = StoredObject.of(key.encode())
        pair.replica.objects[pair.target(key)] = StoredObject.of(key.encode())
    tagged = StoredObject.of(KEYS[2].encode(), ObjectAttributes(tags={"team": "red"}))
    pair.replica.objects[pair.target(KEYS[2])] = tagged
    _, found = await pair.verify(depth=Depth.ATTRIBUTES)
    assert found == {KEYS[2]: ("*", "tags")}
    for store in (pair.source, pair.replica):
        assert store.requests["HeadObject"] == 3
        assert store.requests["GetObjectTagging"] == 2


async def test_checksums_and_keys_of_encryption_say_what_etags_do_not() -> None:
    pair = Pair(KEYS[:4])
    source, replica = pair.source.objects, pair.replica.objects
    proven, other, sealed, plain = KEYS[:4]
    for key in (proven, other):
        stored = replace(in_parts(b"x" * 3000), checksums=(replace(SHA256, value="aa"),))
        source[key] = stored
        value = "aa" if key == proven else "bb"
        replica[pair.target(key)] = replace(
            stored, etag="1" * 32 + "-2", checksums=(replace(SHA256, value=value),)
        )
    source[sealed] = StoredObject.of(b"y" * 3000, FULL)
    replica[pair.target(sealed)] = replace(source[sealed], etag="2" * 32)
    source[plain] = StoredObject.of(b"z" * 3000, PLAIN)
    replica[pair.target(plain)] = replace(source[plain], etag="3" * 32)
    _, found = await pair.verify(depth=Depth.ATTRIBUTES)
    assert found == {
        other: ("*", "checksum"),
        sealed: ("?", "etag-says-nothing"),
        plain: ("*", "etag"),
    }
    _, found = await pair.verify()
    assert found[sealed] == ("?", "etag-says-nothing"), "one look tells that it is encrypted"
    _, found = await pair.verify(depth=Depth.BYTES)
    assert found == {}, "equal bytes, whatever the etags and checksums say"


async def test_large_objects_are_read_in_step_with_bounded_memory() -> None:
    pair = Pair(KEYS)
    content = b"x" * (40 * STEP_BYTES + 1)
    for key in KEYS:
        pair.source.objects[key] = in_parts(content)
        pair.replica.objects[pair.target(key)] = replace(in_parts(content), etag="1" * 32 + "-2")

    class Watched(MemoryStore):
        """Counts the ranges that are under way."""

        under_way = most = longest = 0

        async def get_range(
            self,
            key: str,
            *,
            first: int,
            last: int,
            if_match: str,
            **options: object,
        ) -> PartBody:
            Watched.under_way += 1
            Watched.most = max(Watched.most, Watched.under_way)
            Watched.longest = max(Watched.longest, last - first + 1)
            await asyncio.sleep(0)  # the others may begin
            Watched.under_way -= 1
            return await super().get_range(key, first=first, last=last, if_match=if_match)

    stores = pair.source._stores
    tally, found = await pair.verify(
        depth=Depth.BYTES, source=Watched(stores, "source"), replica=Watched(stores, "paris")
    )
    assert (tally.read, found) == (len(KEYS), {})
    assert Watched.longest == STEP_BYTES
    assert Watched.most == 2 * READS_AT_ONCE


async def test_an_object_that_is_overwritten_while_it_is_read_is_not_judged() -> None:
    pair = Pair(KEYS[:2])
    for key in KEYS[:2]:
        stored = in_parts(b"x" * 5000)
        pair.source.objects[key] = pair.replica.objects[pair.target(key)] = stored

    class Moving(MemoryStore):
        async def get_range(self, key: str, **options: object) -> PartBody:
            if key == pair.target(KEYS[0]):
                self.objects[key] = in_parts(b"y" * 5000 + b"!")
            return await super().get_range(key, **options)  # type: ignore[arg-type]

    _, found = await pair.verify(depth=Depth.BYTES, replica=Moving(pair.source._stores, "paris"))
    assert found == {KEYS[0]: ("?", "moved")}


async def test_a_request_that_fails_once_is_made_again() -> None:
    pair = Pair(KEYS[:2])
    failed: set[str] = set()

    class Shaky(MemoryStore):
        async def head(self, key: str, *, version_id: str | None = None) -> Probe:
            if key not in failed:
                failed.add(key)
                raise Unavailable("busy")
            return await super().head(key)

    shaky = Shaky(pair.source._stores, "paris")
    verifying = asyncio.ensure_future(pair.verify(depth=Depth.ATTRIBUTES, replica=shaky))
    await pair.clock.run_until(verifying.done)
    assert (await verifying)[1] == {}
    assert len(failed) == 2


async def test_what_two_etags_do_not_say_the_ledger_says_or_nobody() -> None:
    pair = Pair(KEYS[:3])
    for key in KEYS[:3]:
        stored = pair.replica.objects[pair.target(key)]
        pair.replica.objects[pair.target(key)] = replace(stored, etag="0" * 32 + "-2")
    known, moved, unknown = KEYS[:3]
    await pair.know(
        known, source_etag=pair.source.objects[known].etag, replica_etag="0" * 32 + "-2"
    )
    await pair.know(moved, source_etag=pair.source.objects[moved].etag, replica_etag="other")
    tally, found = await pair.verify()
    assert found == {moved: ("*", "replica-changed"), unknown: ("?", "etag-says-nothing")}
    assert (tally.counts[Standing.SAME], tally.is_equal) == (1, False)
    _, found = await pair.verify(depth=Depth.BYTES)
    assert found == {moved: ("*", "replica-changed")}, "the bytes are equal; that it moved stays"


@pytest.mark.parametrize("side", ["source", "replica"])
async def test_a_store_that_lists_by_directory_is_sorted(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SORTED_ROWS_MAX", 400)
    keys = [f"raw/x{mark}{number}" for number in range(300) for mark in ("/", "-", "", "0")]
    pair = Pair(sorted(keys))
    del pair.replica.objects[pair.target("raw/x-7")]
    bent = ByDirectory(pair.source._stores, "source" if side == "source" else "paris")
    tally, found = await pair.verify(**{side: bent})  # type: ignore[arg-type]
    assert found == {"raw/x-7": ("+", "missing")}
    assert tally.counts[Standing.SAME] == len(keys) - 1


async def test_a_prefix_and_a_sample_narrow_what_is_read() -> None:
    pair = Pair(KEYS)
    tally, found = await pair.verify(prefix="raw/a/", depth=Depth.BYTES, sample=0.5)
    assert found == {}
    assert tally.counts[Standing.SAME] == 30
    assert 0 < tally.read < 30
    assert (await pair.verify(prefix="other/"))[0].keys == 0


async def test_a_listing_that_changes_meanwhile_makes_no_difference() -> None:
    pair = Pair(KEYS)
    late = KEYS[7]

    class Busy(MemoryStore):
        """Somebody writes a new state, and it is copied, after this side was listed."""

        async def list_page(self, *arguments: object, **options: object) -> ListPage:
            page = await super().list_page(*arguments, **options)  # type: ignore[arg-type]
            new = StoredObject.of(b"new", PLAIN)
            pair.source.objects[late] = pair.replica.objects[pair.target(late)] = new
            return page

    _, found = await pair.verify(source=Busy(pair.source._stores, "source"))
    assert found == {}


async def test_a_listing_that_fails_is_no_answer() -> None:
    pair = Pair(KEYS)

    class Broken(MemoryStore):
        async def list_page(self, *arguments: object, **options: object) -> ListPage:
            raise AccessDenied("not yours")

    with pytest.raises(AccessDenied):
        await pair.verify(replica=Broken(pair.source._stores, "paris"))


async def test_where_every_version_counts_each_is_looked_for() -> None:
    pair = Pair(KEYS[:4])
    stores = pair.source._stores
    source = stores.create_bucket("source", versioned=True)
    replica = stores.create_bucket("paris", versioned=True)
    short, flipped, marker = KEYS[:3]
    for key in KEYS[:4]:
        for content in (b"one", b"two", b"three"):
            source.objects[key] = StoredObject.of(content)
            other = key == flipped and content == b"two"
            if (key, content) != (short, b"two"):
                replica.objects[pair.target(key)] = StoredObject.of(b"TWO" if other else content)
        if key == marker:
            del source.objects[key]
            source.objects[key] = StoredObject.of(b"four")
            replica.objects[pair.target(key)] = StoredObject.of(b"four")
    rule = replace(RULE, versions=Versions.ALL)
    assert (await pair.verify(rule=rule))[1] == {}, "no listing tells it"
    expected = {short: ("*", "history"), flipped: ("*", "history")}
    _, found = await pair.verify(rule=rule, depth=Depth.ATTRIBUTES)
    assert found == expected, "delete markers count only where deletes are replicated"
    rule = replace(rule, deletes=Deletes.REPLICATE)
    _, found = await pair.verify(rule=rule, depth=Depth.BYTES)
    assert found == expected | {marker: ("*", "history")}
