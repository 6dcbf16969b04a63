"""What is sent with a replica beside its bytes, and what it then lacks.

| of the source object | sent |
|---|---|
| content headers, metadata, tags | as they are |
| storage class | the destination's setting, or the object's own |
| redirect, legal hold, retention that has not ended | as they are |
| ACL | the destination's setting; with ``keep`` what ``decide.grants`` makes of it |
| SSE-S3 | likewise, but not to AWS, whose buckets do at least that |
| SSE-S3 from AWS, which does it with all objects | only to a store that is known to do it |
| SSE-KMS | the method, with the destination's key |
| a customer's key | nothing: it is the bucket's; a difference where the destination has none |
| what the vendor's table says it does not hold | nothing: a difference |

A store that refuses a write names what it does not like, or is asked again without what it may
mean, one by one; what was left out is a difference. A refusal about a KMS key or a permission is
none: a replica is not made less protected because a grant is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from s3fanout.model.errors import Refused, StoreError
from s3fanout.model.keeping import BUCKET, KEEP, SSE_C, Difference, Keeping
from s3fanout.model.objects import (
    NO_EXTRAS,
    Encryption,
    Extras,
    ObjectAttributes,
    ObjectLock,
    Present,
)
from s3fanout.model.vendors import Vendor, VendorName

NO_TAGS_CODES = frozenset({"NotImplemented", "MethodNotAllowed"})
"""Answers to a request for tags of stores that know none: nothing there has any."""
SSE_S3 = "AES256"
SSE_S3_NAME = "SSE-S3"
_KMS = "aws:kms"
_NAMED: Mapping[str, Difference] = {
    "InvalidStorageClass": Difference.STORAGE_CLASS,
    "AccessControlListNotSupported": Difference.ACL,
    "InvalidEncryptionAlgorithmError": Difference.ENCRYPTION,
    "MissingUploadObjectWithObjectLockHeaders": Difference.OBJECT_LOCK,
    "InvalidTag": Difference.TAGS,
}
"""Codes that say what the store does not like."""
_VAGUE = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented", ""})
"""Codes that may be about anything. Ceph RGW 16 says ``InvalidArgument`` to a storage class, MinIO
``NotImplemented`` to encryption, AWS ``InvalidRequest`` to a lock where the bucket has none."""
_SUSPECT_ORDER = (
    Difference.OBJECT_LOCK,
    Difference.ENCRYPTION,
    Difference.STORAGE_CLASS,
    Difference.REDIRECT,
    Difference.ACL,
    Difference.TAGS,
)
_EXTRAS_SHOWN = frozenset(
    {
        Difference.STORAGE_CLASS,
        Difference.REDIRECT,
        Difference.ENCRYPTION,
        Difference.OBJECT_LOCK,
    }
)
"""What a look at an object shows of it beside headers, metadata and tags."""
_NOTHING: frozenset[str] = frozenset()
_ONLY_TAGS: frozenset[str] = frozenset({Difference.TAGS})


def wanted(
    source: ObjectAttributes, keeping: Keeping, *, vendor: Vendor, now_ms: int
) -> ObjectAttributes:
    """What the replica is to have."""
    extras = Extras(
        storage_class=_class(keeping.storage_class or source.extras.storage_class),
        redirect=source.extras.redirect,
        encryption=_encryption(source.extras.encryption, keeping, vendor),
        lock=_lock(source.extras.lock, now_ms) if keeping.lock else None,
        acl=source.extras.acl if keeping.acl == KEEP else keeping.acl,
        grants=source.extras.grants if keeping.acl == KEEP else (),
    )
    if extras == source.extras:
        return source
    return replace(source, extras=NO_EXTRAS if extras == NO_EXTRAS else extras)


def names_of(attributes: ObjectAttributes) -> frozenset[str]:
    """What of it a store may refuse or drop, and is asked for by a header of its own."""
    extras = attributes.extras
    if extras is NO_EXTRAS:  # Most objects.
        return _ONLY_TAGS if attributes.tags else _NOTHING
    asked = {
        Difference.STORAGE_CLASS: extras.storage_class,
        Difference.REDIRECT: extras.redirect,
        Difference.ENCRYPTION: _is_asked_for(extras.encryption),
        Difference.OBJECT_LOCK: extras.lock,
        Difference.ACL: extras.acl or extras.grants,
        Difference.TAGS: attributes.tags,
    }
    return frozenset(name for name, value in asked.items() if value)


def without(attributes: ObjectAttributes, name: str) -> ObjectAttributes:
    """The same, less what ``name`` calls."""
    extras = attributes.extras
    match name:
        case Difference.TAGS:
            return replace(attributes, tags={})
        case Difference.STORAGE_CLASS:
            extras = replace(extras, storage_class="")
        case Difference.REDIRECT:
            extras = replace(extras, redirect="")
        case Difference.ENCRYPTION:
            extras = replace(extras, encryption=None)
        case Difference.OBJECT_LOCK:
            extras = replace(extras, lock=None)
        case _:
            extras = replace(extras, acl="", grants=())
    return replace(attributes, extras=extras)


def not_held(attributes: ObjectAttributes, vendor: Vendor) -> frozenset[str]:
    """What of it the vendor is known to refuse."""
    extras, asked = attributes.extras, names_of(attributes)
    if not asked:
        return asked
    names = set()
    if vendor.tags is False:
        names.add(Difference.TAGS)
    if vendor.acls is False:
        names.add(Difference.ACL)
    if vendor.object_lock is False:
        names.add(Difference.OBJECT_LOCK)
    if vendor.storage_classes.isupper():  # a list of names, and not a sentence
        classes = vendor.storage_classes.split(", ")
        if extras.storage_class not in classes:
            names.add(Difference.STORAGE_CLASS)
    if _is_asked_for(extras.encryption) and vendor.encryption:
        is_kms = extras.encryption is not None and extras.encryption.method.startswith(_KMS)
        kind = "SSE-KMS" if is_kms else SSE_S3_NAME
        if kind not in vendor.encryption.split(", "):
            names.add(Difference.ENCRYPTION)
    return asked & names


def is_left_unprotected(source: ObjectAttributes, keeping: Keeping) -> bool:
    """Whether a customer's key is to be kept where the destination has none."""
    encryption = source.extras.encryption
    return keeping.encryption == KEEP and encryption is not None and encryption.method == SSE_C


