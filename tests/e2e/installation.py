"""The program in a directory of its own: configuration, environment, daemon, commands.

Nothing here imports the product's engine: what a test learns about it comes from its processes.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.e2e.forks import run_fork
from tests.servers.server import LOOPBACK, Server, closed_port

T = TypeVar("T")

TOKEN = "e2e-token-5f1c"
POLL_S = 0.02
PATIENCE_S = 240.0
"""For whatever a test waits for: far longer than it takes, because the machine may be busy."""


def program(name: str) -> str:
    """Path of a program that the environment of the tests brings."""
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    found = shutil.which(name, path=folders)
    assert found is not None, f"{name} is not installed"
    return found


def until(look: Callable[[], T | None], *, what: str, within_s: float = PATIENCE_S) -> T:
    """The first answer of ``look`` that is not ``None`` and not ``False``."""
    give_up_at_s = time.monotonic() + within_s
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < give_up_at_s, f"not within {within_s} s: {what}"
        time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket of a server, as a configuration names it.

    Attributes:
        server: Where the bucket is.
        bucket: Its name.
        credentials: Prefix of the environment variables; the server's name without one.
        settings: More settings of the source or destination: name to TOML text.
    """

    server: Server
    bucket: str
    credentials: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        return self.credentials or self.server.name.upper()

    def toml(self, path: str) -> str:
        settings = {
            "bucket": json.dumps(self.bucket),
            "endpoint": json.dumps(self.server.endpoint),
            "credentials": f'{{ env = "{self.prefix}" }}',
            **self.settings,
        }
        return "".join(f"{path}.{name} = {value}\n" for name, value in settings.items())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon's HTTP side said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Installation:
    """One configuration and what runs on it. Use as a context manager: it leaves no process."""

    def __init__(
        self,
        directory: Path,
        *,
        source: Place,
        destinations: Mapping[str, Place],
        settings: str = "",
        webhook: bool = True,
        ledger: Path | None = None,
        port: int | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.source, self.destinations = source, destinations
        self.port = port or closed_port()
        self.config = directory / "s3fanout.toml"
        self.log_file = directory / "daemon.log"
        self.ledger = ledger or directory / "ledger.db"
        self._process: LeashedProcess | None = None
        text = "schema = 1\n" + source.toml("source")
        text += "".join(to.toml(f'destinations."{name}"') for name, to in destinations.items())
        text += 'intake.webhook.token = { env = "E2E_TOKEN" }\n' if webhook else ""
        text += f'server.listen = "{LOOPBACK}:{self.port}"\nledger.path = "{self.ledger}"\n'
        self.config.write_text(text + settings, "utf-8")
        self.environment = {
            name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ
        }
        self.environment |= {"HOME": str(directory), "E2E_TOKEN": TOKEN}
        for place in (source, *destinations.values()):
            self.environment |= {
                f"{place.prefix}_ACCESS_KEY_ID": place.server.access_key,
                f"{place.prefix}_SECRET_ACCESS_KEY": place.server.secret_key,
            }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # Commands

    def command(self, *arguments: str, check: bool = False) -> Ended:
        """Run ``s3fanout ARGUMENTS`` on this configuration to its end."""
        done = run_program(arguments, env={**self.environment, "S3FANOUT_CONFIG": str(self.config)})
        assert not check or done.code == 0, f"{arguments}: {done.code}\n{done.err}"
        return done

    def read(self, *arguments: str) -> Any:
        """The JSON document that a command prints."""
        return self.command(*arguments, "--json", check=True).json

    def destination(self, name: str) -> dict[str, Any]:
        """What ``status`` says about one destination."""
        rows: list[dict[str, Any]] = self.read("status")["destinations"]
        return next(row for row in rows if row["name"] == name)

    # The daemon

    def start(self, *, ready: bool = True) -> LeashedProcess:
        """Start the daemon, and wait until it says that it is ready."""
        assert self._process is None, "it runs already"
        self._process = LeashedProcess(
            [program("s3fanout"), "run", "--config", str(self.config)],
            directory=self.directory,
            environment=self.environment,
            log=self.log_file,
        )
        if ready:
            self.wait_ready()
        return self._process

    def wait_ready(self) -> None:
        """Until ``/readyz`` answers 200."""
        process = self._process

        def look() -> bool:
            assert process is not None
            assert process.exit_status is None, f"it ended: {process.log_tail()}"
            return self.ready_status() == 200

        until(look, what="the daemon is ready")

    def ready_status(self) -> int:
        """Status of ``/readyz``; 0 without an answer."""
        try:
            return self.get("/readyz").status
        except OSError:
            return 0

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.stop(grace_s=PATIENCE_S)
        assert process.exit_status is not None
        return process.exit_status

    def signal(self, number: signal.Signals) -> None:
        """Only send it."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL, as a power cut; nothing if it does not run."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def log(self) -> str:
        """Everything that the daemon has said so far."""
        return self.log_file.read_text("utf-8")

    # HTTP

    def get(self, path: str, *, token: str | None = None) -> Answer:
        return self._request("GET", path, None, token)

    def post(self, body: bytes, *, token: str | None = TOKEN, path: str = "/events") -> Answer:
        return self._request("POST", path, body, token)

    def open_connection(self) -> socket.socket:
        """A connection that the caller closes."""
        return socket.create_connection((LOOPBACK, self.port), timeout=PATIENCE_S)

    def _request(self, method: str, path: str, body: bytes | None, token: str | None) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"no whole answer: {error!r}") from error
        finally:
            connection.close()

    # The daemon's own word, for waiting only: what counts is then looked up in the stores.

    def api_status(self) -> dict[str, dict[str, Any]]:
        """The status document's destinations, by name."""
        answer = self.get("/api/v1/status", token=TOKEN)
        assert answer.status == 200, answer.body
        return {row["name"]: row for row in answer.json["destinations"]}

    def wait_replicated(
        self, count: int, *destinations: str, within_s: float = PATIENCE_S
    ) -> dict[str, dict[str, Any]]:
        """Until each destination (all without a name) has settled ``count`` and owes nothing."""

        def look() -> dict[str, dict[str, Any]] | None:
            rows = self.api_status()
            wanted = [rows[name] for name in destinations or rows]
            done = all(row["replicated"] >= count and not row["backlog_jobs"] for row in wanted)
            return rows if done else None

        try:
            return until(look, what=f"{count} replicas each", within_s=within_s)
        except AssertionError:
            raise AssertionError(f"{self.api_status()}\n{self.log[-3000:]}") from None


def run_program(arguments: Sequence[str], *, env: Mapping[str, str]) -> Ended:
    """Run a command of ``s3fanout`` to its end."""
    return Ended(*run_fork(arguments, env=env, within_s=PATIENCE_S))


def run_installed(arguments: Sequence[str], *, env: Mapping[str, str]) -> Ended:
    """As ``run_program``, by the installed program's name."""
    done = subprocess.run(
        [program("s3fanout"), *arguments],
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
