"""What is compared: the same work for each program, taking turns, some rounds.

Every round of every program starts without replicas, and s3fanout with an empty ledger. The order
of the programs changes from round to round.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contents import BUCKETS, copies_s, fill, make_buckets, store
from benchmarks.counting_proxy import counting_proxy
from benchmarks.daemon import SOURCE, Target, running_daemon
from benchmarks.events import Written, messages
from benchmarks.null_server import ETAG, SIZE_BYTES, null_server
from benchmarks.peers import Checks, Peers
from benchmarks.processes import Usage, memory_mib, usage_of
from benchmarks.ratios import US, Line, Spread, absolute, cpu, speed
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import Server

STORE_MEMORY_MIB = 2048
"""What SeaweedFS may use. Tests give it less; as its files grow, it would then spend most of its
time on collecting garbage, and the programs would take turns on ever slower ground."""
WARM_UP = 10
"""First events and copies, which open connections and files, and are not counted."""
REQUESTS_MAX = 1.01
"""One a replica, and a few that ask each destination once what kind of store it is."""
REST_S = 2.0
"""From the last settlement until memory is looked at."""


@dataclass(slots=True)
class Bench:
    """Where the scenarios work, and how much.

    Attributes:
        directory: Empty; absolute.
        rounds: Turns of each program.
        scale: 1 for the whole, less for a quick look.
    """

    directory: Path
    rounds: int
    scale: float
    _used: int = field(default=0, init=False)

    def fresh(self) -> Path:
        """A new empty directory."""
        self._used += 1
        path = self.directory / str(self._used)
        path.mkdir()
        return path

    def count(self, whole: int) -> int:
        """So many of ``whole``."""
        return max(20, round(whole * self.scale))

    def replicate(
        self, source: Server, targets: Sequence[Target], objects: Sequence[Written]
    ) -> Usage:
        """What a daemon needs that was started for this."""
        named = {target.bucket: target for target in targets}
        with running_daemon(self.fresh(), source, named) as daemon:
            return daemon.replicate(objects)


Contest = Mapping[str, Callable[[str], Usage]]
"""What each program does, given the prefix that its replicas of the round have."""


def take_turns(contest: Contest, rounds: int) -> dict[str, list[Usage]]:
    """Run them all once a round, beginning with another one each time."""
    names = list(contest)
    found: dict[str, list[Usage]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            usage = contest[name](f"round-{number}-{name.replace(' ', '-')}/")
            print(f"  {number} {name}: {usage.wall_s:.2f} s", file=sys.stderr, flush=True)
            found[name].append(usage)
    return found


def real_store(bench: Bench) -> AbstractContextManager[Server]:
    """A fresh SeaweedFS."""
    return seaweedfs(bench.fresh(), memory_mib=STORE_MEMORY_MIB)


def null_overhead(bench: Bench) -> list[Line]:
    """A: the programs' own cost, against a server that answers at once."""
    count = bench.count(10_000)
    objects = [Written(f"bench/{n:07}.bin", ETAG, SIZE_BYTES) for n in range(count)]
    keys = [one.key for one in objects]
    replicas, peers = count * len(BUCKETS), Peers(bench.fresh())
    with null_server(bench.fresh(), keys) as null:
        server = Server("null", null.endpoint, "accesskey", "secretkey")
        requests: dict[str, list[float]] = {}

        def counted(name: str, work: Callable[[Sequence[Target]], Usage]) -> Callable[[str], Usage]:
            def run(prefix: str) -> Usage:
                before = null.requests()
                usage = work([Target(bucket, server, prefix) for bucket in BUCKETS])
                seen = null.requests() - before - 1
                requests.setdefault(name, []).append(seen / replicas)
                return usage

            return run

        rounds = take_turns(
            {
                US: counted(US, lambda to: bench.replicate(server, to, objects)),
                "s5cmd": counted("s5cmd", lambda to: peers.s5cmd(server, to, workers=32)),
                "s5cmd by key": counted(
                    "s5cmd by key", lambda to: peers.s5cmd(server, to, workers=32, keys=keys)
                ),
                "rclone": counted("rclone", lambda to: peers.rclone(server, to)),
            },
            bench.rounds,
        )
        with running_daemon(bench.fresh(), server, {"eu": Target("eu", server)}) as daemon:
            start = daemon.start
        lines = absolute("A", rounds, replicas)
        for name, seen in requests.items():
            bound = (REQUESTS_MAX, False) if name == US else (None, False)
            lines.append(Line("A", f"{name}: requests per replica", Spread.of(seen), *bound))
    return [
        *lines,
        Line("A", f"start of the daemon, s ({null.kind})", Spread.of([start.wall_s])),
        Line("A", "copies/s, times s5cmd's", speed(rounds, "s5cmd"), 2.0),
        Line("A", "copies/s, times s5cmd's by key", speed(rounds, "s5cmd by key")),
        Line("A", "copies/s, times rclone's", speed(rounds, "rclone")),
        Line("A", "CPU, share of s5cmd's", cpu(rounds, "s5cmd")),
        Line("A", "CPU, share of rclone's", cpu(rounds, "rclone")),
    ]


