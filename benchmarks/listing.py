"""1,000,000 keys listed and compared: ``s3fanout verify``, ``rclone check``, and ``s5cmd ls``.

``python -m benchmarks.listing [KEYS]``. One server that answers listings at once from memory holds
two buckets of the same keys; the programs take turns. s5cmd compares nothing: it lists one side,
and is charged once. Keys per second count the rows of all listings that a program had to read.

The server pages by ``continuation-token`` and, for rclone, by ``marker``. Its process is not
measured, but shares the machine. A thousand keys share a folder; rclone runs with ``--fast-list``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote

from benchmarks.peers import environment, program, remote
from benchmarks.processes import Usage, usage_of
from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, Server, closed_port, serving

KEYS = 1_000_000
PAGE = 1000
ETAG = "0f343b0931126a20f133d67c2b018a3b"
BUCKETS = ("source", "replica")


def key(number: int) -> str:
    """Key number ``number``, in byte order."""
    return f"d{number // PAGE:05}/{number:08}"


def page(bucket: str, query: str, keys: int) -> bytes:
    """The answer of ``ListObjectsV2`` (and of V1 with ``marker``)."""
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    if "location" in query:
        return b"<LocationConstraint/>"
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    first = int(asked.get("continuation-token") or 0)
    if marker := asked.get("marker", ""):
        first = int(marker.rpartition("/")[2]) + 1
    last = keys
    if prefix:
        folder = int(prefix[1:6])
        first, last = max(first, folder * PAGE), min(keys, (folder + 1) * PAGE)
    head = (
        f"<Name>{bucket}</Name><Prefix>{prefix}</Prefix><MaxKeys>{PAGE}</MaxKeys>"
        f"<Delimiter>{delimiter}</Delimiter>"
    )
    if delimiter and not prefix:
        folders = range(first // PAGE, min(-(-keys // PAGE), first // PAGE + PAGE))
        rows = "".join(
            f"<CommonPrefixes><Prefix>d{n:05}/</Prefix></CommonPrefixes>" for n in folders
        )
        after = (folders.stop if folders else 0) * PAGE
    else:
        numbers = range(first, min(last, first + PAGE))
        rows = "".join(
            f"<Contents><Key>{key(n)}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{ETAG}&quot;</ETag><Size>{n}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for n in numbers
        )
        after = numbers.stop
    more = after < last
    token = f"<NextContinuationToken>{after}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{head}<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
    ).encode()


class Listings(asyncio.Protocol):
    """One connection of the server; answers are made once and kept."""

    keys = KEYS
    made: ClassVar[dict[bytes, bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        *whole, self._waiting = (self._waiting + data).split(b"\r\n\r\n")
        for head in whole:
            target = head.split(b" ", 2)[1]
            answer = self.made.get(target)
            if answer is None:
                path, _, query = target.decode("ascii").partition("?")
                body = page(unquote(path).strip("/"), query, self.keys)
                answer = (
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
                self.made[target] = answer
            self._transport.write(answer)


async def serve(port: int, keys: int) -> None:
    Listings.keys = keys
    server = await asyncio.get_running_loop().create_server(Listings, LOOPBACK, port)
    await server.serve_forever()


def measure(directory: Path, keys: int) -> dict[str, tuple[Usage, int]]:
    """What each program used, and how many rows it read."""
    port = closed_port()
    process = LeashedProcess(
        [sys.executable, "-m", "benchmarks.listing", "--serve", str(port), str(keys)],
        directory=Path.cwd(),
        environment=environment(directory),
        log=directory / "server.log",
    )
    server = Server("listings", f"http://{LOOPBACK}:{port}", "key", "secret")
    config = directory / "s3fanout.toml"
    config.write_text(
        f'schema = 1\nsource.bucket = "source"\nsource.endpoint = "{server.endpoint}"\n'
        'source.credentials = { env = "BENCH" }\ndestinations.replica.bucket = "replica"\n'
        'intake.webhook.token = { env = "BENCH_SECRET_ACCESS_KEY" }\n',
        "utf-8",
    )
    ours = environment(directory) | {
        "BENCH_ACCESS_KEY_ID": "key",
        "BENCH_SECRET_ACCESS_KEY": "secret",
    }
    theirs = environment(directory) | {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    runs = {
        "s3fanout verify": ([program("s3fanout"), "verify", "-c", str(config)], ours, 2),
        "rclone check --size-only": (
            [
                *(program("rclone"), "check", "--size-only", "--fast-list", "--config=/dev/null"),
                *("--checkers=32", "--stats=0", "--use-server-modtime", "s:source", "s:replica"),
            ],
            environment(directory) | remote("S", server),
            2,
        ),
        "s5cmd ls": (
            [program("s5cmd"), "--endpoint-url", server.endpoint, "ls", "s3://source/*"],
            theirs,
            1,
        ),
    }
    with serving(process, port, is_ready=lambda status: status == 200):
        found = {}
        for name, (argv, variables, sides) in runs.items():
            usage_of(argv, environment=variables, log=directory / "warm.log")
            usage = usage_of(argv, environment=variables, log=directory / "run.log")
            found[name] = (usage, keys * sides)
    return found


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2]), int(sys.argv[3])))
        return
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else KEYS
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory), keys)
    print(f"{'program':26} {'keys/s':>10} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9}")
    for name, (usage, rows) in found.items():
        print(
            f"{name:26} {rows / usage.wall_s:10.0f} {usage.wall_s:8.1f} {usage.cpu_s:8.1f} "
            f"{usage.rss_mib:9.0f}"
        )
    best = max(rows / usage.wall_s for name, (usage, rows) in found.items() if "s3f" not in name)
    usage, rows = found["s3fanout verify"]
    print(f"s3fanout is {rows / usage.wall_s / best:.1f} times the faster one")


if __name__ == "__main__":
    main()
