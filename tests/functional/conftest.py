"""Worlds for functional tests, shut after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.functional.world import World


@pytest.fixture
async def world_of() -> AsyncIterator[Callable[..., World]]:
    """Makes worlds whose engine works already; arguments as of ``World``."""
    worlds: list[World] = []

    def make(*to: object, **options: object) -> World:
        world = World(*to, **options)  # type: ignore[arg-type]  # passed on as they came
        world.engine.start()
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        await world.shut()
