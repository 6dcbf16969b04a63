"""What an S3 event name means to us.

Names are ``Family:What``, with ``s3:`` in front from MinIO and some versions of Ceph.

| name | meaning |
|---|---|
| ``ObjectCreated:*`` | created |
| ``ObjectCreated:PutTagging``, ``DeleteTagging``, ``PutRetention``, ``PutLegalHold``, ``PutAcl`` | attributes |
| ``ObjectTagging:*``, ``ObjectAcl:*``, ``ObjectAnnotation:*``, ``ObjectRetention:*``, ``ObjectLegalHold:*`` | attributes |
| ``ObjectRemoved:*`` | removed |
| ``ObjectRemoved:NoOP`` (MinIO: the key did not exist) | ignored: ``delete-of-nothing`` |
| ``LifecycleExpiration:*``, ``LifecycleDelMarkerExpiration:*``, ``ObjectLifecycle:Expiration:*`` | removed |
| ``ObjectLifecycle:Expiration:AbortMultipartUpload``, ``AbortMPU`` (Ceph) | ignored: no object was there |
| ``ObjectSynced:Create`` (Ceph multisite) | created |
| ``ObjectSynced:Delete``, ``ObjectSynced:DeletionMarkerCreated`` | removed |
| anything else, known or not | ignored: ``other-event`` |

Sources: Amazon S3 user guide "Supported event types" and botocore 1.44.5 (enum ``Event``); MinIO
``internal/event/name.go``; Ceph documentation "S3 Bucket Notifications Compatibility".
"""  # noqa: E501 - a table row cannot be broken

from __future__ import annotations

from s3fanout.intake.fields import quoted
from s3fanout.model.events import ChangeKind, Ignored

_ATTRIBUTE_FAMILIES = frozenset(
    {"ObjectTagging", "ObjectAcl", "ObjectAnnotation", "ObjectRetention", "ObjectLegalHold"}
)
_ATTRIBUTE_CREATIONS = frozenset(
    {"puttagging", "deletetagging", "putretention", "putlegalhold", "putacl"}
)
_REMOVED_FAMILIES = frozenset(
    {"ObjectRemoved", "LifecycleExpiration", "LifecycleDelMarkerExpiration"}
)

# The names of nearly all traffic, as sent by AWS and Ceph and by MinIO.
_FREQUENT: dict[str, ChangeKind] = {
    prefix + name: kind
    for prefix in ("", "s3:")
    for name, kind in (
        ("ObjectCreated:Put", ChangeKind.CREATED),
        ("ObjectCreated:Post", ChangeKind.CREATED),
        ("ObjectCreated:Copy", ChangeKind.CREATED),
        ("ObjectCreated:CompleteMultipartUpload", ChangeKind.CREATED),
        ("ObjectRemoved:Delete", ChangeKind.REMOVED),
        ("ObjectRemoved:DeleteMarkerCreated", ChangeKind.REMOVED),
    )
}


def meaning_of(name: str) -> ChangeKind | Ignored:
    """The meaning of an event name; every text has one."""
    return _FREQUENT.get(name) or _meaning_of_rare(name)


def _meaning_of_rare(name: str) -> ChangeKind | Ignored:
    family, _, what = name.removeprefix("s3:").partition(":")
    if family == "ObjectCreated":
        attribute = what.lower() in _ATTRIBUTE_CREATIONS
        return ChangeKind.ATTRIBUTES_CHANGED if attribute else ChangeKind.CREATED
    if family in _ATTRIBUTE_FAMILIES:
        return ChangeKind.ATTRIBUTES_CHANGED
    if family in _REMOVED_FAMILIES:
        if what == "NoOP":
            return Ignored("delete-of-nothing", f"{quoted(name)}: the key did not exist")
        return ChangeKind.REMOVED
    if family == "ObjectLifecycle" and what.startswith("Expiration"):
        if "Abort" not in what:
            return ChangeKind.REMOVED
    elif family == "ObjectSynced":
        if what == "Create":
            return ChangeKind.CREATED
        if what.startswith("Delet"):
            return ChangeKind.REMOVED
    return Ignored("other-event", f"{quoted(name)} needs no replica")
