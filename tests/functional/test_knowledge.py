"""What a store showed once is used later, and only where it still counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.memory import MemoryStore, MemoryStores
from s3fanout.decide.abilities import AGE_S
from s3fanout.engine.knowledge import StoreKnowledge
from s3fanout.engine.verify import Finding, Verifier
from s3fanout.model.abilities import NO, YES, Ability, AbilityRecord
from s3fanout.model.errors import LedgerUnavailable, Unavailable
from s3fanout.model.objects import ListPage
from s3fanout.model.rules import Rule
from s3fanout.model.vendors import OTHER, Vendor, VendorName, vendor_named
from s3fanout.ports.abilities import Abilities
from tests.conformance.object_stores import PLAIN, body_of
from tests.functional.clock import VirtualClock

STORE = "http://here/a"


async def other() -> Vendor:
    return OTHER


async def by_directory() -> Vendor:
    return vendor_named(VendorName.SEAWEEDFS)


async def silent() -> Vendor:
    raise Unavailable("no answer")


class FullLedger:
    """One that can be neither read nor written now."""

    async def abilities(self) -> Sequence[AbilityRecord]:
        raise LedgerUnavailable("disk full")

    async def keep_abilities(self, records: Sequence[AbilityRecord]) -> None:
        raise LedgerUnavailable("disk full")


def knowing(
    book: Abilities | None,
    clock: VirtualClock,
    *,
    program: str = "1.0",
    vendor: object = other,
    store: str = STORE,
) -> StoreKnowledge:
    return StoreKnowledge(store, program=program, vendor=vendor, book=book, clock=clock)  # type: ignore[arg-type]


async def test_what_check_saw_counts_in_the_daemon_once_the_store_is_seen_to_be_the_same() -> None:
    clock = VirtualClock()
    book = MemoryJournal(clock=clock)
    check = knowing(book, clock)
    check.met("Sea 4")
    assert await check.keep({Ability.CONDITIONS: YES}, by="check")
    daemon = knowing(book, clock)
    await daemon.read()
    assert not daemon.honours_conditions()
    daemon.met("Sea 4")
    assert daemon.honours_conditions()
    daemon.met("Sea 5")
    assert not daemon.honours_conditions()


async def test_what_was_seen_is_of_one_store_one_program_and_a_time() -> None:
    clock = VirtualClock()
    book = MemoryJournal(clock=clock)
    await knowing(book, clock).keep({Ability.DIGESTS: YES}, by="check")
    for later in (knowing(book, clock, program="1.1"), knowing(book, clock, store="http://b/a")):
        await later.read()
        assert later.has(Ability.DIGESTS) is None
    same = knowing(book, clock)
    await same.read()
    assert same.has(Ability.DIGESTS) == YES
    same.met("Sea 5")
    assert same.has(Ability.DIGESTS) is None
    same.met("")
    assert same.has(Ability.DIGESTS) == YES
    await clock.advance(AGE_S + 1)
    assert same.has(Ability.DIGESTS) is None


async def test_a_ledger_that_fails_costs_only_the_memory_of_it() -> None:
    known = knowing(FullLedger(), VirtualClock())
    await known.read()
    assert not await known.keep({Ability.ORDER: NO}, by="sweep")
    assert await known.is_unordered()
    assert not await knowing(None, VirtualClock()).keep({Ability.ORDER: NO}, by="sweep")


async def test_the_kind_of_store_tells_its_order_where_nothing_was_seen() -> None:
    clock = VirtualClock()
    assert await knowing(None, clock, vendor=by_directory).is_unordered()
    assert not await knowing(None, clock).is_unordered()
    assert not await knowing(None, clock, vendor=silent).is_unordered()


class ByDirectory:
    """A bucket that lists the other way round, and counts its pages."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner
        self.pages = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def list_page(self, prefix: str = "", **options: object) -> ListPage:
        self.pages += 1
        page = await self._inner.list_page(prefix, **options)  # type: ignore[arg-type]
        return replace(page, objects=page.objects[::-1])


async def nothing_found(findings: Sequence[Finding]) -> None:
    assert not findings


async def test_a_store_that_listed_in_another_order_is_sorted_from_the_beginning_next_time() -> (
    None
):
    clock = VirtualClock()
    stores = MemoryStores(clock)
    source, replica = stores.create_bucket("source"), stores.create_bucket("a")
    for key in ("a", "b", "c"):
        await source.put(key, body_of(b"1"), PLAIN)
        await replica.put(key, body_of(b"1"), PLAIN)
    book = MemoryJournal(clock=clock)
    pages: list[tuple[int, int]] = []
    restarts: list[str] = []
    for _ in range(2):
        lists = ByDirectory(replica)
        verifier = Verifier(
            rule=Rule("a"),
            source=source,
            replica=lists,  # type: ignore[arg-type]
            ledger=None,
            clock=clock,
            orders=(
                knowing(book, clock, store="http://here/source"),
                knowing(book, clock),
            ),
        )
        before = len(restarts)
        tally = await verifier.run("", nothing_found, restarted=lambda: restarts.append("again"))
        assert tally.is_equal
        pages.append((lists.pages, len(restarts) - before))
    (record,) = await book.abilities()
    assert (record.store, record.ability, record.value) == (STORE, Ability.ORDER, NO)
    assert [began_again for _, began_again in pages] == [1, 0]
    assert pages[1][0] < pages[0][0]
