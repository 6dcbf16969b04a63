"""A key that a destination would quietly change is refused by name; the others arrive."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, keys, put
from tests.e2e.installation import until
from tests.e2e.notices import message, put_event, write_and_tell
from tests.servers.server import Server

pytestmark = pytest.mark.stores

PAIRS = 300
GOOD, BAD = "a/b", ("a//b", "/a/b", "a/../b", "a\\b", "s" * 300)


def test_a_store_that_folds_keys_gets_none_that_it_would_fold(
    install: Install, new_place: NewPlace, ministack: Server, seaweedfs: Server
) -> None:
    """``a//b`` would be ``a/b`` there, and so another object's replica."""
    to, trusted = new_place(seaweedfs, "to"), new_place(ministack, "trusted")
    source = new_place(ministack, "source")
    installation = install(source=source, destinations={"to": to, "trusted": trusted})
    installation.start()
    write_and_tell(installation, source, GOOD, *BAD)
    installation.wait_replicated(1 + len(BAD), "trusted")
    rows = until(
        lambda: (
            rows if len(rows := installation.read("failures")["failures"]) == len(BAD) else None
        ),
        what="a dead letter for each",
    )
    assert {row["error"]["code"] for row in rows} == {"key-not-held"}
    assert {row["key"] for row in rows} == set(BAD)
    assert "SeaweedFS does not hold the key 'a//b'" in "".join(
        row["error"]["message"] for row in rows
    )
    installation.wait_replicated(1, "to")
    assert keys(to) == {GOOD}
    assert keys(trusted) == {GOOD, *BAD}


def test_check_says_whose_store_it_is(
    install: Install, new_place: NewPlace, seaweedfs: Server, minio_frontend: Server
) -> None:
    source = new_place(seaweedfs, "source")
    put(source, {GOOD: b"1"})
    installation = install(
        source=source,
        destinations={
            "here": new_place(seaweedfs, "here"),
            "there": new_place(minio_frontend, "there"),
            "said": new_place(minio_frontend, "said", settings={"vendor": '"other"'}),
        },
    )
    findings = installation.read("check")["findings"]
    said = {row["target"]: row["message"] for row in findings if row["check"] == "vendor"}
    assert said == {
        "here": "is SeaweedFS",
        "there": "is MinIO front end",
        "said": "is another store",
    }
    hints = {row["target"]: row["hint"] for row in findings if row["check"] == "abilities"}
    assert list(hints) == ["here"], "only where the store copies, a daemon cannot find it out"
    assert "check again once the daemon runs" in hints["here"]


def test_a_key_in_the_way_of_another_is_named(
    install: Install, new_place: NewPlace, ministack: Server, minio_frontend: Server
) -> None:
    """Where keys are paths, ``x`` and ``x/y`` cannot both be; whoever comes first stays."""
    source, to = new_place(ministack, "source"), new_place(minio_frontend, "to")
    installation = install(source=source, destinations={"to": to})
    installation.start()
    write_and_tell(installation, source, "x", "d/e/f")
    installation.wait_replicated(2)
    write_and_tell(installation, source, "x/y", "d")
    rows = until(
        lambda: rows if len(rows := installation.read("failures")["failures"]) == 2 else None,
        what="a dead letter for each",
    )
    said = {row["key"]: (row["error"]["code"], row["error"]["message"]) for row in rows}
    assert said["x/y"][0] == said["d"][0] == "key-conflict"
    assert "holds 'x'," in said["x/y"][1]
    assert "holds 'd/e/f'," in said["d"][1]
    assert keys(to) == {"x", "d/e/f"}


@pytest.mark.parametrize("copied", [False, True])
def test_keys_and_what_is_below_them_arrive_at_once(
    install: Install, new_place: NewPlace, ministack: Server, seaweedfs: Server, copied: bool
) -> None:
    """SeaweedFS loses one of ``x`` and ``x/y`` in some of 300 pairs that are written at once."""
    source = new_place(seaweedfs if copied else ministack, "source")
    to = new_place(seaweedfs, "to")
    pairs = [key for number in range(PAIRS) for key in (f"{number}/x", f"{number}/x/y")]
    installation = install(source=source, destinations={"to": to})
    installation.start()
    write_and_tell(installation, source, *pairs)
    installation.wait_replicated(len(pairs))
    assert set(pairs) - keys(to) == set()
    check_equal(source, to)


def test_a_folder_mark_takes_no_place_of_an_object(
    install: Install, new_place: NewPlace, ministack: Server, seaweedfs: Server
) -> None:
    """SeaweedFS would keep ``x/`` for ``x`` without a word, as there is something below it."""
    source, to = new_place(ministack, "source"), new_place(seaweedfs, "to")
    installation = install(source=source, destinations={"to": to})
    installation.start()
    write_and_tell(installation, source, "x", "x/y")
    installation.wait_replicated(2)
    etags = put(source, {"x/": b"", "z/": b""})
    events = (put_event(source.bucket, key, etag=etag, size_bytes=0) for key, etag in etags.items())
    assert installation.post(message(*events)).status == 200
    installation.wait_replicated(3)
    row = until(
        lambda: next(iter(installation.read("failures")["failures"]), None),
        what="a dead letter",
    )
    assert row["key"] == "x/"
    assert row["error"]["code"] == "key-conflict"
    assert "holds 'x'," in row["error"]["message"]
    assert keys(to) == {"x", "x/y", "z/"}
    write_and_tell(installation, source, "z")
    installation.wait_replicated(4)
    ended = installation.command("verify", "--format", "ndjson")
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert {row["key"] for row in rows if row["kind"] == "finding"} == {"x/", "z/"}
