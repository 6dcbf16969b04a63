"""``s3fanout verify`` on real stores: what it says, how it ends, and that it writes nothing."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import put
from tests.e2e.installation import until
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores

# In directories and beside them: SeaweedFS does not list these in the order of their bytes.
CONTENT = {
    key: key.encode() for key in ("o/a", "o/a/x", "o/a-b", "o/a0", "top", "z/é", "raw/new\nline")
}


@pytest.mark.parametrize("from_seaweedfs", [True, False], ids=["one-store", "two-stores"])
def test_it_reports_what_differs_in_every_form(
    seaweedfs: Server,
    ministack: Server,
    new_place: NewPlace,
    install: Install,
    *,
    from_seaweedfs: bool,
) -> None:
    source = new_place(seaweedfs, "source")
    to = new_place(seaweedfs if from_seaweedfs else ministack, "paris")
    installation = install(source=source, destinations={"paris": to})
    put(source, CONTENT)
    put(to, CONTENT)
    equal = installation.command("verify", "--deep")
    assert equal.code == 0, equal.err + equal.out
    assert equal.out.splitlines() == [
        "paris: = 7 same",
        "paris: 7 compared in depth, 0 wrong: with 95 % confidence at most 0.0000% are",
    ]

    put(to, {"o/a-b": b"O/A-B", "extra": b""})
    with closing(boto3_client(to.server, "s3")) as client:
        client.delete_object(Bucket=to.bucket, Key="raw/new\nline")
    ended = installation.command("verify", "--format", "ndjson")
    assert ended.code == 4
    documents = [json.loads(line) for line in ended.out.splitlines()]
    assert {(row["key"], row["standing"]) for row in documents if row["kind"] == "finding"} == {
        ("o/a-b", "differs"),
        ("raw/new\nline", "missing"),
        ("extra", "extra"),
    }
    summary = documents[-1]
    assert (summary["kind"], summary["same"], summary["equal"]) == ("summary", 5, False)
    rows = list(csv.DictReader(io.StringIO(installation.command("verify", "--format=csv").out)))
    assert {row["standing"] for row in rows} == {"differs", "missing", "extra"}
    page = installation.directory / "report.html"
    assert installation.command("verify", "--format=html", "-o", str(page)).code == 4
    text = page.read_text("utf-8")
    assert "different" in text
    assert "o/a-b" in text
    assert "src=" not in text
    assert "href=" not in text
    assert installation.command("verify", "--prefix", "z/").code == 0
    assert installation.command("verify", "--sample", "1%").code == 2
    assert not installation.ledger.exists(), "it makes no ledger"


USUAL: dict[str, Any] = {
    "ContentType": "text/plain",
    "Metadata": {"owner": "ann"},
    "Tagging": "team=red",
}
PLANTED: dict[str, dict[str, Any]] = {
    "flipped": {"Body": b"Bytes"},
    "truncated": {"Body": b"byte"},
    "headers": {"ContentType": "text/html"},
    "metadata": {"Metadata": {"owner": "bob"}},
    "tags": {"Tagging": "team=blue"},
    "untagged": {"Tagging": ""},
    "storage-class": {"StorageClass": "STANDARD_IA"},
    "redirect": {"WebsiteRedirectLocation": "/elsewhere"},
    "same": {},
}


@pytest.mark.parametrize("name", ["moto", "seaweedfs"])
def test_it_finds_what_was_planted_and_nothing_else(
    name: str, request: pytest.FixtureRequest, new_place: NewPlace, install: Install
) -> None:
    store: Server = request.getfixturevalue(name)
    source, to = new_place(store, "source"), new_place(store, "paris")
    installation = install(source=source, destinations={"paris": to})
    planted = dict(PLANTED)
    if name == "seaweedfs":
        del planted["redirect"]  # which it does not hold
    large = b"x" * (10 << 20)
    flipped = large[: 9 << 20] + b"y" + large[(9 << 20) + 1 :]
    with closing(boto3_client(store, "s3")) as client:
        for key, other in planted.items():
            written = {"Key": key, "Body": b"bytes", **USUAL}
            client.put_object(**{"Bucket": source.bucket, **written})
            client.put_object(**{"Bucket": to.bucket, **written, **other})
        for place, key, content, part_mib in (
            (source, "large/same", large, 5),
            (to, "large/same", large, 6),
            (source, "large/flipped", large, 5),
            (to, "large/flipped", flipped, 5),
        ):
            config = TransferConfig(multipart_threshold=1, multipart_chunksize=part_mib << 20)
            client.upload_fileobj(io.BytesIO(content), place.bucket, key, Config=config)

    def found(*arguments: str) -> dict[str, tuple[str, str]]:
        ended = installation.command("verify", "--format", "ndjson", *arguments)
        assert ended.code == 4, ended.err
        rows = [json.loads(line) for line in ended.out.splitlines()]
        return {
            row["key"]: (row["standing"], row["code"]) for row in rows if row["kind"] == "finding"
        }

    by_listing = {
        "flipped": ("differs", "etag"),
        "truncated": ("differs", "size"),
        "storage-class": ("differs", "storage-class"),
        "large/same": ("unknown", "etag-says-nothing"),
        "large/flipped": ("unknown", "etag-says-nothing"),
    }
    by_looks = {
        **by_listing,
        "headers": ("differs", "headers"),
        "metadata": ("differs", "metadata"),
        "tags": ("differs", "tags"),
        "untagged": ("differs", "tags"),
        **({"redirect": ("differs", "redirect")} if "redirect" in planted else {}),
    }
    by_bytes = {
        **by_looks,
        "flipped": ("differs", "bytes"),
        "large/flipped": ("differs", "bytes"),
    }
    del by_bytes["large/same"]
    assert found() == by_listing
    assert found("--attributes") == by_looks
    assert found("--deep") == by_bytes
    names = ("storage-class", "tags", "metadata", "redirect", "content-type")
    ignored = found("--deep", *(word for name in names for word in ("--ignore", name)))
    assert set(ignored) == {"flipped", "truncated", "large/flipped"}


def test_what_a_store_does_not_hold_is_told_and_makes_no_difference(
    seaweedfs: Server, minio_frontend: Server, new_place: NewPlace, install: Install
) -> None:
    source, to = new_place(seaweedfs, "source"), new_place(minio_frontend, "paris")
    installation = install(source=source, destinations={"paris": to})
    with closing(boto3_client(seaweedfs, "s3")) as client:
        client.put_object(
            Bucket=source.bucket,
            Key="k",
            Body=b"abc",
            StorageClass="STANDARD_IA",
            ContentLanguage="de",
            ChecksumAlgorithm="SHA256",
        )
    installation.start()
    assert installation.command("backfill", "--yes").code == 0
    installation.wait_replicated(1)
    ended = installation.command("verify", "--deep")
    assert ended.code == 0, ended.out
    assert ended.out.splitlines()[:2] == [
        "= paris: k: known difference: checksum, content-language, storage-class",
        "paris: = 1 same (1 of the same with a difference that is known)",
    ]


def test_what_only_attributes_show_is_repaired_on_request(
    seaweedfs: Server, new_place: NewPlace, install: Install
) -> None:
    source, to = new_place(seaweedfs, "source"), new_place(seaweedfs, "paris")
    installation = install(source=source, destinations={"paris": to})
    spoilt = {
        key: other
        for key, other in PLANTED.items()
        if key in {"headers", "metadata", "tags", "untagged", "storage-class"}
    }
    with closing(boto3_client(seaweedfs, "s3")) as client:
        for key in (*spoilt, "same"):
            client.put_object(Bucket=source.bucket, Key=key, Body=b"bytes", **USUAL)
        installation.start()
        assert installation.command("backfill", "--yes").code == 0
        installation.wait_replicated(len(spoilt) + 1)
        for key, other in spoilt.items():
            client.put_object(
                **{"Bucket": to.bucket, "Key": key, "Body": b"bytes", **USUAL, **other}
            )

    def reconciled(*arguments: str) -> tuple[int, int]:
        ended = installation.command("reconcile", "--json", *arguments)
        (row,) = json.loads(ended.out)["destinations"]
        return row["queued"], row["busy"]

    assert reconciled("--yes") == (0, 0), "no listing shows it but the class, which may be a rule's"
    assert reconciled("--attributes", "--dry-run") == (len(spoilt), 0)
    assert installation.command("verify", "--attributes").code == 4, "a dry run repairs nothing"
    assert reconciled("--attributes", "--yes") == (len(spoilt), 0)
    until(
        lambda: installation.command("verify", "--attributes").code == 0,
        what="every attribute is made good",
    )
