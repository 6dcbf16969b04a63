"""Every row of the table of ``decide.compare_attributes``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from s3fanout.decide.compare_attributes import attribute_differences, by_checksums, etag_is_hash
from s3fanout.model.keeping import Carry, Keeping
from s3fanout.model.objects import (
    Checksum,
    ChecksumAlgorithm,
    Encryption,
    Extras,
    ObjectAttributes,
    ObjectLock,
    Present,
)

KMS = Encryption("aws:kms", "key")
SSE_S3 = Encryption("AES256")
SHA = Checksum(ChecksumAlgorithm.SHA256, "aa", full_object=True)
OF_PARTS = Checksum(ChecksumAlgorithm.SHA256, "bb-2", full_object=False)
COPIED = Keeping(attributes=Carry.COPIED)


def present(
    *,
    extras: Extras | None = None,
    headers: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    checksums: tuple[Checksum, ...] = (),
) -> Present:
    attributes = ObjectAttributes(headers or {}, metadata or {}, tags, extras or Extras())
    return Present("k", 1, "e", attributes=attributes, checksums=checksums)


PLAIN = present()
COLD = present(extras=Extras(storage_class="GLACIER"))
LOCKED = present(extras=Extras(lock=ObjectLock("COMPLIANCE", "2030-01-01T00:00:00Z")))


@pytest.mark.parametrize(
    ("source", "replica", "keeping", "expected"),
    [
        (PLAIN, PLAIN, Keeping(), {}),
        (
            present(headers={"expires": "0", "cache-control": "no"}),
            present(headers={"expires": "1", "content-type": "a"}),
            Keeping(),
            {
                "cache-control": "cache-control differs",
                "content-type": "content-type differs",
                "expires": "expires differs",
            },
        ),
        (
            present(metadata={"x": "1", "y": "2"}),
            present(metadata={"x": "1", "z": "2"}),
            Keeping(),
            {"metadata": "metadata differ: y, z"},
        ),
        (
            present(tags={"a": "1"}),
            present(tags={"a": "2"}),
            Keeping(),
            {"tags": "tags differ: a"},
        ),
        (present(tags={"a": "1"}), PLAIN, Keeping(), {}),
        (
            COLD,
            PLAIN,
            Keeping(),
            {"storage-class": "storage class GLACIER wanted, STANDARD found"},
        ),
        (COLD, PLAIN, Keeping(storage_class="STANDARD"), {}),
        (
            PLAIN,
            PLAIN,
            Keeping(storage_class="GLACIER"),
            {"storage-class": "storage class GLACIER wanted, STANDARD found"},
        ),
        (COLD, PLAIN, COPIED, {}),
        (
            COLD,
            PLAIN,
            replace(COPIED, storage_class="GLACIER", encryption="AES256"),
            {
                "storage-class": "storage class GLACIER wanted, STANDARD found",
                "encryption": "encryption AES256 wanted, none found",
            },
        ),
        (
            present(extras=Extras(redirect="/a")),
            present(extras=Extras(redirect="/b")),
            Keeping(),
            {"redirect": "redirect /a wanted, /b found"},
        ),
        (
            PLAIN,
            present(extras=Extras(redirect="/b")),
            Keeping(),
            {"redirect": "redirect none wanted, /b found"},
        ),
        (present(extras=Extras(redirect="/a")), PLAIN, COPIED, {}),
        (
            present(extras=Extras(encryption=KMS)),
            present(extras=Extras(encryption=SSE_S3)),
            Keeping(),
            {"encryption": "encryption aws:kms wanted, AES256 found"},
        ),
        (PLAIN, present(extras=Extras(encryption=KMS)), Keeping(), {}),
        (
            LOCKED,
            PLAIN,
            Keeping(),
            {"object-lock": "object lock COMPLIANCE until 2030-01-01T00:00:00Z wanted, none found"},
        ),
        (PLAIN, LOCKED, Keeping(), {}),
        (LOCKED, PLAIN, COPIED, {}),
        (
            present(checksums=(SHA,)),
            PLAIN,
            Keeping(),
            {"checksum": "checksum SHA256 not found"},
        ),
        (present(checksums=(SHA,)), PLAIN, COPIED, {}),
        (present(checksums=(SHA,)), present(checksums=(OF_PARTS,)), Keeping(), {}),
        # A look at an object tells nothing of its ACL.
        (present(extras=Extras(acl="public-read")), PLAIN, Keeping(acl="keep"), {}),
    ],
)
def test_the_table(
    source: Present, replica: Present, keeping: Keeping, expected: Mapping[str, str]
) -> None:
    assert attribute_differences(source, replica, keeping, now_ms=0) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((SHA,), (SHA,), "= checksum"),
        ((SHA,), (replace(SHA, value="cc"),), "* checksum"),
        ((OF_PARTS,), (OF_PARTS,), "= checksum"),
        ((OF_PARTS,), (replace(OF_PARTS, value="cc-2"),), None),
        ((SHA,), (OF_PARTS,), None),
        ((SHA,), (), None),
        ((SHA,), (replace(SHA, algorithm=ChecksumAlgorithm.SHA1),), None),
    ],
)
def test_checksums_prove_bytes_where_both_stores_keep_the_same_kind(
    ours: tuple[Checksum, ...], theirs: tuple[Checksum, ...], expected: str | None
) -> None:
    verdict = by_checksums(present(checksums=ours), present(checksums=theirs))
    assert (verdict and f"{verdict.standing.value} {verdict.code}") == expected


def test_an_etag_of_an_object_encrypted_with_a_key_is_no_hash() -> None:
    def of(encryption: Encryption | None) -> Present:
        return present(extras=Extras(encryption=encryption))

    assert etag_is_hash(PLAIN)
    assert etag_is_hash(of(SSE_S3))
    assert not etag_is_hash(of(KMS))
    assert not etag_is_hash(of(Encryption("SSE-C")))
