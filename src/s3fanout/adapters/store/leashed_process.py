"""A child process that cannot outlive us, however we end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LEASH = 'exec 3<&0; (read -r _ <&3; kill -9 -$$) & exec "$@" </dev/null 3<&-'
"""The leash is a subshell that reads a pipe whose only writer is us. When we end, even by SIGKILL,
the read returns and the subshell kills its process group, itself included. The group is the
child's own (``start_new_session``), and while the subshell is in it no other process can get the
child's id (POSIX, "Process ID"), so that a late kill never hits a stranger.

``prctl(PR_SET_PDEATHSIG)`` is not used: it needs code between fork and exec, exists on Linux only,
and fires when the *thread* that started the child ends."""


class LeashedProcess:
    """A running program, in a session of its own so that Ctrl-C reaches only us.

    Args:
        argv: Program and arguments; the program is replaced by nothing (its ``pid`` is ours).
        directory: Its working directory.
        environment: All of its environment.
        log: Takes its standard output and error, appended.

    Raises:
        OSError: There is no shell, or no process or file can be made.
    """

    def __init__(
        self, argv: Sequence[str], *, directory: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- no text of the argv is parsed
                ["/bin/sh", "-c", _LEASH, "leash", *argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the program itself."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """As of ``subprocess``; ``None`` while it runs."""
        return self._process.poll()

    def log_tail(self, lines: int = 20) -> str:
        """The end of what it printed."""
        text = self._log.read_text("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, *, grace_s: float = 0.0) -> None:
        """End it: SIGTERM and up to ``grace_s`` seconds, then SIGKILL for its group. Idempotent.

        Blocks; with ``grace_s`` 0 only as long as the system takes.
        """
        if self._process.poll() is None and grace_s > 0:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
