"""What a process cost: wall time, CPU of all its threads, largest memory. Linux."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources of one or several processes.

    Attributes:
        wall_s: From the start to the end of the work.
        cpu_s: User and system time.
        rss_mib: Largest resident memory of any one process.
    """

    wall_s: float
    cpu_s: float
    rss_mib: float

    def then(self, other: Usage) -> Usage:
        """Both, one after the other."""
        return Usage(
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            max(self.rss_mib, other.rss_mib),
        )


class ToolFailed(RuntimeError):
    """A compared program did not do its work; a number from it would mean nothing."""


def usage_of(argv: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Usage:
    """Run a program to its end; what it printed is in ``log``.

    Raises:
        ToolFailed: It ended with another status than 0.
    """
    result = log.with_suffix(".usage")
    launcher = Path(__file__).with_name("launcher.py")
    with log.open("wb") as output:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", str(launcher), str(result), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            check=False,
        )
    if ended.returncode:
        tail = log.read_text("utf-8", errors="replace")[-2000:]
        raise ToolFailed(f"{argv[0]} failed\n{tail}")
    return Usage(**json.loads(result.read_text("utf-8")))


def cpu_so_far_s(pid: int) -> float:
    """CPU that a running process has used, in steps of 10 ms (``proc(5)``, utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mib(pid: int, *, peak: bool) -> float:
    """Resident memory of a running process, now or the most so far."""
    name = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise ToolFailed(f"process {pid} has ended")
