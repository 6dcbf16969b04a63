"""What differs between an object and its replica beside the bytes, by what two looks tell.

| what | it differs if |
|---|---|
| content headers, metadata, tags | they are not equal; tags where both sides were read |
| storage class, redirect | they are not what ``decide.keeping`` sends |
| encryption, object lock | the replica has less than ``decide.keeping`` sends |
| checksum | the replica has none of an algorithm that the source object has |

A destination whose objects are only copied (``Carry.COPIED``) has, of the last three rows, what its
settings ask for and nothing else. How a checksum was made, of the whole or of parts, follows from
how an object was written and is no difference.

Checksums prove more: one of the whole object of one algorithm on both sides is that of the same
bytes, or of others. One of parts proves equality only: the parts may be cut in another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from s3fanout.decide.compare import Standing, Verdict
from s3fanout.decide.keeping import SSE_S3, missing, wanted
from s3fanout.model.keeping import KEEP, Carry, Difference, Keeping
from s3fanout.model.objects import NO_EXTRAS, Encryption, ObjectLock, Present
from s3fanout.model.vendors import OTHER

COMPARED = frozenset(Difference) - {
    Difference.ACL,
    Difference.ANNOTATIONS,
    Difference.CHECKSUM_TYPE,
    Difference.TAGS_UNREAD,
}
"""Names of what is compared, beside the content headers."""


def attribute_differences(
    source: Present, replica: Present, keeping: Keeping, *, now_ms: int
) -> dict[str, str]:
    """A sentence for each difference, by ``Difference`` or name of a content header."""
    attributes, has = source.attributes, replica.attributes
    is_copied = keeping.attributes is Carry.COPIED
    if is_copied:
        attributes = replace(attributes, extras=NO_EXTRAS)
    # Not as an AWS bucket: one that does SSE-S3 by itself says so in every answer.
    wants = wanted(attributes, keeping, vendor=OTHER, now_ms=now_ms)
    found: dict[str, str] = {}
    headers = _names(attributes.headers, has.headers)
    for name in headers:
        found[name] = f"{name} differs"
    if metadata := _names(attributes.metadata, has.metadata):
        found[Difference.METADATA] = f"metadata differ: {', '.join(metadata)}"
    if attributes.tags is not None and has.tags is not None:
        tags = _names(attributes.tags, has.tags)
        if tags:
            found[Difference.TAGS] = f"tags differ: {', '.join(tags)}"
    lacks = missing(source, wants, replica) - {Difference.CHECKSUM_TYPE}
    if is_copied:
        lacks -= {Difference.CHECKSUM, Difference.REDIRECT, Difference.OBJECT_LOCK}
        if not keeping.storage_class:
            lacks -= {Difference.STORAGE_CLASS}
        if keeping.encryption == KEEP:
            lacks -= {Difference.ENCRYPTION}
    held = {checksum.algorithm for checksum in replica.checksums}
    unheld = [each.algorithm for each in source.checksums if each.algorithm not in held]
    extras, others = wants.extras, has.extras
    sentences = {
        Difference.STORAGE_CLASS: (
            f"storage class {extras.storage_class or 'STANDARD'} wanted, "
            f"{others.storage_class or 'STANDARD'} found"
        ),
        Difference.REDIRECT: (
            f"redirect {extras.redirect or 'none'} wanted, {others.redirect or 'none'} found"
        ),
        Difference.ENCRYPTION: (
            f"encryption {_method(extras.encryption)} wanted, {_method(others.encryption)} found"
        ),
        Difference.OBJECT_LOCK: (
            f"object lock {_lock(extras.lock)} wanted, {_lock(others.lock)} found"
        ),
        Difference.CHECKSUM: f"checksum {', '.join(unheld)} not found",
    }
    return found | {name: text for name, text in sentences.items() if name in lacks}


def by_checksums(source: Present, replica: Present) -> Verdict | None:
    """What checksums that both stores keep say about the bytes; ``None`` for nothing."""
    theirs = {checksum.algorithm: checksum for checksum in replica.checksums}
    for ours in source.checksums:
        other = theirs.get(ours.algorithm)
        if other == ours:
            return Verdict(
                Standing.SAME, "checksum", f"both stores keep {ours.algorithm} {ours.value}"
            )
        if other is not None and other.full_object and ours.full_object:
            return Verdict(
                Standing.DIFFERS,
                "checksum",
                f"{ours.algorithm} of the bytes: {ours.value} and {other.value}",
            )
    return None


def etag_is_hash(facts: Present) -> bool:
    """Whether an etag that looks like an MD5 may be one: not of an object encrypted with a key.

    Amazon S3 API reference, "Object", read 2026-11-24: so with SSE-KMS and SSE-C, not with SSE-S3.
    """
    encryption = facts.attributes.extras.encryption
    return encryption is None or encryption.method == SSE_S3


def _names(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _method(encryption: Encryption | None) -> str:
    return encryption.method if encryption else "none"


def _lock(lock: ObjectLock | None) -> str:
    if lock is None:
        return "none"
    held = ["legal hold"] if lock.legal_hold else []
    return ", ".join([*([f"{lock.mode} until {lock.retain_until}"] if lock.mode else []), *held])
