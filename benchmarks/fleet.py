"""A fleet under a storm: many objects, overwrites, deletes, faults at every store, ``kill -9``.

``python -m benchmarks.fleet --objects 50000`` writes into a SeaweedFS source; a destination in the
same store and one in a MinIO front end are kept equal by the daemon, which reaches both stores
only through fault proxies and is killed twice. Afterwards every bucket is compared twice, by
``rclone check`` and by a listing of our own, without the proxies. Prints one JSON document; the
exit code is 1 if anything differs, or if the ledger does not say of every object what became of it.

``--peer walkthrough`` and ``--peer rclone`` give others the same storm: the function of the AWS
walkthrough of 2016 (one copy per event, tried three times, as Lambda does), and ``rclone sync``
again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from benchmarks.contents import store
from benchmarks.peers import environment, remote
from s3fanout.model.objects import Body, ObjectAttributes, Present
from tests.e2e.installation import Installation, Place, program
from tests.servers.fault_proxy import FaultProxy, fault_proxy
from tests.servers.minio_frontend import minio_frontend
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import Server, boto3_client, create_bucket

SOURCE, NEAR, FAR = "source", "near", "far"
STORM = {
    "latency": 0.02,
    "slow_down": 0.03,
    "internal": 0.03,
    "reset": 0.02,
    "lost": 0.02,
    "cut": 0.01,
    "corrupt": 0.01,
}
WRITERS = 16
SENDERS = 4
RECORDS_PER_MESSAGE = 50
PATIENCE_S = 3600.0
FAILURES_SHOWN = 10


@dataclass(slots=True)
class Fleet:
    """The stores, as they are and as the storm lets them be seen."""

    directory: Path
    near: Server
    far: Server
    stormy_near: FaultProxy
    stormy_far: FaultProxy
    records: Queue[dict[str, object] | None] = field(default_factory=Queue)
    contents: dict[str, bytes] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def record(self, name: str, key: str, etag: str | None, size_bytes: int) -> dict[str, object]:
        """What the source would send: an S3 event record."""
        found: dict[str, object] = {"key": key, "sequencer": f"{next(self._numbers):016X}"}
        if etag is not None:
            found |= {"eTag": etag, "size": size_bytes}
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventTime": at,
            "eventName": name,
            "s3": {"bucket": {"name": SOURCE}, "object": found},
        }

    async def write(self, objects: int, seed: int) -> None:
        """Write, overwrite every tenth, delete every tenth; each change becomes a record."""
        chance = random.Random(seed)
        keys = [f"fleet/{number % 97:02}/{number:07}" for number in range(objects)]
        changed = chance.sample(keys, objects // 5)
        source = store(self.near, SOURCE)

        async def worker(steps: Iterator[tuple[str, str]]) -> None:
            for what, key in steps:
                if what == "delete":
                    await source.delete(key)
                    self.contents.pop(key, None)
                    self.records.put(self.record("ObjectRemoved:Delete", key, None, 0))
                    continue
                body = _body(key, chance.randbytes(chance.randrange(1, 2000)))
                written = await source.put(key, body, ObjectAttributes())
                self.contents[key] = body.content
                self.records.put(
                    self.record("ObjectCreated:Put", key, written.etag, len(body.content))
                )

        for what, some in (
            ("put", keys),
            ("put", changed[: objects // 10]),
            ("delete", changed[objects // 10 :]),
        ):
            steps = ((what, key) for key in some)
            await asyncio.gather(*(worker(steps) for _ in range(WRITERS)))
            while not self.records.empty():  # What follows is to meet replicas that exist.
                await asyncio.sleep(0.1)
        await source.close()

    def messages(self, seed: int) -> Iterator[list[dict[str, object]]]:
        """Records in batches, every tenth message a second time."""
        chance = random.Random(seed)
        ended = False
        while not ended:
            batch: list[dict[str, object]] = []
            while len(batch) < RECORDS_PER_MESSAGE:
                record = self.records.get()
                if record is None:
                    ended = True
                    break
                batch.append(record)
            if batch:
                yield batch
                if chance.random() < 0.1:
                    yield batch


def run_daemon(fleet: Fleet, objects: int, seed: int) -> dict[str, Any]:
    """s3fanout, killed twice."""
    limits = f"limits.deletes_max = {objects}\nlimits.deletes_percent_max = 100\n"
    deletes = {"deletes": '"replicate"'}
    installation = Installation(
        fleet.directory / "daemon",
        source=Place(fleet.stormy_near.server, SOURCE),
        destinations={
            NEAR: Place(fleet.stormy_near.server, NEAR, settings=deletes),
            FAR: Place(fleet.stormy_far.server, FAR, settings=deletes),
        },
        settings=limits,
    )
    posted = itertools.count()
    kills = [objects // 3 // RECORDS_PER_MESSAGE, 2 * objects // 3 // RECORDS_PER_MESSAGE]
    killing = threading.Lock()

    def deliver(batch: list[dict[str, object]]) -> None:
        body = json.dumps({"Records": batch}).encode()
        if next(posted) in kills:
            with killing:
                installation.kill()
                installation.start()
        while True:
            try:
                if installation.post(body).status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)

    def settled() -> bool:
        rows = installation.api_status()
        return not any(row["backlog_jobs"] for row in rows.values())

    with installation:
        installation.start()
        _storm(fleet, objects, seed, deliver)
        _wait(settled)
        status = installation.api_status()
        failures = installation.read("failures")["failures"]
    return {
        "kills": len(kills),
        "unexplained": _unexplained(fleet, objects, status, failures),
        "failures": failures[:FAILURES_SHOWN],
        "status": {name: _numbers_of(row) for name, row in status.items()},
    }


def _unexplained(
    fleet: Fleet,
    objects: int,
    status: Mapping[str, Mapping[str, Any]],
    failures: list[dict[str, Any]],
) -> int:
    """Rows of the ledger that do not say what became of an object, or of which there is none."""
    silent = sum(row["error"] is None for row in failures)
    live, gone = len(fleet.contents), objects - len(fleet.contents)
    for row in status.values():
        known = row["replicated"] + row["superseded"] + row["failed"]
        silent += abs(objects - known) + row["backlog_jobs"]
        if not row["failed"]:
            silent += abs(live - row["replicated"]) + abs(gone - row["superseded"])
    return silent


def run_walkthrough(fleet: Fleet, objects: int, seed: int) -> dict[str, Any]:
    """The function of the walkthrough: copy what the event names; Lambda tries three times."""
    given_up = itertools.count()
    clients = threading.local()

    def deliver(batch: list[dict[str, object]]) -> None:
        if not hasattr(clients, "near"):
            clients.near = boto3_client(fleet.stormy_near.server, "s3")
            clients.far = boto3_client(fleet.stormy_far.server, "s3")
        for record in batch:
            if str(record["eventName"]).startswith("ObjectCreated"):
                for copy in (_copy_near, _copy_far):
                    if not _tried_three_times(copy, clients, record):
                        next(given_up)

    _storm(fleet, objects, seed, deliver)
    return {"given_up": next(given_up)}


def _copy_near(clients: Any, record: Mapping[str, Any]) -> None:
    key = record["s3"]["object"]["key"]
    clients.near.copy_object(Bucket=NEAR, Key=key, CopySource={"Bucket": SOURCE, "Key": key})


def _copy_far(clients: Any, record: Mapping[str, Any]) -> None:
    # The walkthrough cannot leave the store; the nearest thing is to read and write.
    key = record["s3"]["object"]["key"]
    body = clients.near.get_object(Bucket=SOURCE, Key=key)["Body"].read()
    clients.far.put_object(Bucket=FAR, Key=key, Body=body)


def _tried_three_times(
    copy: Callable[[Any, Mapping[str, Any]], None], clients: Any, record: Mapping[str, Any]
) -> bool:
    for _ in range(3):
        try:
            copy(clients, record)
        except Exception:  # noqa: BLE001 - whatever it is, it ends the invocation
            continue
        return True
    return False


def run_rclone(fleet: Fleet, objects: int, seed: int) -> dict[str, Any]:
    """``rclone sync`` in a loop, and once more when the writing is over."""
    passes: list[float] = []
    writing = threading.Event()
    writing.set()

    def loop() -> None:
        last = False
        while not last:
            last = not writing.is_set()
            began_s = time.perf_counter()
            for bucket in (NEAR, FAR):
                _rclone(fleet, "sync", bucket, stormy=True)
            passes.append(round(time.perf_counter() - began_s, 1))

    looping = threading.Thread(target=loop)
    looping.start()
    _storm(fleet, objects, seed, lambda _batch: None)
    writing.clear()
    looping.join()
    return {"passes": len(passes), "seconds_of_a_pass": passes}


def _storm(
    fleet: Fleet, objects: int, seed: int, deliver: Callable[[list[dict[str, object]]], None]
) -> None:
    """Write while messages are delivered, faults on."""
    for proxy in (fleet.stormy_near, fleet.stormy_far):
        proxy.set(**STORM)
    with ThreadPoolExecutor(SENDERS + 1) as pool:
        writing = pool.submit(asyncio.run, fleet.write(objects, seed))
        writing.add_done_callback(lambda _: fleet.records.put(None))
        messages, one = fleet.messages(seed), threading.Lock()

        def send() -> None:
            while True:
                with one:
                    batch = next(messages, None)
                if batch is None:
                    return
                deliver(batch)

        for done in [pool.submit(send) for _ in range(SENDERS)]:
            done.result()
        writing.result()


def _wait(is_so: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > give_up_at_s:
            raise TimeoutError(f"not within {PATIENCE_S} s")
        time.sleep(0.5)


def compare(fleet: Fleet) -> dict[str, Any]:
    """Every bucket against the source, by rclone and by ourselves."""
    found: dict[str, Any] = {}
    source = _listing(fleet.near, SOURCE)
    assert source.keys() == fleet.contents.keys(), "the source is not what was written"
    for bucket, server in ((NEAR, fleet.near), (FAR, fleet.far)):
        replicas = _listing(server, bucket)
        differing = [key for key in source.keys() & replicas.keys() if source[key] != replicas[key]]
        found[bucket] = {
            "missing": len(source.keys() - replicas.keys()),
            "left_over": len(replicas.keys() - source.keys()),
            "stale_or_torn": len(differing),
            "rclone_check": _rclone(fleet, "check", bucket, stormy=False),
        }
    return found


def _listing(server: Server, bucket: str) -> dict[str, tuple[int, str]]:
    with closing(boto3_client(server, "s3")) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {
            row["Key"]: (row["Size"], row["ETag"])
            for page in pages
            for row in page.get("Contents", ())
        }


def _rclone(fleet: Fleet, command: str, bucket: str, *, stormy: bool) -> int:
    """Exit code: 0 is equal, or done."""
    near = fleet.stormy_near.server if stormy else fleet.near
    far = fleet.stormy_far.server if stormy else fleet.far
    return subprocess.run(
        [
            *(program("rclone"), command, f"src:{SOURCE}", f"dst:{bucket}", "--config=/dev/null"),
            *("--transfers=16", "--checkers=32", "--s3-no-check-bucket", "--stats=0"),
        ],
        env=environment(fleet.directory)
        | remote("SRC", near)
        | remote("DST", near if bucket == NEAR else far),
        capture_output=True,
        check=False,
    ).returncode


def _body(key: str, content: bytes) -> Body:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Body(Present(key, len(content), md5), content, md5, hashlib.sha256(content).hexdigest())


def _numbers_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("replicated", "superseded", "failed", "backlog_jobs")}


RUNS = {"s3fanout": run_daemon, "walkthrough": run_walkthrough, "rclone": run_rclone}


def storm(directory: Path, runner: str, objects: int, seed: int) -> dict[str, Any]:
    """One run from the start of the stores to the comparison."""
    with ExitStack() as stack:
        for name in ("near", "far", "daemon"):
            (directory / name).mkdir()
        near = stack.enter_context(seaweedfs(directory / "near"))
        far = stack.enter_context(minio_frontend(directory / "far"))
        for server, bucket in ((near, SOURCE), (near, NEAR), (far, FAR)):
            create_bucket(server, bucket)
        fleet = Fleet(
            directory,
            near,
            far,
            stack.enter_context(fault_proxy(directory, near, seed=seed)),
            stack.enter_context(fault_proxy(directory, far, seed=seed + 1)),
        )
        began_s = time.perf_counter()
        report = RUNS[runner](fleet, objects, seed)
        took_s = time.perf_counter() - began_s
        return {
            "runner": runner,
            "objects": objects,
            "seconds": round(took_s, 1),
            **report,
            "faults": {
                "near": fleet.stormy_near.counts(),
                "far": fleet.stormy_far.counts(),
            },
            "differences": compare(fleet),
        }


def is_equal(report: Mapping[str, Any]) -> bool:
    """Whether nothing at all differs, and every row of the ledger is explained."""
    differs = any(any(found.values()) for found in report["differences"].values())
    return not differs and not report.get("unexplained", 0)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer", choices=sorted(RUNS), default="s3fanout")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = storm(Path(directory), arguments.peer, arguments.objects, arguments.seed)
    print(json.dumps(report, indent=2))
    return 0 if is_equal(report) else 1


if __name__ == "__main__":
    sys.exit(main())
