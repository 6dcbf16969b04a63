"""The Lambda function in numbers: package, cold start, memory, requests per replica.

    python -m benchmarks.function            (a minute; needs pip and an index)

Builds the package for this machine, unpacks it, and starts it again and again in a fresh, isolated
interpreter (no site-packages, no compiled files), as a cold Lambda does: it imports, builds, and
copies one object on the emulator, ledger write included. Processor time is what counts: it is the
function's own, whatever the emulator takes.
"""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from s3fanout.adapters.store.transport import Header, Response
from s3fanout.deploy.package import build_package
from tests.servers.aws import FunctionWorld, environment_of, transport
from tests.servers.ministack import ministack

STARTS = 7
REPLICAS = 200

COLD = r"""
import json, re, sys, time
begun, cpu = time.perf_counter(), time.process_time()
sys.path.insert(0, sys.argv[1])
from s3fanout.awslambda.handler import handle
imported = time.process_time() - cpu
class Context:
    function_name, aws_request_id = "f", "r"
    def get_remaining_time_in_millis(self): return 30000
event = json.loads(sys.argv[2])
answer = handle(event, Context())
first = time.process_time() - cpu
wall = time.perf_counter() - begun
assert answer == {"batchItemFailures": []}, answer
cpu = time.process_time()
for _ in range(20): handle(event, Context())
print(json.dumps({
    "import_cpu_s": imported, "first_copy_cpu_s": first, "first_copy_wall_s": wall,
    "warm_cpu_s": (time.process_time() - cpu) / 20,
    "memory_mb": int(re.search(r"VmHWM:\s*([0-9]+)", open("/proc/self/status").read())[1]) / 1024,
}))
"""


def sqs_event(bodies: list[str]) -> dict[str, object]:
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": "h",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
            }
            for number, body in enumerate(bodies)
        ]
    }


class Counting:
    """A transport that counts requests by operation."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._inner = transport()

    async def request(  # noqa: PLR0917 - the port's
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
        self.counted[dict(headers).get("x-amz-target", f"S3 {method}")] += 1
        return await self._inner.request(
            method,
            base,
            raw_path,
            query,
            headers,
            body,
            response_bytes_max=response_bytes_max,
            total_s=total_s,
        )

    async def close(self) -> None:
        await self._inner.close()


def cold_starts(code: Path, world: FunctionWorld) -> dict[str, float]:
    """Medians over fresh processes."""
    runs = []
    for number in range(STARTS):
        key = f"cold-{number}"
        body = world.notification(key, world.put(key, b"x" * 1000), 1000, "01")
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-B",
                "-c",
                COLD,
                str(code),
                json.dumps(sqs_event([body])),
            ],
            env=environment_of(world.server) | world.settings().to_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(json.loads(done.stdout))
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


async def requests_per_replica(world: FunctionWorld) -> dict[str, float]:
    """Counted at the transport, for new keys and for overwrites."""
    over = Counting()
    function = world.function(over)
    found = {}
    for name, sequencer in (("new", "01"), ("overwrite", "02")):
        over.counted.clear()
        for first in range(0, REPLICAS, 10):
            bodies = []
            for number in range(first, first + 10):
                content = f"{name}{number}".encode()
                etag = world.put(f"k{number}", content)
                bodies.append(world.notification(f"k{number}", etag, len(content), sequencer))
            await function.invoke(sqs_event(bodies), time_s=30, request_id="r")
        for kind, count in sorted(over.counted.items()):
            found[f"{name}: {kind}"] = count / REPLICAS
    return found


async def measure(world: FunctionWorld, code: Path) -> dict[str, object]:
    await world.build()
    try:
        cold = await asyncio.to_thread(cold_starts, code, world)
        return {"cold start": cold, "requests per replica": await requests_per_replica(world)}
    finally:
        await world.close()


def main() -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    package = build_package("x86_64", python)
    arm = build_package("arm64")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
            archive.extractall(code)
            unpacked = sum(entry.file_size for entry in archive.infolist())
        home = Path(folder) / "server"
        home.mkdir()
        with ministack(home) as server:
            found = asyncio.run(measure(FunctionWorld(server, "bench"), code))
    sizes = {
        "arm64 bytes": arm.size,
        "x86_64 bytes": package.size,
        "unpacked bytes": unpacked,
    }
    print(json.dumps({"python": python, "package": sizes, **found}, indent=2))


if __name__ == "__main__":
    main()
