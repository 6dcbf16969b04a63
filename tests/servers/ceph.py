"""Ceph RGW: a monitor, one storage daemon in memory and the S3 gateway, from nothing, on loopback.

Needs the system's packages and root::

    apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common

Without them whoever asks for the server is told ``CephIsMissing``, and tests skip with that reason.
No wheel brings it, and the packages are 64 MB: where they are missing, nothing installs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.seaweedfs import claimed_base
from tests.servers.server import LOOPBACK, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

ACCESS_KEY, SECRET_KEY = "testkey", "testsecret"
FRIEND, FRIEND_KEY, FRIEND_SECRET = "f" * 64, "friendkey", "friendsecret"
"""Another account: it may do nothing that it was not granted. Its id could be one of AWS."""
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool")
COMMAND_S = 60.0

# No authentication inside the cluster: then radosgw must be told that the monitor does not encrypt.
# paxos proposes at once instead of collecting for a second, or the start takes a minute.
# civetweb, as beast of this version aborts on DeleteObjects (ceph pull request 48679, 2026-11).
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:{host}:{mon},v1:{host}:{mon_v1}]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
ms bind ipv6 = false
public addr = {host}
cluster addr = {host}
ms bind port min = {bind}
ms bind port max = {bind_max}
run dir = {directory}
admin socket =
log file = {directory}/$name.log
crash dir = {directory}
keyring = {directory}/keyring
pid file =
mon cluster log file = {directory}/cluster.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
mon data avail warn = 1
mon data avail crit = 1
paxos propose interval = 0.02
paxos min wait = 0.01
rgw rados pool pg num min = 1
[mon]
mon data = {directory}/mon
[osd]
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = 6442450944
osd class default list = *
osd class load list = *
osd numa auto affinity = false
[client]
ms mon client mode = crc
rgw data = {directory}/rgw
rgw frontends = civetweb port={host}:{port} num_threads=32
rgw thread pool size = 32
rgw enable usage log = false
rgw dns name = localhost
rgw verify ssl = false
rgw crypt require ssl = false
"""


class CephIsMissing(RuntimeError):
    """Its packages are not installed, or we are not root; the message says which."""


def why_missing() -> str:
    """Why no server can be started here; ``""`` if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"Ceph RGW is not installed here: no {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "Ceph RGW starts as root only"


@contextmanager
def ceph(directory: Path) -> Iterator[Server]:
    """A server on free ports with its files in ``directory`` (absolute, empty); it dies with us.

    Raises:
        CephIsMissing: See ``why_missing``.
        ServerDidNotStart: With its last words.
    """
    if reason := why_missing():
        raise CephIsMissing(reason)
    # Ten ports in a row each: the gateway and the monitor, and what the daemons bind.
    with ExitStack() as running:
        port = running.enter_context(claimed_base())
        bind = running.enter_context(claimed_base())
        yield _start(directory, port=port, bind=bind, running=running)


def _start(directory: Path, *, port: int, bind: int, running: ExitStack) -> Server:
    configuration = directory / "ceph.conf"
    for name in ("mon", "osd", "rgw"):
        (directory / name).mkdir()
    configuration.write_text(
        _CONFIGURATION.format(
            fsid=(fsid := str(uuid.uuid4())),
            host=LOOPBACK,
            port=port,
            mon=port + 1,
            mon_v1=port + 2,
            bind=bind,
            bind_max=bind + 8,
            directory=directory,
        ),
        "utf-8",
    )
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        "CEPH_CONF": str(configuration),
        "CEPH_ARGS": f"-c {configuration}",
    }

    def daemon(*argv: str) -> LeashedProcess:
        process = LeashedProcess(
            argv, directory=directory, environment=environment, log=directory / f"{argv[0]}.out"
        )
        running.callback(process.stop)
        return process

    def run(*argv: str) -> None:
        _run(argv, directory=directory, environment=environment)

    keyring = str(directory / "keyring")
    run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon",
        "allow *")  # fmt: skip
    for name in ("client.admin", "client.rgw.a"):
        run("ceph-authtool", keyring, "--gen-key", "-n", name, "--cap", "mon", "allow *",
            "--cap", "osd", "allow *")  # fmt: skip
    monmap = str(directory / "monmap")
    addresses = f"[v2:{LOOPBACK}:{port + 1},v1:{LOOPBACK}:{port + 2}]"
    run("monmaptool", "--create", "--clobber", "--addv", "a", addresses, "--fsid", fsid, monmap)
    run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
    daemon("ceph-mon", "-f", "-i", "a")
    osd = str(uuid.uuid4())
    run("ceph", "--connect-timeout", "30", "osd", "new", osd)
    run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    daemon("ceph-osd", "-f", "-i", "0")
    gateway = daemon("radosgw", "-f", "-n", "client.rgw.a")
    # Waits for the pools by itself.
    run("radosgw-admin", "user", "create", "--uid=test", "--display-name=test",
        f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")  # fmt: skip
    run("radosgw-admin", "user", "create", f"--uid={FRIEND}", "--display-name=friend",
        f"--access-key={FRIEND_KEY}", f"--secret-key={FRIEND_SECRET}")  # fmt: skip
    # Without credentials RGW answers the list of buckets of the anonymous user.
    running.enter_context(serving(gateway, port, is_ready=lambda status: status == 200))
    return Server(
        name="ceph",
        endpoint=f"http://{LOOPBACK}:{port}",
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        pid=gateway.pid,
    )


def _run(argv: Sequence[str], *, directory: Path, environment: Mapping[str, str]) -> None:
    with (directory / "setup.log").open("ab") as log:
        subprocess.run(
            argv,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S,
            check=True,
        )
