"""Programs on a terminal of their own, as a person has them."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing

CTRL_C = b"\x03"


def _log_in() -> None:
    """Ctrl-C works: the first terminal that a session opens becomes its own, and nothing ignores
    its signal, as children of a shell's background jobs do."""
    os.close(os.open(os.ttyname(0), os.O_RDWR))
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A program on a terminal of its own; what it shows is read all the time, or it would stop."""

    def __init__(self, arguments: list[str], *, env: dict[str, str]) -> None:
        self._keyboard, screen = pty.openpty()
        self._shown = bytearray()
        with closing(os.fdopen(screen, "wb")) as slave:
            self.process = subprocess.Popen(
                arguments,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=env,
                start_new_session=True,
                preexec_fn=_log_in,  # noqa: PLW1509
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                read = os.read(self._keyboard, 65536)
            except OSError:  # Linux: nobody has the terminal open any more.
                return
            if not read:
                return
            self._shown += read

    def text(self) -> str:
        """All that was shown, without colours and movements of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._shown.decode("utf-8", "replace"))

    def press(self, key: bytes) -> None:
        os.write(self._keyboard, key)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._keyboard)


def found(terminal: Terminal, pattern: str) -> Callable[[], str | None]:
    def look() -> str | None:
        match = re.search(pattern, terminal.text())
        return None if match is None else match[1]

    return look
