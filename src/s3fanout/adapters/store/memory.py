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

from s3fanout.model.errors import NoSuchBucket, Refused, SourceAbsent, SourceChanged
from s3fanout.model.limits import COPY_BYTES_MAX
from s3fanout.model.objects import (
    Absent,
    Body,
    Listed,
    ListPage,
    ObjectAttributes,
    Present,
    Probe,
    Written,
)

if TYPE_CHECKING:
    from s3fanout.ports.system import Clock

KEY_BYTES_MAX = 1024
"""Amazon S3 user guide, "Naming Amazon S3 objects"."""

_PAGE_MAX = 1000


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object; ``attributes.tags`` is never ``None``."""

    content: bytes
    etag: str
    attributes: ObjectAttributes
    last_modified_at_ms: int

    @staticmethod
    def of(
        content: bytes, attributes: ObjectAttributes | None = None, *, now_ms: int = 0
    ) -> StoredObject:
        """The object that writing ``content`` makes."""
        kept = attributes or ObjectAttributes()
        return StoredObject(
            content=content,
            etag=hashlib.md5(content, usedforsecurity=False).hexdigest(),
            attributes=ObjectAttributes(
                headers=dict(kept.headers),
                metadata=dict(kept.metadata),
                tags=dict(kept.tags or {}),
            ),
            last_modified_at_ms=now_ms // 1000 * 1000,
        )


@dataclass(slots=True)
class MemoryStores:
    """All buckets behind one endpoint; server-side copies work between them.

    Attributes:
        clock: Says when an object was modified.
        copy_bytes_max: Larger sources cannot be copied in one request.
        buckets: Objects by key by bucket, for tests to look into and to change.
    """

    clock: Clock
    copy_bytes_max: int = COPY_BYTES_MAX
    buckets: dict[str, dict[str, StoredObject]] = field(default_factory=dict)

    def create_bucket(self, bucket: str) -> MemoryStore:
        """Make an empty bucket, or empty the one that is there."""
        self.buckets[bucket] = {}
        return self.open(bucket)

    def open(self, bucket: str) -> MemoryStore:
        """A store on ``bucket``, which need not exist. Requests are counted per store opened."""
        return MemoryStore(self, bucket)


class MemoryStore:
    """``ObjectStore`` on one bucket of ``MemoryStores``.

    Attributes:
        requests: Requests made so far by S3 operation name, those that failed included.
    """

    def __init__(self, stores: MemoryStores, bucket: str) -> None:
        self.requests: Counter[str] = Counter()
        self._stores = stores
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        return self._bucket

    @property
    def objects(self) -> dict[str, StoredObject]:
        """The bucket's objects by key, for tests to look into and to change.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        return self._objects_of(self._bucket, "GetObject")

    async def head(self, key: str) -> Probe:
        stored = self._request("HeadObject", key).get(key)
        return Absent(key) if stored is None else _facts(key, stored, with_tags=False)

    async def get(self, key: str, *, if_match: str | None, size_bytes_max: int) -> Body:
        objects = self._request("GetObject", key)
        stored = _pinned(objects, key, if_match, "GetObject")
        if len(stored.content) > size_bytes_max:
            raise _too_large("GetObject", key)
        if stored.attributes.tags:
            self.requests["GetObjectTagging"] += 1
        return Body(
            facts=_facts(key, stored, with_tags=True),
            content=stored.content,
            md5_hex=stored.etag,
            sha256_hex=hashlib.sha256(stored.content).hexdigest(),
        )

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        objects = self._request("PutObject", key)
        stored = StoredObject.of(body.content, attributes, now_ms=self._stores.clock.now_ms())
        if stored.etag != body.md5_hex:
            raise Refused(
                f"the bytes are not those of their digest key={key!r}",
                operation="PutObject",
                status=400,
                s3_code="BadDigest",
            )
        objects[key] = stored
        return Written(stored.etag)

    async def copy(
        self, key: str, *, source_bucket: str, source_key: str, if_match: str | None
    ) -> Written:
        objects = self._request("CopyObject", key)
        sources = self._objects_of(source_bucket, "CopyObject")
        source = _pinned(sources, source_key, if_match, "CopyObject")
        if (source_bucket, source_key) == (self._bucket, key):
            raise Refused(
                f"a copy onto itself changes nothing key={key!r}",
                operation="CopyObject",
                status=400,
                s3_code="InvalidRequest",
            )
        if len(source.content) > self._stores.copy_bytes_max:
            raise _too_large("CopyObject", source_key)
        now_ms = self._stores.clock.now_ms()
        objects[key] = StoredObject.of(source.content, source.attributes, now_ms=now_ms)
        return Written(source.etag)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        objects = self._request("DeleteObject", key)
        if if_match is not None:
            _pinned(objects, key, if_match, "DeleteObject")
        objects.pop(key, None)

    async def list_page(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000, delimiter: str = ""
    ) -> ListPage:
        objects = self._request("ListObjectsV2")
        after = (token or "").encode()
        entries = sorted(
            entry
            for entry in {_entry(key, prefix, delimiter).encode() for key in objects}
            if entry and entry > after
        )
        listed = [entry.decode() for entry in entries[: min(limit, _PAGE_MAX)]]
        page = [key for key in listed if not _is_prefix(key, prefix, delimiter)]
        rows = tuple(
            Listed(
                key=key,
                size_bytes=len(objects[key].content),
                etag=objects[key].etag,
                last_modified_at_ms=objects[key].last_modified_at_ms,
            )
            for key in page
        )
        below = tuple(entry for entry in listed if _is_prefix(entry, prefix, delimiter))
        return ListPage(rows, listed[-1] if len(listed) < len(entries) else None, below)

    async def close(self) -> None:
        """Nothing is held."""

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


def _entry(key: str, prefix: str, delimiter: str) -> str:
    """What a listing shows for ``key``: itself, what it starts with, or (``""``) nothing."""
    if not key.startswith(prefix):
        return ""
    if not delimiter or delimiter not in key[len(prefix) :]:
        return key
    return prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter


def _is_prefix(entry: str, prefix: str, delimiter: str) -> bool:
    return bool(delimiter) and delimiter in entry[len(prefix) :]


def _pinned(
    objects: dict[str, StoredObject], key: str, if_match: str | None, operation: str
) -> StoredObject:
    stored = objects.get(key)
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


def _facts(key: str, stored: StoredObject, *, with_tags: bool) -> Present:
    attributes = stored.attributes
    return Present(
        key=key,
        size_bytes=len(stored.content),
        etag=stored.etag,
        last_modified_at_ms=stored.last_modified_at_ms,
        tag_count=len(attributes.tags or ()),
        attributes=attributes if with_tags else replace(attributes, tags=None),
    )
