"""What a notification route told us, after decoding.

An event only ever means "this key changed". It is never believed to be the newest word on the key:
see ``decide.order`` for what its order point is good for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Route(StrEnum):
    """The wire format that an event arrived in; it decides how keys are decoded and ordered."""

    S3 = "s3"
    EVENTBRIDGE = "eventbridge"
    MINIO = "minio"
    CEPH = "ceph"
    SEAWEEDFS = "seaweedfs"


class ChangeKind(StrEnum):
    """What happened to the key."""

    CREATED = "created"
    """A new object or version: its bytes may differ."""
    ATTRIBUTES_CHANGED = "attributes_changed"
    """Tags, ACL, retention or metadata changed; the bytes did not."""
    EXISTS = "exists"
    """Seen in a listing: nothing says that it changed. Its jobs come after all others."""
    REMOVED = "removed"
    """An object, a version or the visibility of one (a delete marker) went away."""


class OrderPoint(NamedTuple):
    """A per-key order token of one route.

    Attributes:
        scheme: Tokens are comparable only within one scheme *and* one key.
        token: Normalised so that plain string comparison is the order of the scheme.
        trusted: Whether a smaller token proves an older change. AWS documents this for its
            sequencers; MinIO's and Ceph's are readings of a server's clock, which prove equality
            (a duplicate) but never staleness.
    """

    scheme: str
    token: str
    trusted: bool


class ChangeEvent(NamedTuple):
    """One change of one key of one bucket.

    Attributes:
        route: The wire format it came in.
        name: The event name as the sender spells it, for logs (``ObjectCreated:Put``).
        kind: What the name means to us.
        bucket: Bucket name as sent.
        key: Decoded key, 1 to 1,024 bytes of UTF-8, verbatim (``//``, ``..``, newlines and all).
        event_at_ms: When the sender says that it happened.
        version_id: ``None`` when the bucket is unversioned; ``"null"`` is a value.
        etag: Opaque validator without quotes; ``None`` when not sent.
        size_bytes: ``None`` when not sent.
        order: ``None`` when the route gives no order token.
    """

    route: Route
    name: str
    kind: ChangeKind
    bucket: str
    key: str
    event_at_ms: int
    version_id: str | None = None
    etag: str | None = None
    size_bytes: int | None = None
    order: OrderPoint | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A record that is understood and needs no replica (test event, multipart noise, folder)."""

    reason: str
    """Stable slug: ``test-event``, ``multipart-part``, ``directory``, ``other-event`` …"""
    detail: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message or record that could not be understood. It is kept with its payload."""

    reason: str
    """Stable slug: ``not-json``, ``unknown-shape``, ``unknown-version``, ``bad-key`` …"""
    detail: str
    payload: bytes
    """The message or the single record as it arrived, cut to ``intake.PAYLOAD_BYTES_MAX``."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Everything that one message held, in the order in which it stood there."""

    events: tuple[ChangeEvent, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    malformed: tuple[Malformed, ...] = ()
