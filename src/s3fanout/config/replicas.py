"""Settings of what the replicas of a destination carry, and how much of an object's history."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from s3fanout.config.credentials import Section
from s3fanout.config.values import StorageClass, Switch
from s3fanout.model.keeping import BUCKET, KEEP, Carry
from s3fanout.model.rules import Deletes, Versions

EncryptionChoice = StrEnum(
    "EncryptionChoice",
    {
        "KEEP": KEEP,
        "BUCKET": BUCKET,
        "SSE_S3": "AES256",
        "KMS": "aws:kms",
        "KMS_TWICE": "aws:kms:dsse",
    },
)
"""How replicas are encrypted at rest."""

Acl = StrEnum(
    "Acl",
    {
        "NONE": "none",
        "KEEP": KEEP,
        "PRIVATE": "private",
        "PUBLIC_READ": "public-read",
        "PUBLIC_READ_WRITE": "public-read-write",
        "AUTHENTICATED_READ": "authenticated-read",
        "BUCKET_OWNER_READ": "bucket-owner-read",
        "BUCKET_OWNER_FULL_CONTROL": "bucket-owner-full-control",
    },
)
"""What a replica is written with: the canned ACLs of S3."""


class Annotations(StrEnum):
    """What a replica gets of an object's annotations."""

    COPIED = "copied"
    KEEP = KEEP


class Replicas(Section):
    """What a destination keeps."""

    versions: Versions = Field(
        default=Versions.LATEST,
        description="What it gets of an object's history: what the source holds now (latest), or "
        "every version and, with deletes, every delete marker in order (all; source and "
        "destination must be versioned).",
    )
    version_deletes: Deletes = Field(
        default=Deletes.IGNORE,
        description="With all versions: what happens to a version of a replica when its source "
        "version is deleted for good: it stays (ignore) or is deleted for good too (replicate).",
    )
    attributes: Carry = Field(
        default=Carry.AUTO,
        description="Whether the source is looked at before the store copies an object by itself, "
        "which brings headers, metadata and tags along but not always the rest: auto (where such "
        "copies may reset the storage class: one request for all destinations), all, or copied "
        "(never).",
    )
    storage_class: StorageClass = Field(
        default=KEEP,
        description="Storage class of the replicas; keep: the source object's.",
        examples=['"STANDARD_IA"'],
    )
    encryption: EncryptionChoice = Field(
        default=EncryptionChoice.KEEP,
        description="Encryption of the replicas at rest: that of the source object (keep), of the "
        "destination's bucket (bucket), or a method; those of KMS use kms_key.",
    )
    object_lock: Switch = Field(
        default=True,
        description="Keep retention and legal hold, where the bucket has object lock.",
    )
    acl: Acl = Field(
        default=Acl.NONE,
        description="Canned ACL that replicas are written with; none: the bucket's rules hold; "
        "keep: the ACL of the source object, read with one request more for each replica: grants "
        "to groups, and to accounts where the destination has the source's endpoint.",
    )
    annotations: Annotations = Field(
        default=Annotations.COPIED,
        description="Annotations of Amazon S3: those that the store copies along with a small "
        "object (copied: the others are lost and no difference says so, with strict too, because "
        "nothing but a request for it tells that an object has any), or all (keep: one request "
        "more for each replica that is streamed or copied in parts, three more for each annotation "
        "at most).",
    )
    strict: Switch = Field(
        default=False,
        description="A replica that the store does not hold exactly is removed, and its job a dead "
        "letter that names the differences; without it they are only recorded.",
    )
