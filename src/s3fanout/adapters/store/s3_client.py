"""One bucket over HTTP: sign, send, classify. The store's operations are made of its requests."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

from s3fanout.adapters.store.classify import Operation, Target, classify
from s3fanout.adapters.store.neighbours import Neighbours
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
    SourceChanged,
    StoreError,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from s3fanout.adapters.store.credentials import Credentials, CredentialSource
    from s3fanout.adapters.store.endpoint import Endpoint
    from s3fanout.adapters.store.s3_customer_key import CustomerKey
    from s3fanout.adapters.store.transport import Header, Response, Transport
    from s3fanout.ports.system import Clock

Read = TypeVar("Read")

DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
"""Largest XML answer that is read: a page of 1,000 keys of 1,024 bytes, encoded, is below 4 MiB."""
SAFE = "-_.~"
"""What needs no escape, beside letters and digits."""
SAFE_IN_PATH = "/" + SAFE
AGAIN_S_MAX = 2.0
"""A read without an answer for longer is not asked for again: whoever waits, waits long enough."""
_SAFE = frozenset({"GET", "HEAD"})
_PASSING = frozenset({500, 502, 504})
"""Not 503: it may mean "slow down", and an answer to ``HEAD`` has no code that tells."""
_IDS = ("etag", "x-amz-version-id")
"""They are kept in the ledger and sent back as they came: only ASCII can be both."""
_OK = frozenset({200})
_ANSWERED = frozenset({200, 206, 416})
_OF_BUCKET = frozenset(
    {
        Operation.LIST_OBJECTS,
        Operation.LIST_UPLOADS,
        Operation.LIST_VERSIONS,
        Operation.GET_VERSIONING,
        Operation.GET_BUCKET_ACL,
        Operation.HEAD_BUCKET,
    }
)


class Draft(NamedTuple):
    """What is to be signed, beside what every request has; path and query are encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body_sha256_hex: str


