"""Ceph RGW's dialect of the shared record shape.

Keys are not encoded. ``versionId`` is ``""`` where there is none, also on
``ObjectRemoved:DeleteMarkerCreated``, which carries the etag of the object it hides. The sequencer
is the memory of a ``utime_t``: seconds, then nanoseconds, each a little-endian 32-bit number, so as
text it has no order at all. (``rgw_notify.cc``; payloads of RGW 16.2.15.)

Deleting a key that does not exist is reported with size 0 and no etag. That is *not* taken as
proof that nothing was deleted: the multisite sync module reports every real delete without size and
etag (``rgw_sync_module_pubsub.cc``), and versions before ceph/ceph#34641 (April 2020) report size 0
for all deletes. A delete too many costs one probe, a delete too few costs the promise.

Starting a multipart upload is reported as ``ObjectCreated:Post`` without an etag; a real form
upload has one, even of no bytes.
"""

from __future__ import annotations

import struct

from s3fanout.intake.fields import plain_key
from s3fanout.intake.s3_record import Dialect
from s3fanout.intake.sequencer import hex_digits
from s3fanout.model.events import ChangeEvent, Ignored, OrderPoint, Route

SCHEME = "ceph"
_DIGITS = 16
_NANOSECONDS = 1_000_000_000
_UTIME = struct.Struct("<II")


def ceph_order(sequencer: object) -> OrderPoint | None:
    """The instant in nanoseconds as sixteen hexadecimal digits."""
    digits = hex_digits(sequencer)
    if digits is None or len(digits) != _DIGITS:
        return None
    seconds, nanoseconds = _UTIME.unpack(bytes.fromhex(digits))
    if nanoseconds >= _NANOSECONDS:
        return None
    return OrderPoint(SCHEME, f"{seconds * _NANOSECONDS + nanoseconds:016X}", trusted=False)


def ceph_noise(event: ChangeEvent) -> Ignored | None:
    """Recognise the start of a multipart upload."""
    if event.name.endswith("ObjectCreated:Post") and event.etag is None and not event.size_bytes:
        return Ignored("multipart-start", "a multipart upload began; its completion is reported")
    return None


CEPH = Dialect(Route.CEPH, plain_key, ceph_order, ceph_noise)
