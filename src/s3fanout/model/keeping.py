"""What a destination keeps of what an object carries, and the names of what it does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Carry(StrEnum):
    """Whether the source is looked at before the store copies an object by itself.

    A copy by the store brings headers, metadata and tags along, and of the rest what the store
    likes: Amazon S3 sets the storage class back, and the redirect, encryption and object lock
    (API reference, "CopyObject", 2026-11).
    """

    AUTO = "auto"
    """Where the store's copies are not known to keep the storage class."""
    ALL = "all"
    """Always."""
    COPIED = "copied"
    """Never: the replica has what such a copy brings along."""


KEEP = "keep"
BUCKET = "bucket"
"""For encryption: none is asked for, so that of the bucket is used."""


SSE_C = "SSE-C"
"""For encryption: by a customer's key, which goes with every request to the bucket."""


class Difference(StrEnum):
    """What a replica lacks of what it was to have. Content headers are called by their name."""

    ACL = "acl"
    ANNOTATIONS = "annotations"
    CHECKSUM = "checksum"
    CHECKSUM_TYPE = "checksum-type"
    ENCRYPTION = "encryption"
    METADATA = "metadata"
    OBJECT_LOCK = "object-lock"
    REDIRECT = "redirect"
    STORAGE_CLASS = "storage-class"
    TAGS = "tags"
    TAGS_UNREAD = "tags-unread"
    """The tags of the source object may not be read: whether it has any is not known."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What replicas of one destination are to have beside bytes, headers, metadata and tags.

    Attributes:
        attributes: When the source is looked at for it.
        storage_class: Of every replica; ``""`` is the source object's.
        encryption: ``KEEP``, ``BUCKET``, ``SSE_C``, or a method as the header
            ``x-amz-server-side-encryption`` names it.
        kms_key: The destination's key, for a KMS method; ``""`` is the account's default key.
        acl: Canned ACL of every replica; ``KEEP`` reads the ACL of the source object; ``""`` sends
            none.
        same_accounts: The source's store and the destination's call accounts by the same ids, so
            that grants to accounts can be kept.
        lock: Whether retention and legal hold are kept.
        source_encrypts_all: The source's store does SSE-S3 with all objects and says so of each, as
            Amazon S3 does: then it says nothing of an object, and is only kept where the
            destination is known to do it on request.
        annotations: Those that the store does not copy along are looked for, and carried over.
        strict: A replica that lacks anything is a dead letter, and is not left there. Checksums do
            not count where one of the whole object stands for one of parts.
    """

    attributes: Carry = Carry.AUTO
    storage_class: str = ""
    encryption: str = KEEP
    kms_key: str = ""
    acl: str = ""
    same_accounts: bool = False
    lock: bool = True
    annotations: bool = False
    source_encrypts_all: bool = False
    strict: bool = False
