"""Large objects, one to three: ``python benchmarks/large.py [--mib 1024] [--near]``.

From the repository's root, with the development requirements installed and ``nginx`` in PATH. One
object of so many MiB goes from one SeaweedFS to three buckets of another one, or (``--near``) of
its own; above 5 GiB those are copied in parts too. It prints: wall time and CPU beside rclone's
three runs, and the daemon's largest memory; then (not ``--near``), in runs that are not timed, for
they go through a proxy, bytes read per source byte, and how many parts were sent again after the
daemon was killed half-way. Replicas are compared by size and etag.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contents import BUCKETS, make_buckets, store
from benchmarks.counting_proxy import CountingProxy, counting_proxy
from benchmarks.daemon import SOURCE, Target, running_daemon
from benchmarks.events import Written, messages
from benchmarks.peers import Checks, Peers
from benchmarks.processes import ToolFailed, Usage
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.model.objects import ObjectAttributes, Present
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import Server, create_bucket

MIB = 1024 * 1024
PART_BYTES = 8 * MIB
KEY = "large.bin"
_STORE_MEMORY_MIB = 2048
_POLL_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description="large objects, one to three")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--near", action="store_true", help="within one store")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with seaweedfs(_fresh(directory), memory_mib=_STORE_MEMORY_MIB) as source:
            written = asyncio.run(_write(source, arguments.mib * MIB))
            if arguments.near:
                _measure(directory, source, source, written)
                return
            with seaweedfs(_fresh(directory), memory_mib=_STORE_MEMORY_MIB) as other:
                _measure(directory, source, other, written)
                _count_reads(directory, source, other, written)
                _kill_half_way(directory, source, other, written)


def _measure(directory: Path, source: Server, other: Server, written: Written) -> None:
    make_buckets(other)
    targets = [Target(bucket, other, "s3fanout/") for bucket in BUCKETS]
    usage = _replicate(_fresh(directory), source, targets, written)
    asyncio.run(_compare(other, targets, written))
    peer = Peers(_fresh(directory)).rclone(
        source, [Target(bucket, other, "rclone/") for bucket in BUCKETS], checks=Checks.LOOKS
    )
    _show("wall time", f"{usage.wall_s:.1f} s, rclone {peer.wall_s:.1f} s")
    _show("wall time, share of rclone's (target <= 0.6)", f"{usage.wall_s / peer.wall_s:.2f}")
    _show("CPU, share of rclone's", f"{usage.cpu_s / peer.cpu_s:.2f}")
    _show("largest memory (target < 200 MiB)", f"{usage.rss_mib:.0f} MiB")


def _count_reads(directory: Path, source: Server, other: Server, written: Written) -> None:
    targets = [Target(bucket, other, "counted/") for bucket in BUCKETS]
    with counting_proxy(_fresh(directory), source) as proxy:
        _replicate(_fresh(directory), proxy.server, targets, written)
        read = proxy.bytes_of_objects(SOURCE) / written.size_bytes
    asyncio.run(_compare(other, targets, written))
    _show("bytes read per source byte (target 1.0)", f"{read:.3f}")


def _kill_half_way(directory: Path, source: Server, other: Server, written: Written) -> None:
    """Kill the daemon when half of the parts are there, start it again, count what was sent."""
    parts = -(-written.size_bytes // PART_BYTES) * len(BUCKETS)
    work = _fresh(directory)
    with counting_proxy(_fresh(directory), other) as proxy:
        targets = {bucket: Target(bucket, proxy.server, "killed/") for bucket in BUCKETS}
        with running_daemon(work, source, targets) as daemon:
            daemon.post(next(messages([written], bucket=SOURCE, records=1)))
            _until_parts(proxy, parts // 2)
        with running_daemon(work, source, targets) as daemon:
            while daemon.settled_at_s(written.key) is None:
                time.sleep(_POLL_S)
        sent = _parts_sent(proxy)
    asyncio.run(_compare(other, [Target(b, other, "killed/") for b in BUCKETS], written))
    _show("killed half-way: parts sent again", f"{sent - parts} of {parts}")


def _until_parts(proxy: CountingProxy, count: int) -> None:
    while _parts_sent(proxy) < count:
        time.sleep(_POLL_S)


def _parts_sent(proxy: CountingProxy) -> int:
    try:
        return sum(method == "PUT" for method, _, _ in proxy.requests())
    except ToolFailed:  # None has come through yet.
        return 0


def _replicate(
    directory: Path, source: Server, targets: Sequence[Target], written: Written
) -> Usage:
    with running_daemon(directory, source, {one.bucket: one for one in targets}) as daemon:
        return daemon.replicate([written])


async def _write(server: Server, size_bytes: int) -> Written:
    """The object, uploaded in parts of 8 MiB as the usual tools do."""
    await asyncio.to_thread(create_bucket, server, SOURCE)
    return Written(KEY, await _upload(server, SOURCE, KEY, size_bytes), size_bytes)


async def _upload(server: Server, bucket: str, key: str, size_bytes: int) -> str:
    """Write an object in parts; its etag."""
    to = store(server, bucket)
    upload_id = await to.create_upload(key, ObjectAttributes())
    parts = []
    for number, at in enumerate(range(0, size_bytes, PART_BYTES), start=1):
        length = min(PART_BYTES, size_bytes - at)
        body = part_of(number.to_bytes(8, "big") * (length // 8))
        parts.append(await to.upload_part(key, upload_id, number, body))
    etag = (await to.complete_upload(key, upload_id, parts)).etag
    await to.close()
    return etag


async def _compare(server: Server, targets: Sequence[Target], written: Written) -> None:
    for target in targets:
        replica = store(server, target.bucket)
        facts = await replica.head(target.prefix + written.key)
        await replica.close()
        if not isinstance(facts, Present) or facts.size_bytes != written.size_bytes:
            raise ToolFailed(f"no exact replica in {target.bucket}: {facts}")
        if facts.etag != written.etag:
            _show(f"etag in {target.bucket}", f"{facts.etag}, not {written.etag}")


def _fresh(directory: Path) -> Path:
    path = directory / str(len(list(directory.iterdir())))
    path.mkdir()
    return path


def _show(what: str, value: str) -> None:
    print(f"{what:48} {value}", flush=True)


if __name__ == "__main__":
    main()
