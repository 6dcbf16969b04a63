"""What is fuzzed: every parser of bytes that others made, its seeds, and what it may raise."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from s3fanout.adapters.inventory import _csv_rows, _numbers, keys_of_file
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
from s3fanout.model.rules import Rule
from s3fanout.model.sweeps import SweepRecord
from s3fanout.ports.checkpoints import Checkpoint
from s3fanout.service.status import SweepView, status_document

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
    _at_once(journal.keep_checkpoint(CHECKPOINT, kept))
    backfill = Backfill(
        rules=[Rule("a")], books=journal, clock=SystemClock(), fingerprint="fingerprint"
    )
    with suppress(CheckpointMismatch):
        position = _at_once(backfill.resume())
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


def _at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of what waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise AssertionError("it waits for something")


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
    )
}
