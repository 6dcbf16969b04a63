"""Bounds what a connection may owe before its request begins.

The head of a request comes in pieces that are as small and as late as its sender likes, and costs a
connection and memory meanwhile. No handler sees it before it is whole, so it is bounded here:

| a head that | becomes |
|---|---|
| is not whole ``head_s`` after it began; the first one: after the connection was made | 408 |
| has more than ``head_bytes_max`` bytes and no end | 431 |
| is one of more than ``half_open_max`` that are not whole: the oldest of them | 408 |

Whoever sends one loses the connection, so who sends whole heads always finds room. Only the first
request of a connection is answered: behind an earlier one the answer could be taken for its.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How long, how large and how many heads may be that are not whole."""

    head_s: float = 20.0
    head_bytes_max: int = 64 * 1024
    half_open_max: int = 1024


class HeadBounds:
    """All connections of one server."""

    def __init__(self, limits: HeadLimits) -> None:
        self.limits = limits
        self._half_open: OrderedDict[_Bounded, None] = OrderedDict()
        """Connections with a head that is not whole, the oldest head first."""

    def around(self, factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """Makes what ``factory`` makes, bounded."""
        return lambda: _Bounded(self, factory())

    def began(self, connection: _Bounded) -> None:
        """A head began, or is waited for."""
        self._half_open[connection] = None
        if len(self._half_open) > self.limits.half_open_max:
            next(iter(self._half_open)).give_up(
                HTTPStatus.REQUEST_TIMEOUT, "too-slow", "too many requests are not whole"
            )

    def ended(self, connection: _Bounded) -> None:
        """The head is whole, or will never be."""
        self._half_open.pop(connection, None)


class _Bounded(asyncio.Protocol):
    """A connection, in front of the protocol that serves it."""

    def __init__(self, bounds: HeadBounds, served: asyncio.Protocol) -> None:
        self._bounds = bounds
        self._served = served
        self._wire: asyncio.Transport | None = None
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._heads = 0

    def give_up(self, status: HTTPStatus, code: str, message: str) -> None:
        """Answer, if nothing else is answered here, and close."""
        self._end()
        assert self._wire is not None
        if not self._heads:
            self._wire.write(_answer(status, code, message))
        self._wire.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)  # uvloop's are no subclasses of it
        self._begin()
        self._served.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._wire is None or self._wire.is_closing():
            return
        began_before, heads = self._in_head, self._heads
        self._watch(data)
        if not self._in_head:
            self._end()
        elif not (began_before and heads == self._heads):
            self._begin()  # Behind the end of another request.
        else:
            self._head_bytes += len(data)
            most = self._bounds.limits.head_bytes_max
            if self._head_bytes > most:
                self.give_up(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "too-large",
                    f"the head of the request has more than {most} bytes",
                )
                return
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._served.connection_lost(exc)

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()

    # httptools

    def on_message_begin(self) -> None:
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._heads += 1

    def _watch(self, data: bytes) -> None:
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            # Whoever serves it will say so and close; if not, time does.
            self._parser, self._in_head = None, True

    def _begin(self) -> None:
        self._end()
        self._head_bytes = 0
        seconds = self._bounds.limits.head_s
        self._timer = asyncio.get_running_loop().call_later(
            seconds,
            self.give_up,
            HTTPStatus.REQUEST_TIMEOUT,
            "too-slow",
            f"the head of the request did not come within {seconds:.0f} s",
        )
        self._bounds.began(self)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._bounds.ended(self)


def _answer(status: HTTPStatus, code: str, message: str) -> bytes:
    error = {"code": code, "message": message, "hint": "nothing was accepted: send it again"}
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
