"""One item of ``Records[]`` in the shape that Amazon S3 invented and other vendors copy.

The shape is shared; what differs between vendors is a ``Dialect``: whether the key is encoded, what
the sequencer means, and which records are noise. ``AWS`` and ``OTHER`` live here, ``minio.MINIO``
and ``ceph.CEPH`` in files of their own.

An ``eventSource`` that nobody knows (RustFS, variants of ``aws:s3``) is read as AWS's, with
form-encoded keys: that is what all senders encode that were looked at, and moto, ministack and
LocalStack call themselves ``aws:s3`` anyway (LocalStack writes ``%20`` for a space and ``%2B`` for
``+``, which decodes the same). Their sequencers are not taken: nobody documents their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from s3fanout.intake import fields
from s3fanout.intake.names import meaning_of
from s3fanout.intake.sequencer import s3_order
from s3fanout.model.errors import MalformedEvent
from s3fanout.model.events import ChangeEvent, ChangeKind, Ignored, OrderPoint, Route

_MAJOR_VERSION = "2"


def _no_order(_sequencer: object) -> OrderPoint | None:
    return None


def _no_noise(_event: ChangeEvent) -> Ignored | None:
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the vendors of the shared record shape.

    Attributes:
        route: What events of this dialect are labelled with.
        read_key: Decodes ``s3.object.key``; raises ``MalformedEvent`` (``bad-key``).
        read_order: Turns ``s3.object.sequencer`` into an order point, or ``None``.
        noise: Says which events need no replica, and why.
    """

    route: Route
    read_key: Callable[[object], str]
    read_order: Callable[[object], OrderPoint | None] = _no_order
    noise: Callable[[ChangeEvent], Ignored | None] = _no_noise


AWS = Dialect(Route.S3, fields.form_encoded_key, s3_order)
OTHER = Dialect(Route.S3, fields.form_encoded_key)


def read_record(
    record: dict[str, object], dialect: Dialect, received_at_ms: int
) -> ChangeEvent | Ignored:
    """What one record says.

    Unknown fields are ignored. A removal has no size: AWS sends none, others send the old object's
    or 0, and a size filter must not keep a delete from being replicated. Only created and removed
    events have an order point: AWS documents the sequencer for those, and MinIO's is the object's
    modification time, which two changes of its tags may share.

    Raises:
        MalformedEvent: ``unknown-version``, ``unknown-shape`` or ``bad-key``.
    """
    _check_version(record.get("eventVersion"))
    name = record.get("eventName")
    if not isinstance(name, str):
        raise MalformedEvent("unknown-shape", f"eventName is {fields.quoted(name)}, not text")
    kind = meaning_of(name)
    if isinstance(kind, Ignored):
        return kind
    s3 = record.get("s3")
    bucket = s3.get("bucket") if isinstance(s3, dict) else None
    content = s3.get("object") if isinstance(s3, dict) else None
    if not isinstance(bucket, dict) or not isinstance(content, dict):
        raise MalformedEvent("unknown-shape", "record without s3.bucket and s3.object")
    bucket_name = fields.printable(bucket.get("name"))
    if not bucket_name:
        raise MalformedEvent("unknown-shape", "record without s3.bucket.name")
    attributes_only = kind is ChangeKind.ATTRIBUTES_CHANGED
    event = ChangeEvent(
        dialect.route,
        name if name.isprintable() else fields.quoted(name),
        kind,
        bucket_name,
        dialect.read_key(content.get("key")),
        fields.instant_ms(record.get("eventTime"), received_at_ms),
        fields.printable(content.get("versionId")) or None,
        fields.etag(content.get("eTag")),
        None if kind is ChangeKind.REMOVED else fields.size_bytes(content.get("size")),
        None if attributes_only else dialect.read_order(content.get("sequencer")),
    )
    return dialect.noise(event) or event


def _check_version(version: object) -> None:
    """Accept any minor of version 2, as AWS asks consumers to, and records without a version."""
    if isinstance(version, str):
        if version[:2] == "2." or version in ("", _MAJOR_VERSION):
            return
    elif version is None:
        return
    raise MalformedEvent(
        "unknown-version", f"eventVersion is {fields.quoted(version)}, {_MAJOR_VERSION}.x is known"
    )
