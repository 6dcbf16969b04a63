"""An object of a store, as facts that were read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from s3fanout.model.acls import AclGrant


class ChecksumAlgorithm(StrEnum):
    """Checksums that S3 keeps with an object, as it spells them."""

    CRC64NVME = "CRC64NVME"
    CRC32C = "CRC32C"
    CRC32 = "CRC32"
    SHA1 = "SHA1"
    SHA256 = "SHA256"


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum that a store keeps with an object.

    Attributes:
        algorithm: Which.
        value: Base64, as on the wire; of a composite one with ``-`` and the number of parts.
        full_object: It is of the object's bytes. Otherwise it is of the checksums of its parts, and
            comparable only with one of the same layout.
    """

    algorithm: ChecksumAlgorithm
    value: str
    full_object: bool


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a store encrypts an object at rest.

    Attributes:
        method: As on the wire: ``AES256``, ``aws:kms``, ``aws:kms:dsse``; ``SSE-C`` for a key of
            the customer's, which comes with every request.
        kms_key: Key id or ARN; ``""`` is the store's default.
        bucket_key: Whether KMS is spared by a key of the bucket; ``None`` when not said.
    """

    method: str
    kms_key: str = ""
    bucket_key: bool | None = None


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """Retention and legal hold of an object; all text as on the wire.

    Attributes:
        mode: ``GOVERNANCE`` or ``COMPLIANCE``; ``""`` without retention.
        retain_until: Time in ISO 8601; ``""`` without retention.
        legal_hold: Whether one is on.
    """

    mode: str = ""
    retain_until: str = ""
    legal_hold: bool = False


class Annotation(NamedTuple):
    """A text that an object carries, as a listing tells it.

    Attributes:
        name: Unique to the object.
        etag: Opaque validator of the text, without quotes.
    """

    name: str
    etag: str


@dataclass(frozen=True, slots=True)
class Extras:
    """What an object carries that ``CopyObject`` does not copy by itself.

    Attributes:
        storage_class: ``""`` is the default one (``STANDARD``).
        redirect: Where a website sends those who ask for the object; ``""`` is nowhere.
        encryption: ``None`` is the bucket's default, or not said.
        lock: ``None`` without retention and legal hold.
        acl: Canned ACL to write with; ``""`` sends none. Never read, as ``grants``.
        grants: To write with in place of a canned ACL: all of them, sorted, those of the owner too.
    """

    storage_class: str = ""
    redirect: str = ""
    encryption: Encryption | None = None
    lock: ObjectLock | None = None
    acl: str = ""
    grants: tuple[AclGrant, ...] = ()


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What an object carries beside its bytes.

    Attributes:
        headers: Content headers by lower-case name: ``content-type``, ``content-encoding``,
            ``content-disposition``, ``content-language``, ``cache-control``, ``expires``; only
            those that are set.
        metadata: User metadata by lower-case name without ``x-amz-meta-``; values as sent on the
            wire (not decoded).
        tags: Tag set; ``None`` when it was not read.
        extras: What else it carries.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class Present:
    """The object exists (first of the three values of a probe).

    Attributes:
        key: The key that was asked for.
        size_bytes: Content length.
        etag: Opaque validator without quotes, never a hash by assumption.
        version_id: ``None`` when the store sent none.
        last_modified_at_ms: Unix milliseconds, second resolution; 0 when the store sent none.
        tag_count: Number of tags, where the store says so; 0 otherwise.
        attributes: Headers, metadata and extras as read; ``tags`` is ``None`` (a probe does not
            read them).
        checksums: Those that the store keeps and tells.
        archived: Its bytes cannot be read before it is restored.
        told_at_ms: The store's own time when it said so: Unix milliseconds, second resolution; 0
            when it sent none.
    """

    key: str
    size_bytes: int
    etag: str
    version_id: str | None = None
    last_modified_at_ms: int = 0
    tag_count: int = 0
    attributes: ObjectAttributes = field(default_factory=ObjectAttributes)
    checksums: tuple[Checksum, ...] = ()
    archived: bool = False
    told_at_ms: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """The store *confirmed* that the key has no current object (404, or a delete marker).

    Anything else that keeps us from knowing is an error raised by the probe: the third value,
    ``Unknown``, is an exception so that nobody can mistake it for this one.
    """

    key: str


Probe = Present | Absent


@dataclass(frozen=True, slots=True)
class Body:
    """A whole object of at most one part, in memory.

    Attributes:
        facts: As for a probe, read in the same request as the bytes.
        content: The bytes; ``len(content) == facts.size_bytes``.
        md5_hex, sha256_hex: Digests of ``content``.
        is_as_told: They have been compared with a checksum that the store keeps of them.
    """

    facts: Present
    content: bytes
    md5_hex: str
    sha256_hex: str
    is_as_told: bool = False


class Written(NamedTuple):
    """What a store answered to a write.

    Attributes:
        etag: Validator of the object written, without quotes; ``""`` when the store sent none.
        version_id: ``None`` when the store sent none.
    """

    etag: str
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class PartBody:
    """A range of an object, in memory.

    Attributes:
        content: The bytes.
        md5_hex, sha256_hex: Digests of ``content``.
        checksum: Likewise, as on the wire, of the algorithm that was asked for; ``""`` if none was,
            or if it cannot be computed here.
    """

    content: bytes
    md5_hex: str
    sha256_hex: str
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part that a store has.

    Attributes:
        number: From 1.
        etag: Validator of the part, without quotes.
        size_bytes: Its length.
        checksum: As on the wire, of the algorithm that the upload was begun with; ``""`` if it was
            begun with none, or the store does not tell.
    """

    number: int
    etag: str
    size_bytes: int
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class FirstPart:
    """What a store tells about the layout of an object that was uploaded in parts.

    Attributes:
        size_bytes: Length of part 1, and so of all but the last one, if the uploader was usual.
        count: How many parts there are.
    """

    size_bytes: int
    count: int


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    begun_at_ms: int


