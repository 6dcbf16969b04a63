"""What the emulator of the demo loses comes back while the demo still waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from s3fanout.config.load import load
from s3fanout.config.settings import Settings
from s3fanout.deploy import demo
from s3fanout.deploy.emulator import Emulator
from s3fanout.deploy.session import AwsSession
from s3fanout.deploy.template import template_of
from s3fanout.model.topology import PythonVersion, Topology
from tests.functional.clock import VirtualClock


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As a deployment gets them: written, read and checked."""
    # This Python may be one that Lambda does not have.
    monkeypatch.setattr(demo, "local_python", lambda: PythonVersion.V3_13)
    running = Emulator("http://127.0.0.1:1", 1)
    return load(demo.write_config(tmp_path, running, Topology.DURABLE), env={}).settings


def hidden_s(settings: Settings) -> float:
    """How long the queues of these settings hide what a function was given."""
    times = {
        each["Properties"]["VisibilityTimeout"]
        for each in template_of(settings)["Resources"].values()
        if "VisibilityTimeout" in each["Properties"]
    }
    (found,) = times
    return float(found)


class Emptied:
    """An emulator whose destinations hold nothing until a time, and then everything."""

    def __init__(self, clock: VirtualClock, keys: list[str], *, until_s: float) -> None:
        self._clock, self._keys, self._until_s = clock, keys, until_s

    def client(self, service: str, *, region: str) -> Any:
        assert service == "s3", region
        return self

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        back = self._clock.monotonic_s() >= self._until_s
        yield {"Contents": [{"Key": key} for key in self._keys]} if back else {}


async def ended_after(until_s: float) -> tuple[bool, int]:
    """Whether the demo saw what arrives after ``until_s``, and how often it said that it waits."""
    clock, keys, said = VirtualClock(), ["a", "b"], list[str]()
    waiting = asyncio.ensure_future(
        demo.wait_replicated(
            cast("AwsSession", Emptied(clock, keys, until_s=until_s)),
            keys,
            clock=clock,
            tell=lambda _: None,
            tell_quiet=lambda: said.append("quiet"),
        )
    )
    await clock.run_until(waiting.done)
    return await waiting, len(said)


def test_lost_work_is_back_before_the_demo_gives_up(settings: Settings) -> None:
    assert hidden_s(settings) < demo.STALLED_S
    assert hidden_s(settings) == demo.HIDDEN_S, "what the demo says that it waits for"
    assert hidden_s(settings) <= 120, "a person waits in front of it"


async def test_it_waits_for_lost_work_and_says_so_once(settings: Settings) -> None:
    assert settings.aws is not None
    assert await ended_after(hidden_s(settings) + settings.aws.timeout_s) == (True, 1)


async def test_it_says_nothing_while_all_is_well_and_does_not_wait_for_ever() -> None:
    assert await ended_after(5.0) == (True, 0)
    assert await ended_after(demo.STALLED_S + 60.0) == (False, 1)
