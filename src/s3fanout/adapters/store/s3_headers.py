"""The headers that carry an object's facts and attributes, both ways."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from s3fanout.adapters.store.http_date import date_ms
from s3fanout.adapters.store.s3_client import SAFE, encoded
from s3fanout.adapters.store.s3_xml import SIZE, unquoted
from s3fanout.model.errors import Refused
from s3fanout.model.objects import (
    NO_EXTRAS,
    Checksum,
    ChecksumAlgorithm,
    Encryption,
    Extras,
    ObjectAttributes,
    ObjectLock,
    Present,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3fanout.adapters.store.classify import Operation

CONTENT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
SHOW_CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}
"""Asks ``HeadObject`` and ``GetObject`` to tell checksums; costs nothing."""
CUSTOMER_KEY_METHOD = "SSE-C"
_METADATA = "x-amz-meta-"
_CHECKSUM = "x-amz-checksum-"
_ENCRYPTION = "x-amz-server-side-encryption"
_LOCK = "x-amz-object-lock-"
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""What no header value can carry: control characters, and bytes that were read but are not UTF-8
(neither HTTP library sends them as they are)."""


def facts_of(
    key: str, headers: Mapping[str, str], size_bytes: int, *, tags: Mapping[str, str] | None
) -> Present:
    """What the headers of an answer say about the object."""
    etag = unquoted(headers.get("etag", ""))
    return Present(
        key=key,
        size_bytes=size_bytes,
        etag=etag,
        version_id=headers.get("x-amz-version-id"),
        last_modified_at_ms=date_ms(headers.get("last-modified", "")) or 0,
        tag_count=tag_count(headers),
        attributes=ObjectAttributes(
            headers=_content_headers(headers),
            metadata={
                name.removeprefix(_METADATA): value
                for name, value in headers.items()
                if name.startswith(_METADATA)
            },
            tags=tags,
            extras=_extras(headers),
        ),
        checksums=_checksums(headers, etag),
        archived=_archived(headers),
        told_at_ms=date_ms(headers.get("date", "")) or 0,
    )


def headers_of(
    attributes: ObjectAttributes, *, operation: Operation, bucket: str, key: str
) -> dict[str, str]:
    """What to send so that an object gets ``attributes``.

    Raises:
        Refused: A name or a value that no header can carry.
    """
    headers = dict(attributes.headers)
    for name, value in attributes.metadata.items():
        headers[_METADATA + name] = value
    headers |= headers_of_extras(attributes.extras)
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or _UNSENDABLE.search(value):
            raise Refused(
                f"attribute cannot be sent name={name!r} value={value[:80]!r} "
                f"operation={operation} bucket={bucket} key={key!r}",
                operation=operation,
                hint="write the source object's metadata again, as UTF-8 without control "
                "characters",
            )
    if attributes.tags:
        headers["x-amz-tagging"] = "&".join(
            f"{encoded(name, SAFE)}={encoded(value, SAFE)}"
            for name, value in attributes.tags.items()
        )
    return headers


def headers_of_extras(extras: Extras) -> dict[str, str]:
    """What to send so that an object gets ``extras``; nothing for what is not set.

    A customer's key is not among them: it belongs to the bucket, not to the object.
    """
    if extras is NO_EXTRAS:
        return {}
    headers = {
        "x-amz-storage-class": extras.storage_class,
        "x-amz-website-redirect-location": extras.redirect,
        "x-amz-acl": extras.acl,
    }
    for grant in extras.grants:
        name = f"x-amz-grant-{grant.permission.lower().replace('_', '-')}"
        grantee = f'{"uri" if grant.is_of_group else "id"}="{grant.grantee}"'
        headers[name] = f"{headers[name]}, {grantee}" if name in headers else grantee
    if (encryption := extras.encryption) and encryption.method != CUSTOMER_KEY_METHOD:
        headers[_ENCRYPTION] = encryption.method
        headers[f"{_ENCRYPTION}-aws-kms-key-id"] = encryption.kms_key
        if encryption.bucket_key is not None:
            headers[f"{_ENCRYPTION}-bucket-key-enabled"] = str(encryption.bucket_key).lower()
    if lock := extras.lock:
        headers[f"{_LOCK}mode"] = lock.mode
        headers[f"{_LOCK}retain-until-date"] = lock.retain_until
        headers[f"{_LOCK}legal-hold"] = "ON" if lock.legal_hold else ""
    return {name: value for name, value in headers.items() if value}