class S3Client:
    """Requests to one bucket. Attributes are for the operations that are made of them."""

    def __init__(
        self,
        *,
        bucket: str,
        endpoint: Endpoint,
        credentials: CredentialSource,
        transport: Transport,
        clock: Clock,
        customer_key: CustomerKey | None = None,
        source_customer_key: CustomerKey | None = None,
        is_source: bool = False,
        on_again: Callable[[str], None] = lambda _operation: None,
        neighbours: Neighbours | None = None,
    ) -> None:
        """Bind to a bucket.

        Args:
            bucket: Its name.
            endpoint: Where it is.
            credentials: Who asks.
            transport: May be shared; ``close`` closes it.
            clock: Dates signatures.
            customer_key: Every object of the bucket is encrypted with it (SSE-C).
            source_customer_key: Likewise, of the bucket that is copied from.
            is_source: It is the bucket that is copied from: its errors say so.
            on_again: Told the operation of each read that is asked for once more.
            neighbours: The changes of the bucket, shared by all who make some in this process; one
                is held while an object is made or removed.
        """
        self._bucket = bucket
        self._credentials = credentials
        self._transport = transport
        self._clock = clock
        self._address = endpoint.address(bucket)
        self._signer = Signer(endpoint.region)
        self._date = SigningDate.of_ms(0)
        self._date_s = 0
        self._is_source = is_source
        self._on_again = on_again
        self._neighbours = neighbours or Neighbours()
        self._key_headers = customer_key.headers() if customer_key else {}
        self._source_key_headers = (
            source_customer_key.headers(of_copy_source=True) if source_customer_key else {}
        )

    @property
    def bucket(self) -> str:
        return self._bucket

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
            StoreError: Any other status, no answer, or an id in it that cannot be sent back.
        """
        if not key and operation not in _OF_BUCKET:
            raise Refused(
                f"an object has no empty key operation={operation} bucket={self._bucket}",
                operation=operation,
            )
        try:
            credentials = await self._credentials.current()
        except StoreError as error:
            error.of_source = self._is_source
            raise
        now_ms = self._clock.now_ms()
        path = self._path(key)
        encoded_query = canonical_query(query) if query else ""
        sent = self._signed(
            Draft(method, path, encoded_query, headers or {}, body_sha256_hex), credentials, now_ms
        )
        request = partial(
            self._transport.request,
            method,
            self._address.base,
            path,
            encoded_query,
            sent,
            body,
            response_bytes_max=response_bytes_max,
        )
        try:
            answer = await (self._read_of(operation, request) if method in _SAFE else request())
        except Unavailable as error:
            raise self._classified(operation, key, error, now_ms=now_ms) from error
        if answer.status in expected:
            return self._with_ids(operation, key, answer, wrote=method not in _SAFE)
        refusal = self._classified(operation, key, answer, now_ms=now_ms)
        if method == "HEAD" and isinstance(refusal, (AccessDenied, Refused)):
            refusal = await self._explained(operation, key, refusal)
        raise refusal

    async def _read_of(
        self, operation: Operation, request: Callable[[], Awaitable[Response]]
    ) -> Response:
        """The answer to a read, asked for once more if none came, or a 500, soon.

        An attempt is several requests, and would fail far more often than each of them.

        Raises:
            Unavailable: No answer.
        """
        began_s = self._clock.monotonic_s()
        try:
            answer = await request()
        except Unavailable:
            if self._clock.monotonic_s() - began_s > AGAIN_S_MAX:
                raise
        else:
            if answer.status not in _PASSING:
                return answer
        self._on_again(operation)
        return await request()

    def _classified(
        self, operation: Operation, key: str, answer: Response | Unavailable, *, now_ms: int
    ) -> StoreError:
        error = classify(Target(operation, self._bucket, key), answer, now_ms=now_ms)
        error.of_source = self._is_source
        return error

    def _read(self, answer: Response, parse: Callable[[bytes], Read]) -> Read:
        """What ``parse`` makes of the document of an answer.

        Raises:
            StoreError: As ``parse``.
        """
        try:
            return parse(answer.body)
        except StoreError as error:
            error.of_source = self._is_source
            raise

    def _signed(self, draft: Draft, credentials: Credentials, now_ms: int) -> list[Header]:
        """All headers of a request, signature included."""
        date = self._signing_date(now_ms)
        signed: dict[str, str] = {
            **draft.headers,
            "host": self._address.host,
            "x-amz-content-sha256": draft.body_sha256_hex,
            "x-amz-date": date.amz_date,
        }
        values = "".join(draft.headers.values())  # The others have nothing to trim.
        if credentials.token is not None:
            signed["x-amz-security-token"] = credentials.token
            values += credentials.token
        headers: list[Header] = sorted(signed.items())
        if " " in values or not values.isascii() or not values.isprintable():
            canonical = [(name, canonical_value(value)) for name, value in headers]
        else:  # Most requests: there is nothing to trim.
            canonical = headers
        authorization = self._signer.authorization(
            method=draft.method,
            raw_path=draft.path,
            query=draft.query,
            headers=canonical,
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
        headers = {"range": "bytes=0-0", **self._key_headers} if key else None
        try:
            await self.send(operation, "GET", key, query=query, headers=headers, expected=_ANSWERED)
        except (AccessDenied, Refused) as explained:
            return explained
        except StoreError:
            return refusal
        return refusal

    def _with_ids(
        self, operation: Operation, key: str, answer: Response, *, wrote: bool
    ) -> Response:
        """``answer``, if its ids are such that they can be kept and sent back.

        Raises:
            Unavailable: They are not.
        """
        for name in _IDS:
            if not answer.headers.get(name, "").isascii():
                fact = f"{name} is no ASCII"
                raise self._broken(operation, key, fact, status=answer.status, maybe_applied=wrote)
        return answer

    def _pin(self, etag: str) -> str:
        if not etag.isascii() or not etag.isprintable() or '"' in etag:
            # Hints come from messages that anybody may have sent: no object has such an etag.
            raise SourceChanged(f"no object has this etag etag={etag!r} bucket={self._bucket}")
        return f'"{etag}"'

    def _path(self, key: str) -> str:
        if not key:
            return self._address.path_prefix or "/"
        return f"{self._address.path_prefix}/{encoded(key, SAFE_IN_PATH)}"

    def _signing_date(self, now_ms: int) -> SigningDate:
        if now_ms // 1000 != self._date_s:
            self._date_s = now_ms // 1000
            self._date = SigningDate.of_ms(now_ms)
        return self._date

    def _broken(
        self,
        operation: Operation,
        key: str,
        fact: str,
        *,
        s3_code: str = "",
        status: int = 0,
        maybe_applied: bool = False,
    ) -> Unavailable:
        return Unavailable(
            f"broken answer: {fact} operation={operation} bucket={self._bucket} key={key!r}",
            operation=operation,
            s3_code=s3_code,
            of_source=self._is_source,
            status=status,
            maybe_applied=maybe_applied,
        )


@lru_cache(maxsize=512)
def encoded(text: str, safe: str) -> str:
    """Percent-encoded UTF-8; bytes that were read from a listing and are not UTF-8, as they were.

    A key is asked for several times: as a source, and by each destination.

    Raises:
        Refused: Half a surrogate pair, which is no text and no bytes.
    """
    try:
        return quote(text, safe, errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise Refused(f"not a text that can be sent text={text!r}") from error


def of_version(version_id: str | None) -> Sequence[tuple[str, str]]:
    """What makes a request one for a version of an object."""
    return () if version_id is None else (("versionId", version_id),)


def copy_source(bucket: str, key: str, version_id: str | None) -> str:
    """The value of ``x-amz-copy-source``."""
    source = f"/{bucket}/{encoded(key, SAFE_IN_PATH)}"
    return source if version_id is None else f"{source}?versionId={encoded(version_id, SAFE)}"
