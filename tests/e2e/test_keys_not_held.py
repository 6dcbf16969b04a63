"""A key that a destination would quietly change is refused by name; the others arrive."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import keys, put
from tests.e2e.installation import until
from tests.e2e.notices import write_and_tell
from tests.servers.server import Server

pytestmark = pytest.mark.stores

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
