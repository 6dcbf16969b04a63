"""What one record says, by route: keys, versions, names, order points, and its bad siblings."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from s3fanout.intake import PAYLOAD_BYTES_MAX, parse_message
from s3fanout.intake.sequencer import eventbridge_order, s3_order
from s3fanout.model.events import ChangeEvent, ChangeKind, Intake, Malformed, OrderPoint, Route

RECEIVED_AT_MS = 1_800_000_000_000
KEY_BYTES_MAX = 1024


def record(
    key: object = "k", source: str = "aws:s3", *, name: object = "ObjectCreated:Put", **fields: Any
) -> dict[str, Any]:
    content = {"key": key, "size": 1, "eTag": "e1", "sequencer": fields.pop("sequencer", None)}
    return {
        "eventVersion": "2.1",
        "eventSource": source,
        "eventTime": "2026-08-02T07:51:20.063Z",
        "eventName": name,
        "s3": {"bucket": {"name": "src"}, "object": content},
        **fields,
    }


def eventbridge(key: object = "k", **fields: Any) -> dict[str, Any]:
    content = {"key": key, "sequencer": fields.pop("sequencer", None)}
    return {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "src"}, "object": content, **fields.pop("detail", {})},
        **fields,
    }


def seaweedfs(key: object = "k") -> dict[str, Any]:
    path = f"/buckets/src/{key}" if isinstance(key, str) else key
    return {"event_type": "create", "key": path, "message": {"new_entry": {"name": "k"}}}


def parse(*records: object) -> Intake:
    body = json.dumps({"Records": records}).encode()
    return parse_message(body, received_at_ms=RECEIVED_AT_MS)


def parse_document(document: object) -> Intake:
    return parse_message(json.dumps(document).encode(), received_at_ms=RECEIVED_AT_MS)


def parse_key(route: str, key: object) -> Intake:
    if route == "eventbridge":
        return parse_document(eventbridge(key))
    if route == "seaweedfs":
        return parse_document(seaweedfs(key))
    return parse(record(key, route))


def only_event(intake: Intake) -> ChangeEvent:
    assert (len(intake.events), intake.ignored, intake.malformed) == (1, (), ())
    return intake.events[0]


def only_malformed(intake: Intake) -> Malformed:
    assert (intake.events, intake.ignored, len(intake.malformed)) == ((), (), 1)
    return intake.malformed[0]


ENCODED = ("aws:s3", "minio:s3", "rustfs:s3")
RAW = ("ceph:s3", "eventbridge", "seaweedfs")
ROUTES = ENCODED + RAW


@pytest.mark.parametrize(
    ("sent", "decoded"),
    [
        ("plain", "plain"),
        ("a+b", "a b"),
        ("a%20b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%2Fb", "a/b"),
        ("%252F", "%2F"),
        ("%C3%BC%2B+%F0%9F%98%80", "ü+ 😀"),
        ("ü%20", "ü "),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("a//../b%0A", "a//../b\n"),
    ],
)
def test_keys_are_decoded_where_the_sender_encodes_and_nowhere_else(
    sent: str, decoded: str
) -> None:
    for route in ENCODED:
        assert only_event(parse_key(route, sent)).key == decoded, route
    for route in RAW:
        assert only_event(parse_key(route, sent)).key == sent, route


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_every_key_survives_its_route(key: str) -> None:
    assume(key.partition("/")[0] != ".uploads")  # SeaweedFS keeps parts of uploads there
    for route in ("aws:s3", "minio:s3"):
        assert only_event(parse_key(route, quote_plus(key, safe="/"))).key == key
        assert only_event(parse_key(route, quote(key, safe=""))).key == key
    for route in RAW:
        assert only_event(parse_key(route, key)).key == key


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("key", ["x" * KEY_BYTES_MAX, "ü" * (KEY_BYTES_MAX // 2)])
def test_the_longest_key_is_good_and_a_longer_one_malformed(route: str, key: str) -> None:
    assert only_event(parse_key(route, key)).key == key
    assert only_malformed(parse_key(route, key + "x")).reason == "bad-key"


def test_what_counts_is_the_length_after_decoding() -> None:
    assert only_event(parse_key("aws:s3", "%41" * KEY_BYTES_MAX)).key == "A" * KEY_BYTES_MAX


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "seaweedfs"])
@pytest.mark.parametrize("key", ["", None, 7, ["k"], "\ud800", "ok\udcff+%41"])
def test_a_key_that_is_none_is_malformed(route: str, key: object) -> None:
    assert only_malformed(parse_key(route, key)).reason == "bad-key"


@pytest.mark.parametrize("route", ENCODED)
@pytest.mark.parametrize("key", ["%ff", "%C3", "%ED%A0%80", "ok/%80"])
def test_an_encoded_key_that_is_not_utf_8_is_malformed(route: str, key: str) -> None:
    assert only_malformed(parse_key(route, key)).reason == "bad-key"


@pytest.mark.parametrize("version", ["2", "2.0", "2.1", "2.6", "2.99", "", None])
def test_every_minor_of_version_two_is_understood(version: str | None) -> None:
    assert only_event(parse(record(eventVersion=version))).key == "k"


@pytest.mark.parametrize("version", ["1.0", "3.0", "20.1", "22", "v2.1", 2, 2.1, {}, []])
def test_any_other_version_is_malformed(version: object) -> None:
    bad = only_malformed(parse(record(eventVersion=version)))
    assert bad.reason == "unknown-version"


@pytest.mark.parametrize("version", ["1", "1.0", "1.1", "1.2", "1.99", None])
def test_every_minor_of_version_one_of_eventbridge_is_understood(version: str | None) -> None:
    found = parse_document(eventbridge(detail={"event-version": version}))
    assert only_event(found).key == "k"


@pytest.mark.parametrize("version", ["", "0", "2.0", "10.1", 1, {}, []])
def test_any_other_version_of_eventbridge_is_malformed(version: object) -> None:
    found = parse_document(eventbridge(detail={"event-version": version}))
    assert only_malformed(found).reason == "unknown-version"


CREATED, ATTRIBUTES, REMOVED = (
    ChangeKind.CREATED,
    ChangeKind.ATTRIBUTES_CHANGED,
    ChangeKind.REMOVED,
)


@pytest.mark.parametrize("prefix", ["", "s3:"])
@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("ObjectCreated:Put", CREATED),
        ("ObjectCreated:Copy", CREATED),
        ("ObjectCreated:CompleteMultipartUpload", CREATED),
        ("ObjectCreated:SomethingNew", CREATED),
        ("ObjectCreated:PutTagging", ATTRIBUTES),
        ("ObjectCreated:DeleteTagging", ATTRIBUTES),
        ("ObjectCreated:PutRetention", ATTRIBUTES),
        ("ObjectCreated:PutLegalHold", ATTRIBUTES),
        ("ObjectTagging:Put", ATTRIBUTES),
        ("ObjectTagging:Delete", ATTRIBUTES),
        ("ObjectAcl:Put", ATTRIBUTES),
        ("ObjectAnnotation:Delete", ATTRIBUTES),
        ("ObjectRetention:Put", ATTRIBUTES),
        ("ObjectRemoved:Delete", REMOVED),
        ("ObjectRemoved:DeleteMarkerCreated", REMOVED),
        ("ObjectRemoved:DeleteAllVersions", REMOVED),
        ("LifecycleExpiration:DeleteMarkerCreated", REMOVED),
        ("LifecycleDelMarkerExpiration:Delete", REMOVED),
        ("ObjectLifecycle:Expiration:Current", REMOVED),
        ("ObjectLifecycle:Expiration:DeleteMarker", REMOVED),
        ("ObjectSynced:Create", CREATED),
        ("ObjectSynced:Delete", REMOVED),
        ("ObjectSynced:DeletionMarkerCreated", REMOVED),
        ("ObjectRemoved:NoOP", "delete-of-nothing"),
        ("ObjectLifecycle:Expiration:AbortMultipartUpload", "other-event"),
        ("ObjectLifecycle:Transition", "other-event"),
        ("ObjectSynced:Whatever", "other-event"),
        ("ObjectAccessed:Get", "other-event"),
        ("ObjectRestore:Completed", "other-event"),
        ("Replication:OperationFailedReplication", "other-event"),
        ("ReducedRedundancyLostObject", "other-event"),
        ("", "other-event"),
    ],
)
def test_what_a_name_means(prefix: str, name: str, meaning: ChangeKind | str) -> None:
    found = parse(record(name=prefix + name))
    if isinstance(meaning, ChangeKind):
        event = only_event(found)
        assert (event.kind, event.name) == (meaning, prefix + name)
    else:
        assert (found.events, found.malformed) == ((), ())
        assert [ignored.reason for ignored in found.ignored] == [meaning]


@pytest.mark.parametrize(
    ("detail_type", "meaning"),
    [
        ("Object Created", CREATED),
        ("Object Deleted", REMOVED),
        ("Object Tags Added", ATTRIBUTES),
        ("Object Tags Deleted", ATTRIBUTES),
        ("Object ACL Updated", ATTRIBUTES),
        ("Object Annotation Removed", ATTRIBUTES),
        ("Object Storage Class Changed", None),
        ("Object Restore Expired", None),
        (None, None),
    ],
)
def test_what_a_name_means_to_eventbridge(
    detail_type: str | None, meaning: ChangeKind | None
) -> None:
    found = parse_document({**eventbridge(), "detail-type": detail_type})
    if meaning is not None:
        assert only_event(found).kind == meaning
    else:
        assert [ignored.reason for ignored in found.ignored] == ["other-event"]


def test_a_name_that_cannot_be_printed_is_quoted() -> None:
    assert only_event(parse(record(name="ObjectCreated:\x1b["))).name == r"'ObjectCreated:\x1b['"


SEQUENCERS = st.text(alphabet="0123456789abcdefABCDEF", max_size=20).filter(lambda s: s.strip("0"))


@given(first=SEQUENCERS, second=SEQUENCERS)
def test_tokens_compare_as_aws_says_that_sequencers_do(first: str, second: str) -> None:
    """Right-pad the shorter one with zeros, then compare as text (Amazon S3 user guide)."""
    width = max(len(first), len(second))
    a, b = first.upper().ljust(width, "0"), second.upper().ljust(width, "0")
    for read_order in (s3_order, eventbridge_order):
        left, right = read_order(first), read_order(second)
        assert left is not None
        assert right is not None
        assert (left.token < right.token) == (a < b)
        assert (left.token == right.token) == (a == b)


@pytest.mark.parametrize(
    ("source", "sequencer", "order"),
    [
        ("aws:s3", "0055aed6dcd9028200", OrderPoint("aws-s3", "0055AED6DCD90282", trusted=True)),
        ("minio:s3", "18EA8D2200000000", OrderPoint("minio", "18EA8D2200000000", trusted=False)),
        ("minio:s3", "A0", OrderPoint("minio", "00000000000000A0", trusted=False)),
        ("minio:s3", "1" * 17, None),
        # 0x5DD7E6F7 seconds and 0x08D142C7 nanoseconds: 2019-11-22T13:47:35.147931847Z
        (
            "ceph:s3",
            "F7E6D75DC742D108",
            OrderPoint("ceph", f"{1574430455147931847:016X}", trusted=False),
        ),
        ("ceph:s3", "F7E6D75DFFFFFFFF", None),
        ("ceph:s3", "F7E6D75DC742D1", None),
        ("rustfs:s3", "18A6F00000000000", None),
    ],
)
def test_the_order_point_of_a_route(source: str, sequencer: str, order: OrderPoint | None) -> None:
    assert only_event(parse(record(source=source, sequencer=sequencer))).order == order


def test_the_order_point_of_a_route_with_a_shape_of_its_own() -> None:
    """Amazon S3's by EventBridge is its sequencer as well; SeaweedFS sends none."""
    event = only_event(parse_document(eventbridge(sequencer="0055aed6dcd9028200")))
    assert event.order == OrderPoint("aws-eventbridge", "0055AED6DCD90282", trusted=True)
    assert only_event(parse_document(seaweedfs())).order is None


