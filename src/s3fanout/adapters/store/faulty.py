"""Any object store, failing to a script. For tests of what surrounds a store.

A script is asked before every call and answers with a ``Fault`` or nothing:

| fault | what the caller sees | what the store holds |
|---|---|---|
| ``error`` | the error | nothing happened |
| ``error``, ``applied`` | the error | the write is there: an answer that got lost |
| ``pause`` | a slow request | written after the pause |
| ``pause``, ``applied`` | a slow answer | written before the pause |
| ``pause`` and ``error`` | a slow failure | as for ``error`` |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from s3fanout.model.objects import NO_EXTRAS

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from s3fanout.model.acls import Acl
    from s3fanout.model.errors import StoreError
    from s3fanout.model.objects import (
        Annotation,
        Body,
        Checksum,
        ChecksumAlgorithm,
        DeletedPage,
        Extras,
        FirstPart,
        ListedUpload,
        ListPage,
        ObjectAttributes,
        PartBody,
        Probe,
        UploadedPart,
        VersionPage,
        Written,
    )
    from s3fanout.ports.object_store import ObjectStore

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a store.

    Attributes:
        operation: S3 operation name (``CopyObject``).
        key: The key in this store; of a listing, its prefix.
        nth: Which call of this operation on this key it is, from 1.
    """

    operation: str
    key: str
    nth: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one call.

    Attributes:
        error: Raised instead of an answer.
        pause: Awaited: ``event.wait``, or ``lambda: clock.sleep(5)``.
        applied: The call reaches the store first.
    """

    error: StoreError | None = None
    pause: Callable[[], Awaitable[object]] | None = None
    applied: bool = False


Script = Callable[[Call], Fault | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a written script: which calls have which fault.

    Attributes:
        fault: What happens.
        operation, key: ``None`` is any.
        first, last: Range of ``Call.nth``, inclusive; ``last`` of ``None`` is for ever.
    """

    fault: Fault
    operation: str | None = None
    key: str | None = None
    first: int = 1
    last: int | None = None


def written(lines: Sequence[Line]) -> Script:
    """A script of lines: the first that matches a call decides."""

    def decide(call: Call) -> Fault | None:
        for line in lines:
            if (
                line.operation in (None, call.operation)
                and line.key in (None, call.key)
                and line.first <= call.nth
                and (line.last is None or call.nth <= line.last)
            ):
                return line.fault
        return None

    return decide


