"""What the journal costs: rows per second, CPU per row, acceptance latency, bytes per row.

``python benchmarks/journal.py [--rows 100000] [--folder DIR] [--json]``, with ``src`` importable.

*Throughput*: 64 tasks post events, each one job for every of 3 destinations, while one claimer per
destination claims up to 500 jobs, settles them and finishes them. The making of jobs and
settlements, which is the caller's, is timed alone before and given beside the total.

*Latency*: one event at a time, with a pause after each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.adapters.system import SystemClock
from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import Job, JobState, NewJob, Settlement

if TYPE_CHECKING:
    from collections.abc import Iterator

DESTINATIONS = ("eu", "us", "archive")
SENDERS = 64
CLAIM = 500
ETAG = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True, slots=True)
class Report:
    """Numbers of one run; a row is a job that was accepted, claimed, settled and finished."""

    rows: int
    rows_per_s: float
    cpu_us_per_row: float
    caller_cpu_us_per_row: float
    bytes_per_row: float
    summaries_ms: float
    accept_loaded_p50_ms: float
    accept_loaded_p99_ms: float
    accept_idle_p50_ms: float
    accept_idle_p99_ms: float
    rss_mib: float


def events(count: int) -> Iterator[list[NewJob]]:
    """One list of jobs per event; keys in random order, as many writers make them."""
    chance = random.Random(7)
    for n in range(count):
        key = f"data/2024/{chance.randrange(16**8):08x}/part-{n:07}.parquet"
        order = OrderPoint("aws", f"0055AED6DCD9{n:020X}", trusted=True)
        yield [
            NewJob(name, key, ChangeKind.CREATED, 1_700_000_000_000 + n, order, ETAG, 4096)
            for name in DESTINATIONS
        ]


def settlement_of(job: Job, now_ms: int) -> Settlement:
    return Settlement(
        job=job,
        state=JobState.SETTLED,
        at_ms=now_ms,
        reason="copied with one request",
        attempts=1,
        source_etag=job.etag,
        size_bytes=job.size_bytes,
        replica_etag=ETAG,
    )


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1000


def caller_cpu_s(rows: int) -> float:
    """CPU that the caller spends on making as many jobs and settlements."""
    began = time.process_time()
    for jobs in events(rows // len(DESTINATIONS)):
        for new in jobs:
            settlement_of(Job(new.destination, new.key, 1, new.kind, 1, new.etag), 1)
    return time.process_time() - began


async def throughput(journal: SqliteJournal, rows: int, latencies: list[float]) -> None:
    clock = SystemClock()
    source = events(rows // len(DESTINATIONS))

    async def send() -> None:
        for jobs in source:
            began = time.perf_counter()
            await journal.accept(jobs, now_ms=clock.now_ms())
            latencies.append(time.perf_counter() - began)

    async def work(destination: str) -> None:
        left = rows // len(DESTINATIONS)
        while left:
            jobs = await journal.claim(destination, CLAIM, now_ms=clock.now_ms())
            if not jobs:
                await journal.wait(destination, now_ms=clock.now_ms(), timeout_s=1)
                continue
            now_ms = clock.now_ms()
            written = await journal.settle([settlement_of(job, now_ms) for job in jobs])
            await journal.finish(jobs)
            left -= sum(written)

    await asyncio.gather(*(send() for _ in range(SENDERS)), *(work(name) for name in DESTINATIONS))


async def idle_latencies(journal: SqliteJournal, count: int) -> list[float]:
    latencies = []
    for jobs in events(count):
        began = time.perf_counter()
        await journal.accept(jobs, now_ms=1)
        latencies.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)
    return latencies


async def measure(rows: int, folder: Path) -> Report:
    rows -= rows % len(DESTINATIONS)
    caller_s = caller_cpu_s(rows)
    path = folder / "ledger.db"
    journal = await SqliteJournal.open(path, clock=SystemClock())
    loaded: list[float] = []
    began, began_cpu = time.perf_counter(), time.process_time()
    await throughput(journal, rows, loaded)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    began = time.perf_counter()
    summaries = await journal.summaries()
    summaries_s = time.perf_counter() - began
    assert [summary.settled for summary in summaries] == [rows // len(DESTINATIONS)] * 3
    await journal.close()
    size_bytes = path.stat().st_size

    journal = await SqliteJournal.open(folder / "idle.db", clock=SystemClock())
    idle = await idle_latencies(journal, 300)
    await journal.close()
    return Report(
        rows=rows,
        rows_per_s=rows / seconds,
        cpu_us_per_row=cpu / rows * 1e6,
        caller_cpu_us_per_row=caller_s / rows * 1e6,
        bytes_per_row=size_bytes / rows,
        summaries_ms=summaries_s * 1000,
        accept_loaded_p50_ms=percentile(loaded, 0.5),
        accept_loaded_p99_ms=percentile(loaded, 0.99),
        accept_idle_p50_ms=percentile(idle, 0.5),
        accept_idle_p99_ms=percentile(idle, 0.99),
        rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="what the journal costs")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the ledger lies; a fresh one inside it")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        report = asdict(uvloop.run(measure(arguments.rows, Path(folder))))
    if arguments.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name:24} {value:12,.2f}")


if __name__ == "__main__":
    main()
