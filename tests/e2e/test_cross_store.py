"""From one vendor to two others: what cannot be copied by a store flows through the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.processes import memory_mib
from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, get, put
from tests.e2e.installation import TOKEN, Installation, Place
from tests.e2e.notices import message, put_event
from tests.servers.fault_proxy import fault_proxy
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import LOOPBACK, Server, closed_port

pytestmark = pytest.mark.stores

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class World:
    installation: Installation
    source: Place
    destinations: dict[str, Place]


@pytest.fixture
def world(
    install: Install,
    new_place: NewPlace,
    minio_frontend: Server,
    ministack: Server,
    tmp_path: Path,
) -> Iterator[World]:
    """SeaweedFS with its own webhook → MinIO's front end and ministack."""
    port = closed_port()
    (tmp_path / "weed").mkdir()
    # SeaweedFS can only be told a URL: the token travels as the password in it.
    url = f"http://seaweedfs:{TOKEN}@{LOOPBACK}:{port}/events"
    with seaweedfs(tmp_path / "weed", webhook_url=url) as server:
        source = new_place(server, "source")
        destinations = {
            "minio": new_place(minio_frontend, "minio"),
            "stack": new_place(ministack, "stack"),
        }
        installation = install(
            source=source,
            destinations=destinations,
            port=port,
            settings='limits.part_size = "1MiB"\n',
        )
        installation.start()
        yield World(installation, source, destinations)


def test_bytes_attributes_and_tags_arrive(world: World) -> None:
    objects = {
        "a b/\N{SNOWMAN}+%2F.txt": b"x" * 70_000,
        "empty": b"",
        "at-the-limit": b"y" * 1024 * 1024,
    }
    put(
        world.source,
        objects,
        content_type="text/x-cross",
        metadata={"a-name": "a value"},
        tagging="team=blue&env=e2e",
    )
    world.installation.wait_replicated(len(objects))
    for place in world.destinations.values():
        for key, content in objects.items():
            stored = get(place, key)
            assert stored.content == content
            assert stored.content_type == "text/x-cross"
            assert stored.metadata == {"a-name": "a value"}
            assert stored.tags == {"team": "blue", "env": "e2e"}
    check_equal(world.source, *world.destinations.values())


def test_an_object_larger_than_a_part_arrives_as_it_is(world: World) -> None:
    """Written in parts of 5 MiB, the smallest that S3 takes, with everything that it carries."""
    content = bytes(range(256)) * (44 * 1024) + b"end"
    put(
        world.source,
        {"big": content},
        content_type="text/x-big",
        metadata={"a-name": "a value"},
        tagging="team=blue",
    )
    world.installation.wait_replicated(1)
    for place in world.destinations.values():
        stored = get(place, "big")
        assert stored.content == content
        assert (stored.content_type, stored.metadata) == ("text/x-big", {"a-name": "a value"})
    record = world.installation.read("explain", "big")["destinations"][0]["record"]
    assert "written in parts" in record["reason"]


def test_destinations_that_stand_still_do_not_add_to_the_daemons_memory(
    install: Install, new_place: NewPlace, seaweedfs: Server, tmp_path: Path
) -> None:
    """Seven of ten take a part of every object that they may, and never answer."""
    stream = {"copy": '"stream"'}
    objects = {f"big-{number}": bytes([number]) * 20 * MIB for number in range(8)}
    with fault_proxy(tmp_path, seaweedfs, seed=1) as proxy:
        source = new_place(seaweedfs, "source")
        alive = {f"a{n}": new_place(seaweedfs, f"a{n}", settings=stream) for n in range(3)}
        stalled = {f"s{n}": new_place(proxy.server, f"s{n}", settings=stream) for n in range(7)}
        proxy.set(stall=1.0)
        installation = install(
            source=source,
            destinations={**alive, **stalled},
            settings='limits.part_size = "5MiB"\nlimits.stream_memory = "110MiB"\n',
        )
        pid = installation.start().pid
        at_rest_mib = memory_mib(pid, peak=True)
        etags = put(source, objects)
        records = [put_event(source.bucket, k, etag=etags[k], size_bytes=20 * MIB) for k in objects]
        assert installation.post(message(*records)).status == 200
        installation.wait_replicated(len(objects), *alive, within_s=120)
        check_equal(source, *alive.values())
        assert proxy.counts()["stall"] >= len(stalled)
        # Half of the memory, two parts that are put together, and what else work takes.
        assert memory_mib(pid, peak=True) - at_rest_mib < 55 + 2 * 5 + 20
