"""Installations and buckets for end-to-end tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.installation import Installation, Place
from tests.servers.aws import FunctionWorld
from tests.servers.server import Server, create_bucket

Install = Callable[..., Installation]
NewPlace = Callable[..., Place]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Makes installations; no process of them outlives the test."""
    with ExitStack() as running:

        def make(**options: Any) -> Installation:
            directory = options.pop("directory", tmp_path / "installation")
            return running.enter_context(Installation(directory, **options))

        yield make


@pytest.fixture
def new_place(bucket_name: Callable[[str], str]) -> NewPlace:
    """Makes buckets: ``new_place(server, "source")``."""

    def make(server: Server, purpose: str, **options: Any) -> Place:
        return Place(server, create_bucket(server, bucket_name(purpose)), **options)

    return make


@pytest.fixture
def three(seaweedfs: Server, new_place: NewPlace) -> tuple[Place, dict[str, Place]]:
    """A source and three destinations in one store that sends no events: the test does."""
    destinations = {name: new_place(seaweedfs, name) for name in ("paris", "tokyo", "lima")}
    return new_place(seaweedfs, "source"), destinations


@pytest.fixture
async def world(
    ministack: Server, bucket_name: Callable[[str], str]
) -> AsyncIterator[FunctionWorld]:
    """Functions on the emulator, and what is around them; closed also after a failure."""
    world = FunctionWorld(ministack, bucket_name("fn"))
    try:
        await world.build()
        yield world
    finally:
        await world.close()
