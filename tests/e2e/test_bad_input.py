"""What is wrong is said: with an exit code, a reason and a way out; and nothing else suffers."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, keys, put
from tests.e2e.installation import TOKEN, Installation, Place, run_program, until
from tests.e2e.notices import message, put_event, write_and_tell
from tests.servers.server import LOOPBACK, Server, create_bucket

pytestmark = pytest.mark.stores

ThreeDestinations = tuple[Place, dict[str, Place]]
PLAIN = {"PATH": os.environ.get("PATH", os.defpath)}


@pytest.fixture
def running(install: Install, three: ThreeDestinations) -> Installation:
    source, destinations = three
    installation: Installation = install(source=source, destinations=destinations)
    installation.start()
    return installation


@pytest.fixture(scope="module")
def lasting(
    seaweedfs: Server, bucket_name: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A running daemon for all tests that leave its ledger and its buckets as they were: empty."""
    source, *destinations = (
        Place(seaweedfs, create_bucket(seaweedfs, bucket_name(purpose)))
        for purpose in ("source", "paris", "tokyo")
    )
    with Installation(
        tmp_path_factory.mktemp("lasting"),
        source=source,
        destinations={place.bucket: place for place in destinations},
    ) as installation:
        installation.start()
        yield installation


def test_five_errors_of_a_configuration_are_reported_at_once_with_their_lines(
    tmp_path: Path,
) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(
        """\
schema = 1
source.bucket = "photos"
intake.webhook.token = { env = "TOKEN" }
destinations.paris.bucket = "photos-paris"
destinations.paris.copy = "sever"
destinations.paris.concurency = 4
limits.retry_base = 5
limitz.x = 1
server.listen = "nowhere"
"""
    )
    done = run_program(["run", "-c", str(path)], env=PLAIN)
    assert done.code == 5
    for line, words in (
        (5, "did you mean 'server'"),
        (6, "did you mean 'concurrency'"),
        (7, "limits.retry_base"),
        (8, "did you mean 'limits'"),
        (9, "server.listen"),
    ):
        assert any(f"{path}:{line}: " in row and words in row for row in done.err.splitlines()), (
            done.err
        )
    assert done.out == ""


@pytest.mark.parametrize("command", ["check", "run", "status", "failures"])
def test_a_missing_configuration_says_how_to_make_one(command: str, tmp_path: Path) -> None:
    done = run_program([command, "-c", str(tmp_path / "none.toml")], env=PLAIN)
    assert done.code == 5
    assert "s3fanout init" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["run", "--wat"],
        ["explain"],
        ["demo", "--objects", "0"],
        ["failures", "--discard"],
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    done = run_program(arguments, env=PLAIN)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "Error" in done.err


def test_a_wrong_key_stops_only_its_destination(
    seaweedfs: Server, new_place: NewPlace, install: Install, bucket_name: Callable[[str], str]
) -> None:
    source, good = new_place(seaweedfs, "source"), new_place(seaweedfs, "good")
    bad = new_place(seaweedfs, "bad", credentials="WRONG")
    installation = install(source=source, destinations={"good": good, "bad": bad})
    installation.environment["WRONG_SECRET_ACCESS_KEY"] = "not-the-secret"

    checked = installation.command("check", "--json")
    assert checked.code == 6
    failed = [row for row in checked.json["findings"] if row["grade"] == "failed"]
    assert {(row["target"], row["code"]) for row in failed} == {("bad", "access-denied")}
    assert all(row["hint"] for row in failed)

    installation.start()
    write_and_tell(installation, source, "a", "b")
    installation.wait_replicated(2, "good")
    row = until(
        lambda: row if (row := installation.destination("bad"))["last_error"] else None,
        what="the error is in the ledger",
    )
    assert row["last_error"]["code"].startswith("access-denied")
    assert row["health"] == "failing"
    assert (row["backlog_jobs"], row["failed"]) == (2, 0)
    check_equal(source, good)
    assert "not-the-secret" not in installation.log


def test_a_missing_bucket_is_named_and_drains_once_it_is_there(
    *,
    seaweedfs: Server,
    minio_frontend: Server,
    new_place: NewPlace,
    install: Install,
    bucket_name: Callable[[str], str],
) -> None:
    """In MinIO's front end: SeaweedFS answers a copy into a missing bucket with 500."""
    source, good = new_place(seaweedfs, "source"), new_place(seaweedfs, "good")
    missing = Place(minio_frontend, bucket_name("missing"))
    installation = install(
        source=source,
        destinations={"good": good, "missing": missing},
        settings='limits.circuit_cap = "1s"\nlimits.retry_cap = "1s"\n',
    )
    checked = installation.command("check", "--json")
    assert checked.code == 5
    failed = [row for row in checked.json["findings"] if row["grade"] == "failed"]
    assert [(row["target"], row["code"]) for row in failed] == [("missing", "no-such-bucket")]
    told = installation.command("check")
    assert told.code == 5
    assert missing.bucket in told.out

    installation.start()
    write_and_tell(installation, source, "a", "b")
    installation.wait_replicated(2, "good")
    row = until(
        lambda: row if (row := installation.destination("missing"))["last_error"] else None,
        what="the error is in the ledger",
    )
    assert row["last_error"]["code"].startswith("no-such-bucket")
    assert (row["health"], row["backlog_jobs"], row["failed"]) == ("failing", 2, 0)
    create_bucket(minio_frontend, missing.bucket)
    installation.wait_replicated(2)
    check_equal(source, good, missing)


