"""``x`` and ``x/y`` are both there, however many clients of this process write them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from s3fanout.adapters.system import SystemClock
from s3fanout.config.load import parse
from s3fanout.wiring import Stores
from tests.conformance.object_stores import PLAIN, body_of, listed
from tests.servers.server import Server, create_bucket

PAIRS, AT_ONCE = 400, 8
"""So two clients that know nothing of each other lose 10 to 22 (SeaweedFS 4.48, 2026-11)."""

CONFIG = """\
schema = 1
source = {{ bucket = "source", endpoint = "{endpoint}", credentials = {{ env = "KEY" }} }}
destinations.files = {{ bucket = "{bucket}", include.suffixes = ["/x"] }}
destinations.below = {{ bucket = "{bucket}", include.suffixes = ["/y"] }}
intake.webhook.token = {{ env = "TOKEN" }}
"""


@pytest.mark.stores
async def test_two_destinations_in_one_bucket_lose_nothing(
    seaweedfs: Server, bucket_name: Callable[[str], str]
) -> None:
    bucket = create_bucket(seaweedfs, bucket_name("to"))
    env = {"KEY_ACCESS_KEY_ID": seaweedfs.access_key, "KEY_SECRET_ACCESS_KEY": seaweedfs.secret_key}
    text = CONFIG.format(endpoint=seaweedfs.endpoint, bucket=bucket)
    settings = parse(text, path=Path("s3fanout.toml"), env={}).settings
    stores = Stores(settings, env, clock=SystemClock())
    try:
        files, below = (stores.open(to) for to in settings.destinations.values())
        turns = asyncio.Semaphore(AT_ONCE)

        async def write(number: int) -> None:
            async with turns:
                await asyncio.gather(
                    files.put(f"{number}/x", body_of(b"1"), PLAIN),
                    below.put(f"{number}/x/y", body_of(b"2"), PLAIN),
                )

        await asyncio.gather(*map(write, range(PAIRS)))
        wanted = {f"{number}/{name}" for number in range(PAIRS) for name in ("x", "x/y")}
        assert wanted - set(await listed(files, "")) == set()
    finally:
        await stores.close()
