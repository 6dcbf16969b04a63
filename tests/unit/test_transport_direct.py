"""What our own connections have to get right: answers of every shape, and what follows them."""

from __future__ import annotations

import asyncio
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from s3fanout.adapters.store import transport_direct
from s3fanout.adapters.store.transport import TransportSettings
from s3fanout.adapters.store.transport_direct import DirectTransport
from s3fanout.model.errors import Unavailable
from tests.servers.certificates import authority
from tests.unit import test_transport_wire as wire
from tests.unit.recorder import OK, Make, Recorder, ask, listening, opened


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    async with listening(recorder):
        yield recorder


async def test_an_interim_answer_is_not_the_answer(recorder: Recorder) -> None:
    recorder.recite = [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK]
    async with opened(DirectTransport) as transport:
        for _ in range(2):
            answer = await ask(transport, recorder)
            assert (answer.status, answer.body, "link" in answer.headers) == (200, b"ok", False)
    assert recorder.connections == 1


async def test_a_body_without_a_length_ends_with_the_connection(recorder: Recorder) -> None:
    recorder.recite, recorder.closes = [b"HTTP/1.1 200 OK\r\n\r\nall of it"], True
    async with opened(DirectTransport) as transport:
        assert (await ask(transport, recorder)).body == b"all of it"
        assert (await ask(transport, recorder)).body == b"all of it"
    assert recorder.connections == 2


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_leaves_its_connection_usable(
    recorder: Recorder, status: int
) -> None:
    recorder.recite = [f"HTTP/1.1 {status} X\r\n\r\n".encode()]
    async with opened(DirectTransport) as transport:
        for _ in range(2):
            answer = await ask(transport, recorder, "DELETE")
            assert (answer.status, answer.body) == (status, b"")
    assert recorder.connections == 1


async def test_the_answer_after_one_to_head_is_read_from_its_start(recorder: Recorder) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    recorder.recite = [head, OK, head, OK]
    async with opened(DirectTransport) as transport:
        for method, body in (("HEAD", b""), ("GET", b"ok"), ("HEAD", b""), ("PUT", b"ok")):
            assert (await ask(transport, recorder, method)).body == body
    assert recorder.connections == 1


async def test_bytes_that_nobody_asked_for_end_the_connection(recorder: Recorder) -> None:
    """They would else be taken for the answer to the next request."""
    recorder.recite = [OK + OK.replace(b"ok", b"no"), OK]
    async with opened(DirectTransport) as transport:
        for _ in range(2):
            assert (await ask(transport, recorder)).body == b"ok"
    assert recorder.connections == 2


async def test_a_connection_that_says_so_is_not_kept(recorder: Recorder) -> None:
    recorder.recite = [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]
    async with opened(DirectTransport) as transport:
        for _ in range(2):
            assert (await ask(transport, recorder)).body == b"ok"
    assert recorder.connections == 2


async def test_headers_without_an_end_are_not_read_for_ever(recorder: Recorder) -> None:
    recorder.recite = [b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 10_000]
    async with opened(DirectTransport) as transport:
        with pytest.raises(Unavailable, match="headers without an end"):
            await ask(transport, recorder)


async def test_a_request_that_was_given_up_takes_its_connection_along(recorder: Recorder) -> None:
    """Its answer must not become that of another."""
    recorder.hold = asyncio.Event()
    arrived = asyncio.Event()
    recorder.on_request = arrived.set
    async with opened(DirectTransport, TransportSettings(connections_max=1)) as transport:
        given_up = asyncio.ensure_future(ask(transport, recorder, "PUT", body=b"1"))
        await arrived.wait()
        given_up.cancel()
        await asyncio.wait({given_up})
        recorder.hold.set()
        assert (await ask(transport, recorder)).body == b"ok"
    assert given_up.cancelled()
    assert recorder.connections == 2


async def test_a_connection_at_rest_holds_no_body(recorder: Recorder) -> None:
    size_bytes = 4 * 1024 * 1024
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size_bytes}\r\n\r\n".encode()
    recorder.recite = [head + bytes(size_bytes)]
    async with opened(DirectTransport) as transport:
        tracemalloc.start()
        try:
            answer = await ask(transport, recorder, bytes_max=size_bytes)
            assert len(answer.body) == size_bytes
            del answer
            await asyncio.sleep(0)  # the loop lets go of what woke us
            assert tracemalloc.get_traced_memory()[0] < size_bytes / 2
        finally:
            tracemalloc.stop()


async def test_a_connection_at_rest_holds_nothing_that_was_sent(recorder: Recorder) -> None:
    size_bytes = 4 * 1024 * 1024
    async with opened(DirectTransport) as transport:
        tracemalloc.start()
        try:
            assert (await ask(transport, recorder, "PUT", body=bytes(size_bytes))).body == b"ok"
            recorder.bodies.clear()
            await asyncio.sleep(0)  # the loop lets go of what woke us
            assert tracemalloc.get_traced_memory()[0] < size_bytes / 2
        finally:
            tracemalloc.stop()


