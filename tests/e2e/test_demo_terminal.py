"""The demo as a person sees it: on a terminal, until Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.evidence import get, keys, put
from tests.e2e.installation import PATIENCE_S, Place, program, until
from tests.e2e.terminal import CTRL_C, Terminal, found
from tests.servers.server import Server

pytestmark = pytest.mark.stores

_EXPORTED = r"export {}=([0-9a-z-]+)"


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
    assert terminal.process.wait(timeout=PATIENCE_S) == 0, terminal.text()[-2000:]
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
