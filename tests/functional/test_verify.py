"""Verify finds what differs, says why, and nothing else; in memory, where bytes can be bent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.memory import MemoryStore, MemoryStores, StoredObject
from s3fanout.decide.compare import Standing
from s3fanout.engine import listing
from s3fanout.engine.verify import Depth, Finding, Tally, Verifier
from s3fanout.model.errors import AccessDenied
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState, NewJob, Settlement
from s3fanout.model.objects import Listed, ListPage, ObjectAttributes
from s3fanout.model.rules import KeyFilter, KeyMap, Rule
from tests.functional.clock import VirtualClock

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

    async def know(self, key: str, *, source_etag: str, replica_etag: str) -> None:
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
        source: MemoryStore | None = None,
        replica: MemoryStore | None = None,
    ) -> tuple[Tally, dict[str, tuple[str, str]]]:
        """The tally, and sign and code of each finding by key."""
        findings: list[Finding] = []
        verifier = Verifier(
            rule=RULE,
            source=source or self.source,
            replica=replica or self.replica,
            ledger=self.ledger,
            clock=self.clock,
            part_bytes=1000,
            depth=depth,
            sample=sample,
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


async def test_fifteen_planted_differences_are_found_and_nothing_else() -> None:
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
    spoil(StoredObject.of(b"Bytes" + source[key].content[5:], PLAIN), "*", "etag")
    spoil(StoredObject.of(b"trunc", PLAIN), "*", "size")
    spoil(StoredObject.of(source[KEYS[3]].content + b"!", PLAIN), "*", "size")
    spoil(StoredObject.of(b"", PLAIN), "*", "size")
    for headers, metadata, tags, code in (
        ({"content-type": "text/html"}, {"owner": "ann"}, {"team": "red"}, "headers"),
        ({"content-type": "text/plain"}, {"owner": "bob"}, {"team": "red"}, "metadata"),
        ({"content-type": "text/plain"}, {}, {"team": "red"}, "metadata"),
        ({"content-type": "text/plain"}, {"owner": "ann"}, {"team": "blue"}, "tags"),
        ({"content-type": "text/plain"}, {"owner": "ann"}, {}, "tags"),
    ):
        content = source[KEYS[len(expected)]].content
        spoil(StoredObject.of(content, ObjectAttributes(headers, metadata, tags)), "*", code)
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
    assert len(expected) == 15

    before = dict(source), dict(replica)
    tally, found = await pair.verify(depth=Depth.BYTES)
    assert found == expected
    assert tally.counts[Standing.SAME] == len(KEYS) - 13
    assert (dict(source), dict(replica)) == before
    operations = {*pair.source.requests, *pair.replica.requests}
    assert operations <= {"ListObjectsV2", "HeadObject", "GetObject", "GetObjectTagging"}

    # Without --deep what the listings show is found, and no byte is read.
    pair.source.requests.clear()
    _, shallow = await pair.verify()
    assert shallow == {
        key: found
        for key, found in expected.items()
        if found[1] not in {"bytes", "headers", "metadata", "tags"}
    }
    assert "GetObject" not in pair.source.requests


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