async def test_closing_fails_what_is_in_flight(recorder: Recorder) -> None:
    recorder.hold = asyncio.Event()
    arrived = asyncio.Event()
    recorder.on_request = arrived.set
    async with opened(DirectTransport) as transport:
        asked = asyncio.ensure_future(ask(transport, recorder, "PUT", body=b"1"))
        await arrived.wait()
        await transport.close()
        with pytest.raises(Unavailable) as caught:
            await asked
    assert caught.value.maybe_applied is True


async def test_a_slow_upload_is_no_silence(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes the body in, slowly, for longer than it may be silent.

    The loop's time is the server's: a machine that stands still for a moment is no silence either.
    """
    content = bytes(32 * 1024 * 1024)
    taken, now_s = 0, asyncio.get_running_loop().time()
    ended = asyncio.Event()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken, now_s
        await reader.readuntil(b"\r\n\r\n")
        while taken < len(content):
            taken += len(await reader.read(1024 * 1024))
            now_s += 0.02
            await asyncio.sleep(0)
        writer.write(OK)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024 * 1024)
    slow = Recorder(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, opened(DirectTransport, TransportSettings(read_s=0.4)) as transport:
        assert (await ask(transport, slow, "PUT", body=content)).status == 200
        await ended.wait()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("is_tls", [False, True])
def test_a_large_body_is_not_copied_while_a_server_takes_its_time(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_tls: bool,
) -> None:
    """Memory that is bounded must not be doubled by what encrypts it."""
    content = b"".join(bytes([number]) * 1024 * 1024 for number in range(32))

    async def told() -> None:
        full, may_read = asyncio.Event(), asyncio.Event()
        taken: list[bytes] = []
        pause = transport_direct._Connection.pause_writing

        def pause_writing(connection: transport_direct._Connection) -> None:
            pause(connection)
            full.set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await may_read.wait()
            taken.append(await reader.readexactly(len(content)))
            writer.write(OK)
            await writer.drain()
            writer.close()

        monkeypatch.setattr(transport_direct._Connection, "pause_writing", pause_writing)
        signer = authority(tmp_path) if is_tls else None
        tls = None if signer is None else signer.server_context()
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        scheme = "https" if is_tls else "http"
        slow = Recorder(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        settings = TransportSettings(ca_file=signer.root if signer else None)
        async with server, opened(DirectTransport, settings) as transport:
            asked = asyncio.ensure_future(ask(transport, slow, "PUT", body=content))
            await full.wait()
            (connection,) = transport._connections  # type: ignore[attr-defined]
            assert connection._wire.get_write_buffer_size() < 4 * 1024 * 1024
            assert len(connection._unwritten) > 16 * 1024 * 1024
            may_read.set()
            assert (await asked).body == b"ok"
        assert taken == [content]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(told())


async def test_a_body_that_was_not_taken_whole_ends_the_connection() -> None:
    """A refusal may come before the body's end: the rest is not the next request's start."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        refused.append(await reader.read(1))
        writer.close()

    refused: list[bytes] = []
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    tired = Recorder(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, opened(DirectTransport) as transport:
        for _ in range(2):
            answer = await ask(transport, tired, "PUT", body=bytes(64 * 1024 * 1024))
            assert answer.status == 503
    assert len(refused) == 2


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_was_closed_while_the_loop_stood_still_is_not_used(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function is frozen between two calls; servers close what rests for too long."""
    monkeypatch.setattr(transport_direct, "_SURE_S", 0.0)
    asked = Recorder()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        asyncio.Runner(loop_factory=loop_factory) as runner,
        ThreadPoolExecutor(1) as thread,
    ):
        asked.base = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer_one_and_close() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(OK)
                may_close.wait(60)

        async def request() -> bytes:
            return (await ask(transport, asked, "PUT", body=b"1")).body

        transport = DirectTransport(TransportSettings(total_s=60))
        for _ in range(2):
            may_close = threading.Event()
            served = thread.submit(answer_one_and_close)
            assert runner.run(request()) == b"ok"
            may_close.set()
            served.result()
        runner.run(transport.close())


Story = Callable[[Recorder, Make], Awaitable[None]]
STORIES: list[Story] = [
    wire.test_every_path_is_sent_as_it_is,
    wire.test_a_body_comes_with_its_length,
    wire.test_connections_are_kept_and_limited,
    wire.test_the_length_in_an_answer_to_head_is_not_a_body,
    wire.test_no_cookies_are_kept,
]


@pytest.mark.parametrize("story", STORIES)
def test_uvloop_makes_no_difference(story: Story) -> None:
    """The daemon runs on uvloop, whose connections are not asyncio's; the tests above do not."""

    async def told() -> None:
        recorder = Recorder()
        async with listening(recorder):
            await story(recorder, DirectTransport)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(told())