def blamed(error: StoreError, attributes: ObjectAttributes) -> str | None:
    """What of ``attributes`` the store did not like; ``None`` if it is about something else."""
    if error.s3_code == "NoSuchKey":
        # So says Ceph RGW 16 of an account that is gone (seen 2026-11). If it is the object that is
        # gone, it is said again.
        return Difference.ACL if attributes.extras.grants else None
    if not isinstance(error, Refused) and error.s3_code != "NotImplemented":
        return None
    asked = names_of(attributes)
    named = _NAMED.get(error.s3_code)
    if named is not None:
        return named if named in asked else None
    if error.s3_code not in _VAGUE or error.status == 404:  # noqa: PLR2004 -- HTTP
        return None
    if attributes.extras.grants:
        return Difference.ACL  # An account that is gone is likelier than all that follows.
    return next((name for name in _SUSPECT_ORDER if name in asked), None)


def may_blame_checksum(error: StoreError) -> bool:
    """Whether a refusal may be about a checksum that was sent along."""
    refused = isinstance(error, Refused) or error.s3_code == "NotImplemented"
    return refused and error.s3_code in _VAGUE


def is_certain(error: StoreError, attributes: ObjectAttributes) -> bool:
    """Whether ``blamed`` is no guess, and true of other objects too.

    The code names it, or there was nothing else. Explicit grants may be refused for an account that
    is gone, which says nothing of others.
    """
    is_of_store = not attributes.extras.grants or error.s3_code == "NotImplemented"
    return error.s3_code in _NAMED or (len(names_of(attributes)) == 1 and is_of_store)


def suspects(source: Present, attributes: ObjectAttributes, *, copied: bool) -> frozenset[str]:
    """What the object has that some stores drop without a word; ``copied`` is by the store."""
    names = set(names_of(attributes))
    if copied and source.tag_count:
        names.add(Difference.TAGS)  # the store takes them along, and nothing is sent
    if attributes.extras.encryption is not None:
        names.add(Difference.ENCRYPTION)
    if not copied:
        names |= set(attributes.headers)
        if attributes.metadata:
            names.add(Difference.METADATA)
        if any(checksum.full_object for checksum in source.checksums):
            names.add(Difference.CHECKSUM)
    return frozenset(names)


