"""Unfinished uploads in real stores, seen by a daemon whose day is tomorrow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import TransportSettings
from s3fanout.adapters.store.transport_direct import DirectTransport
from s3fanout.adapters.system import SystemClock
from s3fanout.engine.leftovers import Swept, UploadSweeper
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState, NewJob, Settlement
from s3fanout.model.objects import ObjectAttributes
from s3fanout.model.rules import KeyMap, Rule
from s3fanout.model.uploads import ReplicaUpload
from tests.e2e.conftest import Install, NewPlace
from tests.e2e.installation import until
from tests.servers.server import Server, boto3_client, create_bucket

pytestmark = pytest.mark.stores

TWO_DAYS_S = 48 * 3600.0


class Later(SystemClock):
    """The time in two days."""

    def now_ms(self) -> int:
        return super().now_ms() + round(TWO_DAYS_S * 1000)


@pytest.fixture(params=["seaweedfs", "ministack", "minio_frontend"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


async def test_only_what_is_ours_or_was_said_to_be_goes(
    server: Server, bucket_name: Callable[[str], str], tmp_path: Path
) -> None:
    bucket = create_bucket(server, bucket_name("leftovers"))
    store = open_store(server, bucket)
    for key in ("ours/ended", "ours/at work", "ours/unknown", "theirs"):
        await store.create_upload(key, ObjectAttributes())
    ids = {upload.key: upload.upload_id for upload in await store.list_uploads()}
    journal = await SqliteJournal.open(tmp_path / "ledger.db", clock=SystemClock())
    for key in ("ended", "at work"):
        upload_id = ids[f"ours/{key}"]
        await store.upload_part(f"ours/{key}", upload_id, 1, part_of(b"bytes"))
        upload = ReplicaUpload("to", key, f"ours/{key}", upload_id, "print", 5)
        await journal.keep_upload(upload)
    now_ms = SystemClock().now_ms()
    jobs = [NewJob("to", key, ChangeKind.CREATED, now_ms) for key in ("ended", "at work")]
    await journal.accept(jobs, now_ms=now_ms)
    (job, _) = await journal.claim("to", 2, now_ms=now_ms)
    assert job.key == "ended"
    await journal.settle(
        [Settlement(job, JobState.SUPERSEDED, now_ms, "the source is gone", attempts=0)]
    )

    def sweeper(*, said: bool) -> UploadSweeper:
        return UploadSweeper(
            rule=Rule("to", key_map=KeyMap(add_prefix="ours/")),
            destination=store,
            books=journal,
            clock=Later(),
            abort_after_s=TWO_DAYS_S / 2 if said else None,
        )

    assert await sweeper(said=False).sweep() == Swept(known=1, unknown=0)
    assert left(server, bucket) == {"ours/at work", "ours/unknown", "theirs"}
    assert await sweeper(said=True).sweep() == Swept(known=0, unknown=1)
    assert left(server, bucket) == {"ours/at work", "theirs"}
    await journal.close()
    await store.close()


async def test_what_was_begun_without_an_answer_goes_and_what_others_began_stays(
    server: Server, bucket_name: Callable[[str], str], tmp_path: Path
) -> None:
    bucket = create_bucket(server, bucket_name("asked"))
    store = open_store(server, bucket)
    journal = await SqliteJournal.open(tmp_path / "ledger.db", clock=SystemClock())
    for key in ("ours/lost", "ours/theirs"):
        await journal.ask_upload("to", key, at_ms=SystemClock().now_ms())
    for key in ("ours/lost", "ours/lost-2", "ours/theirs"):
        await store.create_upload(key, ObjectAttributes())
    (theirs,) = await store.list_uploads("ours/theirs")
    await store.upload_part(theirs.key, theirs.upload_id, 1, part_of(b"bytes"))
    sweeper = UploadSweeper(
        rule=Rule("to", key_map=KeyMap(add_prefix="ours/")),
        destination=store,
        books=journal,
        clock=Later(),
        abort_after_s=None,
    )
    assert await sweeper.sweep() == Swept(known=0, unknown=0, lost=1)
    assert left(server, bucket) == {"ours/lost-2", "ours/theirs"}
    assert await journal.asked_of("to") == []
    await journal.close()
    await store.close()


async def test_before_a_destination_is_removed_it_is_switched_off(
    install: Install, new_place: NewPlace, seaweedfs: Server, tmp_path: Path
) -> None:
    """The daemon then aborts what it knows; of one that was removed at once, check tells."""
    off, removed = (new_place(seaweedfs, name) for name in ("off", "removed"))
    off = replace(off, settings={"enabled": "false"})
    journal = await SqliteJournal.open(tmp_path / "ledger.db", clock=SystemClock())
    for name, place in (("off", off), ("removed", removed)):
        store = open_store(seaweedfs, place.bucket)
        upload_id = await store.create_upload("key", ObjectAttributes())
        await journal.accept([NewJob(name, "key", ChangeKind.CREATED, 0)], now_ms=0)
        await journal.keep_upload(ReplicaUpload(name, "key", "key", upload_id, "print", 5))
        await store.close()
    await journal.close()
    installation = install(
        source=new_place(seaweedfs, "source"),
        destinations={"on": new_place(seaweedfs, "on"), "off": off},
        ledger=tmp_path / "ledger.db",
    )
    told = {
        each["target"]: each for each in installation.read("check")["findings"] if is_left(each)
    }
    assert set(told) == {"off", "removed"}
    assert "enabled = false" in told["removed"]["hint"]
    installation.start()
    until(lambda: not left(seaweedfs, off.bucket), what="the upload is aborted")
    told = {
        each["target"]: each for each in installation.read("check")["findings"] if is_left(each)
    }
    assert set(told) == {"removed"}
    assert left(seaweedfs, removed.bucket) == {"key"}


def is_left(finding: dict[str, str]) -> bool:
    return finding["check"] == "uploads" and "nothing is copied to it" in finding["message"]


def open_store(server: Server, bucket: str) -> S3Store:
    return S3Store(
        bucket=bucket,
        endpoint=Endpoint.parse(server.endpoint, region=server.region),
        credentials=StaticCredentials(server.access_key, server.secret_key),
        transport=DirectTransport(TransportSettings()),
        clock=SystemClock(),
    )


def left(server: Server, bucket: str) -> set[str]:
    with closing(boto3_client(server, "s3")) as client:
        answer = client.list_multipart_uploads(Bucket=bucket)
        return {upload["Key"] for upload in answer.get("Uploads", ())}
