"""Stands before a store and does to its requests what networks and tired stores do.

``python -m tests.servers.fault_proxy PORT UPSTREAM_PORT SEED`` in a process of its own. Bytes pass
unchanged, the ``Host`` header too, so signatures stay good. Which faults are on is set by posting
JSON to ``/-faults``; each value is a probability per request:

| fault | what happens |
|---|---|
| ``latency`` | up to half a second more |
| ``slow_down`` | 503 ``SlowDown`` at once; the store never hears of it |
| ``internal`` | 500 at once; likewise |
| ``throttled`` | DynamoDB's refusal of too many requests, at once; only its requests |
| ``reset`` | the connection ends before the store hears of it |
| ``lost`` | the store does it, and the connection ends before the answer (done, not acknowledged) |
| ``cut`` | the connection ends in the middle of the answer |
| ``stall`` | a part is taken in whole, and nothing more happens on that connection |
| ``corrupt`` | a byte of the request's body is another one when it reaches the store |
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, Server, closed_port, serving

FAULTS = (
    "latency",
    "slow_down",
    "internal",
    "throttled",
    "reset",
    "lost",
    "cut",
    "stall",
    "corrupt",
)
CONTROL = "/-faults"
HEAD_BYTES_MAX = 1 << 20
_NO_BODY = frozenset({"204", "304"})


@dataclass(frozen=True, slots=True)
class FaultProxy:
    """``server`` is the store as it is seen through the proxy."""

    server: Server
    port: int

    def set(self, **faults: float) -> None:
        """Switch exactly these faults on."""
        self._ask("POST", json.dumps(faults).encode())

    def counts(self) -> dict[str, int]:
        """How often each fault happened so far.

        ``requests`` is all requests, ``in_hand`` those that the store is carrying out now, whether
        or not somebody still waits for the answer.
        """
        counts: dict[str, int] = json.loads(self._ask("GET", b""))
        return counts

    def _ask(self, method: str, body: bytes) -> bytes:
        connection = HTTPConnection(LOOPBACK, self.port, timeout=30)
        try:
            connection.request(method, CONTROL, body)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def fault_proxy(directory: Path, server: Server, *, seed: int) -> Iterator[FaultProxy]:
    """Run one before ``server``; no fault is on."""
    port = closed_port()
    upstream = server.endpoint.rpartition(":")[2]
    root = Path(__file__).resolve().parents[2]
    process = LeashedProcess(
        [sys.executable, "-m", "tests.servers.fault_proxy", str(port), upstream, str(seed)],
        directory=directory,
        environment={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{root}:{root / 'src'}"},
        log=directory / f"fault-proxy-{server.name}.log",
    )
    with serving(process, port, is_ready=lambda status: status > 0):
        yield FaultProxy(replace(server, endpoint=f"http://{LOOPBACK}:{port}"), port)


@dataclass(frozen=True, slots=True)
class _Message:
    """A request or an answer: its head as it came, and its body as it came."""

    head: bytes
    body: bytes

    @property
    def start(self) -> list[str]:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")


class _Proxy:
    def __init__(self, upstream_port: int, seed: int) -> None:
        self._upstream_port = upstream_port
        self._chance = random.Random(seed)
        self._faults: dict[str, float] = {}
        self._counts: Counter[str] = Counter(dict.fromkeys((*FAULTS, "requests", "in_hand"), 0))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client; it has one connection to the store."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                request = await _read(reader, is_answer_to=None, sender=writer)
                if request.start[1] == CONTROL:
                    writer.write(self._control(request))
                    continue
                self._counts["requests"] += 1
                refusal = await self._refused(request)
                if refusal is not None:
                    writer.write(refusal)
                    continue
                if upstream is None:
                    upstream = await asyncio.open_connection(LOOPBACK, self._upstream_port)
                self._counts["in_hand"] += 1
                try:
                    upstream[1].write(request.head + self._corrupted(request))
                    answer = await _read(upstream[0], is_answer_to=request.start[0])
                finally:
                    self._counts["in_hand"] -= 1
                if self._happens("lost"):
                    return
                whole = answer.head + answer.body
                if answer.body and self._happens("cut"):
                    writer.write(whole[: len(answer.head) + len(answer.body) // 2])
                    await writer.drain()
                    return
                writer.write(whole)
                await writer.drain()
        except (OSError, EOFError, asyncio.IncompleteReadError):
            return
        finally:
            for each in (writer, *(upstream[1:] if upstream else ())):
                with suppress(OSError, RuntimeError):
                    each.close()

    async def _refused(self, request: _Message) -> bytes | None:
        """The answer of a request that never gets to the store.

        Raises:
            EOFError: There is none: the connection ends.
        """
        if self._happens("latency"):
            await asyncio.sleep(self._chance.uniform(0.0, 0.5))  # it is the fault
        if self._happens("reset"):
            raise EOFError
        if b"partNumber=" in request.head and self._happens("stall"):
            await asyncio.Event().wait()
        if self._happens("slow_down"):
            return _error("503 Slow Down", "SlowDown", request)
        if self._happens("internal"):
            return _error("500 Internal Server Error", "InternalError", request)
        if b"DynamoDB_20120810." in request.head and self._happens("throttled"):
            body = b'{"__type":"x#ProvisionedThroughputExceededException","message":"slower"}'
            return b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        return None

    def _corrupted(self, request: _Message) -> bytes:
        if not request.body or not self._happens("corrupt"):
            return request.body
        at = self._chance.randrange(len(request.body))
        return request.body[:at] + bytes([request.body[at] ^ 1]) + request.body[at + 1 :]

    def _happens(self, fault: str) -> bool:
        happens = self._chance.random() < self._faults.get(fault, 0.0)
        self._counts[fault] += happens
        return happens

    def _control(self, request: _Message) -> bytes:
        if request.start[0] == "POST":
            self._faults = json.loads(request.body)
        body = json.dumps(self._counts).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _error(status: str, code: str, request: _Message) -> bytes:
    body = b"" if request.start[0] == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


async def _read(
    reader: asyncio.StreamReader,
    *,
    is_answer_to: str | None,
    sender: asyncio.StreamWriter | None = None,
) -> _Message:
    """The next message.

    Args:
        reader: Where from.
        is_answer_to: The method of an answer's request.
        sender: Of a request, who may want to be told to go on with its body.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    }
    if sender is not None and b"expect" in fields:
        sender.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    start = head.split(b" ", 2)
    if is_answer_to is not None:
        if start[1] == b"100":
            return await _read(reader, is_answer_to=is_answer_to)
        if is_answer_to == "HEAD" or start[1].decode() in _NO_BODY:
            return _Message(head, b"")
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return _Message(head, await _chunks(reader))
    return _Message(head, await reader.readexactly(int(fields.get(b"content-length", b"0"))))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body, still chunked."""
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if size == 0:
            return body


async def _main(port: int, upstream_port: int, seed: int) -> None:
    proxy = _Proxy(upstream_port, seed)
    server = await asyncio.start_server(proxy.serve, LOOPBACK, port, limit=HEAD_BYTES_MAX)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(*map(int, sys.argv[1:4])))
