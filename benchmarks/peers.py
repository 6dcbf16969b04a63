"""The compared programs, each in the setting that makes it fastest here.

- ``s5cmd run`` with one server-side ``cp`` of the whole bucket per destination, in one process: 32
  workers on the null server and 256, its default, on a real store. With ``keys``, one ``cp`` per
  replica, which is what it has for changes that arrive one by one; it is slower, because s5cmd
  sets up each command anew. It cannot copy between two stores.
- ``rclone copy``, one run per destination: 32 transfers, and, unless it is told otherwise, without
  every check that can be left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from pathlib import Path

from benchmarks.daemon import SOURCE, Target
from benchmarks.processes import Usage, usage_of
from tests.servers.server import Server

_FLAGS = (
    *("--transfers=32", "--checkers=32", "--no-check-dest", "--no-traverse", "--fast-list"),
    *("--s3-no-check-bucket", "--use-server-modtime"),
    *("--stats=0", "--retries=1", "--config=/dev/null"),
)
_UNSEEN = ("--s3-no-head", "--s3-no-head-object")
_UNCOMPARED = ("--ignore-checksum", "--s3-disable-checksum")


class Checks(Enum):
    """How sure rclone makes of what it wrote; the value is what leaves the other checks out.

    ``LOOKS``: that it is there, and its size. Without that it takes an object that it wrote in
    parts for empty, and fails. ``COMPARES``: its digest too, which is what it does by itself.
    """

    NONE = (*_UNSEEN, *_UNCOMPARED)
    LOOKS = _UNCOMPARED
    COMPARES = ()


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
        self, source: Server, targets: Sequence[Target], *, checks: Checks = Checks.NONE
    ) -> Usage:
        """Copy the whole source bucket to each target, in a run of its own."""

        def run(number: int) -> Usage:
            target = targets[number]
            same = target.server.endpoint == source.endpoint
            return usage_of(
                [
                    *(program("rclone"), "copy", *_FLAGS, *checks.value, f"src:{SOURCE}"),
                    f"{'src' if same else 'dst'}:{target.bucket}/{target.prefix}",
                ],
                environment=environment(self.directory)
                | remote("SRC", source)
                | remote("DST", target.server),
                log=self.directory / f"rclone-{number}.log",
            )

        return reduce(Usage.then, map(run, range(len(targets))))


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
