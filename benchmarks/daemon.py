"""s3fanout as a user runs it: the installed command, a configuration file, events over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from benchmarks.events import Written, messages
from benchmarks.processes import ToolFailed, Usage, cpu_so_far_s, memory_mib
from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, Server, closed_port, serving

SOURCE = "source"
RECORDS_PER_MESSAGE, CONNECTIONS = 50, 8
PATIENCE_S = 300.0
_TOKEN = "benchmark"
_POLL_S = 0.5
"""The status scans the ledger: asked more often, it would be a cost of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """A destination; ``endpoint`` and keys only where it is another store than the source."""

    bucket: str
    server: Server
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """A started daemon.

    Attributes:
        address: ``http://host:port``.
        directory: Its configuration and ledger.
        destinations: Their names.
        pid: Process id.
        start: What it took until it was ready.
    """

    address: str
    directory: Path
    destinations: tuple[str, ...]
    pid: int
    start: Usage

    def replicate(self, objects: Sequence[Written], *, already: int = 0) -> Usage:
        """Post one event per object and wait until all replicas are settled.

        Measured from the first post to the settling of the last replica; CPU and memory are those
        of the daemon alone. ``already``: replicas per destination that were settled before.
        """
        path = self.directory / "messages"
        lines = messages(objects, bucket=SOURCE, records=RECORDS_PER_MESSAGE)
        path.write_text("\n".join(lines), "utf-8")
        before_s = cpu_so_far_s(self.pid)
        sender = subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).with_name("sender.py"))),
                *(f"{self.address}/events", str(self.directory / "token"), str(path)),
                str(CONNECTIONS),
            ],
            stdout=subprocess.PIPE,
        )
        output, _ = sender.communicate()
        if sender.returncode:
            raise ToolFailed("the daemon did not accept all events")
        last_at_s = self._wait_settled(already + len(objects))
        return Usage(
            last_at_s - float(json.loads(output)["first_at_s"]),
            cpu_so_far_s(self.pid) - before_s,
            memory_mib(self.pid, peak=True),
        )

    def _wait_settled(self, count: int) -> float:
        """When the last of ``count`` replicas per destination was settled, in Unix seconds."""
        give_up_at_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at_s:
            found = self.get("status")["destinations"]
            if any(one["failed"] for one in found):
                raise ToolFailed(f"replicas failed: {found}")
            if all(one["replicated"] == count for one in found):
                return max(instant_s(one["last_replicated_at"]) for one in found)
            time.sleep(_POLL_S)
        raise ToolFailed(f"not settled within {PATIENCE_S} s: {self.get('status')}")

    def get(self, path: str) -> Any:
        """A document of the status API."""
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        with urlopen(Request(f"{self.address}/api/v1/{path}", headers=headers)) as answer:
            return json.load(answer)

    def post(self, message: str) -> None:
        """Post one message; returns when it is durable."""
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        with urlopen(Request(f"{self.address}/events", message.encode(), headers)) as answer:
            assert answer.status == 200

    def settled_at_s(self, key: str) -> float | None:
        """When the last replica of ``key`` was settled; ``None`` while one is not."""
        records = self.get(f"keys?key={quote(key)}")["records"]
        if len(records) < len(self.destinations):
            return None
        if any(record["state"] != "settled" for record in records):
            return None
        return max(instant_s(record["settled_at"]) for record in records)


def instant_s(text: str) -> float:
    """Unix seconds of a time in RFC 3339."""
    return datetime.fromisoformat(text).timestamp()


@contextmanager
def running_daemon(
    directory: Path, source: Server, targets: Mapping[str, Target]
) -> Iterator[RunningDaemon]:
    """Start ``s3fanout run`` with a fresh ledger; kill it at the end. ``directory`` is empty."""
    port = closed_port()
    configuration = directory / "s3fanout.toml"
    configuration.write_text(_configuration(directory, source, targets, port), "utf-8")
    (directory / "token").write_text(_TOKEN, "utf-8")
    began = time.perf_counter()
    process = LeashedProcess(
        [str(Path(sys.executable).with_name("s3fanout")), "run", "-c", str(configuration)],
        directory=directory,
        environment={"PATH": "/usr/bin:/bin", "HOME": str(directory)},
        log=directory / "daemon.log",
    )
    # It listens a moment before it is ready; any answer will do, the work itself is waited for.
    with serving(process, port, is_ready=lambda status: status > 0):
        start = Usage(
            time.perf_counter() - began,
            cpu_so_far_s(process.pid),
            memory_mib(process.pid, peak=True),
        )
        yield RunningDaemon(
            f"http://{LOOPBACK}:{port}", directory, tuple(targets), process.pid, start
        )


def _configuration(
    directory: Path, source: Server, targets: Mapping[str, Target], port: int
) -> str:
    lines = [
        "schema = 1",
        f'source.bucket = "{SOURCE}"',
        f'source.endpoint = "{source.endpoint}"',
        f"source.credentials = {_credentials(directory, source)}",
        'intake.webhook.token = { file = "token" }',
        f'server.listen = "{LOOPBACK}:{port}"',
        'ledger.path = "ledger.db"',
    ]
    for name, target in targets.items():
        lines.append(f'destinations.{name}.bucket = "{target.bucket}"')
        if target.server.endpoint == source.endpoint:
            # Objects here carry nothing special, and the null server is of no known kind.
            lines.append(f'destinations.{name}.attributes = "copied"')
        if target.prefix:
            lines.append(f'destinations.{name}.add_prefix = "{target.prefix}"')
        if target.server.endpoint != source.endpoint:
            lines.append(f'destinations.{name}.endpoint = "{target.server.endpoint}"')
            lines.append(
                f"destinations.{name}.credentials = {_credentials(directory, target.server)}"
            )
    return "\n".join(lines) + "\n"


def _credentials(directory: Path, server: Server) -> str:
    path = directory / f"{server.name}.json"
    document = {"AccessKeyId": server.access_key, "SecretAccessKey": server.secret_key}
    path.write_text(json.dumps(document), "utf-8")
    return f'{{ file = "{path.name}" }}'
