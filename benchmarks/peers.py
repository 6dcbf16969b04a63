"""The compared programs, each in the setting that makes it fastest here.

- ``s5cmd run`` with one server-side ``cp`` of the whole bucket per destination, in one process: 32
  workers on the null server and 256, its default, on a real store. With ``keys``, one ``cp`` per
  replica, which is what it has for changes that arrive one by one; it is slower, because s5cmd
  sets up each command anew. It cannot copy between two stores.
- ``rclone copy``, one run per destination: 32 transfers, and without every check that can be left
  out. With ``at_once`` the runs share the machine instead of taking turns.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from benchmarks.daemon import SOURCE, Target
from benchmarks.processes import Usage, usage_of
from tests.servers.server import Server

_FLAGS = (
    *("--transfers=32", "--checkers=32", "--no-check-dest", "--no-traverse", "--ignore-checksum"),
    *("--s3-no-check-bucket", "--s3-no-head", "--s3-no-head-object", "--s3-disable-checksum"),
    *("--stats=0", "--retries=1", "--config=/dev/null", "--use-server-modtime", "--fast-list"),
)


@dataclass(frozen=True, slots=True)
class Peers:
    """Programs of this Python environment; their logs go to ``directory``."""

    directory: Path

    def s5cmd(
        self, server: Server, targets: Sequence[Target], *, workers: int, keys: Sequence[str] = ()
    ) -> Usage:
        """Copy the bucket, or these keys one by one, to all targets of the same store."""
        commands = self.directory / "commands"
        lines = [
            f"cp s3://{SOURCE}/{key} s3://{target.bucket}/{target.prefix}{key}"
            for key in keys
            for target in targets
        ] or [f"cp s3://{SOURCE}/* s3://{target.bucket}/{target.prefix}" for target in targets]
        commands.write_text("\n".join(lines), "utf-8")
        return usage_of(
            [
                *(program("s5cmd"), "--log", "error", "--endpoint-url", server.endpoint),
                *("--numworkers", str(workers), "run", str(commands)),
            ],
            environment=environment(self.directory)
            | {
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
                "AWS_REGION": server.region,
            },
            log=self.directory / "s5cmd.log",
        )

    def rclone(
        self,
        source: Server,
        targets: Sequence[Target],
        *,
        at_once: bool = False,
        looks: bool = False,
    ) -> Usage:
        """Copy the whole source bucket to each target, in a run of its own.

        ``looks``: at what it wrote, once per object; without it rclone takes an object that it
        wrote in parts for empty, and fails.
        """
        flags = [flag for flag in _FLAGS if not (looks and flag.startswith("--s3-no-head"))]

        def run(number: int) -> Usage:
            target = targets[number]
            same = target.server.endpoint == source.endpoint
            return usage_of(
                [
                    *(program("rclone"), "copy", *flags, f"src:{SOURCE}"),
                    f"{'src' if same else 'dst'}:{target.bucket}/{target.prefix}",
                ],
                environment=environment(self.directory)
                | remote("SRC", source)
                | remote("DST", target.server),
                log=self.directory / f"rclone-{number}.log",
            )

        if not at_once:
            return reduce(Usage.then, map(run, range(len(targets))))
        with ThreadPoolExecutor(len(targets)) as pool:
            usages = list(pool.map(run, range(len(targets))))
        return Usage(
            max(usage.wall_s for usage in usages),
            sum(usage.cpu_s for usage in usages),
            sum(usage.rss_mib for usage in usages),
        )


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def environment(directory: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(directory)}


def remote(name: str, server: Server) -> dict[str, str]:
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": server.endpoint,
        "ACCESS_KEY_ID": server.access_key,
        "SECRET_ACCESS_KEY": server.secret_key,
        "REGION": server.region,
        "FORCE_PATH_STYLE": "true",
    }
    return {f"RCLONE_CONFIG_{name}_{key}": value for key, value in settings.items()}
