"""Which route a message came by, found by its content, and what it says.

| document | route |
|---|---|
| ``{"Records": [{"s3": …}]}`` | S3 and its copies: ``s3_record``, ``minio``, ``ceph`` |
| ``{"Records": [{"eventSource": "aws:sqs", "body": …}]}`` | SQS to Lambda: ``body`` is a message |
| ``{"Records": [{"Sns": {"Message": …}}]}`` | SNS to Lambda: ``Message`` is a message |
| ``{"Type": "Notification", "Message": …}`` | SNS by HTTP or SQS: ``Message`` is a message |
| ``{"source": "aws.s3", "detail-type": …}`` | EventBridge |
| ``{"event_type": …, "message": {…}}`` | SeaweedFS webhook |
| ``{"Event": "s3:TestEvent"}`` | what S3 sends once when a notification is configured |

Messages in messages are unwrapped ``WRAPPINGS_MAX`` times; AWS itself needs two (SQS to Lambda with
SNS in between). Nothing here raises: a message that cannot be understood, or the one record of it
that cannot, becomes ``Malformed`` and keeps its payload.
"""

from __future__ import annotations

import json

from s3fanout.intake import eventbridge, seaweedfs, sns, sqs
from s3fanout.intake.ceph import CEPH
from s3fanout.intake.fields import quoted
from s3fanout.intake.minio import MINIO
from s3fanout.intake.s3_record import AWS, OTHER, Dialect, read_record
from s3fanout.model.errors import MalformedEvent
from s3fanout.model.events import ChangeEvent, Ignored, Intake, Malformed

PAYLOAD_BYTES_MAX = 65536
"""What is kept of a malformed payload; also the largest S3 event notification (64 KB)."""

WRAPPINGS_MAX = 4

_TEST_EVENT = "s3:TestEvent"
_DIALECTS: dict[str, Dialect] = {"aws:s3": AWS, "minio:s3": MINIO, "ceph:s3": CEPH}


def parse_message(body: bytes, *, received_at_ms: int) -> Intake:
    """Everything that one message says, as received from a queue, a webhook or Lambda.

    Never raises. At least one of the three lists of the answer holds something.

    Args:
        body: UTF-8 JSON.
        received_at_ms: When it arrived; stands in for event times that are missing.
    """
    reader = _Reader(received_at_ms)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        reader.reject("not-json", f"not UTF-8 at byte {error.start}", body)
    else:
        reader.read_text(text, body, wrappings=0)
    return reader.intake()


class _Reader:
    """Collects what is found while a message is unwrapped."""

    __slots__ = ("_events", "_ignored", "_malformed", "_received_at_ms")

    def __init__(self, received_at_ms: int) -> None:
        self._received_at_ms = received_at_ms
        self._events: list[ChangeEvent] = []
        self._ignored: list[Ignored] = []
        self._malformed: list[Malformed] = []

    def intake(self) -> Intake:
        return Intake(tuple(self._events), tuple(self._ignored), tuple(self._malformed))

    def reject(self, reason: str, detail: str, payload: bytes) -> None:
        self._malformed.append(Malformed(reason, detail, payload[:PAYLOAD_BYTES_MAX]))

    def read_text(self, text: str, payload: bytes, *, wrappings: int) -> None:
        """Read a message of any route; ``wrappings`` is how many envelopes were around it."""
        if wrappings > WRAPPINGS_MAX:
            detail = f"more than {WRAPPINGS_MAX} messages within messages"
            self.reject("unknown-shape", detail, payload)
            return
        try:
            document = json.loads(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            # Beside bad syntax: numbers of thousands of digits and thousands of brackets.
            self.reject("not-json", f"{type(error).__name__}: {error}", payload)
            return
        self._read_document(document, payload, wrappings)

    def _read_document(self, document: object, payload: bytes, wrappings: int) -> None:
        """Read a decoded message of any route."""
        if not isinstance(document, dict):
            self.reject("unknown-shape", f"JSON {type(document).__name__}, not an object", payload)
            return
        records = document.get("Records")
        if isinstance(records, list):
            self._read_records(records, payload, wrappings)
            return
        try:
            self._read_single(document, wrappings)
        except MalformedEvent as error:
            self.reject(error.reason, error.message, payload)
        except RecursionError:
            # What json.loads just managed may be too deep to be compared a few calls further down.
            self.reject("unknown-shape", "nested too deeply", payload)

    def _read_single(self, document: dict[str, object], wrappings: int) -> None:
        if sns.is_envelope(document):
            self._unwrap(sns.unwrap(document), wrappings)
        elif document.get("source") == eventbridge.SOURCE and "detail-type" in document:
            self._keep(eventbridge.read_event(document, self._received_at_ms))
        elif seaweedfs.is_message(document):
            for found in seaweedfs.read_message(document, self._received_at_ms):
                self._keep(found)
        elif document.get("Event") == _TEST_EVENT:
            bucket = quoted(document.get("Bucket"))
            self._ignored.append(Ignored("test-event", f"bucket {bucket} can reach us"))
        else:
            names = ", ".join(quoted(name) for name in list(document)[:8])
            raise MalformedEvent("unknown-shape", f"no known route has the fields: {names}")

    def _read_records(self, records: list[object], payload: bytes, wrappings: int) -> None:
        """Read each record on its own: a bad one never spoils its siblings."""
        if not records:
            self._ignored.append(Ignored("empty", "Records holds nothing"))
        for record in records:
            try:
                self._read_record(record, wrappings)
            except MalformedEvent as error:
                kept = payload if len(records) == 1 else _serialised(record, payload)
                self.reject(error.reason, error.message, kept)

    def _read_record(self, record: object, wrappings: int) -> None:
        if not isinstance(record, dict):
            raise MalformedEvent("unknown-shape", f"record is {quoted(record)}, not an object")
        if "s3" in record:
            source = record.get("eventSource")
            dialect = _DIALECTS.get(source, OTHER) if isinstance(source, str) else OTHER
            self._keep(read_record(record, dialect, self._received_at_ms))
        elif sqs.is_record(record):
            self._unwrap(sqs.unwrap(record), wrappings)
        elif isinstance(envelope := record.get("Sns"), dict):
            self._unwrap(sns.unwrap(envelope), wrappings)
        else:
            source = quoted(record.get("eventSource"))
            raise MalformedEvent("unknown-shape", f"record of source {source} is of no known route")

    def _unwrap(self, content: str | Ignored, wrappings: int) -> None:
        if isinstance(content, Ignored):
            self._ignored.append(content)
        else:
            payload = content.encode(errors="backslashreplace")
            self.read_text(content, payload, wrappings=wrappings + 1)

    def _keep(self, found: ChangeEvent | Ignored) -> None:
        if isinstance(found, ChangeEvent):
            self._events.append(found)
        else:
            self._ignored.append(found)


def _serialised(record: object, message: bytes) -> bytes:
    """One record as JSON; the whole message where it is nested too deeply to be written again."""
    try:
        return json.dumps(record).encode()
    except RecursionError:
        return message
