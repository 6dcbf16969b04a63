"""Multipart uploads of the memory store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from s3fanout.adapters.checksums import checksum_of, wrong_checksum
from s3fanout.decide.checksums import composite_of_parts
from s3fanout.model.errors import Refused, ReplicaMismatch, UploadGone
from s3fanout.model.objects import ListedUpload, PartBody, UploadedPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.model.objects import Checksum, ChecksumAlgorithm, ObjectAttributes
    from s3fanout.ports.system import Clock


@dataclass(slots=True)
class Upload:
    """One that was begun."""

    bucket: str
    key: str
    attributes: ObjectAttributes
    checksum: Checksum | None
    begun_at_ms: int
    parts: dict[int, PartBody] = field(default_factory=dict)


class AllUploads(Protocol):
    """What all buckets of an endpoint share."""

    @property
    def clock(self) -> Clock:
        """Dates uploads."""
        ...

    @property
    def part_bytes_min(self) -> int:
        """Smallest part but for the last one."""
        ...

    uploads: dict[str, Upload]
    uploads_begun: int


class MemoryUploads:
    """Those of one bucket."""

    def __init__(self, shared: AllUploads, bucket: str) -> None:
        self._shared = shared
        self._bucket = bucket

    def begin(self, key: str, attributes: ObjectAttributes, checksum: Checksum | None) -> str:
        """Begin one; its id."""
        self._shared.uploads_begun += 1
        upload_id = f"upload-{self._shared.uploads_begun}"
        now_ms = self._shared.clock.now_ms()
        self._shared.uploads[upload_id] = Upload(self._bucket, key, attributes, checksum, now_ms)
        return upload_id

    def put_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        body: PartBody,
        checksum: ChecksumAlgorithm | None = None,
    ) -> UploadedPart:
        """Keep a part.

        Raises:
            UploadGone: There is no such upload.
            Refused: The bytes are not those of their digest.
        """
        upload = self._upload(key, upload_id, "UploadPart")
        if part_of(body.content).md5_hex != body.md5_hex:
            raise _refused("BadDigest", "the bytes are not those of their digest", key)
        if checksum is not None and checksum_of(checksum, body.content) != body.checksum:
            raise _refused("BadDigest", "the bytes are not those of their checksum", key)
        if upload.checksum and not upload.checksum.full_object and checksum is None:
            raise _refused("InvalidRequest", "the upload was begun with a checksum of parts", key)
        kept = body if checksum else replace(body, checksum="")
        upload.parts[number] = kept
        return _uploaded(number, kept)

    def composite_of(self, key: str, upload_id: str) -> ChecksumAlgorithm | None:
        """The algorithm of which each part has a checksum, if it was begun with one.

        Raises:
            UploadGone: There is no such upload.
        """
        checksum = self._upload(key, upload_id, "UploadPartCopy").checksum
        return None if checksum is None or checksum.full_object else checksum.algorithm

    def parts(self, key: str, upload_id: str) -> list[UploadedPart]:
        """Parts so far, by number.

        Raises:
            UploadGone: There is no such upload.
        """
        upload = self._upload(key, upload_id, "ListParts")
        return [_uploaded(number, body) for number, body in sorted(upload.parts.items())]

    def take(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], checksum: Checksum | None
    ) -> tuple[Upload, bytes, str, Checksum | None]:
        """End an upload; what it came to: the upload, the bytes, the etag, the checksum.

        Raises:
            UploadGone: There is no such upload.
            ReplicaMismatch: Parts are missing, others, out of order, or without the checksum.
            Refused: A part is too small.
        """
        upload = self._upload(key, upload_id, "CompleteMultipartUpload")
        numbers = [part.number for part in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise _mismatch("InvalidPartOrder", "parts are not in order", key)
        for part in parts:
            body = upload.parts.get(part.number)
            if body is None or part.etag != body.md5_hex or part.checksum != body.checksum:
                raise _mismatch("InvalidPart", f"there is no such part part={part.number}", key)
            if len(body.content) < self._shared.part_bytes_min and part is not parts[-1]:
                raise _refused("EntityTooSmall", f"a part is too small part={part.number}", key)
        content = b"".join(upload.parts[number].content for number in numbers)
        if checksum is not None and not checksum.full_object:
            checksum = composite_of_parts(checksum.algorithm, [part.checksum for part in parts])
        sha256_hex = hashlib.sha256(content).hexdigest()
        if checksum is not None and wrong_checksum(content, sha256_hex, (checksum,)):
            raise _mismatch("BadDigest", "the parts do not have the checksum", key)
        del self._shared.uploads[upload_id]
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        return upload, content, etag, checksum

    def forget(self, key: str, upload_id: str) -> None:
        """Abort an upload; nothing happens if there is none."""
        upload = self._shared.uploads.get(upload_id)
        if upload is not None and (upload.bucket, upload.key) == (self._bucket, key):
            del self._shared.uploads[upload_id]

    def listed(self, prefix: str) -> list[ListedUpload]:
        """Unfinished uploads, by key and age."""
        found = [
            ListedUpload(upload.key, upload_id, upload.begun_at_ms)
            for upload_id, upload in self._shared.uploads.items()
            if upload.bucket == self._bucket and upload.key.startswith(prefix)
        ]
        return sorted(found, key=lambda upload: (upload.key.encode(), upload.begun_at_ms))

    def _upload(self, key: str, upload_id: str, operation: str) -> Upload:
        upload = self._shared.uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (self._bucket, key):
            raise UploadGone(
                f"there is no such upload key={key!r}",
                operation=operation,
                status=404,
                s3_code="NoSuchUpload",
            )
        return upload


def _uploaded(number: int, body: PartBody) -> UploadedPart:
    return UploadedPart(number, body.md5_hex, len(body.content), body.checksum)


def part_of(content: bytes, algorithm: ChecksumAlgorithm | None = None) -> PartBody:
    """``content`` with its digests, and with a checksum if one is asked for."""
    return PartBody(
        content,
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
        "" if algorithm is None else checksum_of(algorithm, content),
    )


def _mismatch(s3_code: str, fact: str, key: str) -> ReplicaMismatch:
    """What is said of parts that do not make the object."""
    return ReplicaMismatch(
        f"{fact} key={key!r}", operation="CompleteMultipartUpload", status=400, s3_code=s3_code
    )


def _refused(s3_code: str, fact: str, key: str) -> Refused:
    return Refused(
        f"{fact} key={key!r}", operation="CompleteMultipartUpload", status=400, s3_code=s3_code
    )