def lost_in_one_piece(source: Present) -> frozenset[str]:
    """What no object has that is written at once: a checksum of parts becomes one of the whole."""
    if any(not checksum.full_object for checksum in source.checksums):
        return frozenset({Difference.CHECKSUM_TYPE})
    return frozenset()


def missing(source: Present, attributes: ObjectAttributes, replica: Present) -> frozenset[str]:
    """What the replica lacks of ``attributes`` and of the source's checksums; not the tags."""
    wants, has = attributes.extras, replica.attributes.extras
    names: set[str] = {
        name
        for name, value in attributes.headers.items()
        if replica.attributes.headers.get(name) != value
    }
    if dict(attributes.metadata) != dict(replica.attributes.metadata):
        names.add(Difference.METADATA)
    if wants.storage_class != has.storage_class:
        names.add(Difference.STORAGE_CLASS)
    if wants.redirect != has.redirect:
        names.add(Difference.REDIRECT)
    if wants.encryption is not None and not _as_protected(wants.encryption, has.encryption):
        names.add(Difference.ENCRYPTION)
    if wants.lock is not None and not _as_locked(wants.lock, has.lock):
        names.add(Difference.OBJECT_LOCK)
    held = {checksum.algorithm: checksum for checksum in replica.checksums}
    for checksum in source.checksums:
        other = held.get(checksum.algorithm)
        if other is None:
            names.add(Difference.CHECKSUM)
        elif other != checksum and not (other.full_object and checksum.full_object):
            names.add(Difference.CHECKSUM_TYPE)  # of other parts, which is another kind, too
    return frozenset(names)


def changeable(
    source: Present,
    attributes: ObjectAttributes,
    replica: Present,
    keeping: Keeping,
    *,
    now_ms: int,
) -> frozenset[str]:
    """What of the source object's own extras the replica has otherwise, and a write would mend.

    Either way, but for encryption, of which a bucket may add some. Not the ACL, which no look
    shows.
    """
    names = set(missing(source, attributes, replica)) & _EXTRAS_SHOWN
    wants, has = attributes.extras.lock, _lock(replica.attributes.extras.lock, now_ms)
    if has is not None and not _as_locked(has, wants):
        names.add(Difference.OBJECT_LOCK)
    if keeping.storage_class:
        names.discard(Difference.STORAGE_CLASS)
    if keeping.encryption != KEEP:
        names.discard(Difference.ENCRYPTION)
    if not keeping.lock:
        names.discard(Difference.OBJECT_LOCK)
    return frozenset(names)


def _class(name: str) -> str:
    return "" if name == "STANDARD" else name


def _encryption(source: Encryption | None, keeping: Keeping, vendor: Vendor) -> Encryption | None:
    if keeping.encryption == BUCKET:
        return None
    method = keeping.encryption
    if method == SSE_C:
        return Encryption(SSE_C)
    if method == KEEP:
        if source is None:
            return None
        method = source.method
        if method == SSE_S3 and (
            vendor.name is VendorName.AWS
            or (keeping.source_encrypts_all and SSE_S3_NAME not in vendor.encryption)
        ):
            return None
    if method == SSE_S3:
        return Encryption(SSE_S3)
    if not method.startswith(_KMS):
        return None
    return Encryption(method, keeping.kms_key, source.bucket_key if source else None)


def _is_asked_for(encryption: Encryption | None) -> bool:
    """Whether a header names it that could be left out: a customer's key is the bucket's."""
    return encryption is not None and encryption.method != SSE_C


def _as_protected(wants: Encryption, has: Encryption | None) -> bool:
    if has is None:
        return False
    if wants.method == SSE_C:
        return has.method == SSE_C
    return not wants.method.startswith(_KMS) or has.method.startswith(_KMS)


def _lock(lock: ObjectLock | None, now_ms: int) -> ObjectLock | None:
    """``lock`` without a retention that is over: no store takes one that ends in the past."""
    if lock is None or not lock.retain_until or _instant_ms(lock.retain_until) > now_ms:
        return lock
    return ObjectLock(legal_hold=True) if lock.legal_hold else None


def _as_locked(wants: ObjectLock, has: ObjectLock | None) -> bool:
    if has is None or wants.mode != has.mode or (wants.legal_hold and not has.legal_hold):
        return False
    return not wants.retain_until or (
        _instant_ms(has.retain_until) // 1000 == _instant_ms(wants.retain_until) // 1000
    )


def _instant_ms(text: str) -> int:
    """Unix milliseconds of a time in ISO 8601; 0 for what is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
