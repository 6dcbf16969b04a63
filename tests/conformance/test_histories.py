"""What every journal must do with what is known of versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3fanout.model.histories import MARKER_ETAG, VersionRecord
from tests.conformance.journals import JOURNALS, World, world_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FIRST = VersionRecord("v1", "etag-1", 1, "r1")
MARKER = VersionRecord("v2", MARKER_ETAG, 0, "r2")
PENDING = VersionRecord("v3", "etag-3", 3, "")
DONE = VersionRecord("v3", "etag-3", 3, "r3")


@pytest.fixture(params=JOURNALS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = world_of(request.param, tmp_path)
    await world.start()
    yield world
    await world.stop()


async def test_versions_come_back_newest_first(world: World) -> None:
    assert await world.journal.versions_kept("a", "key") == []
    await world.journal.keep_versions("a", "key", [FIRST])
    await world.journal.keep_versions("a", "key", [MARKER, PENDING])
    assert await world.journal.versions_kept("a", "key") == [PENDING, MARKER, FIRST]
    assert await world.journal.versions_kept("a", "key", limit=2) == [PENDING, MARKER]


async def test_what_is_kept_again_is_the_newest(world: World) -> None:
    await world.journal.keep_versions("a", "key", [PENDING, FIRST, MARKER])
    await world.journal.keep_versions("a", "key", [DONE])
    assert await world.journal.versions_kept("a", "key") == [DONE, MARKER, FIRST]


async def test_keys_and_destinations_have_their_own(world: World) -> None:
    await world.journal.keep_versions("a", "key", [FIRST])
    await world.journal.keep_versions("b", "key", [MARKER])
    await world.journal.keep_versions("a", "key\0", [DONE])
    assert await world.journal.versions_kept("a", "key") == [FIRST]
    assert await world.journal.versions_kept("b", "key") == [MARKER]
    assert await world.journal.versions_kept("a", "key\0") == [DONE]


async def test_a_forgotten_version_leaves_the_others(world: World) -> None:
    await world.journal.keep_versions("a", "key", [FIRST, MARKER, DONE])
    for _ in range(2):
        await world.journal.forget_version("a", "key", "v2")
    await world.journal.forget_version("b", "key", "v1")
    assert await world.journal.versions_kept("a", "key") == [DONE, FIRST]


async def test_versions_outlive_the_process(world: World) -> None:
    await world.journal.keep_versions("a", "key", [FIRST, PENDING])
    await world.stop()
    await world.start()
    assert await world.journal.versions_kept("a", "key") == [PENDING, FIRST]
