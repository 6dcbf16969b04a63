"""What a request costs with each HTTP client: operations per second, CPU per thousand.

``python benchmarks/http_clients.py [--copies 20000] [--transfers 1000] [--rounds 3] [--json]``,
with ``src`` importable. Needs nginx and openssl; pycurl is measured if it can be imported.

The server is an nginx on this machine that answers at once, so the figures are the ceiling of the
client, not a rate that anybody will see. Every request is signed. Each run has a process of its own
and some requests before the measured ones, so that connections and TLS sessions exist; the clients
take turns, and the order changes from round to round. direct and aiohttp are our transports on
uvloop, as in production; pycurl is a plain loop over libcurl's multi interface without asyncio,
which is the best that it could do.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import uvloop

from s3fanout.adapters.store.sigv4 import Signer, SigningDate
from s3fanout.adapters.store.transport import Header, TransportSettings
from s3fanout.adapters.store.transport_aiohttp import AiohttpTransport
from s3fanout.adapters.store.transport_direct import DirectTransport

MIB = 1024 * 1024
Ours = type[DirectTransport | AiohttpTransport]
TRANSPORTS: dict[str, Ours] = {"direct": DirectTransport, "aiohttp": AiohttpTransport}
COPY_HEADERS = [
    ("x-amz-copy-source", "/source/some/prefix/object-0000001"),
    ("x-amz-copy-source-if-match", '"d41d8cd98f00b204e9800998ecf8427e"'),
]
COPIED = (
    '<?xml version="1.0"?><CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<LastModified>2026-11-23T01:00:00.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag></CopyObjectResult>"
)
LEAF = (
    "-subj /CN=leaf -keyout server.key -out server.crt -CA root.crt -CAkey root.key"
    " -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1"
)
NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl;
    ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
    location /put {{ add_header x-amz-request-id 17B3; return 200 '{copied}'; }}
    location /get {{ root {folder}; }}
}} }}
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What one run does."""

    client: str
    name: str
    method: str
    base: str
    body_bytes: int
    answer_bytes: int
    count: int
    tasks: int
    ca_file: str

    def requests(self, count: int) -> Iterator[tuple[str, list[Header]]]:
        """Paths and signed headers."""
        signer, date = Signer("us-east-1"), SigningDate.of_ms(1_795_395_600_000)
        payload = sha256(bytes(self.body_bytes)).hexdigest()
        headers = [("host", self.base.partition("://")[2]), ("x-amz-content-sha256", payload)]
        headers += COPY_HEADERS if self.name.startswith("copy") else []
        headers.append(("x-amz-date", date.amz_date))
        for number in range(count):
            path = f"/put/some/prefix/object-{number:07}" if self.method == "PUT" else "/get/mib"
            authorization = signer.authorization(
                method=self.method,
                raw_path=path,
                query="",
                headers=headers,
                payload_sha256_hex=payload,
                date=date,
                access_key="AKIDEXAMPLE",
                secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            )
            yield path, [*headers, ("authorization", authorization)]


async def measure_transport(work: Work) -> dict[str, float]:
    settings = TransportSettings(ca_file=Path(work.ca_file), use_environment_proxies=False)
    transport, body = TRANSPORTS[work.client](settings), bytes(work.body_bytes)

    async def task(source: Iterator[tuple[str, list[Header]]]) -> None:
        for path, headers in source:
            answer = await transport.request(
                work.method, work.base, path, "", headers, body, response_bytes_max=MIB
            )
            assert (answer.status, len(answer.body)) == (200, work.answer_bytes)

    async def run(count: int) -> None:
        source = work.requests(count)
        await asyncio.gather(*(task(source) for _ in range(work.tasks)))

    await run(work.tasks * 4)
    began = time.perf_counter(), time.process_time()
    await run(work.count)
    figures = figures_since(*began, work.count)
    await transport.close()
    return figures


