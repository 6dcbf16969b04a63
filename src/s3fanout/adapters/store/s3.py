"""The fast S3 client: sign, send, parse, classify. Retries, limits and metrics live elsewhere."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from s3fanout.adapters.store.classify import Operation, Target, classify, classify_document
from s3fanout.adapters.store.s3_xml import (
    parse_copy_result,
    parse_list_page,
    parse_tags,
    unquoted,
)
from s3fanout.adapters.store.sigv4 import (
    EMPTY_SHA256_HEX,
    Signer,
    SigningDate,
    canonical_query,
    canonical_value,
)
from s3fanout.model.errors import (
    AccessDenied,
    Refused,
    SourceAbsent,
    SourceChanged,
    StoreError,
    Unavailable,
)
from s3fanout.model.objects import Absent, Body, ObjectAttributes, Present, Written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s3fanout.adapters.store.credentials import Credentials, CredentialSource
    from s3fanout.adapters.store.endpoint import Endpoint
    from s3fanout.adapters.store.transport import Header, Response, Transport
    from s3fanout.model.objects import ListPage, Probe
    from s3fanout.ports.system import Clock

CONTENT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
"""Largest XML answer that is read: a page of 1,000 keys of 1,024 bytes, encoded, is below 4 MiB."""
_HASH_IN_THREAD_BYTES = 256 * 1024
"""From here a digest takes longer than handing it to a thread (about 2 µs per KiB for both)."""
_METADATA = "x-amz-meta-"
_SAFE = "-_.~"
_SAFE_IN_PATH = "/" + _SAFE
_OK = frozenset({200})
_GONE = frozenset({200, 204})
_ANSWERED = frozenset({200, 206, 416})
_OF_BUCKET = frozenset({Operation.LIST_OBJECTS, Operation.HEAD_BUCKET})
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""What no header value can carry: control characters, and bytes that were read but are not UTF-8
(neither HTTP library sends them as they are)."""


