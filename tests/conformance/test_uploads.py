"""What ``ports/uploads.py`` promises, for every journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from s3fanout.model.uploads import ReplicaUpload
from tests.conformance.journals import JOURNALS, World, world_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(params=JOURNALS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = world_of(request.param, tmp_path)
    await world.start()
    yield world
    await world.stop()


async def test_an_upload_is_remembered_until_it_is_forgotten(world: World) -> None:
    first = ReplicaUpload("a", "k\n", "r/k", "id-1", "print", 8)
    await world.journal.forget_upload("a", "k\n")
    assert await world.journal.upload_of("a", "k\n") is None
    await world.journal.keep_upload(first)
    await world.journal.keep_upload(replace(first, destination="b", upload_id="id-2"))
    assert await world.journal.upload_of("a", "k\n") == first
    await world.stop()
    await world.start()
    assert await world.journal.upload_of("a", "k\n") == first
    await world.journal.keep_upload(replace(first, upload_id="id-3"))
    assert await world.journal.upload_of("a", "k\n") == replace(first, upload_id="id-3")
    await world.journal.forget_upload("a", "k\n")
    assert await world.journal.upload_of("a", "k\n") is None
    assert await world.journal.upload_of("b", "k\n") is not None
