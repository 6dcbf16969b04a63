"""MinIO's dialect of the shared record shape (also the JuiceFS gateway, whose front end it is).

Keys are form-encoded with ``/`` as ``%2F``; the document's own ``Key`` is ``bucket/key`` already
decoded and not read. Names carry ``s3:``. The sequencer is the object's modification time in
nanoseconds as hexadecimal *number*: it is padded on the left, and it comes from a server's clock.
``ObjectRemoved:Delete`` of a key that never existed looks exactly like a real delete.
(MinIO ``cmd/event-notification.go``; payloads of JuiceFS gateway 1.4.2.)
"""

from __future__ import annotations

from s3fanout.intake.fields import form_encoded_key
from s3fanout.intake.s3_record import Dialect
from s3fanout.intake.sequencer import hex_digits
from s3fanout.model.events import OrderPoint, Route

SCHEME = "minio"
_DIGITS = 16


def minio_order(sequencer: object) -> OrderPoint | None:
    """Sixteen digits, so that text compares as the number does."""
    digits = hex_digits(sequencer)
    if digits is None or len(digits) > _DIGITS:
        return None
    return OrderPoint(SCHEME, digits.rjust(_DIGITS, "0"), trusted=False)


MINIO = Dialect(Route.MINIO, form_encoded_key, minio_order)
