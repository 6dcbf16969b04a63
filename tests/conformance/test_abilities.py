"""What ``s3fanout check`` asks of a store is answered as the store then behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store.s3_abilities import ALGORITHMS, Kept, Shown, ask_abilities
from s3fanout.adapters.store.s3_probe import refuses_wrong_copies
from s3fanout.engine.knowledge import StoreKnowledge
from s3fanout.model.abilities import Ability
from s3fanout.model.errors import Throttled
from s3fanout.service.abilities import Asked, look
from tests.conformance.object_stores import PLAIN, body_of, open_s3
from tests.functional.clock import VirtualClock
from tests.servers.server import Server, create_bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3fanout.adapters.store.classify import Operation
    from s3fanout.adapters.store.s3 import S3Store
    from s3fanout.adapters.store.transport import Response
    from s3fanout.model.vendors import Vendor

pytestmark = pytest.mark.stores

KNOWN = {
    "seaweedfs": (True, Kept.YES),
    "minio": (True, Kept.IGNORED),
    "ministack": (True, Kept.OF_PARTS),
    "moto": (False, Kept.YES),
}


@pytest.fixture(params=["seaweedfs", "minio_frontend", "ministack", "moto"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


CONDITIONS = {"seaweedfs": True, "minio": True, "ministack": True, "moto": False}


async def test_a_wrongly_pinned_copy_is_refused_or_what_it_made_is_removed(
    server: Server, bucket_name: Callable[[str], str]
) -> None:
    source = create_bucket(server, bucket_name("pinned"))
    store: S3Store = open_s3(server, source, "routed")  # type: ignore[assignment]
    await store.put("object", body_of(b"1"), PLAIN)
    honoured = await refuses_wrong_copies(store, "trial", source_bucket=source, source_key="object")
    assert honoured is CONDITIONS[server.name]
    assert [row.key for row in (await store.list_page()).objects] == ["object"]
    await store.close()


async def test_an_object_of_the_name_of_the_trial_is_left_alone(
    moto: Server, bucket_name: Callable[[str], str]
) -> None:
    source = create_bucket(moto, bucket_name("pinned"))
    store: S3Store = open_s3(moto, source, "routed")  # type: ignore[assignment]
    for key in ("object", "trial"):
        await store.put(key, body_of(key.encode()), PLAIN)
    tried = await refuses_wrong_copies(store, "trial", source_bucket=source, source_key="object")
    assert tried is None
    assert (await store.get("trial", if_match=None, size_bytes_max=99)).content == b"trial"
    await store.close()


async def test_the_daemon_asks_once_and_then_only_who_the_store_is(
    server: Server, bucket_name: Callable[[str], str]
) -> None:
    clock = VirtualClock()
    book = MemoryJournal(clock=clock)
    store: S3Store = open_s3(  # type: ignore[assignment]
        server, create_bucket(server, bucket_name("asked")), "routed"
    )
    await store.put("object", body_of(b"1"), PLAIN)
    sent: list[str] = []
    send = store.send

    async def counted(operation: Operation, *arguments: object, **options: object) -> Response:
        sent.append(operation)
        return await send(operation, *arguments, **options)  # type: ignore[arg-type]

    store.send = counted  # type: ignore[method-assign]
    counts = []
    for _ in range(2):
        known = StoreKnowledge("here", program="1.0", vendor=nobody_asks, book=book, clock=clock)
        await look(Asked(store, known, key="asked", prefix="", source=store))
        counts.append(len(sent))
        sent.clear()
    assert counts[0] <= 30
    assert counts[1] == 1
    found = {each.ability: each.value for each in await book.abilities()}
    assert found[Ability.DIGESTS] == ("yes" if KNOWN[server.name][0] else "no")
    assert found[Ability.TAGS] == "yes"
    assert found.get(Ability.CONDITIONS) == (None if CONDITIONS[server.name] else "no")
    assert [row.key for row in (await store.list_page()).objects] == ["object"]
    await store.close()


async def nobody_asks() -> Vendor:
    raise AssertionError


async def test_abilities_are_those_seen_and_nothing_is_left(
    server: Server, bucket_name: Callable[[str], str]
) -> None:
    store: S3Store = open_s3(  # type: ignore[assignment]
        server, create_bucket(server, bucket_name("abilities")), "routed"
    )
    checks, kept = KNOWN[server.name]
    assert await ask_abilities(store, "asked") == Shown(
        checks_digests=checks,
        wants_digests=False,
        tags_refused=None,
        checksums=dict.fromkeys(ALGORITHMS, kept),
    )
    assert not (await store.list_page()).objects
    assert not await store.list_uploads("asked")
    await store.close()


async def test_a_store_that_asks_for_patience_has_not_answered(
    moto: Server, bucket_name: Callable[[str], str]
) -> None:
    """It would be kept as a "no" for weeks."""
    store: S3Store = open_s3(moto, create_bucket(moto, bucket_name("busy")), "routed")  # type: ignore[assignment]
    send = store.send

    async def busy(operation: Operation, *words: object, **options: object) -> Response:
        if "x-amz-tagging" in options.get("headers", {}):  # type: ignore[operator]
            raise Throttled("slow down", operation=operation, status=503)
        return await send(operation, *words, **options)  # type: ignore[arg-type]

    store.send = busy  # type: ignore[method-assign]
    with pytest.raises(Throttled):
        await ask_abilities(store, "asked")
    await store.close()
