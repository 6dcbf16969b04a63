"""From one vendor to two others: what cannot be copied by a store flows through the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, get, keys, put
from tests.e2e.installation import TOKEN, Installation, Place, until
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import LOOPBACK, Server, closed_port

pytestmark = pytest.mark.stores


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


def test_a_too_large_object_is_named_with_the_reason(world: World) -> None:
    put(world.source, {"big": b"z" * (1024 * 1024 + 1)})
    put(world.source, {"small": b"z"})
    world.installation.wait_replicated(1)
    rows = until(
        lambda: rows if len(rows := world.installation.read("failures")["failures"]) == 2 else None,
        what="two dead letters",
    )
    assert {row["destination"] for row in rows} == {"minio", "stack"}
    assert {row["key"] for row in rows} == {"big"}
    assert {row["error"]["code"] for row in rows} == {"too-large"}
    explained = world.installation.read("explain", "big")
    assert explained["source"]["state"] == "present"
    for row in explained["destinations"]:
        assert row["replica"] == {"state": "absent"}
        assert row["record"]["error"]["code"] == "too-large"
        assert "stopped" in row["verdict"]
    assert [keys(place) for place in world.destinations.values()] == [{"small"}, {"small"}]