def measure_curl(work: Work) -> dict[str, float]:
    curl = importlib.import_module("pycurl")  # not a dependency: measured where it is there
    multi, body = curl.CurlMulti(), bytes(work.body_bytes)
    handles = [curl.Curl() for _ in range(work.tasks)]
    for handle in handles:
        handle.setopt(curl.CAINFO, work.ca_file)
        handle.setopt(curl.PROXY, "")
        handle.setopt(curl.WRITEFUNCTION, len)  # says that all was taken
        if work.method == "PUT":
            handle.setopt(curl.CUSTOMREQUEST, "PUT")
            handle.setopt(curl.POSTFIELDSIZE, len(body))
            handle.setopt(curl.POSTFIELDS, body)

    def run(count: int) -> None:
        source, idle, active = work.requests(count), list(handles), 0
        while True:
            while idle and (request := next(source, None)):
                handle, active = idle.pop(), active + 1
                lines = [f"{name}: {value}" for name, value in request[1]]
                handle.setopt(curl.HTTPHEADER, [*lines, "content-type:", "expect:"])
                handle.setopt(curl.URL, work.base + request[0])
                multi.add_handle(handle)
            if not active:
                return
            multi.perform()
            _, done, failed = multi.info_read()
            assert not failed, failed
            for handle in done:
                assert handle.getinfo(curl.RESPONSE_CODE) == 200
                assert handle.getinfo(curl.SIZE_DOWNLOAD_T) == work.answer_bytes
                multi.remove_handle(handle)
            idle, active = idle + done, active - len(done)
            if not done:
                multi.select(1.0)

    run(work.tasks * 4)
    began = time.perf_counter(), time.process_time()
    run(work.count)
    return figures_since(*began, work.count)


def figures_since(began: float, began_cpu: float, count: int) -> dict[str, float]:
    """CPU is that of all threads of this process, in user and in system mode."""
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"ops_per_s": count / seconds, "cpu_s_per_1k": cpu / count * 1000}


@contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """A running nginx: the bases of its two ports, by scheme."""
    for rest in ("-subj /CN=root -keyout root.key -out root.crt", LEAF):
        command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 {rest}".split()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "get").mkdir()
    (folder / "get" / "mib").write_bytes(bytes(MIB))
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        ports = {"http": a.getsockname()[1], "https": b.getsockname()[1]}
    (folder / "conf").write_text(NGINX.format(folder=folder, copied=COPIED, **ports))
    arguments = ["nginx", "-c", str(folder / "conf"), "-p", str(folder), "-e", "stderr"]
    with subprocess.Popen(arguments) as process:
        try:
            while not (folder / "pid").exists():
                assert process.poll() is None, "nginx did not start"
                time.sleep(0.05)
            yield {scheme: f"{scheme}://127.0.0.1:{port}" for scheme, port in ports.items()}
        finally:
            process.terminate()


def works(bases: dict[str, str], ca_file: str, copies: int, transfers: int) -> list[Work]:
    plain, tls, answer = bases["http"], bases["https"], len(COPIED)
    return [
        Work("", "copy, HTTP", "PUT", plain, 0, answer, copies, 32, ca_file),
        Work("", "copy, TLS", "PUT", tls, 0, answer, copies, 32, ca_file),
        Work("", "PUT 1 MiB, TLS", "PUT", tls, MIB, answer, transfers, 8, ca_file),
        Work("", "GET 1 MiB, TLS", "GET", tls, 0, MIB, transfers, 8, ca_file),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="what a request costs with each HTTP client")
    for name, default in (("--copies", 20_000), ("--transfers", 1_000), ("--rounds", 3)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        alone = Work(**json.loads(arguments.run))
        curl = alone.client == "pycurl"
        print(json.dumps(measure_curl(alone) if curl else uvloop.run(measure_transport(alone))))
        return
    missing = [program for program in ("nginx", "openssl") if not shutil.which(program)]
    if missing:
        sys.exit(f"not measured: install {' and '.join(missing)}, or put it on PATH")
    clients = [*TRANSPORTS, *(["pycurl"] if importlib.util.find_spec("pycurl") else [])]
    runs: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as bases:
        todo = works(bases, f"{folder}/root.crt", arguments.copies, arguments.transfers)
        for first in range(arguments.rounds):
            for work in todo:
                for turn in range(len(clients)):
                    client = clients[(first + turn) % len(clients)]
                    run = json.dumps(asdict(replace(work, client=client)))
                    command = [sys.executable, __file__, "--run", run]
                    printed = subprocess.check_output(command)
                    runs.setdefault((work.name, client), []).append(json.loads(printed))
    if arguments.json:
        print(json.dumps([{"work": work, "client": c, "runs": runs[work, c]} for work, c in runs]))
        return
    print("| work | client | ops/s | CPU s per 1k | lowest to highest |\n|---|---|---|---|---|")
    for (work_name, client), found in sorted(runs.items()):
        rates, costs = ([one[key] for one in found] for key in ("ops_per_s", "cpu_s_per_1k"))
        middle = f"{statistics.median(rates):,.0f} | {statistics.median(costs):.3f}"
        print(f"| {work_name} | {client} | {middle} | {min(costs):.3f}–{max(costs):.3f} |")


if __name__ == "__main__":
    main()