def one_store(bench: Bench) -> list[Line]:
    """B: one bucket to three of the same real store."""
    count = bench.count(2_000)
    replicas, peers = count * len(BUCKETS), Peers(bench.fresh())
    with real_store(bench) as server:
        objects = fill(server, count, SIZE_BYTES)
        make_buckets(server)
        keys = [one.key for one in objects]
        key_file = bench.fresh() / "keys"
        key_file.write_text("\n".join(keys), "utf-8")

        def to(prefix: str) -> list[Target]:
            return [Target(bucket, server, prefix) for bucket in BUCKETS]

        def limit(prefix: str) -> Usage:
            log = bench.fresh() / "log"
            argv = [
                *(sys.executable, str(Path(__file__).with_name("ceiling.py")), server.endpoint),
                *(server.access_key, server.secret_key, str(key_file), prefix, "96", *BUCKETS),
            ]
            usage = usage_of(argv, environment={"PATH": "/usr/bin:/bin"}, log=log)
            loop_s = float(json.loads(log.read_text("utf-8"))["loop_s"])
            return Usage(loop_s, usage.cpu_s, usage.rss_mib)

        rounds = take_turns(
            {
                US: lambda prefix: bench.replicate(server, to(prefix), objects),
                "s5cmd": lambda prefix: peers.s5cmd(server, to(prefix), workers=256),
                "rclone": lambda prefix: peers.rclone(server, to(prefix)),
                "ceiling": limit,
            },
            bench.rounds,
        )
        with counting_proxy(bench.fresh(), server) as proxy:
            counted = [Target(bucket, proxy.server, "counted/") for bucket in BUCKETS]
            bench.replicate(proxy.server, counted, objects)
            requests = len(proxy.requests()) / replicas
    return [
        *absolute("B", rounds, replicas),
        Line("B", "s3fanout: requests per replica", Spread.of([requests]), REQUESTS_MAX, False),
        Line("B", "objects/s, times s5cmd's", speed(rounds, "s5cmd"), 1.2),
        Line("B", "objects/s, times rclone's", speed(rounds, "rclone"), 1.5),
        Line("B", "objects/s, share of the store's ceiling", speed(rounds, "ceiling"), 0.9),
        Line("B", "CPU, share of s5cmd's", cpu(rounds, "s5cmd"), 0.5, at_least=False),
        Line("B", "CPU, share of rclone's", cpu(rounds, "rclone")),
    ]


def two_stores(bench: Bench) -> list[Line]:
    """C: one bucket to three of another store; then few objects, with the reads counted."""
    count, size_bytes = bench.count(5_000), 64 * 1024
    replicas, peers = count * len(BUCKETS), Peers(bench.fresh())
    with real_store(bench) as source, real_store(bench) as other:
        objects = fill(source, count, size_bytes)
        make_buckets(other)

        def to(prefix: str) -> list[Target]:
            return [Target(bucket, other, prefix) for bucket in BUCKETS]

        rounds = take_turns(
            {
                US: lambda prefix: bench.replicate(source, to(prefix), objects),
                "rclone": lambda prefix: peers.rclone(source, to(prefix), checks=Checks.COMPARES),
                "unchecked rclone": lambda prefix: peers.rclone(source, to(prefix)),
            },
            bench.rounds,
        )
        with counting_proxy(bench.fresh(), source) as proxy:
            bench.replicate(proxy.server, to("counted/"), objects)
            read = proxy.bytes_of_objects(SOURCE) / (count * size_bytes)
    gigabytes = replicas * size_bytes / 1e9
    others = [name for name in rounds if name != US]
    return [
        *absolute("C", rounds, replicas),
        *(
            Line("C", f"wall time, share of {name}'s three runs", share(rounds, name), 0.6, False)
            for name in others
        ),
        *(Line("C", f"objects/s, times {name}'s", speed(rounds, name), 1.5) for name in others),
        *(
            Line("C", f"{name}: CPU s per GB", Spread.of([u.cpu_s / gigabytes for u in usages]))
            for name, usages in rounds.items()
        ),
        Line("C", "CPU, share of rclone's", cpu(rounds, "rclone"), 1.0, at_least=False),
        Line("C", "bytes read per source byte", Spread.of([read]), 1.0, at_least=False),
    ]


