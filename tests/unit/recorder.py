"""A server that does nothing but record and recite, and requests to it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from s3fanout.adapters.store.transport import Response, Transport, TransportSettings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSE = b""
"""A recital of nothing: the server closes the connection."""

Make = Callable[[TransportSettings], Transport]


@dataclass(slots=True)
class Recorder:
    """Heads and bodies as they arrived; what to recite, in order, the last one for ever."""

    base: str = ""
    recite: list[bytes] = field(default_factory=lambda: [OK])
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    closes: bool = False
    connections: int = 0
    unanswered: int = 0
    unanswered_max: int = 0
    hold: asyncio.Event | None = None
    on_request: Callable[[], None] = lambda: None
    tasks: list[asyncio.Task[object]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        self.writers.append(writer)
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer_one(reader, writer):
                pass
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    async def hang_up(self, server: asyncio.Server) -> None:
        """Stop, and return when no connection is left."""
        none_left = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0)  # before Python 3.12 it waits only if it came before the close
        server.close()
        if self.hold is not None:
            self.hold.set()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(none_left, *self.tasks)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lengths = self.sent("content-length")
        self.bodies.append(await reader.readexactly(int(lengths[0]) if lengths else 0))
        self.on_request()
        self.unanswered += 1
        self.unanswered_max = max(self.unanswered_max, self.unanswered)
        if self.hold is not None:
            await self.hold.wait()
        self.unanswered -= 1
        answer = self.recite.pop(0) if len(self.recite) > 1 else self.recite[0]
        writer.write(answer)
        await writer.drain()
        return answer is not CLOSE and not self.closes

    @property
    def target(self) -> str:
        """The request target of the last request."""
        return self.heads[-1].split(b" ")[1].decode("ascii")

    def sent(self, name: str) -> list[str]:
        """Values of a header of the last request."""
        lines = self.heads[-1].decode("utf-8").split("\r\n")[1:-2]
        pairs = [line.partition(":") for line in lines]
        return [value.strip() for sent_name, _, value in pairs if sent_name.lower() == name]


@asynccontextmanager
async def listening(
    recorder: Recorder, tls: ssl.SSLContext | None = None
) -> AsyncIterator[asyncio.Server]:
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    recorder.base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await recorder.hang_up(server)


@asynccontextmanager
async def opened(make: Make, settings: TransportSettings | None = None) -> AsyncIterator[Transport]:
    transport = make(settings or TransportSettings(read_s=60, total_s=60))
    try:
        yield transport
    finally:
        await transport.close()
        await transport.close()  # idempotent


async def ask(
    transport: Transport,
    recorder: Recorder,
    method: str = "GET",
    raw_path: str = "/b/k",
    *,
    body: bytes = b"",
    query: str = "",
    bytes_max: int = 1000,
    total_s: float | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    return await transport.request(
        method,
        recorder.base,
        raw_path,
        query,
        [("host", "bucket.store.example"), *headers],
        body,
        response_bytes_max=bytes_max,
        total_s=total_s,
    )
