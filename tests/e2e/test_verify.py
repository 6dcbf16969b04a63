"""``s3fanout verify`` on real stores: what it says, how it ends, and that it writes nothing."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import put
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
