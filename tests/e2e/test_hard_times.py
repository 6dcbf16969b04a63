"""Real trouble of real processes: a store that dies, no file descriptors, a clock that is wrong."""

from __future__ import annotations

import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, keys
from tests.e2e.installation import PATIENCE_S, Installation, Place, until
from tests.e2e.notices import deliver, message, put_event, write_and_tell
from tests.servers.seaweedfs import claimed_base, seaweedfs_at
from tests.servers.server import Server, boto3_client, create_bucket

pytestmark = pytest.mark.stores

QUICK = 'limits.circuit_cap = "1s"\nlimits.retry_cap = "1s"\n'
ThreeDestinations = tuple[Place, dict[str, Place]]


def last_error(installation: Installation, name: str, code: str) -> dict[str, Any]:
    """The last error of a destination, once it has that code."""

    def look() -> dict[str, Any] | None:
        error: dict[str, Any] | None = installation.destination(name)["last_error"]
        return error if error is not None and error["code"] == code else None

    return until(look, what=f"{name} says {code}")


def write_on(installation: Installation, source: Place, enough: threading.Event) -> set[str]:
    """Write and tell, object after object, until it is enough; returns the keys."""
    written: set[str] = set()
    with closing(boto3_client(source.server, "s3")) as client:
        while not enough.is_set():
            key = f"k{len(written):05}"
            etag = client.put_object(Bucket=source.bucket, Key=key, Body=key.encode())["ETag"]
            event = put_event(source.bucket, key, etag=etag.strip('"'), size_bytes=len(key))
            assert deliver(installation, message(event)).status == 200
            written.add(key)
    return written


def test_a_store_that_is_killed_and_comes_back_with_its_objects_is_caught_up_with(
    install: Install, new_place: NewPlace, seaweedfs: Server, tmp_path: Path
) -> None:
    source, alive = new_place(seaweedfs, "source"), new_place(seaweedfs, "alive")
    home = tmp_path / "weed"
    home.mkdir()
    enough = threading.Event()
    with claimed_base() as base, ThreadPoolExecutor(1) as pool:
        with seaweedfs_at(base, home) as server:
            dies = Place(server, create_bucket(server, "dies"), credentials="DIES")
            installation = install(
                source=source, destinations={"alive": alive, "dies": dies}, settings=QUICK
            )
            installation.start()
            writing = pool.submit(write_on, installation, source, enough)
            until(
                lambda: installation.api_status()["dies"]["replicated"] >= 20,
                what="there is load",
            )
        try:  # Killed: in the middle of requests, because the writer goes on.
            until(lambda: installation.api_status()["dies"]["circuit_open"], what="it is missed")
        finally:
            enough.set()
        written = writing.result(timeout=PATIENCE_S)
        installation.wait_replicated(len(written), "alive")
        assert installation.destination("dies")["backlog_jobs"] > 0
        with seaweedfs_at(base, home):
            rows = installation.wait_replicated(len(written))
            assert {row["failed"] for row in rows.values()} == {0}
            check_equal(source, alive, dies)
    assert "Traceback" not in installation.log


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of others are set on Linux")
def test_without_file_descriptors_it_says_so_loses_nothing_and_recovers(
    install: Install, three: ThreeDestinations
) -> None:
    source, destinations = three
    installation = install(source=source, destinations=destinations, settings=QUICK)
    pid = installation.start().pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for name in destinations:
        installation.command("pause", name, check=True)
    written = [f"k{number:03}" for number in range(30)]
    write_and_tell(installation, source, *written)
    # Below what is open: the newest are connections that end, and must not make room for others.
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used - 4, hard))
    for name in destinations:
        installation.command("resume", name, check=True)
    error = last_error(installation, "paris", "out-of-files")
    assert "ulimit -n" in error["hint"]
    assert installation.destination("paris")["failed"] == 0
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    rows = installation.wait_replicated(len(written))
    assert {row["failed"] for row in rows.values()} == {0}
    for place in destinations.values():
        assert keys(place) == set(written)
    assert "defect" not in installation.log


SHIFTED = """
import pathlib, time

_true, _file = time.time_ns, pathlib.Path({offset!r})
time.time_ns = lambda: _true() + int(_file.read_text()) * 10**9
time.time = lambda: time.time_ns() / 1e9
"""


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong_is_named_and_once_it_is_right_all_is_copied(
    install: Install, three: ThreeDestinations, tmp_path: Path, minutes: int
) -> None:
    """The store is real and refuses what is signed for another time."""
    source, destinations = three
    offset = tmp_path / "offset"
    offset.write_text(str(minutes * 60))
    (tmp_path / "sitecustomize.py").write_text(SHIFTED.format(offset=str(offset)))
    installation = install(
        source=source, destinations={"paris": destinations["paris"]}, settings=QUICK
    )
    known = installation.environment.get("PYTHONPATH", "")
    installation.environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(tmp_path), known)))
    installation.start()
    written = [f"k{number}" for number in range(10)]
    write_and_tell(installation, source, *written)
    error = last_error(installation, "paris", "access-denied:RequestTimeTooSkewed")
    assert "clock" in error["hint"]
    assert installation.api_status()["paris"]["failed"] == 0
    replace_text(offset, "0")
    rows = installation.wait_replicated(len(written))
    assert rows["paris"]["failed"] == 0
    check_equal(source, destinations["paris"])


def replace_text(path: Path, text: str) -> None:
    """At once, because somebody reads it all the time."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)
