"""What is fuzzed: every parser of bytes that others made, its seeds, and what it may raise."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from s3fanout.adapters.inventory import _csv_rows, _numbers, keys_of_file
from s3fanout.adapters.journal.dynamodb_items import malformed_item, upload_key
from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.adapters.store import s3_acl, s3_probe, s3_upload_xml, s3_version_xml, s3_xml
from s3fanout.adapters.system import SystemClock
from s3fanout.config.load import parse
from s3fanout.config.template import template
from s3fanout.engine.backfill import CHECKPOINT, Backfill, _places
from s3fanout.engine.sweep_runs import Pass
from s3fanout.intake.detect import parse_message
from s3fanout.intake.inventory import parse_manifest
from s3fanout.intake.job_message import is_job_message, read_job_message
from s3fanout.model.errors import CheckpointMismatch, InventoryBroken, MalformedEvent, S3FanoutError
from s3fanout.model.events import Malformed
from s3fanout.model.rules import Rule
from s3fanout.model.sweeps import SweepRecord
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.service.status import SweepView, status_document
from tests.fuzz.answers import answers, at_once, credentials, items, services

GOLDEN = Path(__file__).parents[1] / "golden" / "events"
AT_MS = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """One parser.

    Attributes:
        name: For the command line, and the folder of its crashes.
        run: Raises only what is a defect.
        seeds: What it begins with.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def events(body: bytes) -> None:
    """A message of any route: always an answer, never an error."""
    found = parse_message(body, received_at_ms=AT_MS)
    assert found.events or found.ignored or found.malformed
    text = body.decode("utf-8", "replace")
    if is_job_message(text):
        with suppress(MalformedEvent):
            read_job_message(text)


def documents(body: bytes) -> None:
    """Every XML document that a store may answer with."""
    for read in (
        s3_xml.parse_error,
        s3_xml.parse_copy_result,
        s3_xml.parse_tags,
        s3_xml.parse_list_page,
        s3_upload_xml.parse_upload_id,
        s3_upload_xml.parse_part_copy_result,
        s3_upload_xml.parse_complete_result,
        s3_upload_xml.parse_parts_page,
        s3_upload_xml.parse_uploads_page,
        s3_version_xml.parse_versioning,
        s3_version_xml.parse_deleted_page,
        s3_acl.parse_acl,
        s3_probe._upload_id,
        lambda document: s3_version_xml.parse_versions_page(document, "k"),
    ):
        with suppress(S3FanoutError):
            read(body)


def configuration(body: bytes) -> None:
    """A configuration: settings, or all that is wrong with it."""
    with suppress(S3FanoutError):
        parse(body.decode("utf-8", "replace"), path=Path("c.toml"), env={})


def manifest(body: bytes) -> None:
    """An inventory's manifest."""
    with suppress(InventoryBroken):
        parse_manifest(body)


def rows(body: bytes) -> None:
    """The rows of an inventory's file, packed or not."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        for content in (gzip.compress(body, compresslevel=1), body):
            path.write_bytes(content)
            with suppress(InventoryBroken):
                for item, part in _csv_rows(path, _MANIFEST["fileSchema"].split(", ")):
                    assert item is None or item.key
                    assert part >= 0


def checkpoint(body: bytes) -> None:
    """A backfill's place, as the ledger kept it."""
    journal = MemoryJournal(clock=SystemClock())
    kept = Checkpoint("fingerprint", AT_MS, body.decode("utf-8", "replace"))
    at_once(journal.keep_checkpoint(CHECKPOINT, kept))
    backfill = Backfill(
        rules=[Rule("a")], books=journal, clock=SystemClock(), fingerprint="fingerprint"
    )
    with suppress(CheckpointMismatch):
        position = at_once(backfill.resume())
        assert position is None or isinstance(position, str)
        assert backfill.tally.items >= 0


def sweeps(body: bytes) -> None:
    """What sweeps know of their passes, as the ledger kept it: shown, or begun anew."""
    text = body.decode("utf-8", "replace")
    record = SweepRecord.of(text)
    assert SweepRecord.of(record.position()) == record
    view = SweepView(60.0, 5.0, {"a": record}, recent_s=9.0, recent=record)
    json.dumps(
        status_document(
            source="s",
            buckets={},
            summaries=[],
            views=[],
            malformed=0,
            daemon_pid=None,
            now_ms=AT_MS,
            sweep=view,
        )
    )
    kept = Pass.of(text)
    assert kept is None or kept.seen + kept.healed < 1 << 200_000


