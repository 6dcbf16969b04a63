"""The null server where there is no nginx: ``canned_server.py PORT LISTING``, on loopback.

Reads requests without a body, of any method, and answers from memory.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.null_server import COPY_RESULT, ETAG, SIZE_BYTES
from tests.servers.server import LOOPBACK

_COPIED = (
    f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {len(COPY_RESULT)}\r\n"
    f"\r\n{COPY_RESULT}"
).encode()


class Canned(asyncio.Protocol):
    """One connection."""

    requests = 0
    listing = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        *whole, self._waiting = (self._waiting + data).split(b"\r\n\r\n")
        for head in whole:
            Canned.requests += 1
            self._transport.write(self._answer(head))

    @staticmethod
    def _answer(head: bytes) -> bytes:
        if head.startswith(b"PUT "):
            return _COPIED
        path = head.split(b" ", 2)[1].partition(b"?")[0].rstrip(b"/")
        if path == b"/requests":
            body = f"_ _ _ _ _ _ _ _ _ {Canned.requests}".encode()
        elif path == b"/source":
            body = Canned.listing
        else:
            body = b"x" * SIZE_BYTES
        start = f'HTTP/1.1 200 OK\r\nETag: "{ETAG}"\r\nContent-Length: {len(body)}\r\n\r\n'.encode()
        return start if head.startswith(b"HEAD ") else start + body


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Canned, LOOPBACK, port)
    await server.serve_forever()


if __name__ == "__main__":
    Canned.listing = Path(sys.argv[2]).read_bytes()
    asyncio.run(serve(int(sys.argv[1])))
