"""An object store in memory: the fake that engine tests run on, held to the same suite as S3.

It behaves as AWS does where stores differ: keys are compared byte by byte and listed in that order,
a copy onto itself is refused, an etag is the MD5 of the bytes. No method suspends, so every
operation is atomic; ``FaultyStore`` adds delays and failures.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from s3fanout.adapters.checksums import computable, wrong_checksum
from s3fanout.adapters.store.memory_annotations import MemoryAnnotations
from s3fanout.adapters.store.memory_listing import entries_of, is_prefix
from s3fanout.adapters.store.memory_uploads import MemoryUploads, Upload, part_of
from s3fanout.adapters.store.memory_versions import (
    UNVERSIONED,
    VersionedObjects,
    current_id,
    object_at,
    only_version,
)
from s3fanout.model.acls import CANNED, FULL_CONTROL, Acl, AclGrant
from s3fanout.model.errors import (
    NoSuchBucket,
    Refused,
    SourceAbsent,
    SourceChanged,
    Unavailable,
)
from s3fanout.model.limits import COPY_BYTES_MAX, PART_BYTES_MIN
from s3fanout.model.objects import (
    NO_EXTRAS,
    Absent,
    Body,
    Checksum,
    ChecksumAlgorithm,
    DeletedPage,
    Extras,
    FirstPart,
    Listed,
    ListedUpload,
    ListPage,
    ObjectAttributes,
    PartBody,
    Present,
    Probe,
    UploadedPart,
    VersionPage,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s3fanout.ports.system import Clock

KEY_BYTES_MAX = 1024
"""Amazon S3 user guide, "Naming Amazon S3 objects"."""

_PAGE_MAX = 1000


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object; ``attributes.tags`` is never ``None``.

    ``layout`` is of an object that was uploaded in parts.
    """

    content: bytes
    etag: str
    attributes: ObjectAttributes
    last_modified_at_ms: int
    checksums: tuple[Checksum, ...] = ()
    layout: FirstPart | None = None
    acl: str = ""
    grants: tuple[AclGrant, ...] = ()
    annotations: dict[str, bytes] = field(default_factory=dict, compare=False)

    @staticmethod
    def of(
        content: bytes,
        attributes: ObjectAttributes | None = None,
        *,
        now_ms: int = 0,
        checksums: tuple[Checksum, ...] = (),
    ) -> StoredObject:
        """The object that writing ``content`` at once makes."""
        kept = attributes or ObjectAttributes()
        return StoredObject(
            content=content,
            etag=hashlib.md5(content, usedforsecurity=False).hexdigest(),
            attributes=ObjectAttributes(
                headers=dict(kept.headers),
                metadata=dict(kept.metadata),
                tags=dict(kept.tags or {}),
                extras=replace(kept.extras, acl="", grants=()),
            ),
            last_modified_at_ms=now_ms // 1000 * 1000,
            checksums=checksums,
            acl=kept.extras.acl,
            grants=kept.extras.grants,
        )