class FaultyStore:
    """``ObjectStore`` around another one.

    Attributes:
        calls: Every call so far, in order.
    """

    def __init__(self, store: ObjectStore, script: Script, *, is_source: bool = False) -> None:
        """``is_source``: its errors say so."""
        self.calls: list[Call] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._store = store
        self._script = script
        self._is_source = is_source

    @property
    def bucket(self) -> str:
        return self._store.bucket

    @property
    def computes(self) -> frozenset[ChecksumAlgorithm]:
        return self._store.computes

    async def head(self, key: str, *, version_id: str | None = None) -> Probe:
        return await self._play(
            "HeadObject", key, lambda: self._store.head(key, version_id=version_id)
        )

    async def get(
        self,
        key: str,
        *,
        if_match: str | None,
        size_bytes_max: int,
        version_id: str | None = None,
    ) -> Body:
        return await self._play(
            "GetObject",
            key,
            lambda: self._store.get(
                key, if_match=if_match, size_bytes_max=size_bytes_max, version_id=version_id
            ),
        )

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        return await self._play("PutObject", key, lambda: self._store.put(key, body, attributes))

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
        return await self._play(
            "GetObject",
            key,
            lambda: self._store.get_range(
                key,
                first=first,
                last=last,
                if_match=if_match,
                version_id=version_id,
                checksum=checksum,
            ),
        )

    async def get_tags(self, key: str, *, version_id: str | None = None) -> Mapping[str, str]:
        return await self._play(
            "GetObjectTagging", key, lambda: self._store.get_tags(key, version_id=version_id)
        )

    async def get_acl(self, key: str, *, version_id: str | None = None) -> Acl:
        return await self._play(
            "GetObjectAcl", key, lambda: self._store.get_acl(key, version_id=version_id)
        )

    async def list_annotations(
        self, key: str, *, version_id: str | None = None
    ) -> Sequence[Annotation]:
        return await self._play(
            "ListObjectAnnotations",
            key,
            lambda: self._store.list_annotations(key, version_id=version_id),
        )

    async def get_annotation(self, key: str, name: str, *, version_id: str | None = None) -> bytes:
        return await self._play(
            "GetObjectAnnotation",
            key,
            lambda: self._store.get_annotation(key, name, version_id=version_id),
        )

    async def put_annotation(self, key: str, name: str, content: bytes, *, if_match: str) -> None:
        await self._play(
            "PutObjectAnnotation",
            key,
            lambda: self._store.put_annotation(key, name, content, if_match=if_match),
        )

    async def bucket_owner(self) -> str:
        return await self._play("GetBucketAcl", "", self._store.bucket_owner)

    async def first_part(
        self, key: str, *, if_match: str, version_id: str | None = None
    ) -> FirstPart | None:
        return await self._play(
            "HeadObject",
            key,
            lambda: self._store.first_part(key, if_match=if_match, version_id=version_id),
        )

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
        return await self._play(
            "CopyObject",
            key,
            lambda: self._store.copy(
                key,
                source_bucket=source_bucket,
                source_key=source_key,
                if_match=if_match,
                extras=extras,
                source_version_id=source_version_id,
            ),
        )

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, checksum: Checksum | None = None
    ) -> str:
        return await self._play(
            "CreateMultipartUpload",
            key,
            lambda: self._store.create_upload(key, attributes, checksum=checksum),
        )

    async def upload_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        body: PartBody,
        *,
        checksum: ChecksumAlgorithm | None = None,
    ) -> UploadedPart:
        return await self._play(
            "UploadPart",
            key,
            lambda: self._store.upload_part(key, upload_id, number, body, checksum=checksum),
        )

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
        return await self._play(
            "UploadPartCopy",
            key,
            lambda: self._store.upload_part_copy(
                key,
                upload_id,
                number,
                source_bucket=source_bucket,
                source_key=source_key,
                if_match=if_match,
                first=first,
                last=last,
                source_version_id=source_version_id,
            ),
        )

    async def list_parts(self, key: str, upload_id: str) -> Sequence[UploadedPart]:
        return await self._play("ListParts", key, lambda: self._store.list_parts(key, upload_id))

    async def complete_upload(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[UploadedPart],
        *,
        checksum: Checksum | None = None,
    ) -> Written:
        return await self._play(
            "CompleteMultipartUpload",
            key,
            lambda: self._store.complete_upload(key, upload_id, parts, checksum=checksum),
        )

    async def abort_upload(self, key: str, upload_id: str) -> None:
        return await self._play(
            "AbortMultipartUpload", key, lambda: self._store.abort_upload(key, upload_id)
        )

    async def list_uploads(
        self, prefix: str = "", *, after: ListedUpload | None = None
    ) -> Sequence[ListedUpload]:
        return await self._play(
            "ListMultipartUploads", prefix, lambda: self._store.list_uploads(prefix, after=after)
        )

    async def delete(self, key: str, *, if_match: str | None = None) -> str | None:
        return await self._play(
            "DeleteObject", key, lambda: self._store.delete(key, if_match=if_match)
        )

    async def delete_version(self, key: str, version_id: str) -> None:
        return await self._play(
            "DeleteObject", key, lambda: self._store.delete_version(key, version_id)
        )

    async def list_versions(
        self, key: str, *, token: str | None = None, limit: int = 1000
    ) -> VersionPage:
        return await self._play(
            "ListObjectVersions",
            key,
            lambda: self._store.list_versions(key, token=token, limit=limit),
        )

    async def list_deleted(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000
    ) -> DeletedPage:
        return await self._play(
            "ListObjectVersions",
            prefix,
            lambda: self._store.list_deleted(prefix, token=token, limit=limit),
        )

    async def keeps_versions(self) -> bool:
        return await self._play("GetBucketVersioning", "", self._store.keeps_versions)

    async def list_page(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000, delimiter: str = ""
    ) -> ListPage:
        return await self._play(
            "ListObjectsV2",
            prefix,
            lambda: self._store.list_page(prefix, token=token, limit=limit, delimiter=delimiter),
        )

    async def close(self) -> None:
        await self._store.close()

    async def _play(
        self, operation: str, key: str, request: Callable[[], Coroutine[object, object, Answer]]
    ) -> Answer:
        self._counts[operation, key] += 1
        call = Call(operation, key, self._counts[operation, key])
        self.calls.append(call)
        fault = self._script(call) or Fault()
        if fault.applied:
            answer = await request()
            await self._befall(fault)
            return answer
        await self._befall(fault)
        return await request()

    async def _befall(self, fault: Fault) -> None:
        if fault.pause is not None:
            await fault.pause()
        if fault.error is not None:
            fault.error.of_source = self._is_source
            raise fault.error
