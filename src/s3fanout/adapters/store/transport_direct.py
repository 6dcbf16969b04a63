"""The fast transport: requests written and answers read on the event loop's own connections.

httptools (the parser of Node.js, llhttp) reads the answers; asyncio or uvloop does TCP and TLS. An
answer is one wake-up of one thread. A library with threads of its own needs several, and waits for
the interpreter at each; at a real store's pace that was most of the process's CPU (decision 1).

It knows no proxies: ``transport_routed`` does.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

from s3fanout.adapters.store.transport import Response, unanswered
from s3fanout.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.adapters.store.transport import Header, TransportSettings

_HEAD_BYTES_MAX = 64 * 1024
_IDLE_S = 15.0
"""How long an unused connection is kept; servers close theirs after 20 seconds and more."""
_SURE_S = 1.0
"""A connection that rested for longer is looked at before it is used again."""
_WATCH_S = 0.25
"""How often requests in flight are looked at for having taken too long."""
_PIECE_BYTES = 1024 * 1024
"""A larger body is written in pieces, as the connection takes them: TLS copies what is written."""
_OK_MIN = 200
"""Answers below are interim (RFC 9110, section 15.2): another one follows."""


_NOTHING = memoryview(b"")


class _Broken(Exception):
    """A connection gave no whole answer."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time.

    Attributes:
        is_open: It may carry another request.
        idle_since_s: Loop time of the last answer's end.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, open_ones: set[_Connection], read_s: float
    ) -> None:
        self.is_open = False
        self.idle_since_s = 0.0
        self._open_ones = open_ones
        self._loop = loop
        self._read_s = read_s
        self._wire: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._unwritten = _NOTHING
        self._is_full = False

    def send(
        self, head: bytes, body: bytes, *, without_body: bool, bytes_max: int, total_s: float
    ) -> asyncio.Future[Response]:
        """Send a request; ``_Broken`` is the answer's error. ``without_body``: it was ``HEAD``."""
        assert self._wire is not None
        self._answer = self._loop.create_future()
        self._without_body = without_body
        self._bytes_max = bytes_max
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._head_bytes = 0
        self._in_body = False
        self._ends_with_connection = False
        self._heard_at_s = now_s = self._loop.time()
        self._unsent_bytes = 0
        self._give_up_at_s = now_s + total_s
        if not body:
            self._wire.write(head)
        elif len(body) <= _PIECE_BYTES:
            self._wire.writelines((head, body))
        else:
            self._wire.write(head)
            self._unwritten = memoryview(body)
            self._write_on()
        return self._answer

    def _write_on(self) -> None:
        while self._unwritten and not self._is_full and self._wire is not None:
            piece, self._unwritten = (
                self._unwritten[:_PIECE_BYTES],
                self._unwritten[_PIECE_BYTES:],
            )
            self._wire.write(piece)
        if not self._unwritten:
            self._unwritten = _NOTHING  # An empty view holds on to all of the body.

    def is_usable(self, now_s: float) -> bool:
        """Whether the next request may go this way."""
        idle_s = now_s - self.idle_since_s
        if not self.is_open or self._wire is None or idle_s >= _IDLE_S:
            return False
        if idle_s < _SURE_S:
            return True
        # The loop may have stood still, as a function's does between two calls, and may not have
        # seen yet that the server closed: then the socket has something to read.
        poll = select.poll()
        poll.register(self._wire.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        """Close at once; a request in flight fails."""
        self._fail("the connection was closed by us")

    def look_at_time(self, now_s: float) -> bool:
        """Fail a request that takes too long, or whose server is silent for too long.

        Returns whether one is in flight.
        """
        if self._answer is None or self._wire is None:
            return False
        unsent_bytes = self._wire.get_write_buffer_size() + len(self._unwritten)
        if unsent_bytes != self._unsent_bytes:  # A large body on its way is no silence.
            self._unsent_bytes, self._heard_at_s = unsent_bytes, now_s
        if now_s >= min(self._heard_at_s + self._read_s, self._give_up_at_s):
            self._fail("timed out")
        return True

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)  # uvloop's are no subclasses of it
        self.is_open = True
        self._open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if self._answer is None or parser is None:  # Bytes that nobody asked for.
            self._close()
            return
        self._heard_at_s = self._loop.time()
        try:
            parser.feed_data(data)
        except HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            return
        if not self._in_body and self._answer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES_MAX:
                self._fail("headers without an end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._open_ones.discard(self)
        if self._answer is not None and self._ends_with_connection and exc is None:
            self._finish(self._body())
        else:
            self._fail(str(exc) if exc else "the connection was closed before the answer's end")

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._write_on()

    # httptools

    def on_message_begin(self) -> None:
        if self._answer is None:  # A second answer to one request.
            self._close()

    def on_header(self, name: bytes, value: bytes) -> None:
        text = value.strip().decode("utf-8", "surrogateescape")
        self._headers.setdefault(_name(name), text)

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < _OK_MIN:
            return
        self._in_body = True
        if self._without_body:
            self._finish(b"")
            self._parser = None  # It waits for the body that the length speaks of.
            return
        length = self._headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._bytes_max:
            self._oversized()
        self._ends_with_connection = not length and "transfer-encoding" not in self._headers

    def on_body(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes > self._bytes_max:
            self._oversized()
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        if not self._in_body:  # An interim answer.
            self._headers = {}
            return
        self._finish(self._body())

    def _body(self) -> bytes:
        # A connection may rest for long: it must not hold on to the last body meanwhile.
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # Ends of an answer; each does nothing when it has ended before.

    def _oversized(self) -> None:
        self._finish(b"", oversized=True)
        self._close()

    def _finish(self, body: bytes, *, oversized: bool = False) -> None:
        answer, parser = self._ended(), self._parser
        if answer is None or parser is None:
            return
        if not answer.done():
            answer.set_result(
                Response(parser.get_status_code(), self._headers, body, oversized=oversized)
            )
        self.idle_since_s = self._heard_at_s
        if not parser.should_keep_alive():
            self._close()

    def _fail(self, why: str) -> None:
        answer = self._ended()
        if answer is not None and not answer.done():
            answer.set_exception(_Broken(why))
        self._close()

    def _ended(self) -> asyncio.Future[Response] | None:
        if self._unwritten:  # The rest of the body would be the start of another request.
            self._unwritten = _NOTHING
            self._close()
        answer, self._answer = self._answer, None
        return answer

    def _close(self) -> None:
        self.is_open = False
        if self._wire is not None:
            self._wire.abort()


class _Origin:
    """Where connections go, and those that are idle, the last used one at the end."""

    def __init__(self, base: str, tls: ssl.SSLContext) -> None:
        self.loop = asyncio.get_running_loop()  # asked once: each time costs a system call
        parts = urlsplit(base)
        self.tls = tls if parts.scheme == "https" else None
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        self.idle: list[_Connection] = []

    def kept(self, now_s: float) -> _Connection | None:
        """An idle connection that may be used."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_usable(now_s):
                return connection
            connection.abort()
        return None

    def keep(self, connection: _Connection) -> None:
        """Take a connection back, and let go of the one that was idle for longest, if too long."""
        idle = self.idle
        idle.append(connection)
        if connection.idle_since_s - idle[0].idle_since_s > _IDLE_S:
            idle.pop(0).abort()


class DirectTransport:
    """``Transport`` on the event loop, without proxies."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        self._origins: dict[str, _Origin] = {}
        self._turns = asyncio.Semaphore(settings.connections_max)
        self._connections: set[_Connection] = set()
        self._watching = False

    async def request(
        self,
        method: str,
        base: str,
        raw_path: str,
        query: str,
        headers: Sequence[Header],
        body: bytes = b"",
        *,
        response_bytes_max: int,
        total_s: float | None = None,
    ) -> Response:
        target = f"{raw_path}?{query}" if query else raw_path
        head = _head(method, target, headers, len(body))
        if total_s is None:
            total_s = self._settings.total_s
        await self._turns.acquire()
        connection: _Connection | None = None
        try:
            origin = self._origins.get(base) or self._origin(base)
            loop = origin.loop
            connection = origin.kept(loop.time()) or await self._connect(loop, origin, total_s)
            if not self._watching:
                self._watching = True
                loop.call_later(_WATCH_S, self._watch, loop)
            answer = await connection.send(
                head,
                body,
                without_body=method == "HEAD",
                bytes_max=response_bytes_max,
                total_s=total_s,
            )
        except _Broken as error:
            raise Unavailable(f"no answer cause={str(error)!r}", maybe_applied=True) from error
        except BaseException:
            if connection is not None:  # Cancelled: its answer is still to come.
                connection.abort()
            raise
        finally:
            self._turns.release()
        if connection.is_open:
            origin.keep(connection)
        return answer

    async def close(self) -> None:
        for origin in self._origins.values():
            origin.idle.clear()
        for connection in tuple(self._connections):
            connection.abort()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the time of all requests, again and again while there are any."""
        now_s = loop.time()
        looked = [connection.look_at_time(now_s) for connection in tuple(self._connections)]
        self._watching = any(looked)
        if self._watching:
            loop.call_later(_WATCH_S, self._watch, loop)

    def _origin(self, base: str) -> _Origin:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
            if self._settings.ca_file is not None:
                self._tls.load_verify_locations(cafile=self._settings.ca_file)
        origin = self._origins[base] = _Origin(base, self._tls)
        return origin

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, origin: _Origin, total_s: float
    ) -> _Connection:
        def connection() -> _Connection:
            return _Connection(loop, self._connections, self._settings.read_s)

        try:
            async with asyncio.timeout(min(self._settings.connect_s, total_s)):
                _, made = await loop.create_connection(
                    connection, origin.host, origin.port, ssl=origin.tls
                )
        except (OSError, TimeoutError, ValueError) as error:
            raise unanswered(error, maybe_applied=False) from error
        return made


@lru_cache(maxsize=256)
def _name(raw: bytes) -> str:
    """The name of a header; they are the same in all answers."""
    return raw.lower().decode("ascii", "replace")


def _head(method: str, target: str, headers: Sequence[Header], body_bytes: int) -> bytes:
    """The head of a request.

    Raises:
        Unavailable: A header would end its line.
    """
    lines = [f"{method} {target} HTTP/1.1", "user-agent: s3fanout", *map(": ".join, headers)]
    if body_bytes or method == "PUT":
        lines.append(f"content-length: {body_bytes}")
    lines += ("", "")
    head = "\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise Unavailable("request cannot be sent reason='a line break or NUL in a header'")
    try:
        return head.encode()
    except UnicodeEncodeError as error:
        raise Unavailable(f"request cannot be sent reason={str(error)!r}") from error
