"""Heads of requests that never get whole, on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from s3fanout.config.values import ListenAddress
from s3fanout.service.heads import HeadLimits
from s3fanout.service.listener import Listener

LOOPBACK = "127.0.0.1"
SHORT_S = 0.3
"""A busy machine may let a process stand for a tenth of a second."""
REQUEST = b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n"
HALF = b"POST /events HTTP/1.1\r\nhost: "
Connect = Callable[[], Any]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def serving(stack: AsyncExitStack, limits: HeadLimits) -> Connect:
    """A listener with these limits. Returns what connects to it."""
    app = web.Application()
    app.router.add_post("/events", echo)
    listener = await Listener.start(app, ListenAddress(LOOPBACK, 0), limits=limits)
    stack.push_async_callback(listener.close)
    port = int(listener.address.rpartition(":")[2])

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        stack.callback(writer.close)
        return reader, writer

    return connect


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length.split(b":")[1]))


async def test_a_head_that_does_not_come_is_given_up(stack: AsyncExitStack) -> None:
    connect = await serving(stack, HeadLimits(head_s=SHORT_S))
    reader, writer = await connect()
    writer.write(HALF)
    status, body = await answer(reader)
    assert (status, json.loads(body)["error"]["code"]) == (408, "too-slow")
    assert await reader.read() == b""  # closed


async def test_a_connection_that_says_nothing_is_given_up(stack: AsyncExitStack) -> None:
    connect = await serving(stack, HeadLimits(head_s=SHORT_S))
    reader, _ = await connect()
    assert (await answer(reader))[0] == 408
    assert await reader.read() == b""


async def test_a_head_that_goes_on_and_on_has_no_more_time(stack: AsyncExitStack) -> None:
    connect = await serving(stack, HeadLimits(head_s=SHORT_S))
    reader, writer = await connect()
    writer.write(HALF)
    answering = asyncio.ensure_future(answer(reader))
    pieces = 0
    while not (await asyncio.wait({answering}, timeout=SHORT_S / 4))[0]:
        writer.write(b"x")
        pieces += 1
        assert pieces < 100
    assert (await answering)[0] == 408
    assert pieces > 0


async def test_a_head_without_an_end_is_too_large(stack: AsyncExitStack) -> None:
    connect = await serving(stack, HeadLimits(head_bytes_max=1000))
    reader, writer = await connect()
    writer.write(HALF + b"x" * 1000)
    status, body = await answer(reader)
    assert (status, json.loads(body)["error"]["code"]) == (431, "too-large")
    assert await reader.read() == b""


async def test_the_oldest_of_too_many_halves_makes_room(stack: AsyncExitStack) -> None:
    connect = await serving(stack, HeadLimits(half_open_max=3))
    halves = [await connect() for _ in range(3)]
    for _, writer in halves:
        writer.write(HALF)
    reader, writer = await connect()
    writer.write(REQUEST + b"abc")
    assert await answer(reader) == (200, b"abc")
    assert (await answer(halves[0][0]))[0] == 408
    for reader, writer in halves[1:]:
        writer.write(b"x\r\ncontent-length: 1\r\n\r\na")
        assert await answer(reader) == (200, b"a")


async def test_a_head_behind_another_request_is_bounded_and_not_answered(
    stack: AsyncExitStack,
) -> None:
    connect = await serving(stack, HeadLimits(head_s=SHORT_S))
    reader, writer = await connect()
    writer.write(REQUEST + b"abc" + HALF)
    assert await answer(reader) == (200, b"abc")
    assert await reader.read() == b""


@pytest.mark.parametrize("pieces", [1, 5, 1000])
async def test_whole_requests_in_any_pieces_are_served(stack: AsyncExitStack, pieces: int) -> None:
    connect = await serving(stack, HeadLimits(head_bytes_max=len(REQUEST), half_open_max=1))
    reader, writer = await connect()
    whole = (REQUEST + b"abc") * 3
    size = -(-len(whole) // pieces)
    for start in range(0, len(whole), size):
        writer.write(whole[start : start + size])
        await writer.drain()
    assert [await answer(reader) for _ in range(3)] == [(200, b"abc")] * 3


async def test_a_body_may_be_larger_than_a_head(stack: AsyncExitStack) -> None:
    connect = await serving(stack, HeadLimits(head_bytes_max=100))
    reader, writer = await connect()
    body = b"x" * 300_000
    writer.write(b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n" + body)
    writer.write(REQUEST + b"abc")
    assert await answer(reader) == (200, body)
    assert await answer(reader) == (200, b"abc")


async def test_what_is_no_request_is_refused_and_closed(stack: AsyncExitStack) -> None:
    connect = await serving(stack, HeadLimits(head_s=SHORT_S))
    reader, writer = await connect()
    writer.write(b"\x16\x03\x01 no HTTP\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 400")
