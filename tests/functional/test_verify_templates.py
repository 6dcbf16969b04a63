"""Destinations with a key template are compared too, though their keys come in another order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.decide.compare import Standing
from s3fanout.decide.match import replica_key
from s3fanout.engine import listing
from s3fanout.engine.verify import Finding, Tally, Verifier
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import ErrorRecord, JobState, NewJob, Settlement
from s3fanout.model.rules import KeyFilter, KeyMap, Rule
from tests.functional.clock import VirtualClock

VERSIONED = Rule(
    "paris",
    KeyFilter(exclude_prefixes=("raw/tmp/",)),
    KeyMap(strip_prefix="raw/", template="copy/{path}v1-{stem}-x{ext}"),
)
FLAT = Rule("paris", KeyFilter(exclude_suffixes=(".tmp",)), KeyMap(template="flat/{name}"))


class Pair:
    """Source and destination of one rule."""

    def __init__(self, rule: Rule, keys: Sequence[str]) -> None:
        self.rule, self.clock = rule, VirtualClock()
        stores = MemoryStores(self.clock)
        self.source, self.replica = stores.create_bucket("source"), stores.create_bucket("paris")
        self.ledger = MemoryJournal(clock=self.clock)
        for key in keys:
            stored = StoredObject.of(key.encode())
            self.source.objects[key] = self.replica.objects[self.target(key)] = stored

    def target(self, key: str) -> str:
        """What the destination calls it."""
        return replica_key(self.rule.key_map, key)

    async def know(self, key: str, *, refused: bool = False) -> None:
        """Write into the ledger that the key was copied, or refused."""
        if not refused:
            await self.ledger.claim_replica_key("paris", self.target(key), key)
        await self.ledger.accept([NewJob("paris", key, ChangeKind.CREATED, 1)], now_ms=1)
        (job,) = await self.ledger.claim("paris", 1, now_ms=1)
        etag = self.source.objects[key].etag
        copied = Settlement(
            job, JobState.SETTLED, 2, "copied", 0, source_etag=etag, replica_etag=etag
        )
        error = ErrorRecord("key-collision", "taken", "")
        dead = Settlement(job, JobState.DEAD, 2, "taken", 0, error=error)
        await self.ledger.settle([dead if refused else copied])
        await self.ledger.finish([job])

    async def verify(
        self, prefix: str = "", *, with_ledger: bool = True
    ) -> tuple[Tally, dict[str, str]]:
        """The tally, and sign and code by key."""
        findings: list[Finding] = []

        async def found(some: Sequence[Finding]) -> None:
            findings.extend(some)

        verifier = Verifier(
            rule=self.rule,
            source=self.source,
            replica=self.replica,
            ledger=self.ledger if with_ledger else None,
            clock=self.clock,
        )
        tally = await verifier.run(prefix, found)
        assert len(findings) == len({finding.key for finding in findings})
        return tally, {
            finding.key: f"{finding.verdict.standing.value} {finding.verdict.code}"
            for finding in findings
        }


KEYS = [
    f"raw/{folder}{number:03}{ext}"
    for folder in ("", "a/", "a/b/", "a-b/", "v1-/")
    for number in range(60)
    for ext in (".txt", "")
]


async def test_a_lossless_template_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SORTED_ROWS_MAX", 150)  # most of it is sorted in files
    pair = Pair(VERSIONED, KEYS)
    tally, found = await pair.verify()
    assert (tally.counts[Standing.SAME], found) == (len(KEYS), {})
    assert not tally.extras_unlooked

    gone, other, ours = "raw/a/007.txt", "raw/a/b/001", "raw/a-b/003.txt"
    await pair.know(ours)
    del pair.replica.objects[pair.target(gone)]
    pair.replica.objects[pair.target(other)] = StoredObject.of(b"other")
    del pair.source.objects[ours]
    foreign = StoredObject.of(b"foreign")
    pair.replica.objects["copy/a/no-rendering"] = foreign
    pair.replica.objects[pair.target("raw/z/nobody.txt")] = foreign
    pair.source.objects["raw/tmp/x"] = pair.replica.objects[pair.target("raw/tmp/x")] = foreign
    pair.source.requests.clear()
    _, found = await pair.verify()
    below_a = {gone: "+ missing", other: "* size"}
    assert found == below_a | {
        ours: "- source-gone",
        "copy/a/no-rendering": "- foreign",
        "raw/z/nobody.txt": "- foreign",
        "raw/tmp/x": "- filtered-key",
    }
    assert pair.source.requests["HeadObject"] == 5, "only what differs and has a source key"
    assert (await pair.verify("raw/a/"))[1] == below_a


async def test_of_objects_with_one_replica_key_the_ledger_says_whose_it_is() -> None:
    pair = Pair(FLAT, ["a/x", "a/y", "b/x", "b/x.tmp", "c/z"])
    await pair.know("b/x")
    await pair.know("a/x", refused=True)
    pair.replica.objects["flat/nobody"] = StoredObject.of(b"")
    del pair.replica.objects["flat/x.tmp"]
    await pair.know("c/z")
    del pair.source.objects["c/z"]
    tally, found = await pair.verify()
    assert found == {
        "a/x": "+ key-collision",
        "flat/nobody": "- foreign",
        "c/z": "- source-gone",
    }
    assert tally.counts[Standing.SAME] == 2
    assert not tally.extras_unlooked
    assert (await pair.verify("a/"))[1] == {"a/x": "+ key-collision"}
    assert (await pair.verify("b/"))[1] == {}
    assert (await pair.verify("c/"))[1] == {"c/z": "- source-gone"}


async def test_without_a_ledger_a_lossy_template_hides_extras_and_that_is_no_equality() -> None:
    pair = Pair(FLAT, ["a/x", "a/y"])
    pair.replica.objects["flat/nobody"] = StoredObject.of(b"")
    tally, found = await pair.verify(with_ledger=False)
    assert (found, tally.extras_unlooked, tally.is_equal) == ({}, True, False)
    lossless, _ = await Pair(VERSIONED, KEYS[:5]).verify(with_ledger=False)
    assert (lossless.extras_unlooked, lossless.is_equal) == (False, True)
