"""SeaweedFS: what a change of filer entries means for S3 objects, beyond the recorded payloads."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from s3fanout.intake import parse_message
from s3fanout.model.events import ChangeKind, Intake

RECEIVED_AT_MS = 1_800_000_000_000


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def entry(**fields: Any) -> dict[str, Any]:
    return {"name": "k", "attributes": {"mtime": 1_795_402_000, "file_size": 3}, **fields}


def parse(path: object, **message: Any) -> Intake:
    document = {"event_type": "update", "key": path, "message": message}
    return parse_message(json.dumps(document).encode(), received_at_ms=RECEIVED_AT_MS)


def changes(intake: Intake) -> list[tuple[ChangeKind, str]]:
    assert (intake.ignored, intake.malformed) == ((), ())
    return [(event.kind, event.key) for event in intake.events]


VERSION = {"Seaweed-X-Amz-Version-Id": b64("7")}
MARKER = {**VERSION, "Seaweed-X-Amz-Delete-Marker": b64("true")}
FOLDER_OBJECT = {"is_directory": True, "extended": {"Seaweed-X-Amz-ETag": b64('"e"')}}


@pytest.mark.parametrize(
    ("path", "fields", "key", "version_id"),
    [
        ("/buckets/src/a%2Fb +", {}, "a%2Fb +", None),
        ("/buckets/src/d/k", FOLDER_OBJECT, "d/k/", None),
        ("/buckets/src/k.versions/v_7", {"extended": VERSION}, "k", "7"),
        ("/buckets/src/k.versions/v_8", {"extended": VERSION}, "k.versions/v_8", "7"),
        ("/buckets/src/k.versions/v_7", {}, "k.versions/v_7", None),
        ("/buckets/src/d/.versions/v_7", {"extended": VERSION}, "d/", "7"),
        ("/buckets/src/.uploadsX", {}, ".uploadsX", None),
        ("/buckets/src/d/.uploads/x", {}, "d/.uploads/x", None),
    ],
)
def test_which_object_an_entry_stands_for(
    path: str, fields: dict[str, Any], key: str, version_id: str | None
) -> None:
    found = parse(path, new_entry=entry(**fields))
    assert changes(found) == [(ChangeKind.CREATED, key)]
    assert found.events[0].version_id == version_id


@pytest.mark.parametrize(
    ("path", "fields", "reason"),
    [
        ("/etc/passwd", {}, "outside-buckets"),
        ("/buckets/src", {}, "outside-buckets"),
        ("/buckets/.system/x", {}, "outside-buckets"),
        ("/buckets/a\nb/x", {}, "outside-buckets"),
        ("/buckets/src/.uploads/id/0001.part", {}, "multipart-part"),
        ("/buckets/src/.uploads", {"is_directory": True}, "multipart-part"),
        ("/buckets/src", {"is_directory": True}, "directory"),
        ("/buckets/src/d", {"is_directory": True}, "directory"),
        ("/buckets/src/k.versions", {"is_directory": True, "extended": VERSION}, "directory"),
    ],
)
def test_which_entries_stand_for_no_object(path: str, fields: dict[str, Any], reason: str) -> None:
    for message in ({"new_entry": entry(**fields)}, {"old_entry": entry(**fields)}):
        found = parse(path, **message)
        assert (found.events, found.malformed) == ((), ())
        assert [ignored.reason for ignored in found.ignored] == [reason]


def chunk(**fields: Any) -> dict[str, Any]:
    return {"chunks": [{"offset": 0, "size": 3, "modified_ts_ns": 1, **fields}]}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (None, entry(), ChangeKind.CREATED),
        (entry(), None, ChangeKind.REMOVED),
        (entry(), entry(), ChangeKind.ATTRIBUTES_CHANGED),
        (entry(), entry(extended={"X-Amz-Tagging-k": b64("v")}), ChangeKind.ATTRIBUTES_CHANGED),
        (entry(content="YQ=="), entry(content="Yg=="), ChangeKind.CREATED),
        (entry(**chunk()), entry(**chunk(modified_ts_ns=2)), ChangeKind.CREATED),
        (entry(**chunk(fid="3,1")), entry(**chunk(fid="3,2")), ChangeKind.CREATED),
        (
            entry(**chunk()),
            entry(**chunk(file_id="said of old ones only")),
            ChangeKind.ATTRIBUTES_CHANGED,
        ),
        (
            entry(),
            entry(extended={"Seaweed-X-Amz-ETag": b64('"other"')}),
            ChangeKind.CREATED,
        ),
        (None, entry(extended=MARKER), ChangeKind.REMOVED),
        (entry(), entry(extended=MARKER), ChangeKind.REMOVED),
    ],
)
def test_what_a_change_of_one_entry_means(
    old: dict[str, Any] | None, new: dict[str, Any] | None, kind: ChangeKind
) -> None:
    found = parse("/buckets/src/k", old_entry=old, new_entry=new)
    assert changes(found) == [(kind, "k")]


NONCURRENT = {"Seaweed-X-Amz-Noncurrent-Since-Ns": b64("1795427161000000000")}


def test_a_version_that_only_became_noncurrent_is_no_change_of_its_own() -> None:
    """But tags that changed with it are one."""
    path, old = "/buckets/src/k.versions/v_7", entry(extended=VERSION)
    tags = {"X-Amz-Tagging-k": b64("v")}

    only = parse(path, old_entry=old, new_entry=entry(extended={**VERSION, **NONCURRENT}))
    more = parse(path, old_entry=old, new_entry=entry(extended={**VERSION, **NONCURRENT, **tags}))

    assert [ignored.reason for ignored in only.ignored] == ["other-event"]
    assert changes(more) == [(ChangeKind.ATTRIBUTES_CHANGED, "k")]


def test_a_folder_object_that_becomes_a_mere_folder_is_removed() -> None:
    old, new = entry(**FOLDER_OBJECT), entry(is_directory=True)
    assert changes(parse("/buckets/src/k", old_entry=old, new_entry=new)) == [
        (ChangeKind.REMOVED, "k/")
    ]


@pytest.mark.parametrize("event_type", ["rename", "update", "anything"])
def test_a_rename_removes_there_and_creates_here(event_type: str) -> None:
    message = {
        "old_entry": entry(),
        "new_entry": entry(name="moved"),
        "new_parent_path": "/buckets/other/d/",
    }
    document = {"event_type": event_type, "key": "/buckets/src/k", "message": message}
    found = parse_message(json.dumps(document).encode(), received_at_ms=RECEIVED_AT_MS)
    assert [(event.kind, event.bucket, event.key) for event in found.events] == [
        (ChangeKind.REMOVED, "src", "k"),
        (ChangeKind.CREATED, "other", "d/moved"),
    ]
    assert {event.event_at_ms for event in found.events} == {RECEIVED_AT_MS}


@pytest.mark.parametrize(
    ("fields", "size_bytes"),
    [
        ({"attributes": {"file_size": 0}}, 0),
        ({"attributes": {}}, 0),
        ({"attributes": {}, **chunk()}, None),
        ({"attributes": None, "chunks": None}, 0),
    ],
)
def test_the_size_of_an_object(fields: dict[str, Any], size_bytes: int | None) -> None:
    (event,) = parse("/buckets/src/k", new_entry=entry(**fields)).events
    assert event.size_bytes == size_bytes


@pytest.mark.parametrize(
    ("stored", "etag"),
    [(b64('"e-2"'), "e-2"), ("/+8=", "0102"), ("not base64!", "0102"), ("é", "0102"), (7, "0102")],
)
def test_the_etag_is_what_the_gateway_stored_else_the_md5_of_the_filer(
    stored: object, etag: str
) -> None:
    written = entry(extended={"Seaweed-X-Amz-ETag": stored}, attributes={"md5": "AQI="})
    (event,) = parse("/buckets/src/k", new_entry=written).events
    assert event.etag == etag


def test_no_clock_of_the_sender_puts_a_change_into_the_future() -> None:
    ahead = entry(attributes={"mtime": RECEIVED_AT_MS // 1000 + 3600})
    (event,) = parse("/buckets/src/k", new_entry=ahead).events
    assert event.event_at_ms == RECEIVED_AT_MS


@pytest.mark.parametrize(
    ("path", "message", "reason"),
    [
        (None, {"new_entry": entry()}, "unknown-shape"),
        ("/buckets/src/k", {}, "unknown-shape"),
        ("/buckets/src/k", {"new_entry": "text"}, "unknown-shape"),
        ("/buckets//k", {"new_entry": entry()}, "unknown-shape"),
        ("/buckets/src/\ud800", {"new_entry": entry()}, "bad-key"),
        ("/buckets/src/" + "x" * 1025, {"new_entry": entry()}, "bad-key"),
        ("/buckets/src/" + "x" * 1024, {"new_entry": entry(**FOLDER_OBJECT)}, "bad-key"),
        ("/buckets/src/.versions/v_7", {"new_entry": entry(extended=VERSION)}, "bad-key"),
    ],
)
def test_what_cannot_be_understood(path: object, message: dict[str, Any], reason: str) -> None:
    found = parse(path, **message)
    assert (found.events, found.ignored) == ((), ())
    assert [bad.reason for bad in found.malformed] == [reason]
