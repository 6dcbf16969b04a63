"""A full disk under the ledger: nothing is acknowledged that is not kept, and it heals itself."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import Install
from tests.e2e.evidence import keys, put
from tests.e2e.installation import Answer, Installation, Place, until
from tests.e2e.notices import message, put_event

pytestmark = [pytest.mark.stores, pytest.mark.slow]

ThreeDestinations = tuple[Place, dict[str, Place]]
SIZE_MIB = 8
BATCH = 50
OFFERED_MAX = 5_000
CONTENT = b"content"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "s3fanout-e2e", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small file system needs root and a system that lets it mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_events_and_recovers(
    three: ThreeDestinations, install: Install, small_disk: Path
) -> None:
    source, destinations = three
    replica = {"paris": destinations["paris"]}
    installation = install(source=source, destinations=replica, ledger=small_disk / "ledger.db")
    installation.start()
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 512 * 1024)))

    numbers = itertools.count()
    acknowledged: list[str] = []
    while (answer := offer(installation, source, batch := next_batch(numbers))).status == 200:
        acknowledged += batch
        assert len(acknowledged) < OFFERED_MAX, "the disk does not get full"
    assert answer.status == 503, answer.body
    assert answer.headers["Retry-After"]
    assert answer.json["error"]["code"] == "not-ready"
    assert installation.get("/healthz").status == 200
    assert installation.ready_status() == 503
    assert installation.destination("paris")["replicated"] <= len(acknowledged)

    ballast.unlink()
    until(
        lambda: offer(installation, source, batch).status == 200,
        what="events are taken in again",
    )
    acknowledged += batch
    until(lambda: installation.ready_status() == 200, what="it is ready again")
    installation.wait_replicated(len(acknowledged))
    assert keys(replica["paris"]) == set(acknowledged)
    assert installation.stop() == 0

    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as rest:
        while True:
            rest.write(bytes(4096))
    assert installation.destination("paris")["replicated"] == len(acknowledged)  # Without a daemon.


def next_batch(numbers: Iterator[int]) -> list[str]:
    """Keys so long that a few thousand fill the disk."""
    return [f"{'d' * 200}/{'e' * 200}/{next(numbers):06}" for _ in range(BATCH)]


def offer(installation: Installation, source: Place, batch: list[str]) -> Answer:
    """Write the objects, post their events in one message."""
    with ThreadPoolExecutor(4) as pool:
        parts = [batch[index::4] for index in range(4)]
        written = pool.map(lambda part: put(source, dict.fromkeys(part, CONTENT)), parts)
        etags = {key: etag for part in written for key, etag in part.items()}
    events = [
        put_event(source.bucket, key, etag=etag, size_bytes=len(CONTENT))
        for key, etag in etags.items()
    ]
    return installation.post(message(*events))