class Draft(NamedTuple):
    """What is to be signed, beside what every request has; path and query are encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body_sha256_hex: str


class S3Store:
    """``ObjectStore`` over HTTP.

    ``head`` of a key that is not there costs a second request: an answer to ``HEAD`` has no
    document, so a 404 may as well mean that the bucket is missing, and that is no absence.
    """

    def __init__(
        self,
        *,
        bucket: str,
        endpoint: Endpoint,
        credentials: CredentialSource,
        transport: Transport,
        clock: Clock,
    ) -> None:
        """Bind to a bucket. ``close`` closes the transport, which may be shared."""
        self._bucket = bucket
        self._credentials = credentials
        self._transport = transport
        self._clock = clock
        self._address = endpoint.address(bucket)
        self._signer = Signer(endpoint.region)
        self._date = SigningDate.of_ms(0)
        self._date_s = 0

    @property
    def bucket(self) -> str:
        return self._bucket

    async def head(self, key: str) -> Probe:
        try:
            answer = await self.send(Operation.HEAD_OBJECT, "HEAD", key)
        except SourceAbsent:
            await self._confirm_bucket()
            return Absent(key)
        length = answer.headers.get("content-length", "")
        if not length.isdecimal():
            raise self._broken(Operation.HEAD_OBJECT, key, "no length")
        return _facts(key, answer.headers, int(length), tags=None)

    async def get(self, key: str, *, if_match: str | None, size_bytes_max: int) -> Body:
        pinned = {} if if_match is None else {"if-match": self._pin(if_match)}
        try:
            answer = await self.send(
                Operation.GET_OBJECT, "GET", key, headers=pinned, response_bytes_max=size_bytes_max
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
            raise self._broken(Operation.GET_OBJECT, key, "body ended early")
        tags: Mapping[str, str] = {}
        if _tag_count(answer.headers):
            tags = parse_tags(
                (await self.send(Operation.GET_TAGGING, "GET", key, query=[("tagging", "")])).body
            )
        if len(answer.body) < _HASH_IN_THREAD_BYTES:
            md5_hex, sha256_hex = _digests(answer.body)
        else:
            md5_hex, sha256_hex = await asyncio.to_thread(_digests, answer.body)
        facts = _facts(key, answer.headers, len(answer.body), tags=tags)
        return Body(facts, answer.body, md5_hex, sha256_hex)

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        headers = dict(attributes.headers)
        for name, value in attributes.metadata.items():
            headers[_METADATA + name] = value
        self._check_sendable(key, headers)
        if attributes.tags:
            headers["x-amz-tagging"] = "&".join(
                f"{_encoded(name, _SAFE)}={_encoded(value, _SAFE)}"
                for name, value in attributes.tags.items()
            )
        # Beside the signed SHA-256: several vendors check only this one (SeaweedFS, probed).
        headers["content-md5"] = base64.b64encode(bytes.fromhex(body.md5_hex)).decode("ascii")
        answer = await self.send(
            Operation.PUT_OBJECT,
            "PUT",
            key,
            headers=headers,
            body=body.content,
            body_sha256_hex=body.sha256_hex,
        )
        return _written(unquoted(answer.headers.get("etag", "")), answer.headers)

    async def copy(
        self, key: str, *, source_bucket: str, source_key: str, if_match: str | None
    ) -> Written:
        headers = {
            "x-amz-copy-source": f"/{source_bucket}/{_encoded(source_key, _SAFE_IN_PATH)}",
        }
        if if_match is not None:
            headers["x-amz-copy-source-if-match"] = self._pin(if_match)
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
        return _written(result, answer.headers)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        pinned = {} if if_match is None else {"if-match": self._pin(if_match)}
        await self.send(Operation.DELETE_OBJECT, "DELETE", key, headers=pinned, expected=_GONE)

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
        return parse_list_page((await self.send(Operation.LIST_OBJECTS, "GET", query=query)).body)

    async def close(self) -> None:
        await self._transport.close()

    async def send(
        self,
        operation: Operation,
        method: str,
        key: str = "",
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        body_sha256_hex: str = EMPTY_SHA256_HEX,
        response_bytes_max: int = DOCUMENT_BYTES_MAX,
        expected: frozenset[int] = _OK,
    ) -> Response:
        """One signed request to the bucket, or to ``key`` in it; the building block of all others.

        Args:
            operation: For error texts and classification.
            method: HTTP method.
            key: ``""`` is the bucket itself, which operations on objects refuse: ``DELETE`` of an
                object without a key would be ``DeleteBucket``.
            query: Not encoded.
            headers: Lower-case names; signed.
            body: Request body.
            body_sha256_hex: Its digest.
            response_bytes_max: As ``Transport.request``.
            expected: Statuses that are a success.

        Raises:
            StoreError: Any other status, or no answer.
        """
        if not key and operation not in _OF_BUCKET:
            raise Refused(
                f"an object has no empty key operation={operation} bucket={self._bucket}",
                operation=operation,
            )
        credentials = await self._credentials.current()
        now_ms = self._clock.now_ms()
        path = self._path(key)
        encoded_query = canonical_query(query) if query else ""
        sent = self._signed(
            Draft(method, path, encoded_query, headers or {}, body_sha256_hex), credentials, now_ms
        )
        try:
            answer = await self._transport.request(
                method,
                self._address.base,
                path,
                encoded_query,
                sent,
                body,
                response_bytes_max=response_bytes_max,
            )
        except Unavailable as error:
            raise classify(Target(operation, self._bucket, key), error, now_ms=now_ms) from error
        if answer.status in expected:
            return answer
        refusal = classify(Target(operation, self._bucket, key), answer, now_ms=now_ms)
        if method == "HEAD" and isinstance(refusal, (AccessDenied, Refused)):
            refusal = await self._explained(operation, key, refusal)
        raise refusal

    def _signed(self, draft: Draft, credentials: Credentials, now_ms: int) -> list[Header]:
        """All headers of a request, signature included."""
        date = self._signing_date(now_ms)
        signed: dict[str, str] = {
            **draft.headers,
            "host": self._address.host,
            "x-amz-content-sha256": draft.body_sha256_hex,
            "x-amz-date": date.amz_date,
        }
        if credentials.token is not None:
            signed["x-amz-security-token"] = credentials.token
        headers: list[Header] = sorted(signed.items())
        authorization = self._signer.authorization(
            method=draft.method,
            raw_path=draft.path,
            query=draft.query,
            headers=[(name, canonical_value(value)) for name, value in headers],
            payload_sha256_hex=draft.body_sha256_hex,
            date=date,
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
        )
        headers.append(("authorization", authorization))
        return headers

    async def _confirm_bucket(self) -> None:
        """Raise ``NoSuchBucket`` if there is none: it must not pass for a missing object."""
        await self.send(Operation.HEAD_BUCKET, "HEAD")

    async def _explained(self, operation: Operation, key: str, refusal: StoreError) -> StoreError:
        """The refusal with its code, which an answer to ``HEAD`` cannot name.

        A 400 may be an expired token, a 403 a wrong secret. One more request, for as little as
        there is to ask for.
        """
        query = () if key else (("list-type", "2"), ("max-keys", "1"))
        headers = {"range": "bytes=0-0"} if key else None
        try:
            await self.send(operation, "GET", key, query=query, headers=headers, expected=_ANSWERED)
        except (AccessDenied, Refused) as explained:
            return explained
        except StoreError:
            return refusal
        return refusal

    def _pin(self, etag: str) -> str:
        if not etag.isascii() or not etag.isprintable() or '"' in etag:
            # Hints come from messages that anybody may have sent: no object has such an etag.
            raise SourceChanged(f"no object has this etag etag={etag!r} bucket={self._bucket}")
        return f'"{etag}"'

    def _check_sendable(self, key: str, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or _UNSENDABLE.search(value):
                raise Refused(
                    f"attribute cannot be sent name={name!r} value={value[:80]!r} "
                    f"operation=PutObject bucket={self._bucket} key={key!r}",
                    operation=Operation.PUT_OBJECT,
                    hint="write the source object's metadata again, as UTF-8 without control "
                    "characters",
                )

    def _path(self, key: str) -> str:
        if not key:
            return self._address.path_prefix or "/"
        return f"{self._address.path_prefix}/{_encoded(key, _SAFE_IN_PATH)}"

    def _signing_date(self, now_ms: int) -> SigningDate:
        if now_ms // 1000 != self._date_s:
            self._date_s = now_ms // 1000
            self._date = SigningDate.of_ms(now_ms)
        return self._date

    def _broken(self, operation: Operation, key: str, fact: str) -> Unavailable:
        return Unavailable(
            f"broken answer: {fact} operation={operation} bucket={self._bucket} key={key!r}",
            operation=operation,
        )


def _facts(
    key: str, headers: Mapping[str, str], size_bytes: int, *, tags: Mapping[str, str] | None
) -> Present:
    return Present(
        key=key,
        size_bytes=size_bytes,
        etag=unquoted(headers.get("etag", "")),
        version_id=headers.get("x-amz-version-id"),
        last_modified_at_ms=_date_ms(headers.get("last-modified", "")),
        tag_count=_tag_count(headers),
        attributes=ObjectAttributes(
            headers=_content_headers(headers),
            metadata={
                name.removeprefix(_METADATA): value
                for name, value in headers.items()
                if name.startswith(_METADATA)
            },
            tags=tags,
        ),
    )


def _content_headers(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: headers[name] for name in CONTENT_HEADERS if name in headers}
    if "aws-chunked" in kept.get("content-encoding", ""):
        # How the bytes once came in, which some stores keep; it would be a lie about ours.
        codings = [coding.strip() for coding in kept.pop("content-encoding").split(",")]
        if rest := [coding for coding in codings if coding != "aws-chunked"]:
            kept["content-encoding"] = ",".join(rest)
    return kept


def _written(etag: str, headers: Mapping[str, str]) -> Written:
    return Written(etag, headers.get("x-amz-version-id"))


def _tag_count(headers: Mapping[str, str]) -> int:
    count = headers.get("x-amz-tagging-count", "")
    return int(count) if count.isdecimal() else 0


def _date_ms(text: str) -> int:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter from an offset of many digits
        return 0
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _encoded(text: str, safe: str) -> str:
    """Percent-encoded UTF-8; bytes that were read from a listing and are not UTF-8, as they were.

    Raises:
        Refused: Half a surrogate pair, which is no text and no bytes.
    """
    try:
        return quote(text, safe, errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise Refused(f"not a text that can be sent text={text!r}") from error


def _digests(content: bytes) -> tuple[str, str]:
    return (
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )
