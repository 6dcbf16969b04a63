"""A backfill that is killed three times, and live changes meanwhile: ``benchmarks/backfill.py``.

From the repository's root, with the development requirements installed and ``nginx`` in PATH.
``--objects`` (100,000) go to three buckets of one SeaweedFS. Meanwhile a client overwrites at least
a hundredth of the keys, each once, and posts an event for each. At 20 % of the copies the command
is killed, at 45 % the daemon, at 70 % both, all with ``kill -9``; each is started again at once.
With fewer than 40,000 objects the command ends before the last kill, because 10,000 may wait in a
queue: use ``--kills``.

What is measured, by the times at which the store answered, not by what s3fanout says:

- *Exact*: the listings of all four buckets are equal, and ``rclone check`` agrees.
- *Extra copies*: beyond one for each state that a replica had to have. A key that was overwritten
  after its copy has two, every other key one.
- *Lag*: from the moment at which the client's write was answered until the third replica was
  written from it. Also without the writes whose lag spans a restart of the daemon.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import URLError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contents import BUCKETS, body_of, fill, make_buckets, store
from benchmarks.counting_proxy import Copied, CountingProxy, counting_proxy
from benchmarks.daemon import SOURCE, RunningDaemon, Target, running_daemon
from benchmarks.events import Written, messages
from benchmarks.peers import environment, program, remote
from benchmarks.processes import ToolFailed
from s3fanout.adapters.store.leashed_process import LeashedProcess
from s3fanout.model.objects import ObjectAttributes
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import Server

SHARE = 0.01
"""Of the keys that are overwritten, at least; if the backfill takes longer, more."""
VICTIMS = ("command", "daemon", "both")
KILLS = (0.20, 0.45, 0.70)
"""Shares of the copies."""
SIZE_BYTES = 1024
PATIENCE_S = 3600.0
_STORE_MEMORY_MIB = 2048
_POLL_S = 0.05
_STATUS_S = 1.0


@dataclass(frozen=True, slots=True)
class Overwrite:
    """One write of the client; times are Unix seconds."""

    written: Written
    began_at_s: float
    ended_at_s: float


@dataclass(frozen=True, slots=True)
class Lag:
    """From the answer to the client's write to the third replica of it."""

    p50_s: float
    p99_s: float
    most_s: float

    @classmethod
    def of(cls, lags: Sequence[float]) -> Lag:
        in_order = sorted(lags)
        middle, high = (in_order[int(len(lags) * part)] for part in (0.5, 0.99))
        return cls(middle, high, in_order[-1])


@dataclass(frozen=True, slots=True)
class Report:
    """Numbers of one run. ``lag_steady``: without writes whose lag spans a start of the daemon."""

    objects: int
    overwrites: int
    took_s: float
    copies: int
    needed_copies: int
    extra_copies: int
    lag: Lag
    lag_steady: Lag
    restarts_s: Sequence[float]


class Run:
    """One configuration: what is running, what was killed, what the client wrote."""

    def __init__(
        self, directory: Path, proxy: CountingProxy, rate: float | None, every_s: float
    ) -> None:
        self._directory = directory
        self._proxy = proxy
        self._rate = rate
        self._every_s = every_s
        self._held: ExitStack | None = None
        self._daemon: RunningDaemon | None = None
        self._command: LeashedProcess | None = None
        self.overwrites: list[Overwrite] = []
        self.is_over = False
        self.starts: list[tuple[float, float]] = []
        """When the daemon was killed (or began), and when it answered again."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """The daemon, then the command; none of them is left at the end."""
        try:
            self._start_daemon()
            self._start_command()
            yield
        finally:
            self._kill_command()
            self._kill_daemon()

    def _start_daemon(self) -> None:
        killed_at_s = time.time()
        targets = {bucket: Target(bucket, self._proxy.server) for bucket in BUCKETS}
        held = ExitStack()
        self._daemon = held.enter_context(
            running_daemon(self._directory, self._proxy.server, targets)
        )
        self._held = held
        self.starts.append((killed_at_s, time.time()))

    def _kill_daemon(self) -> None:
        held, self._held, self._daemon = self._held, None, None
        if held is not None:
            held.close()

    def _start_command(self) -> None:
        rate = () if self._rate is None else ("--rate", str(self._rate))
        config = str(self._directory / "s3fanout.toml")
        self._command = LeashedProcess(
            [program("s3fanout"), "backfill", "-c", config, "--yes", *rate],
            directory=self._directory,
            environment=environment(self._directory),
            log=self._directory / "command.log",
        )

    def _kill_command(self) -> None:
        if self._command is not None:
            self._command.stop()
            self._command = None

    def kill(self, victim: str) -> None:
        """Kill and start again.

        Raises:
            ToolFailed: The command had ended before it could be killed.
        """
        assert self._command is not None
        if victim != "daemon":
            if self._command.exit_status is not None:
                raise ToolFailed(
                    f"the backfill had ended already: more --objects, or a lower --rate\n"
                    f"{self._command.log_tail()}"
                )
            self._kill_command()
        if victim != "command":
            self._kill_daemon()
            self._start_daemon()
        if victim != "daemon":
            self._start_command()

    async def until_copies(self, count: int) -> None:
        """Until the store made so many."""
        seen = 0
        with self._proxy.log.open("rb") as log:
            while seen < count:
                self._check()
                await asyncio.sleep(_POLL_S)
                seen += log.read().count(b"\nPUT ")

    async def until_done(self) -> None:
        """Until the command ended well and nothing is left to do."""
        assert self._command is not None
        give_up_at_s = time.monotonic() + PATIENCE_S
        while self._command.exit_status is None or await self._backlog():
            self._check()
            if time.monotonic() > give_up_at_s:
                raise ToolFailed(f"not done within {PATIENCE_S} s")
            await asyncio.sleep(_STATUS_S)

    def _check(self) -> None:
        if self._command is not None and self._command.exit_status:
            raise ToolFailed(f"the backfill failed\n{self._command.log_tail()}")

    async def _backlog(self) -> int:
        assert self._daemon is not None
        rows = (await asyncio.to_thread(self._daemon.get, "status"))["destinations"]
        if any(row["failed"] for row in rows):
            raise ToolFailed(f"replicas failed: {rows}")
        return sum(row["backlog_jobs"] for row in rows)

    async def overwrite(self, server: Server, objects: Sequence[Written]) -> None:
        """Overwrite keys, each at most once, until all is done; tell of every write."""
        source = store(server, SOURCE)
        keys = random.Random(7).sample([one.key for one in objects], len(objects))
        try:
            for number, key in enumerate(keys):
                if self.is_over:
                    return
                body = body_of(key, f"overwritten {number}", SIZE_BYTES)
                began_at_s = time.time()
                await source.put(key, body, ObjectAttributes())
                ended_at_s = time.time()
                written = Written(key, body.facts.etag, SIZE_BYTES)
                self.overwrites.append(Overwrite(written, began_at_s, ended_at_s))
                await self._tell(written)
                await asyncio.sleep(max(0.0, began_at_s + self._every_s - time.time()))
        finally:
            await source.close()

    async def _tell(self, written: Written) -> None:
        """Post the event until it is accepted, as a store that keeps its events does."""
        (message,) = messages([written], bucket=SOURCE, records=1)
        while True:
            try:
                if self._daemon is not None:
                    await asyncio.to_thread(self._daemon.post, message)
                    return
            except (URLError, OSError):
                pass
            await asyncio.sleep(_POLL_S)


async def work(
    run: Run, server: Server, objects: Sequence[Written], kills: Sequence[float]
) -> float:
    """The whole story; returns how long it took."""
    began = time.perf_counter()
    client = asyncio.ensure_future(run.overwrite(server, objects))
    try:
        for share, victim in zip(kills, VICTIMS, strict=True):
            await run.until_copies(round(share * len(objects) * len(BUCKETS)))
            await asyncio.to_thread(run.kill, victim)
        await run.until_done()
    finally:
        run.is_over = True
    await client
    await run.until_done()
    return time.perf_counter() - began


def report_of(run: Run, copies: Sequence[Copied], objects: int, took_s: float) -> Report:
    """The numbers of a run that ended exact."""
    overwritten = {one.written.key: one for one in run.overwrites}
    needed = objects * len(BUCKETS) + sum(
        (key in overwritten) and at_s < overwritten[key].began_at_s
        for (_, key), at_s in _first(copies).items()
    )
    lags: list[float] = []
    steady: list[float] = []
    of_state = _first_of_state(copies)
    for one in run.overwrites:
        done_at_s = max(of_state[bucket, one.written.key, one.written.etag] for bucket in BUCKETS)
        lags.append(done_at_s - one.ended_at_s)
        if not any(one.began_at_s < up and down < done_at_s for down, up in run.starts):
            steady.append(lags[-1])
    return Report(
        objects=objects,
        overwrites=len(run.overwrites),
        took_s=took_s,
        copies=len(copies),
        needed_copies=needed,
        extra_copies=len(copies) - needed,
        lag=Lag.of(lags),
        lag_steady=Lag.of(steady),
        restarts_s=[up - down for down, up in run.starts[1:]],
    )


def _first(copies: Sequence[Copied]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for copy in copies:
        found.setdefault((copy.bucket, copy.key), copy.at_s)
    return found


def _first_of_state(copies: Sequence[Copied]) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], float] = {}
    for copy in copies:
        found.setdefault((copy.bucket, copy.key, copy.source_etag), copy.at_s)
    return found


async def listing(server: Server, bucket: str) -> dict[str, tuple[int, str]]:
    """Size and etag of every object."""
    found: dict[str, tuple[int, str]] = {}
    one, token = store(server, bucket), None
    while True:
        page = await one.list_page(token=token)
        found |= {row.key: (row.size_bytes, row.etag) for row in page.objects}
        token = page.next_token
        if token is None:
            await one.close()
            return found


def check_exact(directory: Path, server: Server, objects: int) -> None:
    """All replicas equal their source objects, by two looks.

    Raises:
        ToolFailed: They do not.
    """
    source = asyncio.run(listing(server, SOURCE))
    if len(source) != objects:
        raise ToolFailed(f"the source has {len(source)} objects, not {objects}")
    for bucket in BUCKETS:
        replicas = asyncio.run(listing(server, bucket))
        if replicas != source:
            wrong = [key for key, facts in source.items() if replicas.get(key) != facts]
            raise ToolFailed(f"{bucket} is not equal: {len(wrong)} objects, {wrong[:3]}")
        checked = subprocess.run(
            [
                *(program("rclone"), "check", "--config=/dev/null", "--stats=0", "--fast-list"),
                *("--checkers=32", f"src:{SOURCE}", f"src:{bucket}"),
            ],
            env=environment(directory) | remote("SRC", server),
            capture_output=True,
            text=True,
            check=False,
        )
        if checked.returncode:
            raise ToolFailed(f"rclone check of {bucket}\n{checked.stderr[-2000:]}")


def measure(
    directory: Path, objects: int, *, rate: float | None, every_s: float, kills: Sequence[float]
) -> Report:
    """One run."""
    folders = [directory / name for name in ("store", "proxy", "work")]
    for folder in folders:
        folder.mkdir()
    with (
        seaweedfs(folders[0], memory_mib=_STORE_MEMORY_MIB) as server,
        counting_proxy(folders[1], server) as proxy,
    ):
        make_buckets(server)
        written = fill(server, objects, SIZE_BYTES)
        run = Run(folders[2], proxy, rate, every_s)
        with run.running():
            took_s = asyncio.run(work(run, server, written, kills))
        check_exact(folders[2], server, objects)
        if len(run.overwrites) < SHARE * objects:
            raise ToolFailed(f"only {len(run.overwrites)} keys were overwritten: lower --every")
        return report_of(run, proxy.copies(), objects, took_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="a backfill, killed and overwritten")
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--rate", type=float, help="of the backfill: objects queued in a second")
    parser.add_argument("--every", type=float, default=0.1, help="seconds between overwrites")
    parser.add_argument("--kills", type=float, nargs=3, default=KILLS, help="shares of the copies")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = measure(
            Path(name),
            arguments.objects,
            rate=arguments.rate,
            every_s=arguments.every,
            kills=arguments.kills,
        )
    if arguments.json:
        print(json.dumps(asdict(report)))
        return
    for name, value in (
        ("objects, overwrites", f"{report.objects}, {report.overwrites}"),
        ("copies, and how long they took", f"{report.copies}, {report.took_s:.0f} s"),
        ("daemon away", " and ".join(f"{each:.1f} s" for each in report.restarts_s)),
        (
            "extra copies (target <= 1 %)",
            f"{report.extra_copies}, {report.extra_copies / report.needed_copies:.2%}",
        ),
        ("lag, p50 / p99 / most (target p99 < 1 s)", _lags(report.lag)),
        ("lag where the daemon was not away", _lags(report.lag_steady)),
    ):
        print(f"{name:42} {value}")


def _lags(lag: Lag) -> str:
    return f"{lag.p50_s:.3f} / {lag.p99_s:.3f} / {lag.most_s:.3f} s"


if __name__ == "__main__":
    main()
