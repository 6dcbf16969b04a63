"""Deletes in masses wait for a person, as that person sees it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import keys
from tests.e2e.installation import until
from tests.e2e.notices import deliver, message, put_event, write_and_tell
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores


def test_masses_of_deletes_wait_status_says_so_and_one_command_releases_them(
    install: Install, new_place: NewPlace, seaweedfs: Server
) -> None:
    """The store's lifecycle expired the objects; the guard allows three deletes."""
    source = new_place(seaweedfs, "source")
    paris = replace(new_place(seaweedfs, "paris"), settings={"deletes": '"replicate"'})
    tokyo = new_place(seaweedfs, "tokyo")
    installation = install(
        source=source,
        destinations={"paris": paris, "tokyo": tokyo},
        settings="limits.deletes_max = 3\n",
    )
    installation.start()
    written = [f"k{number:02}" for number in range(8)]
    write_and_tell(installation, source, *written)
    installation.wait_replicated(8)
    records = []
    with closing(boto3_client(source.server, "s3")) as client:
        for key in written:
            client.delete_object(Bucket=source.bucket, Key=key)
            event = put_event(source.bucket, key, etag="", size_bytes=0)
            records.append(event | {"eventName": "LifecycleExpiration:Delete"})
    assert deliver(installation, message(*records)).status == 200
    until(lambda: len(keys(paris)) == 5, what="three are deleted")
    row = until(
        lambda: row if (row := installation.destination("paris"))["waiting_jobs"] == 5 else None,
        what="the others wait",
    )
    assert row["deletes_held_reason"] == "more than 3 deletes within 3600 s"
    assert "release-deletes -d paris" in installation.command("status").out
    write_and_tell(installation, source, "another")
    until(lambda: "another" in keys(paris), what="all other work goes on")
    assert installation.destination("tokyo")["deletes_held_reason"] is None
    assert keys(tokyo) == {*written, "another"}
    installation.command("release-deletes", "-d", "paris", check=True)
    until(lambda: keys(paris) == {"another"}, what="they are deleted")
