"""An emulator of AWS on this machine, for the demo: ministack, with IAM enforced."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from s3fanout.adapters.store.embedded import http_status
from s3fanout.adapters.store.leashed_process import LeashedProcess
from s3fanout.adapters.store.loopback import LOOPBACK, reserved_port
from s3fanout.model.errors import Misconfigured, Unavailable
from s3fanout.model.topology import Architecture, PythonVersion
from s3fanout.ports.system import Clock

READY_S = 60.0
ACCESS_KEY = "test"
"""The emulator's root."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    Attributes:
        endpoint: Of all services.
        pid: Of its process.
    """

    endpoint: str
    pid: int


def require_emulator() -> None:
    """Refuse where the emulator, or the functions on it, could not run.

    Raises:
        Misconfigured: With what to install or to use.
    """
    if importlib.util.find_spec("ministack") is None:
        raise Misconfigured(
            "the emulator of AWS is not installed", hint="pip install 's3fanout[demo-aws]'"
        )
    if not sys.platform.startswith("linux") or local_python() is None:
        raise Misconfigured(
            "the emulator runs the functions with this Python, and their libraries are built for "
            f"Linux and Python {', '.join(PythonVersion)}",
            hint="run it in a container of one of these, such as python:3.13",
        )


def local_python() -> PythonVersion | None:
    """The Lambda runtime that is this Python, if there is one."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return next((version for version in PythonVersion if version.value == own), None)


def local_architecture() -> Architecture:
    """What this machine's processor is called on Lambda."""
    is_arm = platform.machine() in {"aarch64", "arm64"}
    return Architecture.ARM64 if is_arm else Architecture.X86_64


@contextmanager
def emulator(directory: Path, *, keep: bool) -> Iterator[Emulator]:
    """Start it, and end it with the context; with ``keep`` it lives on, whatever becomes of us.

    The caller waits with ``until_ready``.
    """
    with reserved_port() as port, _started(directory, port, keep=keep) as pid:
        yield Emulator(f"http://{LOOPBACK}:{port}", pid)


@contextmanager
def _started(directory: Path, port: int, *, keep: bool) -> Iterator[int]:
    argv = [sys.executable, "-m", "ministack"]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        # Denies whatever no policy allows, as AWS does.
        "AUTH": "true",
    }
    log = directory / "emulator.log"
    if keep:
        with log.open("ab") as output:
            kept = subprocess.Popen(  # noqa: S603 - our own interpreter
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )
        yield kept.pid
        return
    process = LeashedProcess(argv, directory=directory, environment=environment, log=log)
    try:
        yield process.pid
    finally:
        process.stop(grace_s=2.0)


async def until_ready(running: Emulator, *, clock: Clock) -> None:
    """Until it answers.

    Raises:
        Unavailable: It did not within ``READY_S``.
    """
    give_up_at_s = clock.monotonic_s() + READY_S
    while clock.monotonic_s() < give_up_at_s:
        if await http_status(running.endpoint.removeprefix("http://")) > 0:
            return
        await clock.sleep(0.1)
    raise Unavailable("the emulator did not start", hint="see emulator.log in its directory")
