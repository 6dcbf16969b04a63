"""Events as AWS S3 writes them (event version 2.1), for tests that are the sender themselves."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from urllib.parse import quote_plus

from tests.e2e.evidence import put
from tests.e2e.installation import PATIENCE_S, Answer, Installation, Place, until

_numbers = itertools.count(1)


def put_event(
    bucket: str, key: str, *, etag: str, size_bytes: int, version: str = "2.1"
) -> dict[str, object]:
    """One ``ObjectCreated:Put`` record; each is later in its key's order than those before."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "eventVersion": version,
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": at,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {
                "key": quote_plus(key),
                "size": size_bytes,
                "eTag": etag,
                "sequencer": f"{next(_numbers):016X}",
            },
        },
    }


def message(*records: dict[str, object]) -> bytes:
    return json.dumps({"Records": list(records)}).encode()


def write_and_tell(installation: Installation, source: Place, *keys: str) -> None:
    """Put small objects, then post their events in one message."""
    contents = {key: f"content of {key}".encode() for key in keys}
    etags = put(source, contents)
    answer = installation.post(
        message(
            *(
                put_event(source.bucket, key, etag=etags[key], size_bytes=len(content))
                for key, content in contents.items()
            )
        )
    )
    assert answer.status == 200, answer.body


def deliver(installation: Installation, body: bytes, *, within_s: float = PATIENCE_S) -> Answer:
    """Post until it is acknowledged, as a sender with a queue does."""

    def attempt() -> Answer | None:
        try:
            answer = installation.post(body)
        except OSError:
            return None
        if answer.status >= 500:
            return None
        return answer

    return until(attempt, what="the event is acknowledged", within_s=within_s)
