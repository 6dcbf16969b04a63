"""ministack: an emulator of AWS that delivers events, runs functions and keeps all of it in memory.

Credentials and permissions are checked only with ``enforce_iam``; then it keeps the rules of
``aws_rules`` as well.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, Server, closed_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

_WITH_RULES = Path(__file__).with_name("aws_rules.py")


@contextmanager
def ministack(directory: Path, *, enforce_iam: bool = False) -> Iterator[Server]:
    """A server on a free port; it dies with us. All services answer at the same endpoint.

    Args:
        directory: For its files.
        enforce_iam: Whether policies are evaluated; the server's credentials are the account's
            root, which may do everything.
    """
    port = closed_port()
    process = LeashedProcess(
        [sys.executable, *(["-P", str(_WITH_RULES)] if enforce_iam else ["-m", "ministack"])],
        directory=directory,
        environment={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            "LOG_LEVEL": "WARNING",
            "AUTH": str(enforce_iam).lower(),
        },
        log=directory / "server.log",
    )
    with serving(process, port, is_ready=lambda status: status == 200):
        yield Server(
            name="ministack",
            endpoint=f"http://{LOOPBACK}:{port}",
            access_key="test",
            secret_key="test",
            pid=process.pid,
        )
