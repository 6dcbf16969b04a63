"""Which abilities a store shows when it is asked; nothing of it is ever an object.

Every question is a multipart upload that is aborted, at most with a part of a few bytes. A store
may *take* a header and drop it, so where it can be told, a question has an answer that only a store
that heeds the header gives: a wrong digest is refused, a checksum is named again.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from s3fanout.adapters.store.classify import Operation
from s3fanout.adapters.store.s3_upload_xml import parse_upload_id
from s3fanout.adapters.store.s3_xml import ErrorDocument
from s3fanout.model.abilities import NO, YES, Ability
from s3fanout.model.errors import AccessDenied, Refused, StoreError, Unavailable
from s3fanout.model.objects import ChecksumAlgorithm

if TYPE_CHECKING:
    from s3fanout.adapters.store.s3 import S3Store

ALGORITHMS = (ChecksumAlgorithm.CRC64NVME, ChecksumAlgorithm.CRC32C, ChecksumAlgorithm.CRC32)
"""Those that S3 keeps of a whole object that was uploaded in parts."""
_CONTENT = b"s3fanout check"


class Kept(StrEnum):
    """What becomes of a checksum of a whole object that is uploaded in parts."""

    YES = "kept"
    OF_PARTS = "kept of the parts only"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a store showed.

    Attributes:
        checks_digests: Whether a part with another ``Content-MD5`` than its bytes was refused.
        wants_digests: Whether a part without one was refused.
        tags_refused: Why an upload with tags could not be begun; ``None`` if it could.
        checksums: By algorithm.
    """

    checks_digests: bool
    wants_digests: bool
    tags_refused: StoreError | None
    checksums: Mapping[ChecksumAlgorithm, Kept]

    @property
    def checksums_text(self) -> str:
        """For people."""
        return ", ".join(f"{algorithm} {kept}" for algorithm, kept in self.checksums.items())

    def answers(self) -> dict[Ability, str]:
        """As they are kept. Tags that only these credentials may not write are no answer."""
        found = {
            Ability.DIGESTS: YES if self.checks_digests else NO,
            Ability.DIGESTS_WANTED: YES if self.wants_digests else NO,
            Ability.CHECKSUMS: self.checksums_text,
        }
        if not isinstance(self.tags_refused, AccessDenied):
            found[Ability.TAGS] = YES if self.tags_refused is None else NO
        return found


async def may_abort(store: S3Store, key: str) -> bool:
    """Whether an upload may be aborted. If not, an empty and invisible one of ``key`` is left.

    Raises:
        StoreError: It could not be begun.
    """
    upload_id, _ = await _begin(store, key, {})
    try:
        await store.abort_upload(key, upload_id)
    except AccessDenied:
        return False
    return True


async def ask_abilities(store: S3Store, key: str) -> Shown:
    """Ask, by uploads of ``key`` that are aborted. About fourteen requests.

    Raises:
        StoreError: The store does not answer, or nothing can be uploaded to it.
    """
    checks = not await _takes_part(store, key, {"content-md5": _base64(bytes(16))})
    wants = not await _takes_part(store, key, {})
    tags_refused: StoreError | None = None
    try:
        await _begun(store, key, {"x-amz-tagging": "s3fanout=check"})
    except (Refused, AccessDenied, Unavailable) as error:
        if error.status == 0:
            raise
        tags_refused = error
    checksums = {algorithm: await _kept(store, key, algorithm) for algorithm in ALGORITHMS}
    return Shown(checks, wants, tags_refused, checksums)


async def _kept(store: S3Store, key: str, algorithm: ChecksumAlgorithm) -> Kept:
    headers = {"x-amz-checksum-algorithm": algorithm.value, "x-amz-checksum-type": "FULL_OBJECT"}
    try:
        answered = await _begun(store, key, headers)
    except (Refused, Unavailable) as error:
        if error.status == 0:
            raise
        return Kept.REFUSED
    if answered.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return Kept.OF_PARTS
    return Kept.YES if "x-amz-checksum-algorithm" in answered else Kept.IGNORED


async def _begun(store: S3Store, key: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Begin an upload and abort it; the headers of the answer."""
    upload_id, answered = await _begin(store, key, headers)
    await store.abort_upload(key, upload_id)
    return answered


async def _takes_part(store: S3Store, key: str, headers: Mapping[str, str]) -> bool:
    upload_id, _ = await _begin(store, key, {})
    try:
        await store.send(
            Operation.UPLOAD_PART,
            "PUT",
            key,
            query=[("partNumber", "1"), ("uploadId", upload_id)],
            headers=headers,
            body=_CONTENT,
            body_sha256_hex=hashlib.sha256(_CONTENT).hexdigest(),
        )
    except (Refused, Unavailable) as error:
        if not error.status:
            raise
        return False
    finally:
        await store.abort_upload(key, upload_id)
    return True


async def _begin(
    store: S3Store, key: str, headers: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    answer = await store.send(
        Operation.CREATE_UPLOAD, "POST", key, query=[("uploads", "")], headers=headers
    )
    upload_id = parse_upload_id(answer.body)
    if isinstance(upload_id, ErrorDocument):
        raise Unavailable(f"an error inside a 200 code={upload_id.code}", operation="check")
    return upload_id, answer.headers


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
