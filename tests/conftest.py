"""Real stores for every test that asks for one, started on first use, once per worker."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import pytest
from hypothesis import settings

from tests.servers import ceph as ceph_server
from tests.servers import minio_frontend as minio_frontend_server
from tests.servers import ministack as ministack_server
from tests.servers import moto as moto_server
from tests.servers import seaweedfs as seaweedfs_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.server import Server


settings.register_profile("s3fanout", deadline=None)  # A busy machine is no defect.
settings.load_profile("s3fanout")

MEMORY, ROOM_BYTES = Path("/dev/shm"), 6 << 30


def pytest_configure() -> None:
    """Write what is thrown away to memory, where a sync to disk costs nothing, if there is room."""
    if "TMPDIR" not in os.environ and memory_bytes() > ROOM_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def memory_bytes() -> int:
    """How much can be written to memory; 0 where that is not known."""
    told = Path("/proc/meminfo")
    if not MEMORY.is_dir() or not told.is_file():
        return 0
    kib = dict(line.split(":") for line in told.read_text("ascii").splitlines())
    available = int(kib["MemAvailable"].removesuffix("kB")) << 10
    return min(available, shutil.disk_usage(MEMORY).free)


@pytest.fixture(scope="session", autouse=True)
def boto3_reads_what_it_knows_once() -> Iterator[None]:
    """Every session of boto3 reads its descriptions of services anew, and tests make thousands."""
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(botocore.session.create_loader)
        patch.setattr(botocore.session, "create_loader", once)
        yield


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The widest S3 interface; checks credentials; no bucket notifications."""
    with seaweedfs_server.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def minio_frontend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MinIO's interface; start one of your own for its notifications (they need your URL)."""
    with minio_frontend_server.minio_frontend(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An emulator of S3, SQS and SNS."""
    with ministack_server.ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An emulator of AWS that enforces IAM: a function may do what its role may."""
    directory = tmp_path_factory.mktemp("aws")
    with ministack_server.ministack(directory, enforce_iam=True) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another emulator; it ignores copy conditions."""
    with moto_server.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Ceph RGW, where its packages are installed; ignores copy conditions."""
    if reason := ceph_server.why_missing():
        pytest.skip(reason)
    with ceph_server.ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def bucket_name() -> Callable[[str], str]:
    """Makes bucket names that no other test of the run has; the argument says what it is for."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    numbers = itertools.count()
    return lambda purpose: f"{purpose}-{worker}-{os.getpid()}-{next(numbers)}"