@pytest.mark.parametrize(
    "body",
    [
        b"this is not JSON",
        b"\xff\x00\xfe",
        b"[]",
        b'{"Records": [{"eventSource": "aws:s3", "eventVersion": "2.1"}]}',
    ],
    ids=["text", "bytes", "list", "record-without-object"],
)
def test_what_cannot_be_understood_is_kept(lasting: Installation, body: bytes) -> None:
    answer = lasting.post(body)
    assert answer.status == 202, answer.body
    assert answer.json["malformed"] == 1
    (kept,) = lasting.read("failures", "--malformed")["messages"]
    assert kept["route"] == "webhook"
    assert kept["reason"]
    if b"Records" not in body:
        assert base64.b64decode(kept["payload_b64"]) == body
    assert lasting.read("status")["malformed_messages"] == 1
    assert lasting.command("failures", "--malformed", "--discard").code == 0
    assert lasting.read("failures", "--malformed")["messages"] == []


def test_an_unknown_event_version_is_kept(lasting: Installation) -> None:
    event = put_event(lasting.source.bucket, "k", etag="0" * 32, size_bytes=1, version="3.0")
    assert lasting.post(message(event)).status == 202
    (kept,) = lasting.read("failures", "--malformed")["messages"]
    assert "version" in kept["reason"] + kept["detail"]
    lasting.command("failures", "--malformed", "--discard", check=True)


def test_ten_megabytes_of_garbage_are_refused_unread(
    running: Installation, three: ThreeDestinations
) -> None:
    source, destinations = three
    try:
        answer = running.post(b"g" * 10_000_000)
    except OSError:
        # The daemon closed the connection before all was sent: refused, too.
        pass
    else:
        assert answer.status == 413
        assert answer.json["error"]["code"] == "too-large"
    assert running.post(b"g" * (1024 * 1024 + 1)).status == 413
    assert running.read("failures", "--malformed")["messages"] == []
    write_and_tell(running, source, "after")
    running.wait_replicated(1)
    check_equal(source, *destinations.values())


def test_an_event_of_another_bucket_is_acknowledged_and_does_nothing(lasting: Installation) -> None:
    answer = lasting.post(message(put_event("another", "k", etag="0" * 32, size_bytes=1)))
    assert answer.status == 200
    assert (answer.json["queued"], answer.json["unwanted"]) == (0, 1)
    assert {row["backlog_jobs"] for row in lasting.api_status().values()} == {0}
    assert [keys(place) for place in lasting.destinations.values()] == [set()] * 2


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x", "\xe4\xff"])
def test_without_the_token_nothing_is_taken_in(lasting: Installation, token: str | None) -> None:
    etags = put(lasting.source, {"k": b"1"})
    event = message(put_event(lasting.source.bucket, "k", etag=etags["k"], size_bytes=1))
    answer = lasting.post(event, token=token)
    assert answer.status == 401
    assert TOKEN.encode() not in answer.body
    assert lasting.get("/api/v1/status", token=token).status == 401
    assert {row["backlog_jobs"] + row["replicated"] for row in lasting.api_status().values()} == {0}


def test_a_second_daemon_on_the_same_ledger_is_refused(
    running: Installation, three: ThreeDestinations, install: Install, tmp_path: Path
) -> None:
    source, destinations = three
    second = install(
        directory=tmp_path / "second",
        source=source,
        destinations=destinations,
        ledger=running.ledger,
    )
    done = second.command("run")
    assert done.code == 7
    assert "error[already-running]" in done.err
    assert "hint" in done.err
    write_and_tell(running, source, "still works")
    running.wait_replicated(1)


def test_a_taken_port_is_a_wrong_setting(three: ThreeDestinations, install: Install) -> None:
    source, destinations = three
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        installation = install(
            source=source, destinations=destinations, port=taken.getsockname()[1]
        )
        done = installation.command("run")
    assert done.code == 5
    assert "server.listen" in done.err


def test_a_ledger_in_a_folder_that_is_not_there_is_a_wrong_setting(
    three: ThreeDestinations, install: Install, tmp_path: Path
) -> None:
    source, destinations = three
    installation = install(
        source=source, destinations=destinations, ledger=tmp_path / "none" / "ledger.db"
    )
    done = installation.command("run")
    assert done.code == 5, done.err
    assert "Traceback" not in done.err


def test_a_variable_that_is_not_set_is_named(three: ThreeDestinations, install: Install) -> None:
    source, destinations = three
    installation = install(source=source, destinations=destinations)
    del installation.environment["SEAWEEDFS_SECRET_ACCESS_KEY"]
    for command in ("run", "check"):
        done = installation.command(command)
        assert done.code == 5
        assert "SEAWEEDFS_SECRET_ACCESS_KEY" in done.err + done.out