@pytest.mark.parametrize("source", ["aws:s3", "minio:s3", "ceph:s3", "eventbridge"])
@pytest.mark.parametrize("sequencer", ["", "0000000000000000", "xyz", "12 34", "ab" * 33, 5, None])
def test_what_is_no_sequencer_gives_no_order(source: str, sequencer: object) -> None:
    if source == "eventbridge":
        event = only_event(parse_document(eventbridge(sequencer=sequencer)))
    else:
        event = only_event(parse(record(source=source, sequencer=sequencer)))
    assert event.order is None


def test_a_change_of_attributes_has_no_order() -> None:
    """MinIO's sequencer is the time of the bytes, which two changes of the tags share."""
    for source in ("aws:s3", "minio:s3"):
        changed = record(source=source, name="ObjectTagging:Put", sequencer="18EA8D2200000001")
        assert only_event(parse(changed)).order is None
    told = {**eventbridge(sequencer="18EA8D2200000001"), "detail-type": "Object Tags Added"}
    assert only_event(parse_document(told)).order is None


@pytest.mark.parametrize(
    ("sent", "size_bytes"),
    [
        (0, 0),
        ("1024", 1024),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (-1, None),
        (1.5, None),
        (True, None),
        ("", None),
        ("1_0", None),
        ("٣", None),
        ("9" * 20, None),
        (None, None),
    ],
)
def test_sizes(sent: object, size_bytes: int | None) -> None:
    sized = record()
    sized["s3"]["object"]["size"] = sent
    assert only_event(parse(sized)).size_bytes == size_bytes


