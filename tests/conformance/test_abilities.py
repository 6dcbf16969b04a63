"""What ``s3fanout check`` asks of a store is answered as the store then behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.store.s3_abilities import ALGORITHMS, Abilities, Kept, ask_abilities
from tests.conformance.object_stores import open_s3
from tests.servers.server import Server, create_bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3fanout.adapters.store.s3 import S3Store

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


async def test_abilities_are_those_seen_and_nothing_is_left(
    server: Server, bucket_name: Callable[[str], str]
) -> None:
    store: S3Store = open_s3(  # type: ignore[assignment]
        server, create_bucket(server, bucket_name("abilities")), "routed"
    )
    checks, kept = KNOWN[server.name]
    assert await ask_abilities(store, "asked") == Abilities(
        checks_digests=checks,
        wants_digests=False,
        tags_refused=None,
        checksums=dict.fromkeys(ALGORITHMS, kept),
    )
    assert not (await store.list_page()).objects
    assert not await store.list_uploads("asked")
    await store.close()
