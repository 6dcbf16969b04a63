"""Messages as AWS S3 sends them, for objects that exist."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Written:
    """An object of the source; the etag is without quotes, the key needs no encoding."""

    key: str
    etag: str
    size_bytes: int


def messages(objects: Sequence[Written], *, bucket: str, records: int) -> Iterator[str]:
    """One JSON document per ``records`` objects, on one line."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for at in range(0, len(objects), records):
        part = objects[at : at + records]
        yield json.dumps(
            {"Records": [_record(one, bucket, at + n, now) for n, one in enumerate(part)]}
        )


def _record(one: Written, bucket: str, number: int, at: str) -> dict[str, object]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": at,
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:writer"},
        "requestParameters": {"sourceIPAddress": "192.0.2.7"},
        "responseElements": {"x-amz-request-id": f"{number:016X}", "x-amz-id-2": "c2FtcGxl" * 9},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "fanout",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {
                "key": one.key,
                "size": one.size_bytes,
                "eTag": one.etag,
                "sequencer": f"0055AED6DC{number:08X}",
            },
        },
    }
