"""Every version, in order, by a real daemon on real stores that keep versions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.installation import Installation, Place, until
from tests.e2e.notices import deliver, message, put_event
from tests.servers.fault_proxy import FaultProxy, fault_proxy
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores

KEYS = ("a.txt", "folder/b.txt", "c d.txt")
CHANGES = 40
SEED = 20_261_125
ALL = {"versions": '"all"', "deletes": '"replicate"', "version_deletes": '"replicate"'}


@pytest.fixture
def stores(
    tmp_path: Path, seaweedfs: Server, ministack: Server
) -> Iterator[tuple[FaultProxy, FaultProxy]]:
    """Two stores behind proxies without a fault, which know what is under way."""
    with (
        fault_proxy(tmp_path, seaweedfs, seed=SEED) as here,
        fault_proxy(tmp_path, ministack, seed=SEED) as there,
    ):
        yield here, there


def versioned(place: Place) -> Place:
    with closing(boto3_client(place.server, "s3")) as client:
        client.put_bucket_versioning(
            Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    return place


def rows_of(place: Place, key: str) -> list[tuple[str, bool]]:
    """Version ids, oldest first, and whether each is a version and no delete marker.

    boto3 parts versions from markers, and with that loses their order: so one row a page.
    """
    with closing(boto3_client(place.server, "s3")) as client:
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=place.bucket, Prefix=key, PaginationConfig={"PageSize": 1}
        )
        rows = []
        for page in pages:
            rows += [(row["Key"], row["VersionId"], True) for row in page.get("Versions", ())]
            rows += [(row["Key"], row["VersionId"], False) for row in page.get("DeleteMarkers", ())]
        return [(row[1], row[2]) for row in rows if row[0] == key][::-1]


def ids(place: Place, key: str) -> list[str]:
    return [version_id for version_id, _ in rows_of(place, key)]


def history(place: Place, key: str) -> list[tuple[bytes, dict[str, str]] | None]:
    """Bytes and metadata of every version, oldest first; ``None`` is a delete marker."""
    found: list[tuple[bytes, dict[str, str]] | None] = []
    with closing(boto3_client(place.server, "s3")) as client:
        for version_id, is_version in rows_of(place, key):
            if is_version:
                answer = client.get_object(Bucket=place.bucket, Key=key, VersionId=version_id)
                found.append((answer["Body"].read(), answer["Metadata"]))
            else:
                found.append(None)
    return found


def event(place: Place, key: str, name: str, *, etag: str = "", size_bytes: int = 0) -> bytes:
    return message(
        put_event(place.bucket, key, etag=etag, size_bytes=size_bytes) | {"eventName": name}
    )


def live(source: Place, installation: Installation, stores: Sequence[FaultProxy]) -> None:
    """Overwrite and delete some keys fast, telling of each change; killed in the middle.

    The next process starts when the stores have carried out what the killed one asked for: what
    they carry out later is not promised.
    """
    chance = random.Random(SEED)
    with closing(boto3_client(source.server, "s3")) as client:
        for number in range(CHANGES):
            key = chance.choice(KEYS)
            if number == CHANGES // 2:
                installation.kill()
                until(
                    lambda: not any(store.counts()["in_hand"] for store in stores),
                    what="nothing of the killed process is under way",
                )
                installation.start()
            if number % 8 == 7:  # Less than the mass-delete guard always allows.
                client.delete_object(Bucket=source.bucket, Key=key)
                told = event(source, key, "ObjectRemoved:DeleteMarkerCreated")
            else:
                content = b"%d of %s" % (number, key.encode())
                etag = client.put_object(
                    Bucket=source.bucket, Key=key, Body=content, Metadata={"number": str(number)}
                )["ETag"].strip('"')
                told = event(source, key, "ObjectCreated:Put", etag=etag, size_bytes=len(content))
            assert deliver(installation, told).status == 200


def rest(installation: Installation) -> None:
    until(
        lambda: all(not row["backlog_jobs"] for row in installation.api_status().values()),
        what="nothing is to be done",
    )


def test_every_version_arrives_in_order_over_a_kill(
    install: Install, new_place: NewPlace, stores: tuple[FaultProxy, FaultProxy]
) -> None:
    here, there = (store.server for store in stores)
    source = versioned(new_place(here, "source"))
    destinations = {
        "near": versioned(new_place(here, "near", settings=ALL)),
        "far": versioned(new_place(there, "far", settings=ALL)),
    }
    installation = install(source=source, destinations=destinations)
    installation.start()
    live(source, installation, stores)
    rest(installation)
    for key in KEYS:
        expected = history(source, key)
        assert len(expected) > 5
        for name, place in destinations.items():
            assert (name, history(place, key)) == (name, expected)

    (shown, _) = installation.read("explain", KEYS[0])["destinations"]
    newest = [row["source_version_id"] for row in shown["versions"]]
    assert newest == ids(source, KEYS[0])[::-1][: len(newest)]

    with closing(boto3_client(source.server, "s3")) as client:
        for version_id in (ids(source, KEYS[0])[0], ids(source, KEYS[0])[-1]):
            client.delete_object(Bucket=source.bucket, Key=KEYS[0], VersionId=version_id)
    deliver(installation, event(source, KEYS[0], "ObjectRemoved:Delete"))
    rest(installation)
    for place in destinations.values():
        assert history(place, KEYS[0]) == history(source, KEYS[0])


def test_check_says_that_a_bucket_keeps_no_versions(
    install: Install, new_place: NewPlace, seaweedfs: Server
) -> None:
    source = versioned(new_place(seaweedfs, "source"))
    plain = new_place(seaweedfs, "plain", settings=ALL)
    installation = install(source=source, destinations={"plain": plain})
    checked = installation.command("check", "--json")
    assert checked.code == 5
    (failure,) = [row for row in checked.json["findings"] if row["grade"] == "failed"]
    assert (failure["target"], failure["check"]) == ("plain", "versions")
    assert "does not keep versions" in failure["message"]
    versioned(plain)
    assert installation.command("check").code == 0
