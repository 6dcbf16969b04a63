"""What is sent with a replica, what a refusal is about, and what a replica lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.decide.keeping import (
    blamed,
    is_certain,
    missing,
    names_of,
    not_held,
    suspects,
    wanted,
    without,
)
from s3fanout.model.acls import AclGrant
from s3fanout.model.errors import AccessDenied, Refused, StoreError, Unavailable
from s3fanout.model.keeping import Difference, Keeping
from s3fanout.model.objects import (
    Checksum,
    ChecksumAlgorithm,
    Encryption,
    Extras,
    ObjectAttributes,
    ObjectLock,
    Present,
)
from s3fanout.model.vendors import VendorName, vendor_named

NOW_MS = 1_795_600_000_000  # 2026-11-25
KMS = Encryption("aws:kms", "key-of-the-source", bucket_key=True)
LOCK = ObjectLock("GOVERNANCE", "2031-02-03T04:05:06.000Z", legal_hold=True)
FROM_AWS = {"source_encrypts_all": True}
ALL = ObjectAttributes(
    {"content-type": "text/plain", "expires": "never"},
    {"a": "b"},
    {"tag": "1"},
    Extras("STANDARD_IA", "/there", KMS, LOCK, acl="private"),
)


def wanted_extras(
    extras: Extras, vendor: VendorName = VendorName.OTHER, **keeping: str | bool
) -> Extras:
    source = ObjectAttributes(extras=extras)
    chosen = Keeping(**keeping)  # type: ignore[arg-type]  # words as they came
    return wanted(source, chosen, vendor=vendor_named(vendor), now_ms=NOW_MS).extras


def test_what_the_object_carries_is_wanted_unless_the_destination_says_otherwise() -> None:
    carried = Extras("STANDARD_IA", "/there", Encryption("AES256"), LOCK)
    assert wanted_extras(carried) == carried
    assert wanted_extras(carried, storage_class="GLACIER_IR").storage_class == "GLACIER_IR"
    assert wanted_extras(carried, storage_class="STANDARD").storage_class == ""
    assert wanted_extras(carried, acl="bucket-owner-full-control").acl == (
        "bucket-owner-full-control"
    )


@pytest.mark.parametrize(
    ("source", "vendor", "keeping", "expected"),
    [
        (None, VendorName.OTHER, {}, None),
        (Encryption("AES256"), VendorName.OTHER, {}, Encryption("AES256")),
        (Encryption("AES256"), VendorName.AWS, {}, None),
        (Encryption("AES256"), VendorName.AWS, {"encryption": "AES256"}, Encryption("AES256")),
        (Encryption("AES256"), VendorName.OTHER, FROM_AWS, None),
        (Encryption("AES256"), VendorName.R2, FROM_AWS, None),
        (Encryption("AES256"), VendorName.B2, FROM_AWS, Encryption("AES256")),
        (KMS, VendorName.B2, FROM_AWS, Encryption("aws:kms", "", bucket_key=True)),
        (Encryption("SSE-C"), VendorName.OTHER, {}, None),
        (KMS, VendorName.AWS, {}, Encryption("aws:kms", "", bucket_key=True)),
        (KMS, VendorName.AWS, {"kms_key": "k"}, Encryption("aws:kms", "k", bucket_key=True)),
        (KMS, VendorName.AWS, {"encryption": "bucket"}, None),
        (
            None,
            VendorName.AWS,
            {"encryption": "aws:kms", "kms_key": "k"},
            Encryption("aws:kms", "k"),
        ),
    ],
)
def test_encryption_never_names_the_key_of_the_source(
    source: Encryption | None, vendor: VendorName, keeping: dict[str, str | bool], expected: object
) -> None:
    assert wanted_extras(Extras(encryption=source), vendor, **keeping).encryption == expected


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        (LOCK, LOCK),
        (ObjectLock("COMPLIANCE", "2020-01-01T00:00:00Z"), None),
        (
            ObjectLock("COMPLIANCE", "2020-01-01T00:00:00Z", legal_hold=True),
            ObjectLock(legal_hold=True),
        ),
    ],
)
def test_a_retention_that_is_over_is_not_sent(lock: ObjectLock, expected: object) -> None:
    assert wanted_extras(Extras(lock=lock)).lock == expected


def test_each_name_can_be_left_out() -> None:
    names = names_of(ALL)
    assert names == {"acl", "encryption", "object-lock", "redirect", "storage-class", "tags"}
    for name in names:
        assert names_of(without(ALL, name)) == names - {name}


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        (VendorName.AWS, set()),
        (VendorName.MINIO, {"acl", "encryption", "object-lock", "storage-class"}),
        (VendorName.CEPH, {"encryption"}),
        (VendorName.SEAWEEDFS, {"acl", "encryption"}),
        (VendorName.R2, {"acl", "encryption", "object-lock", "tags"}),
        (VendorName.OTHER, set()),
    ],
)
def test_what_a_vendor_is_known_to_refuse_is_not_sent(
    vendor: VendorName, expected: set[str]
) -> None:
    assert not_held(ALL, vendor_named(vendor)) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Refused("", s3_code="InvalidStorageClass"), Difference.STORAGE_CLASS),
        (Refused("", s3_code="AccessControlListNotSupported"), Difference.ACL),
        (Refused("", s3_code="InvalidRequest"), Difference.OBJECT_LOCK),
        (Unavailable("", s3_code="NotImplemented", status=501), Difference.OBJECT_LOCK),
        (Unavailable("", s3_code="InternalError", status=500), None),
        (Refused("", s3_code="KMS.NotFoundException"), None),
        (AccessDenied("", s3_code="AccessDenied"), None),
        (Refused("", s3_code="EntityTooLarge"), None),
        (Refused("", s3_code="", status=404), None),
    ],
)
def test_a_refusal_is_about_what_was_sent_or_about_nothing_of_it(
    error: StoreError, expected: str | None
) -> None:
    assert blamed(error, ALL) == expected
    assert blamed(error, ObjectAttributes()) is None


@pytest.mark.parametrize(
    ("code", "expected", "certain"),
    [
        ("InvalidArgument", Difference.ACL, False),
        ("NoSuchKey", Difference.ACL, False),
        ("AccessControlListNotSupported", Difference.ACL, True),
        ("NotImplemented", Difference.ACL, True),
        ("EntityTooLarge", None, False),
    ],
)
def test_an_account_that_is_gone_is_blamed_before_what_protects_and_for_this_object_only(
    code: str, expected: str | None, certain: bool
) -> None:
    granting = replace(ALL, extras=replace(ALL.extras, acl="", grants=(AclGrant("a", "READ"),)))
    error = Refused("", s3_code=code, status=400)
    assert blamed(error, granting) == expected
    alone = ObjectAttributes(extras=Extras(grants=granting.extras.grants))
    assert is_certain(error, alone) == certain
    if code == "NoSuchKey":
        assert blamed(error, ALL) is None


def present(attributes: ObjectAttributes, *checksums: Checksum) -> Present:
    return Present("k", 1, "e", attributes=attributes, checksums=checksums)


def test_a_replica_lacks_what_it_does_not_show() -> None:
    whole = Checksum(ChecksumAlgorithm.CRC32, "AAAA", full_object=True)
    sha = Checksum(ChecksumAlgorithm.SHA256, "AAAA", full_object=True)
    source = present(ALL, whole, sha)
    assert missing(source, ALL, source) == set()
    bare = present(ObjectAttributes(), replace(whole, full_object=False))
    assert missing(source, ALL, bare) == {
        "checksum",
        "checksum-type",
        "content-type",
        "encryption",
        "expires",
        "metadata",
        "object-lock",
        "redirect",
        "storage-class",
    }


@pytest.mark.parametrize(
    ("wants", "has", "lacks"),
    [
        (Extras(lock=LOCK), Extras(lock=replace(LOCK, retain_until="2031-02-03T04:05:06Z")), False),
        (Extras(lock=LOCK), Extras(lock=replace(LOCK, retain_until="2031-02-03T04:05:07Z")), True),
        (Extras(lock=LOCK), Extras(lock=replace(LOCK, legal_hold=False)), True),
        (Extras(encryption=Encryption("AES256")), Extras(encryption=KMS), False),
        (Extras(encryption=KMS), Extras(encryption=Encryption("AES256")), True),
        (Extras(), Extras(encryption=KMS, lock=LOCK), False),
    ],
)
def test_more_than_was_wanted_is_no_difference(wants: Extras, has: Extras, *, lacks: bool) -> None:
    asked, replica = ObjectAttributes(extras=wants), present(ObjectAttributes(extras=has))
    assert bool(missing(present(asked), asked, replica)) is lacks


def test_only_what_stores_drop_without_a_word_is_suspect() -> None:
    usual = ObjectAttributes({"content-type": "a/b", "cache-control": "no"}, {"a": "b"})
    assert suspects(present(usual), usual, copied=False) == {*usual.headers, "metadata"}
    assert suspects(present(usual), usual, copied=True) == set()
    assert suspects(present(ALL), ALL, copied=True) == names_of(ALL)
    tagged = replace(present(usual), tag_count=1)
    assert suspects(tagged, usual, copied=True) == {"tags"}, "the store takes them along"
    refused = suspects(tagged, usual, copied=False)
    assert "tags" not in refused, "what was left out is named already"
