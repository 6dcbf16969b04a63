"""The end of a listener: what is in hand is answered, and nobody holds a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from s3fanout.config.values import ListenAddress
from s3fanout.service.http import BODY_S
from s3fanout.service.listener import CLOSE_S, Listener

LOOPBACK = "127.0.0.1"
HALF = b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"
SOON_S = 30.0
"""Longer than a busy machine takes, and less than a body may take."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def half_sent(
    stack: AsyncExitStack, *, close_s: float
) -> tuple[Listener, asyncio.StreamReader, asyncio.StreamWriter]:
    """A listener that is in the middle of reading a body."""
    began, app = asyncio.Event(), web.Application()

    async def read(request: web.Request) -> web.Response:
        began.set()
        return web.Response(body=await request.read())

    app.router.add_post("/events", read)
    listener = await Listener.start(app, ListenAddress(LOOPBACK, 0), close_s=close_s)
    reader, writer = await asyncio.open_connection(
        LOOPBACK, int(listener.address.rpartition(":")[2])
    )
    stack.callback(writer.close)
    writer.write(HALF)
    await began.wait()
    return listener, reader, writer


async def test_a_body_that_does_not_come_holds_no_stop(stack: AsyncExitStack) -> None:
    listener, reader, _ = await half_sent(stack, close_s=0.01)
    async with asyncio.timeout(SOON_S):
        await listener.close()
        assert await reader.read() == b"", "not accepted: the sender has to send again"
    assert CLOSE_S < SOON_S < BODY_S


async def test_a_request_in_hand_is_answered(stack: AsyncExitStack) -> None:
    listener, reader, writer = await half_sent(stack, close_s=SOON_S)
    closing = asyncio.ensure_future(listener.close())
    writer.write(b" more")
    assert (await reader.read()).endswith(b"\r\n\r\nhalf more")
    await closing