class Listed(NamedTuple):
    """One row of a listing. A tuple, because a million of them are made at a time.

    Attributes:
        key: The object's key.
        size_bytes: Its size.
        etag: Opaque validator without quotes; ``""`` when the store sent none.
        last_modified_at_ms: Unix milliseconds; 0 when the store sent none.
        storage_class: As the store spells it; ``""`` when it sent none.
    """

    key: str
    size_bytes: int
    etag: str
    last_modified_at_ms: int
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing.

    Attributes:
        objects: In the store's own order (not every store lists in byte order).
        next_token: Pass it to get the next page; ``None`` on the last one.
        prefixes: With a delimiter: what stands for the keys below it, delimiter included.
    """

    objects: tuple[Listed, ...]
    next_token: str | None
    prefixes: tuple[str, ...] = ()


class Version(NamedTuple):
    """One row of a key's history: a version of the object, or a delete marker.

    Attributes:
        version_id: ``"null"`` of what was written while the bucket kept no versions.
        is_marker: A delete marker: it has no size and no etag.
        size_bytes: Size of the object.
        etag: Opaque validator without quotes.
        last_modified_at_ms: Unix milliseconds; 0 when the store sent none.
    """

    version_id: str
    is_marker: bool
    size_bytes: int = 0
    etag: str = ""
    last_modified_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class VersionPage:
    """One page of a key's history.

    Attributes:
        versions: Newest first.
        next_token: Pass it to get older ones; ``None`` if there are none.
    """

    versions: tuple[Version, ...]
    next_token: str | None


class Deleted(NamedTuple):
    """A key whose newest version is a delete marker: no listing of objects shows it.

    Attributes:
        key: Of the object that was.
        deleted_at_ms: Unix milliseconds; 0 when the store sent none.
    """

    key: str
    deleted_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class DeletedPage:
    """One page of the deleted keys of a bucket.

    Attributes:
        rows: Any number, none too.
        next_token: Pass it to go on; ``None`` at the end.
    """

    rows: tuple[Deleted, ...]
    next_token: str | None


def is_text(key: str) -> bool:
    """Whether a listed key is UTF-8.

    The bytes of another are surrogate escapes in it: it can be read and written as it is, and the
    ledger cannot hold it.
    """
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
