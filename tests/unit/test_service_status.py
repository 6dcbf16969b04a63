"""The status document and the words in it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from s3fanout.engine.lane import LaneView
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import (
    DestinationSummary,
    ErrorRecord,
    JobState,
    MalformedRecord,
    ReplicaRecord,
)
from s3fanout.service.status import (
    error_document,
    health,
    key_fields,
    lag_s,
    malformed_document,
    record_document,
    rfc3339,
    status_document,
)

AT_MS = 1_800_000_000_123
AT = "2027-01-15T08:00:00.123Z"
ERROR = ErrorRecord("unavailable", "no answer", "wait")
FINE = LaneView("a", 1, 8, circuit_open=False, source_circuit_open=False, circuit_retry_in_s=0.0)
OPEN = LaneView("a", 0, 8, circuit_open=True, source_circuit_open=False, circuit_retry_in_s=5.0)
RETRIED = DestinationSummary("a", ready=1, last_error=ERROR, last_error_at_ms=2)
RECORD = ReplicaRecord(
    destination="a",
    key="key",
    fence=1,
    state=JobState.SETTLED,
    kind=ChangeKind.CREATED,
    event_at_ms=AT_MS,
    accepted_at_ms=AT_MS,
    due_at_ms=0,
    attempts=2,
    order=None,
    etag="hint",
    size_bytes=3,
    version_id=None,
    reason="copied",
    settled_at_ms=AT_MS,
    source_etag="read",
    source_version_id=None,
    replica_etag="there",
    error=None,
    differences=("acl", "tags"),
)


@pytest.mark.parametrize(
    ("summary", "view", "word"),
    [
        (DestinationSummary("a"), None, "ok"),
        (DestinationSummary("a", settled=9), FINE, "ok"),
        (DestinationSummary("a", ready=1), FINE, "behind"),
        (DestinationSummary("a", waiting=1), FINE, "behind"),
        (DestinationSummary("a", last_error=ERROR, last_error_at_ms=2), FINE, "ok"),
        # A failed job that is due again: it depends on what came last.
        (RETRIED, FINE, "failing"),
        (replace(RETRIED, last_settled_at_ms=1), FINE, "failing"),
        (replace(RETRIED, last_settled_at_ms=3), FINE, "behind"),
        (DestinationSummary("a", waiting=1, last_error=ERROR), FINE, "failing"),
        (DestinationSummary("a", dead=1), FINE, "failing"),
        (DestinationSummary("a"), OPEN, "failing"),
        (DestinationSummary("a", dead=1, paused_at_ms=AT_MS), OPEN, "paused"),
    ],
)
def test_health_is_one_word(summary: DestinationSummary, view: LaneView | None, word: str) -> None:
    assert health(summary, view) == word


@pytest.mark.parametrize(
    ("oldest_ms", "expected"), [(None, 0.0), (AT_MS - 1500, 1.5), (AT_MS + 9000, 0.0)]
)
def test_lag_is_the_age_of_the_oldest_unsettled_change(
    oldest_ms: int | None, expected: float
) -> None:
    assert lag_s(DestinationSummary("a", oldest_event_at_ms=oldest_ms), AT_MS) == expected


@pytest.mark.parametrize(
    ("at_ms", "text"), [(None, None), (0, None), (1, "1970-01-01T00:00:00.001Z"), (AT_MS, AT)]
)
def test_instants_are_utc_with_milliseconds(at_ms: int | None, text: str | None) -> None:
    assert rfc3339(at_ms) == text


@pytest.mark.parametrize("key", ["a b/ü+%2F", "\N{GRINNING FACE}"])
def test_a_clean_key_stands_alone(key: str) -> None:
    assert key_fields(key) == {"key": key}


@pytest.mark.parametrize("key", ["a\nb", "\x1b[2J", "a\u202eb", "\x00"])
def test_a_key_that_cannot_be_printed_comes_as_bytes_too(key: str) -> None:
    fields = key_fields(key)
    assert fields["key"] == key
    assert base64.b64decode(str(fields["key_b64"])).decode() == key


def test_an_error_is_shown_with_its_hint() -> None:
    assert error_document(None) is None
    assert error_document(ERROR) == {
        "code": "unavailable",
        "message": "no answer",
        "hint": "wait",
    }


def test_a_record_shows_what_the_replica_equals() -> None:
    document = record_document(RECORD)
    assert document == {
        "key": "key",
        "destination": "a",
        "state": "settled",
        "reason": "copied",
        "attempts": 2,
        "event_at": AT,
        "accepted_at": AT,
        "due_at": None,
        "settled_at": AT,
        "size_bytes": 3,
        "source_etag": "read",
        "replica_etag": "there",
        "differences": ["acl", "tags"],
        "error": None,
    }
    assert json.loads(json.dumps(document)) == document


def test_a_record_without_a_settled_state_shows_the_hint() -> None:
    assert record_document(replace(RECORD, source_etag=None))["source_etag"] == "hint"


def test_a_kept_message_shows_its_payload_as_base64() -> None:
    kept = MalformedRecord(7, AT_MS, "webhook", "not-json", "why", b"\xff\x00")
    assert malformed_document(kept) == {
        "id": 7,
        "received_at": AT,
        "route": "webhook",
        "reason": "not-json",
        "detail": "why",
        "payload_b64": "/wA=",
    }


def test_the_status_has_every_destination_once_by_name() -> None:
    failing = DestinationSummary(
        "b", waiting=2, oldest_event_at_ms=AT_MS - 1500, last_error=ERROR, last_error_at_ms=AT_MS
    )
    document = status_document(
        source="source",
        buckets={"c": "bucket-c", "b": "bucket-b"},
        summaries=[DestinationSummary("removed", settled=3), failing],
        views=[replace(OPEN, destination="b")],
        malformed=4,
        daemon_pid=99,
        now_ms=AT_MS,
    )
    assert document["at"] == AT
    assert document["daemon"] == {"running": True, "pid": 99}
    assert document["malformed_messages"] == 4
    rows = document["destinations"]
    assert isinstance(rows, list)
    assert [(row["name"], row["configured"], row["health"]) for row in rows] == [
        ("b", True, "failing"),
        ("c", True, "ok"),
        ("removed", False, "ok"),
    ]
    assert rows[0]["last_error"] == {**(error_document(ERROR) or {}), "at": AT}
    assert (rows[0]["lag_s"], rows[0]["circuit_open"]) == (1.5, True)
    assert (rows[1]["bucket"], rows[1]["in_flight"]) == ("bucket-c", None)


def test_the_status_says_that_no_daemon_runs() -> None:
    document = status_document(
        source="s", buckets={}, summaries=[], views=[], malformed=0, daemon_pid=None, now_ms=AT_MS
    )
    assert document["daemon"] == {"running": False, "pid": None}
    assert document["destinations"] == []
