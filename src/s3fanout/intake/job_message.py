"""A job as a message of a queue: what accept, redrive, backfill and continued copies send.

``{"s3fanout": 1, "job": {…}}``, and ``"continued": {…}`` for a copy in parts that goes on. ASCII
only, because SQS takes few control characters and keys may hold any. Fields that are unknown are
ignored, a version that is unknown is malformed.
"""

from __future__ import annotations

import json
from typing import Any

from s3fanout.model.errors import MalformedEvent
from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import Job, NewJob
from s3fanout.model.uploads import Continued, ReplicaUpload

VERSION = 1
_MARK = '{"s3fanout":'
_NUMBER_MAX = 2**63 - 1
"""Of bytes and of milliseconds: what is larger cannot be reckoned with."""


def is_job_message(body: str) -> bool:
    """Whether a message is one of ours, readable or not."""
    return body.startswith(_MARK)


def job_message(job: NewJob | Job, continued: Continued | None = None) -> str:
    """The message of a job, of a copy in parts that goes on."""
    fields: dict[str, Any] = {
        "destination": job.destination,
        "key": job.key,
        "kind": job.kind.value,
        "event_at_ms": job.event_at_ms,
        "etag": job.etag,
        "size_bytes": job.size_bytes,
        "version_id": job.version_id,
    }
    if job.order is not None:
        fields["order"] = {
            "scheme": job.order.scheme,
            "token": job.order.token,
            "trusted": job.order.trusted,
        }
    document = {"s3fanout": VERSION, "job": {k: v for k, v in fields.items() if v is not None}}
    if continued is not None:
        upload = continued.upload
        document["continued"] = {
            "source_bucket": continued.source_bucket,
            "parts_done": continued.parts_done,
            "replica_key": upload.replica_key,
            "upload_id": upload.upload_id,
            "fingerprint": upload.fingerprint,
            "part_bytes": upload.part_bytes,
        }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True)


def read_job_message(body: str) -> NewJob:
    """The job of a message.

    Raises:
        MalformedEvent: As ``read_continued``.
    """
    return read_continued(body)[0]


def read_continued(body: str) -> tuple[NewJob, Continued | None]:
    """The job of a message, and the copy in parts that it goes on with.

    Raises:
        MalformedEvent: ``unknown-version`` or ``unknown-shape``.
    """
    try:
        document = json.loads(body)
        version, job = document["s3fanout"], document["job"]
        if version != VERSION:
            raise MalformedEvent("unknown-version", f"job message of version {version!r}")
        order = job.get("order")
        new = NewJob(
            destination=_text(job["destination"]),
            key=_text(job["key"]),
            kind=ChangeKind(job["kind"]),
            event_at_ms=_number(job["event_at_ms"]),
            order=None
            if order is None
            else OrderPoint(
                _text(order["scheme"]), _text(order["token"]), order["trusted"] is True
            ),
            etag=None if job.get("etag") is None else _text(job["etag"]),
            size_bytes=None if job.get("size_bytes") is None else _number(job["size_bytes"]),
            version_id=None if job.get("version_id") is None else _text(job["version_id"]),
        )
        return new, _continued(new, document.get("continued"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedEvent("unknown-shape", f"job message lacks or spoils {error}") from error


def _continued(job: NewJob, fields: Any) -> Continued | None:
    if fields is None:
        return None
    return Continued(
        source_bucket=_text(fields["source_bucket"]),
        upload=ReplicaUpload(
            destination=job.destination,
            key=job.key,
            replica_key=_text(fields["replica_key"]),
            upload_id=_text(fields["upload_id"]),
            fingerprint=_text(fields["fingerprint"]),
            part_bytes=_number(fields["part_bytes"]),
        ),
        parts_done=_number(fields["parts_done"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("text")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _NUMBER_MAX:
        raise TypeError("a number")
    return value
