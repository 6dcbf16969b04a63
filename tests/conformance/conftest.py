"""Object stores and ledgers under test: every adapter, the memory fakes included."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.store.memory import MemoryStores
from s3fanout.adapters.system import SystemClock
from tests.conformance.aws_journal import LACKS, AwsWorld
from tests.conformance.journals import JOURNALS, World, world_of
from tests.conformance.object_stores import NETWORKED, PROFILES, Subject, open_s3
from tests.servers.server import create_bucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from s3fanout.ports.object_store import ObjectStore
    from tests.conformance.object_stores import Credentials
    from tests.servers.server import Server


@pytest.fixture(scope="session")
def buckets_of(bucket_name: Callable[[str], str]) -> Callable[[Server], tuple[str, str]]:
    """Two buckets per server for the whole run: tests keep apart by their keys."""
    made: dict[str, tuple[str, str]] = {}

    def of(server: Server) -> tuple[str, str]:
        if server.name not in made:
            made[server.name] = (
                create_bucket(server, bucket_name("source")),
                create_bucket(server, bucket_name("replica")),
            )
        return made[server.name]

    return of


@pytest.fixture(scope="session")
def _numbers() -> itertools.count[int]:
    return itertools.count()


@pytest.fixture
def unique(_numbers: itertools.count[int]) -> str:
    """A text that no other test's keys contain: tests share buckets."""
    return f"t{next(_numbers):05}x"


def _subject(request: pytest.FixtureRequest, name: str, opened: list[ObjectStore]) -> Subject:
    fixture, _, transport = name.partition("/")
    if fixture == "memory":
        stores = MemoryStores(SystemClock())
        stores.create_bucket("source")
        stores.create_bucket("replica")
        return Subject(name, PROFILES["memory"], "source", "replica", "missing", stores.open)
    server: Server = request.getfixturevalue(fixture)
    source, bucket = request.getfixturevalue("buckets_of")(server)

    def open_store(
        bucket: str, *, credentials: Credentials | None = None, endpoint: str | None = None
    ) -> ObjectStore:
        store = open_s3(server, bucket, transport, credentials=credentials, endpoint=endpoint)
        opened.append(store)
        return store

    return Subject(
        name=name,
        profile=PROFILES[server.name],
        source=source,
        bucket=bucket,
        missing=request.getfixturevalue("bucket_name")("missing"),
        open=open_store,
        server=server,
    )


@pytest.fixture
async def opened() -> AsyncIterator[list[ObjectStore]]:
    """Stores that the test opened; closed at its end."""
    stores: list[ObjectStore] = []
    yield stores
    for store in stores:
        await store.close()


@pytest.fixture(
    params=["memory", *(pytest.param(name, marks=pytest.mark.stores) for name in NETWORKED)]
)
def subject(request: pytest.FixtureRequest, opened: list[ObjectStore]) -> Subject:
    """Every adapter."""
    return _subject(request, request.param, opened)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.stores) for name in NETWORKED])
def networked(request: pytest.FixtureRequest, opened: list[ObjectStore]) -> Subject:
    """Every adapter that speaks to a server."""
    return _subject(request, request.param, opened)


@pytest.fixture
def store(subject: Subject) -> ObjectStore:
    """A store on the first bucket."""
    return subject.open(subject.source)


@pytest.fixture
def replica(subject: Subject) -> ObjectStore:
    """A store on the second bucket of the same endpoint."""
    return subject.open(subject.bucket)


@pytest.fixture(params=[*JOURNALS, pytest.param("aws", marks=pytest.mark.stores)])
def unstarted(
    request: pytest.FixtureRequest, tmp_path: Path, bucket_name: Callable[[str], str]
) -> World:
    """A ledger and queue of each kind; AWS's without the tests of what it lacks."""
    if request.param != "aws":
        return world_of(request.param, tmp_path)
    if lacks := LACKS.get(request.node.originalname):
        pytest.skip(lacks)
    server = request.getfixturevalue("ministack")
    return AwsWorld(None, server=server, name=bucket_name("journal"))


@pytest.fixture
async def world(unstarted: World) -> AsyncIterator[World]:
    """The same, started."""
    await unstarted.start()
    yield unstarted
    await unstarted.stop()