def checksum_headers(checksums: tuple[Checksum, ...]) -> dict[str, str]:
    """The first checksum of a whole object, for the store to compare and to keep."""
    for checksum in checksums:
        if checksum.full_object:
            return {_CHECKSUM + checksum.algorithm.lower(): checksum.value}
    return {}


def kind_of(checksum: Checksum) -> str:
    """The value of ``x-amz-checksum-type``."""
    return "FULL_OBJECT" if checksum.full_object else "COMPOSITE"


def content_md5(md5_hex: str) -> dict[str, str]:
    """Beside the signed SHA-256: several vendors check only this one (SeaweedFS, probed)."""
    return {"content-md5": base64.b64encode(bytes.fromhex(md5_hex)).decode("ascii")}


def digests(content: bytes) -> tuple[str, str]:
    """MD5 and SHA-256 in hex."""
    return (
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )


def tag_count(headers: Mapping[str, str]) -> int:
    """How many tags the object has; 0 where the store does not say."""
    count = headers.get("x-amz-tagging-count", "")
    return int(count) if SIZE.fullmatch(count) else 0


def _extras(headers: Mapping[str, str]) -> Extras:
    storage_class = headers.get("x-amz-storage-class", "")
    if storage_class == "STANDARD":
        storage_class = ""
    redirect = headers.get("x-amz-website-redirect-location", "")
    encryption, lock = _encryption(headers), _lock(headers)
    if not (storage_class or redirect or encryption or lock):
        return NO_EXTRAS
    return Extras(storage_class, redirect, encryption, lock)


def _encryption(headers: Mapping[str, str]) -> Encryption | None:
    if f"{_ENCRYPTION}-customer-algorithm" in headers:
        return Encryption(CUSTOMER_KEY_METHOD)
    if not (method := headers.get(_ENCRYPTION)):
        return None
    bucket_key = headers.get(f"{_ENCRYPTION}-bucket-key-enabled")
    return Encryption(
        method,
        kms_key=headers.get(f"{_ENCRYPTION}-aws-kms-key-id", ""),
        bucket_key=None if bucket_key is None else bucket_key.lower() == "true",
    )


def _lock(headers: Mapping[str, str]) -> ObjectLock | None:
    mode = headers.get(f"{_LOCK}mode", "")
    retain_until = headers.get(f"{_LOCK}retain-until-date", "")
    legal_hold = headers.get(f"{_LOCK}legal-hold", "") == "ON"
    if not (mode or retain_until or legal_hold):
        return None
    return ObjectLock(mode, retain_until, legal_hold)


def _checksums(headers: Mapping[str, str], etag: str) -> tuple[Checksum, ...]:
    found = []
    for algorithm in ChecksumAlgorithm:
        if value := headers.get(_CHECKSUM + algorithm.lower()):
            kind = headers.get(f"{_CHECKSUM}type", "")
            # Without a type (before 2025, and some stores): only an object that was not uploaded in
            # parts certainly has one of the whole object.
            full = "-" not in value and (kind == "FULL_OBJECT" or (not kind and "-" not in etag))
            found.append(Checksum(algorithm, value, full))
    return tuple(found)


def _archived(headers: Mapping[str, str]) -> bool:
    """Whether the bytes are out of reach (AWS API reference, "HeadObject", 2026-11)."""
    archived = headers.get("x-amz-storage-class") in _ARCHIVES or bool(
        headers.get("x-amz-archive-status")
    )
    return archived and 'ongoing-request="false"' not in headers.get("x-amz-restore", "")


def _content_headers(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: headers[name] for name in CONTENT_HEADERS if name in headers}
    if "aws-chunked" in kept.get("content-encoding", ""):
        # How the bytes once came in, which some stores keep; it would be a lie about ours.
        codings = [coding.strip() for coding in kept.pop("content-encoding").split(",")]
        if rest := [coding for coding in codings if coding != "aws-chunked"]:
            kept["content-encoding"] = ",".join(rest)
    return kept
