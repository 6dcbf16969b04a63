"""The fast S3 client: whole objects. Retries, limits and metrics live elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from s3fanout.adapters.checksums import is_compared, wrong_checksum
from s3fanout.adapters.store.classify import Operation, Target, classify, classify_document
from s3fanout.adapters.store.s3_acl import parse_acl
from s3fanout.adapters.store.s3_annotations import S3Annotations
from s3fanout.adapters.store.s3_client import copy_source, of_version
from s3fanout.adapters.store.s3_headers import (
    SHOW_CHECKSUMS,
    checksum_headers,
    content_md5,
    digests,
    facts_of,
    headers_of,
    headers_of_extras,
    tag_count,
)
from s3fanout.adapters.store.s3_multipart import S3Multipart
from s3fanout.adapters.store.s3_versions import S3Versions
from s3fanout.adapters.store.s3_xml import (
    parse_copy_result,
    parse_list_page,
    parse_tags,
    unquoted,
)
from s3fanout.model.errors import Refused, SourceAbsent, Unavailable
from s3fanout.model.objects import NO_EXTRAS, Absent, Body, Written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3fanout.model.acls import Acl
    from s3fanout.model.objects import Extras, ListPage, ObjectAttributes, Present, Probe

_HASH_IN_THREAD_BYTES = 256 * 1024
"""From here a digest takes longer than handing it to a thread (about 2 µs per KiB for both)."""
_GONE = frozenset({200, 204})


class S3Store(S3Multipart, S3Versions, S3Annotations):
    """``ObjectStore`` over HTTP.

    ``head`` of a key that is not there costs a second request: an answer to ``HEAD`` has no
    document, so a 404 may as well mean that the bucket is missing, and that is no absence.
    """

    async def head(self, key: str, *, version_id: str | None = None) -> Probe:
        try:
            answer = await self.send(
                Operation.HEAD_OBJECT,
                "HEAD",
                key,
                query=of_version(version_id),
                headers={**SHOW_CHECKSUMS, **self._key_headers},
            )
        except SourceAbsent:
            await self._confirm_bucket()
            return Absent(key)
        length = answer.headers.get("content-length", "")
        if not length.isdecimal():
            raise self._broken(Operation.HEAD_OBJECT, key, "no length")
        return facts_of(key, answer.headers, int(length), tags=None)

    async def get(
        self,
        key: str,
        *,
        if_match: str | None,
        size_bytes_max: int,
        version_id: str | None = None,
    ) -> Body:
        headers = {**SHOW_CHECKSUMS, **self._key_headers}
        if if_match is not None:
            headers["if-match"] = self._pin(if_match)
        try:
            answer = await self.send(
                Operation.GET_OBJECT,
                "GET",
                key,
                query=of_version(version_id),
                headers=headers,
                response_bytes_max=size_bytes_max,
            )
        except SourceAbsent as error:
            if not error.s3_code:
                await self._confirm_bucket()
            raise
        if answer.oversized:
            raise Refused(
                f"object is larger than {size_bytes_max} bytes operation=GetObject "
                f"bucket={self._bucket} key={key!r}",
                operation=Operation.GET_OBJECT,
                s3_code="EntityTooLarge",
            )
        length = answer.headers.get("content-length", "")
        if length.isdecimal() and int(length) != len(answer.body):
            raise self._broken(
                Operation.GET_OBJECT, key, "body ended early", s3_code="TruncatedBody"
            )
        tags: Mapping[str, str] = {}
        if tag_count(answer.headers):
            tags = await self.get_tags(key, version_id=version_id)
        facts = facts_of(key, answer.headers, len(answer.body), tags=tags)
        if len(answer.body) < _HASH_IN_THREAD_BYTES:
            body, wrong = examined_object(facts, answer.body)
        else:
            body, wrong = await asyncio.to_thread(examined_object, facts, answer.body)
        if wrong:
            raise self._broken(
                Operation.GET_OBJECT,
                key,
                f"not the bytes of its {wrong}",
                s3_code="WrongChecksum",
                status=answer.status,  # It does answer: one object says nothing of the others.
            )
        return body

    async def get_tags(self, key: str, *, version_id: str | None = None) -> Mapping[str, str]:
        query = [("tagging", ""), *of_version(version_id)]
        try:
            answer = await self.send(Operation.GET_TAGGING, "GET", key, query=query)
        except SourceAbsent as error:
            if not error.s3_code:
                await self._confirm_bucket()
            raise
        if answer.headers.get("content-length") == "0":
            return {}  # Ceph RGW 16, of an object in parts whose tags it lost (probed, 2026-11).
        return self._read(answer, parse_tags)

    async def get_acl(self, key: str, *, version_id: str | None = None) -> Acl:
        query = [("acl", ""), *of_version(version_id)]
        answer = await self.send(Operation.GET_ACL, "GET", key, query=query)
        return self._read(answer, parse_acl)

    async def bucket_owner(self) -> str:
        answer = await self.send(Operation.GET_BUCKET_ACL, "GET", query=[("acl", "")])
        return self._read(answer, parse_acl).owner

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        operation = Operation.PUT_OBJECT
        headers = {
            **headers_of(attributes, operation=operation, bucket=self._bucket, key=key),
            **content_md5(body.md5_hex),
            **checksum_headers(body.facts.checksums),
            **self._key_headers,
        }
        async with self._neighbours.apart(key):
            answer = await self.send(
                operation,
                "PUT",
                key,
                headers=headers,
                body=body.content,
                body_sha256_hex=body.sha256_hex,
            )
        return Written(
            unquoted(answer.headers.get("etag", "")), answer.headers.get("x-amz-version-id")
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
        headers = {
            "x-amz-copy-source": copy_source(source_bucket, source_key, source_version_id),
            **headers_of_extras(extras),
            **self._key_headers,
            **self._source_key_headers,
        }
        if if_match is not None:
            headers["x-amz-copy-source-if-match"] = self._pin(if_match)
        async with self._neighbours.apart(key):
            answer = await self.send(Operation.COPY_OBJECT, "PUT", key, headers=headers)
        target = Target(Operation.COPY_OBJECT, self._bucket, key)
        try:
            result = parse_copy_result(answer.body)
        except Unavailable as error:
            error.maybe_applied = True
            raise classify(target, error, now_ms=self._clock.now_ms()) from error
        if not isinstance(result, str):
            # S3 sends the status before a long copy ends: an error then comes inside a 200.
            raise classify_document(target, answer, result, now_ms=self._clock.now_ms())
        return Written(result, answer.headers.get("x-amz-version-id"))

    async def delete(self, key: str, *, if_match: str | None = None) -> str | None:
        headers = {} if if_match is None else {"if-match": self._pin(if_match)}
        async with self._neighbours.apart(key):
            answer = await self.send(
                Operation.DELETE_OBJECT, "DELETE", key, headers=headers, expected=_GONE
            )
        return answer.headers.get("x-amz-version-id")

    async def list_page(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000, delimiter: str = ""
    ) -> ListPage:
        query = [
            ("encoding-type", "url"),
            ("list-type", "2"),
            ("max-keys", str(limit)),
            ("prefix", prefix),
        ]
        if token is not None:
            query.append(("continuation-token", token))
        if delimiter:
            query.append(("delimiter", delimiter))
        answer = await self.send(Operation.LIST_OBJECTS, "GET", query=query)
        return self._read(answer, parse_list_page)


def examined_object(facts: Present, content: bytes) -> tuple[Body, str]:
    """What was read, and which of its checksums it does not have."""
    md5_hex, sha256_hex = digests(content)
    if not facts.checksums:
        return Body(facts, content, md5_hex, sha256_hex), ""
    wrong = wrong_checksum(content, sha256_hex, facts.checksums)
    return Body(facts, content, md5_hex, sha256_hex, is_compared(facts.checksums)), wrong
