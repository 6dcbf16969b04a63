"""``s3fanout backfill`` on real stores: beside the daemon and alone."""

from __future__ import annotations

import gzip
import hashlib
import json

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, put
from tests.e2e.installation import Place, until
from tests.e2e.notices import message, put_event, write_and_tell
from tests.servers.server import Server

pytestmark = pytest.mark.stores

ThreeDestinations = tuple[Place, dict[str, Place]]
OBJECTS = {f"old/{number:03}": b"x" * number for number in range(150)}


def inventory_of(bucket: str, keys: list[str]) -> dict[str, bytes]:
    """The objects of an S3 Inventory."""
    etag = hashlib.md5(b"y", usedforsecurity=False).hexdigest()
    rows = gzip.compress("".join(f'"{bucket}","{key}","1","{etag}"\n' for key in keys).encode())
    digest = hashlib.md5(rows, usedforsecurity=False).hexdigest()
    manifest = {
        "sourceBucket": bucket,
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag",
        "files": [{"key": "inv/data/one.csv.gz", "MD5checksum": digest}],
    }
    return {"inv/manifest.json": json.dumps(manifest).encode(), "inv/data/one.csv.gz": rows}


def test_beside_the_daemon_it_fills_all_destinations_and_then_finds_them_equal(
    three: ThreeDestinations, install: Install
) -> None:
    source, destinations = three
    put(source, OBJECTS)
    installation = install(source=source, destinations=destinations)
    installation.start()
    planned = installation.read("backfill", "--dry-run")
    assert [row["queue"] for row in planned["destinations"]] == [150] * 3
    assert planned["destinations"][0]["queued_bytes"] == sum(range(150))
    assert planned["destinations"][0]["dollars"] is None, "only AWS's prices are known"
    installation.command("backfill", "--yes", "--wait", check=True)
    assert {row["backlog_jobs"] for row in installation.api_status().values()} == {0}
    write_and_tell(installation, source, "live")
    installation.wait_replicated(151)
    check_equal(source, *destinations.values())
    assert installation.command("verify").code == 0
    again = installation.read("backfill", "--yes")
    assert [(row["queue"], row["equal"]) for row in again["destinations"]] == [(0, 151)] * 3


def test_alone_it_copies_and_ends(
    seaweedfs: Server, minio_frontend: Server, new_place: NewPlace, install: Install
) -> None:
    source, far = new_place(seaweedfs, "source"), new_place(minio_frontend, "far")
    put(source, {f"d/{number}": b"y" for number in range(40)})
    installation = install(source=source, destinations={"far": far})
    # Nobody would work the queue off: it would fill, and the command would wait for ever.
    for command in ("backfill", "reconcile"):
        refused = installation.command(command, "--yes")
        assert (refused.code, "no daemon runs" in refused.err) == (5, True)
    assert installation.read("backfill", "--dry-run")["items"] == 40
    ended = installation.command("backfill", "--run", "--yes", "--prefix", "d/", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["destinations"][0]["queue"] == 40
    check_equal(source, far)
    installation.start()
    until(lambda: installation.destination("far")["replicated"] == 40, what="it is on record")
    assert installation.command("backfill", "--run", "--yes").code == 7, (
        "the daemon owns the ledger"
    )
    shelf = new_place(seaweedfs, "inventory")
    put(shelf, inventory_of(source.bucket, ["d/1", "d/2"]))
    manifest = f"s3://{shelf.bucket}/inv/manifest.json"
    named = installation.read("backfill", "--dry-run", "--inventory", manifest)
    assert (named["items"], named["destinations"][0]["equal"]) == (2, 2)
    elsewhere = f"s3://{shelf.bucket}/other/manifest.json"
    missing = installation.command("backfill", "--yes", "--inventory", elsewhere)
    assert (missing.code, "inventory-broken" in missing.err) == (5, True)
    missing = installation.command("backfill", "--yes", "--keys", "no-such-file")
    assert (missing.code, "inventory-broken" in missing.err) == (5, True)
    event = put_event(source.bucket, "d/1", etag="other", size_bytes=1)
    assert installation.post(message(event)).status == 200
