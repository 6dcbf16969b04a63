"""Amazon EventBridge: one event per document, with other names and unencoded keys.

| detail-type | meaning |
|---|---|
| Object Created | created |
| Object Deleted (also by lifecycle rules) | removed |
| Object Tags Added, Object Tags Deleted, Object ACL Updated | attributes |
| Object Annotation Created, Object Annotation Removed | attributes |
| anything else | ignored: ``other-event`` |

The schema version is ``detail.event-version`` (absent before June 2026; 1.0 to 1.2 were seen); the
``version`` beside ``id`` is EventBridge's own. Keys are not decoded: AWS does not document their
encoding, and a test of ``%2B%20%%%.png`` by an AWS sample project found them verbatim.
(Amazon S3 user guide, "EventBridge event message structure"; captured events of 2026.)
"""

from __future__ import annotations

from s3fanout.intake import fields
from s3fanout.intake.sequencer import eventbridge_order
from s3fanout.model.errors import MalformedEvent
from s3fanout.model.events import ChangeEvent, ChangeKind, Ignored, Route

SOURCE = "aws.s3"
_MAJOR_VERSION = "1"
_KINDS = {
    "Object Created": ChangeKind.CREATED,
    "Object Deleted": ChangeKind.REMOVED,
    "Object Tags Added": ChangeKind.ATTRIBUTES_CHANGED,
    "Object Tags Deleted": ChangeKind.ATTRIBUTES_CHANGED,
    "Object ACL Updated": ChangeKind.ATTRIBUTES_CHANGED,
    "Object Annotation Created": ChangeKind.ATTRIBUTES_CHANGED,
    "Object Annotation Removed": ChangeKind.ATTRIBUTES_CHANGED,
}


def read_event(document: dict[str, object], received_at_ms: int) -> ChangeEvent | Ignored:
    """What one EventBridge event with ``source: aws.s3`` says.

    Raises:
        MalformedEvent: ``unknown-version``, ``unknown-shape`` or ``bad-key``.
    """
    detail = document.get("detail")
    if not isinstance(detail, dict):
        raise MalformedEvent("unknown-shape", "EventBridge event without detail")
    version = detail.get("event-version")
    major = version.partition(".")[0] if isinstance(version, str) else version
    if major not in (None, _MAJOR_VERSION):
        raise MalformedEvent(
            "unknown-version",
            f"detail.event-version is {fields.quoted(version)}, {_MAJOR_VERSION}.x is known",
        )
    name = document.get("detail-type")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or kind is None:
        return Ignored("other-event", f"{fields.quoted(name)} needs no replica")
    bucket, content = detail.get("bucket"), detail.get("object")
    if not isinstance(bucket, dict) or not isinstance(content, dict):
        raise MalformedEvent("unknown-shape", "EventBridge event without bucket and object")
    bucket_name = fields.printable(bucket.get("name"))
    if not bucket_name:
        raise MalformedEvent("unknown-shape", "EventBridge event without bucket.name")
    attributes_only = kind is ChangeKind.ATTRIBUTES_CHANGED
    return ChangeEvent(
        Route.EVENTBRIDGE,
        name,
        kind,
        bucket_name,
        fields.plain_key(content.get("key")),
        fields.instant_ms(document.get("time"), received_at_ms),
        fields.printable(content.get("version-id")) or None,
        fields.etag(content.get("etag")),
        None if kind is ChangeKind.REMOVED else fields.size_bytes(content.get("size")),
        None if attributes_only else eventbridge_order(content.get("sequencer")),
    )
