"""The multipart operations of S3: parts of an object that is not there before all of them are."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, TypeVar

from s3fanout.adapters.checksums import checksum_of, computable
from s3fanout.adapters.store.classify import Operation, Target, classify, classify_document
from s3fanout.adapters.store.s3_client import S3Client, copy_source, of_version
from s3fanout.adapters.store.s3_headers import (
    checksum_headers,
    content_md5,
    digests,
    headers_of,
    kind_of,
)
from s3fanout.adapters.store.s3_upload_xml import (
    complete_document,
    parse_complete_result,
    parse_part_copy_result,
    parse_parts_page,
    parse_upload_id,
    parse_uploads_page,
)
from s3fanout.adapters.store.s3_xml import SIZE, ErrorDocument, unquoted
from s3fanout.model.errors import SourceChanged, Unavailable, UploadGone
from s3fanout.model.objects import Checksum, FirstPart, PartBody, UploadedPart, Written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3fanout.adapters.store.transport import Response
    from s3fanout.model.objects import (
        ChecksumAlgorithm,
        ListedUpload,
        ObjectAttributes,
    )

Parsed = TypeVar("Parsed")
_ABORTED = frozenset({200, 204})
_PARTIAL = frozenset({206})
_ANY_PART = frozenset({200, 206})
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:[0-9]+|\*)")


class S3Multipart(S3Client):
    """Ranges that are read and parts that are written."""

    @property
    def computes(self) -> frozenset[ChecksumAlgorithm]:
        return computable()

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
        answer = await self.send(
            Operation.GET_OBJECT,
            "GET",
            key,
            query=of_version(version_id),
            headers={
                "if-match": self._pin(if_match),
                "range": f"bytes={first}-{last}",
                **self._key_headers,
            },
            response_bytes_max=last - first + 1,
            expected=_PARTIAL,
        )
        if unquoted(answer.headers.get("etag", "")) != if_match:
            raise SourceChanged(
                f"the store answered with another object wanted={if_match} key={key!r}",
                operation=Operation.GET_OBJECT,
            )
        answered = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if not answered or (int(answered[1]), int(answered[2])) != (first, last):
            raise self._broken(Operation.GET_OBJECT, key, "another range than asked for")
        if answer.oversized or len(answer.body) != last - first + 1:
            raise self._broken(
                Operation.GET_OBJECT, key, "body ended early", s3_code="TruncatedBody"
            )
        return await asyncio.to_thread(examined_part, answer.body, checksum)

    async def first_part(
        self, key: str, *, if_match: str, version_id: str | None = None
    ) -> FirstPart | None:
        answer = await self.send(
            Operation.HEAD_OBJECT,
            "HEAD",
            key,
            query=[("partNumber", "1"), *of_version(version_id)],
            headers={"if-match": self._pin(if_match), **self._key_headers},
            expected=_ANY_PART,
        )
        count = answer.headers.get("x-amz-mp-parts-count", "")
        length = answer.headers.get("content-length", "")
        if not SIZE.fullmatch(count) or not SIZE.fullmatch(length):
            return None
        return FirstPart(int(length), int(count))

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, checksum: Checksum | None = None
    ) -> str:
        operation = Operation.CREATE_UPLOAD
        headers = headers_of(attributes, operation=operation, bucket=self._bucket, key=key)
        headers |= self._key_headers
        if checksum is not None:
            headers["x-amz-checksum-algorithm"] = checksum.algorithm
            headers["x-amz-checksum-type"] = kind_of(checksum)
        answer = await self.send(operation, "POST", key, query=[("uploads", "")], headers=headers)
        return self._parsed(operation, key, answer, parse_upload_id)

    async def upload_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        body: PartBody,
        *,
        checksum: ChecksumAlgorithm | None = None,
    ) -> UploadedPart:
        sent = (Checksum(checksum, body.checksum, full_object=True),) if checksum else ()
        answer = await self.send(
            Operation.UPLOAD_PART,
            "PUT",
            key,
            query=[("partNumber", str(number)), ("uploadId", upload_id)],
            headers={
                **content_md5(body.md5_hex),
                **checksum_headers(sent),
                **self._key_headers,
            },
            body=body.content,
            body_sha256_hex=body.sha256_hex,
        )
        etag = unquoted(answer.headers.get("etag", ""))
        return UploadedPart(number, etag, len(body.content), body.checksum if checksum else "")

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
        operation = Operation.UPLOAD_PART_COPY
        answer = await self.send(
            operation,
            "PUT",
            key,
            query=[("partNumber", str(number)), ("uploadId", upload_id)],
            headers={
                "x-amz-copy-source": copy_source(source_bucket, source_key, source_version_id),
                "x-amz-copy-source-if-match": self._pin(if_match),
                "x-amz-copy-source-range": f"bytes={first}-{last}",
                **self._key_headers,
                **self._source_key_headers,
            },
        )
        etag, checksum = self._parsed(operation, key, answer, parse_part_copy_result)
        return UploadedPart(number, etag, last - first + 1, checksum)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[UploadedPart]:
        parts: list[UploadedPart] = []
        marker: str | None = None
        while True:
            query = [("max-parts", "1000"), ("uploadId", upload_id)]
            if marker is not None:
                query.append(("part-number-marker", marker))
            answer = await self.send(Operation.LIST_PARTS, "GET", key, query=query)
            page, following = self._parsed(Operation.LIST_PARTS, key, answer, parse_parts_page)
            parts += page
            if following is None:
                # SeaweedFS 4.48 lists each try of a part (probed): one is enough.
                once = {part.number: part for part in parts}
                return sorted(once.values(), key=lambda part: part.number)
            if following == marker:
                raise self._broken(Operation.LIST_PARTS, key, "the same page again")
            marker = following

    async def complete_upload(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[UploadedPart],
        *,
        checksum: Checksum | None = None,
    ) -> Written:
        operation = Operation.COMPLETE_UPLOAD
        composite = checksum.algorithm if checksum and not checksum.full_object else None
        document = complete_document(parts, composite)
        headers = {
            "content-type": "application/xml",
            "x-amz-mp-object-size": str(sum(part.size_bytes for part in parts)),
            **self._key_headers,
        }
        if checksum is not None:
            headers |= checksum_headers((checksum,))
            headers["x-amz-checksum-type"] = kind_of(checksum)
        async with self._neighbours.apart(key):
            answer = await self.send(
                operation,
                "POST",
                key,
                query=[("uploadId", upload_id)],
                headers=headers,
                body=document,
                body_sha256_hex=digests(document)[1],
            )
        etag = self._parsed(operation, key, answer, parse_complete_result)
        return Written(etag, answer.headers.get("x-amz-version-id"))

    async def abort_upload(self, key: str, upload_id: str) -> None:
        try:
            await self.send(
                Operation.ABORT_UPLOAD,
                "DELETE",
                key,
                query=[("uploadId", upload_id)],
                expected=_ABORTED,
            )
        except UploadGone:
            return

    async def list_uploads(
        self, prefix: str = "", *, after: ListedUpload | None = None
    ) -> Sequence[ListedUpload]:
        operation = Operation.LIST_UPLOADS
        query = [("encoding-type", "url"), ("prefix", prefix), ("uploads", "")]
        if after is not None:
            query += [("key-marker", after.key), ("upload-id-marker", after.upload_id)]
        answer = await self.send(operation, "GET", query=query)
        return self._parsed(operation, "", answer, parse_uploads_page)

    def _parsed(
        self,
        operation: Operation,
        key: str,
        answer: Response,
        parse: Callable[[bytes], Parsed | ErrorDocument],
    ) -> Parsed:
        """The answer's document. An error may come inside a 200: S3 sends the status early.

        Raises:
            StoreError: It is an error, or not understood; a write may have been applied.
        """
        target = Target(operation, self._bucket, key)
        now_ms = self._clock.now_ms()
        try:
            result = parse(answer.body)
        except Unavailable as error:
            error.maybe_applied = True
            raise classify(target, error, now_ms=now_ms) from error
        if isinstance(result, ErrorDocument):
            raise classify_document(target, answer, result, now_ms=now_ms)
        return result


def examined_part(content: bytes, algorithm: ChecksumAlgorithm | None) -> PartBody:
    """What was read of an object, with its digests and a checksum if one is asked for."""
    md5_hex, sha256_hex = digests(content)
    return PartBody(
        content, md5_hex, sha256_hex, checksum_of(algorithm, content) if algorithm else ""
    )
