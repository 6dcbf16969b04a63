"""What ``s3fanout check`` asks of a real store, leaving nothing behind.

Writing is proved with a multipart upload that is aborted. That needs ``s3:PutObject`` as a write
does, shows no object at any time, and leaves no version or delete marker in a versioned bucket
(Amazon S3 API reference, "CreateMultipartUpload", 2026-11). Copy conditions are tried with a part
of that upload, so that a store that ignores them writes nothing that anybody sees. Only where that
store heeds them they are tried with a whole object too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from s3fanout.adapters.store.classify import Operation
from s3fanout.adapters.store.http_date import date_ms
from s3fanout.adapters.store.s3_xml import root_of
from s3fanout.model.errors import AccessDenied, Refused, SourceChanged, StoreError, Unavailable
from s3fanout.model.objects import Present
from s3fanout.model.vendors import OTHER, vendor_of_headers

if TYPE_CHECKING:
    from s3fanout.adapters.store.s3 import S3Store
    from s3fanout.model.vendors import Vendor
    from s3fanout.ports.system import Clock

WRONG_ETAG = "00000000000000000000000000000000"
VENDOR_AGE_S = 3600.0
_ACCEPTED = frozenset({200, 204})


@dataclass(frozen=True, slots=True)
class WriteProbe:
    """What trying to write showed.

    Attributes:
        conditions_honoured: Whether a copy pinned to a wrong etag was refused; ``None`` when there
            was no source object to try with, or the store could not do it.
        left_upload: An invisible, empty upload that could not be aborted; its id.
    """

    conditions_honoured: bool | None
    left_upload: str | None


async def store_clock_ms(store: S3Store) -> int | None:
    """The store's wall clock, from the ``Date`` of an answer; ``None`` if it sends none.

    Raises:
        StoreError: The bucket cannot be asked: no answer, wrong credentials, no such bucket.
    """
    answer = await store.send(Operation.HEAD_BUCKET, "HEAD")
    return date_ms(answer.headers.get("date", ""))


class StoreVendor:
    """Which kind of store a bucket is in: asked once, and again when that was long ago."""

    def __init__(self, store: S3Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._answer: asyncio.Future[Vendor] | None = None
        self._asked_at_s = 0.0

    async def __call__(self) -> Vendor:
        """One request, which all callers share, then none for ``VENDOR_AGE_S``.

        A store that does not let us ask is ``OTHER``.

        Raises:
            StoreError: It does not answer, or there is no such bucket. The next caller asks again.
        """
        now_s = self._clock.monotonic_s()
        if self._answer is None or now_s - self._asked_at_s > VENDOR_AGE_S:
            self._asked_at_s = now_s
            self._answer = asyncio.ensure_future(identify(self._store))
        answer = self._answer
        try:
            if answer.done():
                return answer.result()
            # One caller may be cancelled; the others still wait.
            return await asyncio.shield(answer)
        except (AccessDenied, Refused):
            return OTHER
        except StoreError:
            if self._answer is answer:
                self._answer = None
            raise


async def identify(store: S3Store) -> Vendor:
    """Which kind of store the bucket is in, by the headers of an answer. One request.

    Raises:
        StoreError: As ``store_clock_ms``.
    """
    return vendor_of_headers((await store.send(Operation.HEAD_BUCKET, "HEAD")).headers)


async def server_of(store: S3Store) -> str:
    """What the store calls itself, with its version where it tells it; ``""``: nothing.

    One request.

    Raises:
        StoreError: As ``store_clock_ms``.
    """
    return (await store.send(Operation.HEAD_BUCKET, "HEAD")).headers.get("server", "")


async def refuses_wrong_copies(
    store: S3Store, key: str, *, source_bucket: str, source_key: str
) -> bool | None:
    """Whether a copy of a whole object that is pinned to another etag is refused.

    A store that ignores the pin makes an object of it, which is removed again, version included.
    ``None``: it could not be tried, or there is an object of this ``key``, which is left alone.

    Raises:
        StoreError: What it made could not be removed.
    """
    try:
        if isinstance(await store.head(key), Present):
            return None
        written = await store.copy(
            key, source_bucket=source_bucket, source_key=source_key, if_match=WRONG_ETAG
        )
    except SourceChanged:
        return True
    except StoreError:
        return None
    if written.version_id is None:
        await store.delete(key)
    else:
        await store.delete_version(key, written.version_id)
    return False


async def probe_write(
    store: S3Store, key: str, *, source_bucket: str, source_key: str | None
) -> WriteProbe:
    """Whether ``key`` may be written.

    Raises:
        StoreError: It may not, or the store does not answer.
    """
    answer = await store.send(Operation.CREATE_UPLOAD, "POST", key, query=[("uploads", "")])
    upload_id = _upload_id(answer.body)
    honoured: bool | None = None
    try:
        if source_key is not None:
            honoured = await _honours_conditions(
                store, key, upload_id, f"/{source_bucket}/{quote(source_key, '/-_.~')}"
            )
    finally:
        left = await _abort(store, key, upload_id)
    return WriteProbe(honoured, left)


async def _honours_conditions(
    store: S3Store, key: str, upload_id: str, copy_source: str
) -> bool | None:
    try:
        await store.send(
            Operation.UPLOAD_PART_COPY,
            "PUT",
            key,
            query=[("partNumber", "1"), ("uploadId", upload_id)],
            headers={
                "x-amz-copy-source": copy_source,
                "x-amz-copy-source-if-match": f'"{WRONG_ETAG}"',
            },
        )
    except SourceChanged:
        return True
    except (Refused, Unavailable):
        return None
    return False


async def _abort(store: S3Store, key: str, upload_id: str) -> str | None:
    try:
        await store.send(
            Operation.ABORT_UPLOAD,
            "DELETE",
            key,
            query=[("uploadId", upload_id)],
            expected=_ACCEPTED,
        )
    except StoreError:
        return upload_id
    return None


def _upload_id(body: bytes) -> str:
    root = root_of(body)
    for element in root.iter():
        if element.tag == "UploadId" and element.text:
            return element.text
    raise Unavailable("broken answer: no upload id operation=CreateMultipartUpload")
