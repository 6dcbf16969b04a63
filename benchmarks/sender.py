"""Posts messages to the daemon: ``sender.py URL TOKEN_FILE MESSAGES CONNECTIONS``.

``MESSAGES`` has one body a line. It is a process of its own, so that its cost is not the daemon's.
Prints the wall-clock time of the first post as JSON. A message that is not accepted is a failure.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit


async def post_all(url: str, token: str, messages: Iterator[bytes], connections: int) -> None:
    """Post each message once, over so many kept connections."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
    )

    async def work() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for body in messages:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = answer.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            text = await reader.readexactly(int(length))
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"refused: {answer!r} {text!r}")
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))


def main() -> None:
    url, token, path, connections = sys.argv[1:]
    messages = Path(path).read_bytes().splitlines()
    began = time.time()
    asyncio.run(
        post_all(url, Path(token).read_text("utf-8").strip(), iter(messages), int(connections))
    )
    print(json.dumps({"first_at_s": began, "posted_in_s": time.time() - began}))


if __name__ == "__main__":
    main()
