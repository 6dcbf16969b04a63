"""moto: an emulator of AWS, the second opinion beside ministack.

It keeps everything in memory, checks no credentials, and ignores copy conditions.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, Server, closed_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def moto(directory: Path) -> Iterator[Server]:
    """A server on a free port; it dies with us."""
    port = closed_port()
    process = LeashedProcess(
        [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)],
        directory=directory,
        environment={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "TMPDIR": str(directory),
        },
        log=directory / "server.log",
    )
    with serving(process, port, is_ready=lambda status: status == 200):
        yield Server(
            name="moto",
            endpoint=f"http://{LOOPBACK}:{port}",
            access_key="test",
            secret_key="test",
            pid=process.pid,
        )