def keys_file(body: bytes) -> None:
    """A file of keys: items, as many as lines that are not empty."""
    with TemporaryDirectory() as folder, suppress(InventoryBroken):
        path = Path(folder, "keys")
        path.write_bytes(body)
        for batch in keys_of_file(path, None):
            assert all(item.key for item in batch.items)


def places(body: bytes) -> None:
    """Where a walk over a listing, an inventory or a file of keys was, as the ledger kept it."""
    text = body.decode("utf-8", "replace")
    with suppress(CheckpointMismatch):
        starts, count = _places(text)
        assert 0 < len(starts) <= count
    for counted in (1, 2):
        with suppress(CheckpointMismatch):
            assert len(_numbers(text, counted)) == counted


_LIST = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>
<EncodingType>url</EncodingType><Contents><Key>a%20b</Key><Size>4</Size><ETag>&quot;e&quot;</ETag>
<LastModified>2026-11-24T08:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass>
</Contents><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>"""
_XML = (
    _LIST,
    b"<Error><Code>SlowDown</Code><Message>m</Message><RequestId>r</RequestId></Error>",
    b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>",
    b"<CopyPartResult><ETag>e</ETag></CopyPartResult>",
    b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
    b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    b"<CompleteMultipartUploadResult><ETag>e-2</ETag></CompleteMultipartUploadResult>",
    (
        b"<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber>"
        b"<ETag>e</ETag><Size>9</Size></Part></ListPartsResult>"
    ),
    (
        b"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
        b"<NextVersionIdMarker>v</NextVersionIdMarker><Version><Key>k</Key><VersionId>v</VersionId>"
        b"<IsLatest>true</IsLatest><ETag>e</ETag><Size>9</Size>"
        b"<LastModified>2026-11-24T08:00:00Z</LastModified></Version><DeleteMarker><Key>k</Key>"
        b"<VersionId>w</VersionId></DeleteMarker></ListVersionsResult>"
    ),
    b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    (
        b"<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee>"
        b"<ID>o</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>"
        b"</AccessControlPolicy>"
    ),
    (
        b"<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId>"
        b"<Initiated>2026-11-24T08:00:00Z</Initiated></Upload></ListMultipartUploadsResult>"
    ),
)
_SWEEP = {
    "began_at_ms": 1_795_549_233_000,
    "is_running": True,
    "keys": 9,
    "failure": "no answer",
    "ended_at_ms": 1_795_549_234_000,
    "took_ms": 1000,
    "keys_all": 12,
    "healed": 1,
    "drifted": 0,
    "foreign": 0,
    "healed_total": 4,
}
_PASS = {
    "began_at_ms": 1_795_549_233_000,
    "ended_at_ms": None,
    "token": "t",
    "seen": 3,
    "healed": 1,
}
_MANIFEST: dict[str, Any] = {
    "sourceBucket": "photos",
    "destinationBucket": "arn:aws:s3:::inventory",
    "version": "2016-11-30",
    "creationTimestamp": "1795549233000",
    "fileFormat": "CSV",
    "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag, IsLatest, IsDeleteMarker",
    "files": [{"key": "a.csv.gz", "size": 1, "MD5checksum": "0" * 32}],
}
_PLACE = {
    "position": "token",
    "items": 3,
    "choices": {"a": {"queue": 2, "equal": 1}},
    "queued_bytes": {"a": 7},
    "requests": {"a": 9},
    "pages": 1,
}
_JOB = (
    b'{"s3fanout": 1, "job": {"destination": "a", "key": "k", "kind": "created", "event_at_ms": 1,'
    b' "order": {"scheme": "aws-s3", "token": "0A", "trusted": true}, "size_bytes": 4}}'
)
_CONTINUED = (
    b'{"s3fanout": 1, "job": {"destination": "a", "key": "k", "kind": "created", "event_at_ms": 1},'
    b' "continued": {"source_bucket": "s", "replica_key": "k", "upload_id": "u",'
    b' "fingerprint": "f", "part_bytes": 5, "parts_done": 1}}'
)
_CREDENTIALS = {"AccessKeyId": "AKEXAMPLE", "SecretAccessKey": "secret", "SessionToken": "token"}
_HEAD = b"""\
HTTP/1.1 200 OK\r
content-length: 4\r
date: Tue, 24 Nov 2026 08:00:00 GMT\r
last-modified: Tue, 24 Nov 2026 08:00:00 GMT\r
etag: "e"\r
server: MinIO\r
content-type: text/plain; charset=utf-8\r
content-encoding: aws-chunked,gzip\r
content-range: bytes 0-3/9\r
x-amz-version-id: v\r
x-amz-request-id: r\r
x-amz-bucket-region: eu-west-1\r
x-amz-meta-name: value\r
x-amz-tagging-count: 1\r
x-amz-mp-parts-count: 2\r
x-amz-storage-class: GLACIER\r
x-amz-restore: ongoing-request="false"\r
x-amz-server-side-encryption: aws:kms\r
x-amz-server-side-encryption-bucket-key-enabled: true\r
x-amz-object-lock-mode: GOVERNANCE\r
x-amz-object-lock-retain-until-date: 2027-01-01T00:00:00Z\r
x-amz-checksum-crc32: AAAAAA==\r
x-amz-checksum-type: FULL_OBJECT\r
\r
"""
_ANSWERS = (
    _HEAD + b"abcd",
    *(b"HTTP/1.1 200 OK\r\netag: e\r\nconnection: close\r\n\r\n" + document for document in _XML),
    b"HTTP/1.1 503 Slow Down\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 206 -\r\netag: e\r\ncontent-range: bytes 0-3/9\r\ncontent-length: 4\r\n\r\nabcd",
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\n\r\n"
    ),
)
_SERVICES = (
    (
        b'200 {"Messages": [{"Body": "b", "ReceiptHandle": "h", "Attributes": '
        b'{"ApproximateReceiveCount": "2"}}]}'
    ),
    (
        b'200 {"Attributes": {"ApproximateNumberOfMessages": "1", '
        b'"ApproximateNumberOfMessagesNotVisible": "2", "ApproximateNumberOfMessagesDelayed": "3"}}'
    ),
    b'200 {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": false}]}',
    b'400 {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "m"}',
    b'500 {"__type": "InternalError:http://aws", "Message": "m"}',
)
_ITEMS = (
    {
        "subject": {"S": "key:k"},
        "destination": {"S": "a"},
        "state": {"S": "settled"},
        "kind": {"S": "created"},
        "event_at_ms": {"N": "1"},
        "settled_at_ms": {"N": "2"},
        "turn": {"N": "3"},
        "order_scheme": {"S": "aws-s3"},
        "order_token": {"S": "0A"},
        "order_trusted": {"BOOL": True},
        "error_code": {"S": "refused"},
        "error_at_ms": {"N": "2"},
        "numbered": {"N": "3"},
        "kept": {"N": "3"},
        "differences": {"S": "checksum tags-unread"},
    },
    {
        **upload_key("a", "k"),
        "replica_key": {"S": "k"},
        "upload_id": {"S": "u"},
        "fingerprint": {"S": "f"},
        "part_bytes": {"N": "5"},
        "kept_at_ms": {"N": "1"},
        "position": {"S": "p"},
        "paused_at_ms": {"N": "1"},
        "paused_reason": {"S": "r"},
    },
    malformed_item(Malformed("no-json", "d", b"p"), number=7, route="sqs", now_ms=1),
)
_ROW = b'"photos","a%20b","4","2026-11-24T08:00:00.000Z","e","true","false"\r\n'
_CONFIG = b"""\
schema = 1
source.bucket = "photos"
source.endpoint = "http://127.0.0.1:9000"
destinations.paris.bucket = "photos-paris"
destinations.paris.key = "a/{path}{stem}-copy{ext}"
intake.webhook.token = { env = "TOKEN" }
limits.retry_cap = "1m30s"
"""

TARGETS = {
    target.name: target
    for target in (
        Target(
            "events",
            events,
            (*(path.read_bytes() for path in sorted(GOLDEN.glob("*.json"))), _JOB, _CONTINUED),
        ),
        Target("documents", documents, _XML),
        Target("configuration", configuration, (_CONFIG, template().encode())),
        Target("manifest", manifest, (json.dumps(_MANIFEST).encode(),)),
        Target("rows", rows, (_ROW * 2, gzip.compress(_ROW, compresslevel=1, mtime=0))),
        Target("sweeps", sweeps, (json.dumps(_SWEEP).encode(), json.dumps(_PASS).encode())),
        Target("keys", keys_file, (b"a/b\nc\r\n\n\xff\n",)),
        Target(
            "places",
            places,
            (
                b'{"partitions": 3, "left": [["a/", true, "token"], ["b", false, null]]}',
                b"7",
                b"2:9",
            ),
        ),
        Target("checkpoint", checkpoint, (json.dumps(_PLACE).encode(),)),
        Target("answers", answers, _ANSWERS),
        Target("services", services, _SERVICES),
        Target("items", items, tuple(json.dumps(item).encode() for item in _ITEMS)),
        Target("credentials", credentials, (json.dumps(_CREDENTIALS).encode(),)),
    )
}