def idle_latency(bench: Bench) -> list[Line]:
    """D: from the post of an event to its last replica, less what the store itself needs."""
    count = bench.count(300) + WARM_UP
    with real_store(bench) as server:
        objects = fill(server, count, SIZE_BYTES)
        make_buckets(server)
        targets = {bucket: Target(bucket, server, "idle/") for bucket in BUCKETS}
        took_s, store_s, flush_s = [], [], []
        page = bench.fresh() / "page"
        os.sync()  # What the scenarios before wrote: a flush of the ledger would wait for it.
        with running_daemon(bench.fresh(), server, targets) as daemon, asyncio.Runner() as runner:
            stores = [store(server, bucket) for bucket in BUCKETS]
            for number, one in enumerate(objects):
                flush_one_s = flushed_s(page)
                store_one_s = runner.run(copies_s(stores, one.key))
                (message,) = messages([one], bucket=SOURCE, records=1)
                began_s = time.time()
                daemon.post(message)
                while (settled_at_s := daemon.settled_at_s(one.key)) is None:
                    time.sleep(0.002)
                if number >= WARM_UP:
                    flush_s.append(flush_one_s)
                    store_s.append(store_one_s)
                    took_s.append(settled_at_s - began_s)
            for each in stores:
                runner.run(each.close())
    # Only the median of the store's own copies is taken off: its slow ones are not our merit.
    own = percentile_ms(store_s, 50)
    lines = [Line("D", "the store's copies alone, p50, ms", Spread.of([own]))]
    for part in (50, 99):
        flush = Spread.of([percentile_ms(flush_s, part)])
        lines.append(Line("D", f"a flush of the disk alone, p{part}, ms", flush))
    for part, bound in ((50, 50.0), (99, 200.0)):
        took = percentile_ms(took_s, part)
        lines.append(Line("D", f"event to replica, p{part}, ms", Spread.of([took])))
        beyond = Spread.of([took - own])
        lines.append(Line("D", f"beyond the copy, p{part}, ms", beyond, bound, at_least=False))
    return lines


def flushed_s(page: Path) -> float:
    """Seconds until a page more of a file is on the disk: an event waits for as much."""
    began = time.perf_counter()
    with page.open("ab") as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fdatasync(file.fileno())
    return time.perf_counter() - began


def memory(bench: Bench) -> list[Line]:
    """E: the daemon's memory must not follow the number of keys.

    Looked at when nothing is left to do: what the backlog of the moment needs is bounded, and is
    not the question. Caches fill up at first, so growth is counted from the middle on.
    """
    steps = [bench.count(whole) for whole in (1_000, 10_000, 50_000, 100_000)]
    objects = [Written(f"bench/{n:07}.bin", ETAG, SIZE_BYTES) for n in range(steps[-1])]
    with null_server(bench.fresh(), []) as null:
        server = Server("null", null.endpoint, "accesskey", "secretkey")
        targets = {bucket: Target(bucket, server) for bucket in BUCKETS}
        with running_daemon(bench.fresh(), server, targets) as daemon:
            sizes = []
            for already, upto in itertools.pairwise([0, *steps]):
                daemon.replicate(objects[already:upto], already=already)
                time.sleep(REST_S)
                sizes.append(memory_mib(daemon.pid, peak=False))
    growth = Spread.of([sizes[-1] - sizes[-2]])
    bound = 8.0 if bench.scale >= 1 else None  # A quick run ends before the caches are full.
    return [
        *(
            Line("E", f"memory at rest after {step} keys, MiB", Spread.of([size]))
            for step, size in zip(steps, sizes, strict=True)
        ),
        Line("E", f"growth from {steps[-2]} to {steps[-1]}, MiB", growth, bound, at_least=False),
    ]


def share(rounds: Mapping[str, Sequence[Usage]], peer: str) -> Spread:
    """Our wall time as a share of theirs."""
    return Spread.of([a.wall_s / b.wall_s for a, b in zip(rounds[US], rounds[peer], strict=True)])


def percentile_ms(values_s: Sequence[float], part: int) -> float:
    return sorted(values_s)[min(len(values_s) - 1, len(values_s) * part // 100)] * 1000
