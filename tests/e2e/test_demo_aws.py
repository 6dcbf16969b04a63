"""The demo of a deployment as a person has it: on a terminal until Ctrl-C, or left running."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s3fanout.model.errors import ExitCode
from tests.e2e.evidence import keys, put
from tests.e2e.installation import PATIENCE_S, Place, program, run_installed, run_program, until
from tests.e2e.terminal import CTRL_C, Terminal, found
from tests.servers.server import Server

pytestmark = [
    pytest.mark.stores,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="the functions' wheels are Linux's"
    ),
]

DEMO = ["demo", "--aws", "--objects", "3"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "TMPDIR": str(tmp_path),
        "TERM": "xterm",
        "COLUMNS": "200",
    }


@contextmanager
def terminal(arguments: list[str], env: dict[str, str]) -> Iterator[Terminal]:
    opened = Terminal([program("s3fanout"), *arguments], env=env)
    try:
        yield opened
    finally:
        opened.close()


def wait(look: Callable[[], str | None], what: str) -> str:
    return until(look, what=what)


def processes_of(directory: Path) -> list[int]:
    """Processes that were told to keep their files in a directory, and theirs."""
    told = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory).encode() in (each / "environ").read_bytes():
                told.append(int(each.name))
        except OSError:
            continue  # It has ended, or it is not ours.
    return told


def nothing_is_left(directory: Path) -> None:
    until(lambda: processes_of(directory) == [], what="the end of all processes")
    assert list(directory.iterdir()) == []


def test_on_a_terminal_it_waits_follows_logs_and_ctrl_c_removes_everything(
    tmp_path: Path, env: dict[str, str]
) -> None:
    with terminal(DEMO, env) as demo:
        config = wait(found(demo, r"s3fanout logs -f -c (\S+)"), "what to do next")
        endpoint = wait(found(demo, r"--endpoint-url (\S+) s3 ls"), "the endpoint")
        assert "s3fanout-demo-source is removed" not in demo.text()
        with terminal(["logs", "-f", "-c", config], env) as logs:
            wait(found(logs, r'("replicated").*samples/'), "the lines of the samples")
            server = Server("demo", endpoint, "test", "test")
            put(Place(server, "demo-source"), {"mine.txt": b"dropped in"})
            wait(found(logs, r"(mine\.txt)"), "the line of a new object")
            assert "mine.txt" in keys(Place(server, "demo-backup"))
            logs.press(CTRL_C)
            assert logs.process.wait(timeout=PATIENCE_S) == ExitCode.INTERRUPTED, logs.text()[
                -2000:
            ]
            assert "Traceback" not in logs.text()
        demo.press(CTRL_C)
        assert demo.process.wait(timeout=PATIENCE_S) == 0, demo.text()[-2000:]
        assert "s3fanout-demo-source is removed" in demo.text()
    nothing_is_left(tmp_path)


def test_ctrl_c_in_the_middle_of_it_leaves_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    with terminal(DEMO, env) as demo:
        wait(found(demo, r"(deploying \d+ resources)"), "the deployment")
        demo.press(CTRL_C)
        assert demo.process.wait(timeout=PATIENCE_S) == ExitCode.INTERRUPTED, demo.text()[-2000:]
        assert "Traceback" not in demo.text()
    nothing_is_left(tmp_path)


def test_kept_it_can_be_used_and_ended_as_it_says(tmp_path: Path, env: dict[str, str]) -> None:
    ended = run_installed([*DEMO, "--keep", "--json"], env=env)
    pid = 0
    try:
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["equal"], "standard output is one document"
        (end,) = [line for line in ended.err.splitlines() if line.startswith("End it: ")]
        _, _, _, number, _, _, directory = end.replace(";", "").split()
        pid = int(number)
        config = f"{directory}/s3fanout.toml"
        status = run_program(["status", "-c", config, "--json"], env=env)
        assert [each["replicated"] for each in status.json["destinations"]] == [3, 3, 3]
        assert run_program(["destroy", "-c", config, "--yes"], env=env).code == 0
    finally:
        for each in [pid] if pid else processes_of(tmp_path):
            os.kill(each, signal.SIGTERM)
    until(lambda: processes_of(tmp_path) == [], what="the end of all processes")
