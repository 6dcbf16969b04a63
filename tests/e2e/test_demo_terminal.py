"""The demo as a person sees it: on a terminal, until Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.evidence import get, keys, put
from tests.e2e.installation import Place, program, until
from tests.servers.server import Server

pytestmark = pytest.mark.stores

CTRL_C = b"\x03"
_EXPORTED = r"export {}=([0-9a-z-]+)"


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
                # The first terminal that a session opens becomes its own: Ctrl-C works.
                preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # noqa: PLW1509
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


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "TMPDIR": str(tmp_path),
        "TERM": "xterm",
        "COLUMNS": "200",
    }
    opened = Terminal([program("s3fanout"), "demo"], env=env)
    try:
        yield opened
    finally:
        opened.close()


def found(terminal: Terminal, pattern: str) -> Callable[[], str | None]:
    def look() -> str | None:
        match = re.search(pattern, terminal.text())
        return None if match is None else match[1]

    return look


def test_a_file_that_a_person_drops_in_arrives_and_ctrl_c_ends_it(
    terminal: Terminal, tmp_path: Path
) -> None:
    access_key = until(found(terminal, _EXPORTED.format("AWS_ACCESS_KEY_ID")), what="a key")
    secret_key = until(found(terminal, _EXPORTED.format("AWS_SECRET_ACCESS_KEY")), what="a secret")
    endpoint = until(found(terminal, r"--endpoint-url (\S+) s3 ls"), what="an endpoint")
    source = until(found(terminal, r"cp FILE s3://([^/]+)/"), what="the source")
    replica = until(found(terminal, r"s3 ls s3://([^/]+)/"), what="a destination")
    server = Server("demo", endpoint, access_key, secret_key)
    put(Place(server, source), {"mine.txt": b"dropped in"})
    until(lambda: "mine.txt" in keys(Place(server, replica)), what="the replica")
    assert get(Place(server, replica), "mine.txt").content == b"dropped in"
    until(lambda: "paris" in terminal.text(), what="the live view")
    terminal.press(CTRL_C)
    assert terminal.process.wait(timeout=30) == 0, terminal.text()[-2000:]
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
