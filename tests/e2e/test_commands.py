"""Commands on a running daemon, from outside, and what it says about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, keys, put
from tests.e2e.installation import TOKEN, Installation, Place, run_program, until
from tests.e2e.notices import message, put_event, write_and_tell
from tests.servers.server import Server

pytestmark = pytest.mark.stores

ThreeDestinations = tuple[Place, dict[str, Place]]


@pytest.fixture
def running(install: Install, three: ThreeDestinations) -> Installation:
    source, destinations = three
    installation: Installation = install(source=source, destinations=destinations)
    installation.start()
    return installation


def test_a_paused_destination_takes_changes_and_works_them_off_once_resumed(
    running: Installation, three: ThreeDestinations
) -> None:
    source, destinations = three
    running.command("pause", "tokyo", "--reason", "moving house", check=True)
    until(
        lambda: running.api_status()["tokyo"]["health"] == "paused",
        what="the daemon knows that it is paused",
    )
    write_and_tell(running, source, *(f"k{index}" for index in range(20)))
    running.wait_replicated(20, "paris", "lima")
    row = running.destination("tokyo")
    assert (row["paused_reason"], row["backlog_jobs"], row["replicated"]) == ("moving house", 20, 0)
    assert keys(destinations["tokyo"]) == set()

    running.kill()  # a pause survives
    running.start()
    assert running.destination("tokyo")["health"] == "paused"
    running.command("resume", "tokyo", check=True)
    running.wait_replicated(20)
    check_equal(source, *destinations.values())


def test_a_failure_is_listed_explained_and_redriven(
    seaweedfs: Server, minio_frontend: Server, new_place: NewPlace, install: Install
) -> None:
    source, far = new_place(seaweedfs, "source"), new_place(minio_frontend, "far")
    installation = install(source=source, destinations={"far": far})
    installation.start()
    # More metadata than MinIO takes, and SeaweedFS does.
    etag = put(source, {"grown": b"x" * 2000}, metadata={"much": "x" * 3000})["grown"]
    installation.post(message(put_event(source.bucket, "grown", etag=etag, size_bytes=2000)))
    until(lambda: installation.api_status()["far"]["failed"] == 1, what="a dead letter")
    (failure,) = installation.read("failures", "--destination", "far")["failures"]
    assert (failure["key"], failure["error"]["code"]) == ("grown", "refused:MetadataTooLarge")
    assert failure == until(
        lambda: installation.get("/api/v1/failures", token=TOKEN).json["failures"][0],
        what="the API says the same",
    )
    assert "stopped" in installation.read("explain", "grown")["destinations"][0]["verdict"]
    assert installation.destination("far")["health"] == "failing"
    # The cause is put right, and the letter put back, while the daemon runs.
    put(source, {"grown": b"small now"})
    assert installation.read("redrive", "--code", "no-such-code")["redriven"] == 0
    assert installation.read("redrive", "--code", "refused:MetadataTooLarge")["redriven"] == 1
    installation.wait_replicated(1)
    assert installation.read("failures")["failures"] == []
    assert installation.destination("far")["health"] == "ok"
    check_equal(source, far)
    verdict: str = installation.read("explain", "grown")["destinations"][0]["verdict"]
    assert verdict.startswith("equal")


def test_explain_says_where_an_object_is(running: Installation, three: ThreeDestinations) -> None:
    source, destinations = three
    key = "dir/a b\N{SNOWMAN}.txt"
    write_and_tell(running, source, key)
    running.wait_replicated(1)
    document = running.read("explain", key)
    assert document["key"] == key
    assert document["source"]["state"] == "present"
    assert [row["name"] for row in document["destinations"]] == list(destinations)
    for row in document["destinations"]:
        assert row["replica"]["size_bytes"] == document["source"]["size_bytes"]
        assert row["record"]["state"] == "settled"
        assert row["verdict"].startswith("equal")
    unknown = running.read("explain", "never written")
    assert unknown["source"] == {"bucket": source.bucket, "state": "absent"}
    assert {row["verdict"] for row in unknown["destinations"]} == {
        "the source has no such object, and no event of it arrived"
    }
    shown = running.command("explain", key, check=True).out
    assert shown.count("equal: copied at") == 3


def test_status_tells_the_truth_with_and_without_a_daemon(
    running: Installation, three: ThreeDestinations
) -> None:
    source, _ = three
    write_and_tell(running, source, "a", "b", "c")
    running.wait_replicated(3)
    document = running.read("status")
    assert document["daemon"]["running"] is True
    assert document["source"] == {"bucket": source.bucket, "circuit_open": None}
    for row in document["destinations"]:
        assert (row["health"], row["replicated"], row["backlog_jobs"]) == ("ok", 3, 0)
        assert row["lag_s"] == 0
    assert "running, pid" in running.command("status", check=True).out
    assert running.stop() == 0
    document = running.read("status")
    assert document["daemon"] == {"running": False, "pid": None}
    assert {row["replicated"] for row in document["destinations"]} == {3}
    assert "not running" in running.command("status", check=True).out


def test_check_passes_beside_a_running_daemon_and_leaves_nothing(
    running: Installation, three: ThreeDestinations
) -> None:
    source, destinations = three
    put(source, {"something": b"1"})
    document = running.read("check")
    assert document["ok"] is True
    assert {row["target"] for row in document["findings"]} == {"source", *destinations}
    abilities = ("conditions", "digests", "tags", "checksums", "order", "uploads")
    for name in destinations:
        asked = {row["check"]: row for row in document["findings"] if row["target"] == name}
        assert {asked[check]["grade"] for check in abilities} == {"ok"}
        assert "CRC64NVME kept" in asked["checksums"]["message"]
    for row in running.read("status")["destinations"]:
        kept = {each["name"]: each for each in row["abilities"]}
        assert kept["conditions"]["value"] == "yes"
        assert kept["conditions"]["found_by"] == "check"
        assert kept["conditions"]["server"].startswith("SeaweedFS")
    offers = [row["hint"] for row in document["findings"] if row["check"] == "backfill"]
    assert len(offers) == len(destinations), "what is there is in no destination"
    assert all("s3fanout backfill -d " in offer for offer in offers)
    assert [keys(place) for place in destinations.values()] == [set()] * 3
    assert keys(source) == {"something"}


def test_config_explain_says_where_each_value_comes_from(
    running: Installation, three: ThreeDestinations
) -> None:
    running.environment["S3FANOUT__LIMITS__CONCURRENCY"] = "7"
    rows: list[dict[str, Any]] = running.read("config", "explain")["settings"]
    by_path = {row["path"]: row for row in rows}
    assert by_path["limits.concurrency"]["value"] == "7"
    assert by_path["limits.concurrency"]["origin"] == "env S3FANOUT__LIMITS__CONCURRENCY"
    assert "s3fanout.toml" in by_path["source.bucket"]["origin"]
    assert by_path["source.bucket"]["value"] == f'"{three[0].bucket}"'
    assert TOKEN not in json.dumps(rows)


def test_an_unknown_destination_is_answered_with_the_known_ones(running: Installation) -> None:
    for arguments in (["pause", "berlin"], ["resume", "berlin"], ["redrive", "-d", "berlin"]):
        done = running.command(*arguments)
        assert done.code == 5
        assert "paris, tokyo, lima" in done.err


def test_init_writes_a_configuration_that_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "s3fanout.toml"
    assert run_program(["init", str(path)], env={}).code == 0
    written = path.read_text("utf-8")
    assert run_program(["check", "--offline", "-c", str(path)], env={}).code == 0
    again = run_program(["init", str(path)], env={})
    assert again.code != 0, "a file that is there is not overwritten"
    assert path.read_text("utf-8") == written


def test_metrics_count_per_destination(running: Installation, three: ThreeDestinations) -> None:
    source, _ = three
    running.command("pause", "lima", check=True)
    until(lambda: running.api_status()["lima"]["health"] == "paused", what="lima is paused")
    write_and_tell(running, source, "a", "b")
    running.wait_replicated(2, "paris", "tokyo")
    answer = running.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, sample.labels.get("destination")): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    for name in ("paris", "tokyo"):
        assert samples["s3fanout_replicated_objects_total", name] == 2
        assert samples["s3fanout_backlog_jobs", name] == 0
        assert samples["s3fanout_lag_seconds", name] == 0
    assert samples["s3fanout_backlog_jobs", "lima"] == 2
    assert samples["s3fanout_lag_seconds", "lima"] > 0
    assert samples["s3fanout_paused", "lima"] == 1
    assert ("s3fanout_replicated_objects_total", "lima") not in samples or (
        samples["s3fanout_replicated_objects_total", "lima"] == 0
    )


def test_the_status_api_wants_the_token_and_says_what_the_command_says(
    running: Installation, three: ThreeDestinations
) -> None:
    for path in ("/api/v1/status", "/api/v1/failures", "/api/v1/keys?key=a"):
        assert running.get(path).status == 401
        assert running.get(path, token="wrong").status == 401
        assert running.get(path, token=TOKEN).status == 200
    for path in ("/healthz", "/readyz", "/metrics"):
        assert running.get(path).status == 200
    assert running.get("/api/v1/keys", token=TOKEN).status == 400
    assert running.get("/api/v1/failures?limit=x", token=TOKEN).status == 400
    assert running.get("/nowhere", token=TOKEN).status == 404
    write_and_tell(running, three[0], "a")
    running.wait_replicated(1)
    api = running.get("/api/v1/status", token=TOKEN).json
    command = running.read("status")
    only_the_daemon_knows = {"in_flight", "circuit_open"}
    for ours, theirs in zip(api["destinations"], command["destinations"], strict=True):
        assert set(ours) == set(theirs)
        assert {name: ours[name] for name in set(ours) - only_the_daemon_knows} == {
            name: theirs[name] for name in set(ours) - only_the_daemon_knows
        }
    records = running.get("/api/v1/keys?key=a", token=TOKEN).json["records"]
    assert {row["state"] for row in records} == {"settled"}
    assert len(records) == 3


def test_logs_are_json_lines_without_secrets(
    running: Installation, three: ThreeDestinations
) -> None:
    source, _ = three
    running.post(b"not JSON")
    running.post(b"{}", token="a-wrong-token-that-somebody-sent")
    write_and_tell(running, source, "a")
    running.wait_replicated(1)
    assert running.stop() == 0
    lines = [json.loads(line) for line in running.log.splitlines()]
    assert {"at", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    assert [line["action"] for line in lines if "action" in line][:1] == ["start"]
    assert lines[-1]["action"] == "stop"
    for secret in (source.server.secret_key, TOKEN, "a-wrong-token-that-somebody-sent"):
        assert secret not in running.log