@dataclass(slots=True)
class MemoryStores:
    """All buckets behind one endpoint; server-side copies work between them.

    Attributes:
        clock: Says when an object was modified.
        copy_bytes_max: Larger sources cannot be copied in one request.
        part_bytes_min: Smaller parts, but for the last one, make no object.
        owner: Canonical id of the account that everything belongs to.
        buckets: Objects by key by bucket (``VersionedObjects`` of a versioned one), for tests.
        uploads: Unfinished multipart uploads by id, likewise.
    """

    clock: Clock
    copy_bytes_max: int = COPY_BYTES_MAX
    part_bytes_min: int = PART_BYTES_MIN
    owner: str = "owner"
    buckets: dict[str, dict[str, StoredObject]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    uploads_begun: int = 0

    def create_bucket(self, bucket: str, *, versioned: bool = False) -> MemoryStore:
        """Make an empty bucket, or empty the one that is there."""
        self.buckets[bucket] = VersionedObjects(self.clock.now_ms) if versioned else {}
        return self.open(bucket)

    def keep_versions(self, bucket: str) -> None:
        """Turn versioning on: what is in the bucket becomes the version ``null`` of its key."""
        self.buckets[bucket] = VersionedObjects(self.clock.now_ms, self.buckets[bucket])

    def open(self, bucket: str) -> MemoryStore:
        """A store on ``bucket``, which need not exist. Requests are counted per store opened."""
        return MemoryStore(self, bucket)


class MemoryStore(MemoryAnnotations):
    """``ObjectStore`` on one bucket of ``MemoryStores``.

    Attributes:
        requests: Requests made so far by S3 operation name, those that failed included.
    """

    def __init__(self, stores: MemoryStores, bucket: str) -> None:
        self.requests: Counter[str] = Counter()
        self._stores = stores
        self._bucket = bucket
        self._uploads = MemoryUploads(stores, bucket)

    @property
    def bucket(self) -> str:
        return self._bucket

    @property
    def computes(self) -> frozenset[ChecksumAlgorithm]:
        return computable()

    @property
    def objects(self) -> dict[str, StoredObject]:
        """The bucket's objects by key, for tests to look into and to change.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        return self._objects_of(self._bucket, "GetObject")

    async def head(self, key: str, *, version_id: str | None = None) -> Probe:
        objects = self._request("HeadObject", key)
        stored = object_at(objects, key, version_id)
        if stored is None:
            return Absent(key)
        return self._facts(key, stored, version_id, with_tags=False)

    async def get(
        self,
        key: str,
        *,
        if_match: str | None,
        size_bytes_max: int,
        version_id: str | None = None,
    ) -> Body:
        objects = self._request("GetObject", key)
        stored = _pinned(objects, key, if_match, "GetObject", version_id)
        if len(stored.content) > size_bytes_max:
            raise _too_large("GetObject", key)
        if stored.attributes.tags:
            self.requests["GetObjectTagging"] += 1
        return Body(
            facts=self._facts(key, stored, version_id, with_tags=True),
            content=stored.content,
            md5_hex=hashlib.md5(stored.content, usedforsecurity=False).hexdigest(),
            sha256_hex=hashlib.sha256(stored.content).hexdigest(),
        )

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        objects = self._request("PutObject", key)
        stored = StoredObject.of(
            body.content,
            attributes,
            now_ms=self._stores.clock.now_ms(),
            checksums=tuple(each for each in body.facts.checksums if each.full_object)[:1],
        )
        if stored.etag != body.md5_hex or wrong_checksum(
            body.content, body.sha256_hex, stored.checksums
        ):
            raise Refused(
                f"the bytes are not those of their digest key={key!r}",
                operation="PutObject",
                status=400,
                s3_code="BadDigest",
            )
        return _write(objects, key, stored)

    async def get_range(
        self,
        key: str,
        *,
        first: int,
        last: int,
        if_match: str,
        version_id: str | None = None,
        checksum: ChecksumAlgorithm | None = None,
    ) -> PartBody:
        stored = _pinned(self._request("GetObject", key), key, if_match, "GetObject", version_id)
        if last >= len(stored.content):
            raise Unavailable(f"no such range key={key!r}", operation="GetObject")
        return part_of(stored.content[first : last + 1], checksum)

    async def get_tags(self, key: str, *, version_id: str | None = None) -> Mapping[str, str]:
        operation = "GetObjectTagging"
        stored = _pinned(self._request(operation, key), key, None, operation, version_id)
        return dict(stored.attributes.tags or {})

    async def get_acl(self, key: str, *, version_id: str | None = None) -> Acl:
        operation, owner = "GetObjectAcl", self._stores.owner
        stored = _pinned(self._request(operation, key), key, None, operation, version_id)
        grants = {*(stored.grants or CANNED.get(stored.acl, ()))}
        return Acl(owner, tuple(sorted(grants - {AclGrant(owner, FULL_CONTROL)})))

    async def bucket_owner(self) -> str:
        self._request("GetBucketAcl")
        return self._stores.owner

    async def first_part(
        self, key: str, *, if_match: str, version_id: str | None = None
    ) -> FirstPart | None:
        objects = self._request("HeadObject", key)
        return _pinned(objects, key, if_match, "HeadObject", version_id).layout

    async def copy(
        self,
        key: str,
        *,
        source_bucket: str,
        source_key: str,
        if_match: str | None,
        extras: Extras = NO_EXTRAS,
        source_version_id: str | None = None,
    ) -> Written:
        objects = self._request("CopyObject", key)
        sources = self._objects_of(source_bucket, "CopyObject")
        source = _pinned(sources, source_key, if_match, "CopyObject", source_version_id)
        if (source_bucket, source_key) == (self._bucket, key):
            raise Refused(
                f"a copy onto itself changes nothing key={key!r}",
                operation="CopyObject",
                status=400,
                s3_code="InvalidRequest",
            )
        if len(source.content) > self._stores.copy_bytes_max:
            raise _too_large("CopyObject", source_key)
        copied = StoredObject.of(
            source.content,
            replace(source.attributes, extras=extras),
            now_ms=self._stores.clock.now_ms(),
            checksums=source.checksums,
        )
        return _write(objects, key, replace(copied, annotations=dict(source.annotations)))

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, checksum: Checksum | None = None
    ) -> str:
        self._request("CreateMultipartUpload", key)
        return self._uploads.begin(key, attributes, checksum)

    async def upload_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        body: PartBody,
        *,
        checksum: ChecksumAlgorithm | None = None,
    ) -> UploadedPart:
        self._request("UploadPart", key)
        return self._uploads.put_part(key, upload_id, number, body, checksum)

    async def upload_part_copy(
        self,
        key: str,
        upload_id: str,
        number: int,
        *,
        source_bucket: str,
        source_key: str,
        if_match: str,
        first: int,
        last: int,
        source_version_id: str | None = None,
    ) -> UploadedPart:
        self._request("UploadPartCopy", key)
        sources = self._objects_of(source_bucket, "UploadPartCopy")
        source = _pinned(sources, source_key, if_match, "UploadPartCopy", source_version_id)
        algorithm = self._uploads.composite_of(key, upload_id)
        content = part_of(source.content[first : last + 1], algorithm)
        return self._uploads.put_part(key, upload_id, number, content, algorithm)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[UploadedPart]:
        self._request("ListParts", key)
        return self._uploads.parts(key, upload_id)

    async def complete_upload(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[UploadedPart],
        *,
        checksum: Checksum | None = None,
    ) -> Written:
        objects = self._request("CompleteMultipartUpload", key)
        upload, content, etag, kept = self._uploads.take(key, upload_id, parts, checksum)
        whole = StoredObject.of(
            content,
            upload.attributes,
            now_ms=self._stores.clock.now_ms(),
            checksums=() if kept is None else (kept,),
        )
        layout = FirstPart(parts[0].size_bytes, len(parts))
        return _write(objects, key, replace(whole, etag=etag, layout=layout))

    async def abort_upload(self, key: str, upload_id: str) -> None:
        self._request("AbortMultipartUpload", key)
        self._uploads.forget(key, upload_id)

    async def list_uploads(
        self, prefix: str = "", *, after: ListedUpload | None = None
    ) -> Sequence[ListedUpload]:
        self._request("ListMultipartUploads")
        listed = self._uploads.listed(prefix)
        begin = listed.index(after) + 1 if after in listed else 0
        return listed[begin : begin + _PAGE_MAX]

    async def delete(self, key: str, *, if_match: str | None = None) -> str | None:
        objects = self._request("DeleteObject", key)
        if if_match is not None:
            _pinned(objects, key, if_match, "DeleteObject")
        objects.pop(key, None)
        return current_id(objects, key)

    async def delete_version(self, key: str, version_id: str) -> None:
        objects = self._request("DeleteObject", key)
        if isinstance(objects, VersionedObjects):
            objects.remove_version(key, version_id)
        elif version_id == UNVERSIONED:
            objects.pop(key, None)

    async def list_versions(
        self, key: str, *, token: str | None = None, limit: int = 1000
    ) -> VersionPage:
        objects = self._request("ListObjectVersions", key)
        if isinstance(objects, VersionedObjects):
            return objects.page(key, token, min(limit, _PAGE_MAX))
        stored = objects.get(key)
        return VersionPage((), None) if stored is None else only_version(UNVERSIONED, stored)

    async def list_deleted(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000
    ) -> DeletedPage:
        objects = self._request("ListObjectVersions")
        if not isinstance(objects, VersionedObjects):
            return DeletedPage((), None)
        return objects.deleted(prefix, token or "", min(limit, _PAGE_MAX))

    async def keeps_versions(self) -> bool:
        return isinstance(self._request("GetBucketVersioning"), VersionedObjects)

    async def list_page(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000, delimiter: str = ""
    ) -> ListPage:
        objects = self._request("ListObjectsV2")
        entries = entries_of(objects, prefix, delimiter, after=token or "")
        listed = entries[: min(limit, _PAGE_MAX)]
        page = [key for key in listed if not is_prefix(key, prefix, delimiter)]
        rows = tuple(
            Listed(
                key=key,
                size_bytes=len(objects[key].content),
                etag=objects[key].etag,
                last_modified_at_ms=objects[key].last_modified_at_ms,
                storage_class=objects[key].attributes.extras.storage_class or "STANDARD",
            )
            for key in page
        )
        below = tuple(entry for entry in listed if is_prefix(entry, prefix, delimiter))
        return ListPage(rows, listed[-1] if len(listed) < len(entries) else None, below)

    async def close(self) -> None:
        """Nothing is held."""

    def _facts(
        self, key: str, stored: StoredObject, version_id: str | None, *, with_tags: bool
    ) -> Present:
        attributes = stored.attributes
        return Present(
            key=key,
            size_bytes=len(stored.content),
            etag=stored.etag,
            version_id=version_id or current_id(self.objects, key),
            last_modified_at_ms=stored.last_modified_at_ms,
            tag_count=len(attributes.tags or ()),
            attributes=attributes if with_tags else replace(attributes, tags=None),
            checksums=stored.checksums,
            told_at_ms=self._stores.clock.now_ms() // 1000 * 1000,
        )

    def _annotations(
        self, operation: str, key: str, if_match: str | None, version_id: str | None
    ) -> dict[str, bytes]:
        objects = self._request(operation, key)
        return _pinned(objects, key, if_match, operation, version_id).annotations

    def _request(self, operation: str, key: str | None = None) -> dict[str, StoredObject]:
        """Count a request; the bucket's objects."""
        self.requests[operation] += 1
        if key is not None and not 0 < len(key.encode()) <= KEY_BYTES_MAX:
            raise Refused(
                f"a key has 1 to {KEY_BYTES_MAX} bytes",
                operation=operation,
                status=400,
                s3_code="KeyTooLongError",
            )
        return self._objects_of(self._bucket, operation)

    def _objects_of(self, bucket: str, operation: str) -> dict[str, StoredObject]:
        objects = self._stores.buckets.get(bucket)
        if objects is None:
            raise NoSuchBucket(
                f"there is no such bucket bucket={bucket}",
                operation=operation,
                status=404,
                s3_code="NoSuchBucket",
            )
        return objects


def _write(objects: dict[str, StoredObject], key: str, stored: StoredObject) -> Written:
    objects[key] = stored
    return Written(stored.etag, current_id(objects, key))


def _pinned(
    objects: dict[str, StoredObject],
    key: str,
    if_match: str | None,
    operation: str,
    version_id: str | None = None,
) -> StoredObject:
    stored = object_at(objects, key, version_id)
    if stored is None:
        raise SourceAbsent(
            f"there is no such object key={key!r}",
            operation=operation,
            status=404,
            s3_code="NoSuchKey",
        )
    if if_match is not None and if_match != stored.etag:
        raise SourceChanged(
            f"the object has another etag key={key!r} etag={stored.etag} wanted={if_match}",
            operation=operation,
            status=412,
            s3_code="PreconditionFailed",
        )
    return stored


def _too_large(operation: str, key: str) -> Refused:
    return Refused(
        f"the object is too large key={key!r}",
        operation=operation,
        status=400,
        s3_code="EntityTooLarge",
    )