@pytest.mark.parametrize(
    ("sent", "at_ms"),
    [
        ("1970-01-01T00:00:01.999999Z", 1999),
        ("1970-01-01T01:00:01+01:00", 1000),
        ("1970-01-01T00:00:01", 1000),
        ("0001-01-01T00:00:00Z", RECEIVED_AT_MS),
        ("yesterday", RECEIVED_AT_MS),
        (1785657080, RECEIVED_AT_MS),
        (None, RECEIVED_AT_MS),
    ],
)
def test_instants(sent: object, at_ms: int) -> None:
    assert only_event(parse(record(eventTime=sent))).event_at_ms == at_ms


def test_text_that_cannot_be_printed_is_as_good_as_missing() -> None:
    odd = record()
    odd["s3"]["object"].update({"eTag": '"a\r\nb"', "versionId": "\x00"})
    event = only_event(parse(odd))
    assert (event.etag, event.version_id) == (None, None)


BAD_RECORDS: list[tuple[object, str]] = [
    (None, "unknown-shape"),
    ("text", "unknown-shape"),
    ([], "unknown-shape"),
    ({}, "unknown-shape"),
    ({"eventSource": "aws:dynamodb"}, "unknown-shape"),
    (record(s3=None), "unknown-shape"),
    (record(s3={"bucket": {"name": "src"}}), "unknown-shape"),
    (record(s3={"bucket": {"name": "a\nb"}, "object": {"key": "k"}}), "unknown-shape"),
    (record(name=None), "unknown-shape"),
    (record(key="%ff"), "bad-key"),
    (record(eventVersion="3.0"), "unknown-version"),
    ({"eventSource": "aws:sqs", "body": None}, "unknown-shape"),
    ({"eventSource": "aws:sqs", "body": "{"}, "not-json"),
    ({"Sns": {"Type": "Notification"}}, "unknown-shape"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_RECORDS)
def test_a_bad_record_never_spoils_its_siblings(bad: object, reason: str) -> None:
    found = parse(record("first"), bad, record("third", eventSource=["odd"]))

    assert [event.key for event in found.events] == ["first", "third"]
    assert [rejected.reason for rejected in found.malformed] == [reason]


def test_what_is_kept_is_the_bad_record_alone_and_cut_to_its_limit() -> None:
    bad = record("x" * PAYLOAD_BYTES_MAX)
    (kept,) = parse(record("good"), bad).malformed
    assert kept.payload == json.dumps(bad).encode()[:PAYLOAD_BYTES_MAX]
    assert len(kept.payload) == PAYLOAD_BYTES_MAX


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"detail": None}, "unknown-shape"),
        ({"detail": {"object": {"key": "k"}}}, "unknown-shape"),
        ({"detail": {"bucket": {}, "object": {"key": "k"}}}, "unknown-shape"),
    ],
)
def test_an_eventbridge_event_without_its_parts_is_malformed(
    missing: dict[str, object], reason: str
) -> None:
    assert only_malformed(parse_document({**eventbridge(), **missing})).reason == reason


def test_ceph_reports_the_start_of_a_multipart_upload_and_it_is_no_change() -> None:
    start = record(source="ceph:s3", name="ObjectCreated:Post")
    start["s3"]["object"].update({"size": 0, "eTag": ""})
    empty_form_upload = record(source="ceph:s3", name="ObjectCreated:Post")
    empty_form_upload["s3"]["object"].update({"size": 0, "eTag": "d41d8"})

    found = parse(start, empty_form_upload)

    assert [ignored.reason for ignored in found.ignored] == ["multipart-start"]
    assert [event.etag for event in found.events] == ["d41d8"]


def test_the_routes() -> None:
    assert {route: only_event(parse_key(route, "k")).route for route in ROUTES} == {
        "aws:s3": Route.S3,
        "rustfs:s3": Route.S3,
        "minio:s3": Route.MINIO,
        "ceph:s3": Route.CEPH,
        "eventbridge": Route.EVENTBRIDGE,
        "seaweedfs": Route.SEAWEEDFS,
    }
