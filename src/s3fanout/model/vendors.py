"""What is known of the stores of other vendors: which keys and attributes they hold.

Facts of stores that run in the tests were seen there (``docs/vendors.md``, 2026-11). Those of
services come from the vendors' own pages, which ``Vendor.source`` names; ``None`` means that the
page does not say. A store that is not recognised is taken for one without limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from s3fanout.model.objects import ChecksumAlgorithm


class VendorName(StrEnum):
    """As in settings."""

    AUTO = "auto"
    """Not said: it is recognised, if it can be."""
    AWS = "aws"
    MINIO = "minio"
    CEPH = "ceph"
    SEAWEEDFS = "seaweedfs"
    GARAGE = "garage"
    R2 = "r2"
    B2 = "b2"
    GCS = "gcs"
    WASABI = "wasabi"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Which keys a store holds as they are. The others it refuses, or keeps under another key.

    Attributes:
        bytes_max: Longest key in UTF-8; ``None`` where none is known.
        segment_bytes_max: Longest piece between two ``/``.
        empty_segments: ``a//b`` and ``/a`` stay what they are.
        dot_segments: ``.`` and ``..`` between slashes are ordinary text.
        backslashes: They are ordinary text.
        folder_bytes: A key that ends with ``/`` may hold bytes.
        refused_characters: No key may have one of them.
        refused_names: No key may be one of them.
        refused_beginnings: No key may begin with one of them.
        four_byte_characters: Characters beyond the Basic Multilingual Plane, four bytes of UTF-8,
            are ordinary text.
        forms_apart: Two keys that are one in Unicode's composed form (NFC) are two objects.
        file_beside_folder: ``x`` and ``x/y`` may both exist. (It depends on other keys: nothing
            can be refused for it beforehand.)
        file_beside_marker: ``x`` and ``x/`` may both exist. Elsewhere the later one is refused, or
            takes the place of the other without a word.
    """

    bytes_max: int | None = 1024
    segment_bytes_max: int | None = None
    empty_segments: bool = True
    dot_segments: bool = True
    backslashes: bool = True
    folder_bytes: bool = True
    refused_characters: str = ""
    refused_names: tuple[str, ...] = ()
    refused_beginnings: tuple[str, ...] = ()
    four_byte_characters: bool = True
    forms_apart: bool = True
    file_beside_folder: bool = True
    file_beside_marker: bool = True


@dataclass(frozen=True, slots=True)
class Vendor:
    """One kind of store.

    Attributes:
        name: Never ``AUTO``.
        title: As people call it.
        source: Where the facts are from, and when.
        hosts: Endings of its endpoints' host names.
        headers: Any of these in an answer tells it: name to the beginning of the value.
        keys: Which keys it holds.
        copy_conditions: Whether a copy pinned to another etag is refused.
        tags, acls, object_lock, checksums: Whether objects have them.
        encryption: Kinds of server-side encryption that a request may ask for.
        storage_classes: Those that ``x-amz-storage-class`` may name.
        tells_tags: An answer tells those who may read an object's tags how many it has.
        byte_order: Whether listings are in the order of the keys' bytes.
        checksums_of_parts: Algorithms of which an object in parts can have a checksum of the whole;
            ``None`` where it is not known: then all are tried.
        copies_keep_class: A copy by the store has the storage class of the source object, and its
            redirect and lock where the store holds them.
        copied_parts_have_digests: The etag of a part that the store copied is the digest of its
            bytes, as that of an uploaded one is; only then the source's parts make its etag.
        loses: What it takes and drops without a word, by ``model.keeping.Difference`` or name of a
            content header; ``None`` where it is not known.
    """

    name: VendorName
    title: str
    source: str = ""
    hosts: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    keys: KeyLimits = KeyLimits()
    copy_conditions: bool | None = None
    tags: bool | None = None
    tells_tags: bool = False
    acls: bool | None = None
    object_lock: bool | None = None
    checksums: bool | None = None
    encryption: str = ""
    storage_classes: str = ""
    byte_order: bool | None = None
    checksums_of_parts: frozenset[ChecksumAlgorithm] | None = None
    copies_keep_class: bool = False
    copied_parts_have_digests: bool = True
    loses: frozenset[str] | None = None


CONTROL_CHARACTERS = "".join(map(chr, (*range(32), 127)))
LINE_BREAKS = "\r\n"

_PATHS = KeyLimits(
    bytes_max=None,
    empty_segments=False,
    dot_segments=False,
    folder_bytes=False,
    file_beside_folder=False,
    file_beside_marker=False,
)
"""Keys are paths of a file system."""

OTHER = Vendor(VendorName.OTHER, "another store", keys=KeyLimits(bytes_max=None))

VENDORS: tuple[Vendor, ...] = (
    Vendor(
        VendorName.AWS,
        "Amazon S3",
        source="Amazon S3 user guide and API reference, 2026-11",
        hosts=("amazonaws.com", "amazonaws.com.cn"),
        headers=(("server", "AmazonS3"),),
        copy_conditions=True,
        tags=True,
        tells_tags=True,
        acls=True,
        object_lock=True,
        checksums=True,
        encryption="SSE-S3, SSE-KMS, SSE-C",
        storage_classes="all of S3",
        byte_order=True,
        loses=frozenset(),
    ),
    Vendor(
        VendorName.MINIO,
        "MinIO front end",
        source="JuiceFS gateway 1.4.2, seen in tests, 2026-11",
        headers=(("server", "MinIO"),),
        keys=_PATHS,
        copy_conditions=True,
        tags=True,
        tells_tags=True,
        acls=False,
        object_lock=False,
        checksums=False,
        encryption="none",
        storage_classes="STANDARD",
        byte_order=True,
        copies_keep_class=True,
        loses=frozenset(
            {"checksum", "content-encoding", "content-language", "expires", "redirect"}
        ),
    ),
    Vendor(
        VendorName.CEPH,
        "Ceph RGW",
        source="16.2.15, seen in tests, 2026-11",
        headers=(("x-rgw-object-count", ""),),
        copy_conditions=False,
        tags=True,
        tells_tags=True,
        acls=True,
        object_lock=True,
        checksums=False,
        encryption="SSE-C",
        storage_classes="those of the cluster",
        byte_order=True,
        loses=frozenset({"checksum"}),
    ),
    Vendor(
        VendorName.SEAWEEDFS,
        "SeaweedFS",
        source="4.48, seen in tests, 2026-11",
        headers=(("server", "SeaweedFS"),),
        keys=KeyLimits(
            segment_bytes_max=255,
            empty_segments=False,
            dot_segments=False,
            backslashes=False,
            folder_bytes=False,
            file_beside_marker=False,
        ),
        copy_conditions=True,
        tags=True,
        tells_tags=True,
        acls=False,
        object_lock=True,
        checksums=True,
        encryption="SSE-S3, SSE-C",
        storage_classes="any name",
        byte_order=False,
        copies_keep_class=True,
        copied_parts_have_digests=False,
        loses=frozenset({"metadata", "redirect"}),
    ),
    Vendor(
        VendorName.GARAGE,
        "Garage",
        source="garagehq.deuxfleurs.fr, reference manual, S3 compatibility status; for copy "
        "conditions, checksums and order its source, src/api/s3/copy.rs, "
        "src/api/common/signature/checksum.rs and src/table/schema.rs; read 2026-11",
        copy_conditions=True,
        tags=False,
        acls=False,
        object_lock=False,
        # CRC64NVME in newer ones only: version 1.2 refuses or ignores it.
        checksums=True,
        encryption="SSE-C",
        storage_classes="STANDARD",
        byte_order=True,
    ),
    Vendor(
        VendorName.R2,
        "Cloudflare R2",
        source="developers.cloudflare.com/r2: api/s3/api, api/s3/extensions, "
        "api/workers/workers-api-reference, platform/limits, reference/unicode-interoperability; "
        "read 2026-11",
        hosts=("r2.cloudflarestorage.com",),
        keys=KeyLimits(forms_apart=False),
        copy_conditions=True,
        tags=False,
        acls=False,
        object_lock=False,
        checksums=True,
        encryption="SSE-C",
        storage_classes="STANDARD, STANDARD_IA",
        byte_order=True,
        # Its page lists CRC32 and CRC32C for parts only.
        checksums_of_parts=frozenset({ChecksumAlgorithm.CRC64NVME}),
    ),
    Vendor(
        VendorName.B2,
        "Backblaze B2",
        source="backblaze.com: apidocs/s3-copy-object, s3-put-object and s3-list-objects-v2, "
        "docs/cloud-storage-s3-compatible-api, docs/cloud-storage-files and "
        "docs/server_side_encryption; for copy conditions its collection for Postman, S3 Upload "
        "Part Copy; for storage classes its answer, quoted in "
        "github.com/gobackup/gobackup/issues/155; read 2026-11",
        hosts=("backblazeb2.com",),
        # Editions of its page on files differ over backslashes and slashes at either end: such
        # keys are left to the store.
        keys=KeyLimits(refused_characters=CONTROL_CHARACTERS),
        copy_conditions=True,
        tags=False,
        acls=False,
        object_lock=True,
        # Refused by name until mid-2025 (github.com/ClickHouse/ClickHouse/pull/107318, read
        # 2026-11): should one still be, it is sent without.
        checksums=True,
        encryption="SSE-S3, SSE-C",
        storage_classes="STANDARD",
        byte_order=True,
    ),
    Vendor(
        VendorName.GCS,
        "Google Cloud Storage (interoperability)",
        source="cloud.google.com/storage/docs: aws-simple-migration, data-validation, migrating, "
        "objects, storage-classes, xml-api/get-bucket-list, xml-api/put-object-copy and "
        "xml-api/reference-headers; read 2026-11",
        hosts=("storage.googleapis.com",),
        keys=KeyLimits(
            refused_characters=LINE_BREAKS,
            refused_names=(".", ".."),
            refused_beginnings=(".well-known/acme-challenge/",),
        ),
        copy_conditions=True,
        tags=False,
        acls=True,
        object_lock=True,
        # Its own are in headers of its own, x-goog-hash. It answers boto3's with
        # SignatureDoesNotMatch (github.com/EnterpriseDB/barman/issues/1112, read 2026-11).
        checksums=False,
        storage_classes="STANDARD, NEARLINE, COLDLINE, ARCHIVE, MULTI_REGIONAL, REGIONAL, "
        "DURABLE_REDUCED_AVAILABILITY",
        byte_order=True,
    ),
    Vendor(
        VendorName.WASABI,
        "Wasabi",
        source="docs.wasabi.com: object tagging, object lock, policies, naming conventions and "
        "SSE-C encryption; wasabi.com API guide, object server-side encryption; for checksums its "
        "answers, quoted in github.com/mattermost/mattermost/issues/27293 and "
        "github.com/treeverse/dvc/issues/10695; read 2026-11",
        hosts=("wasabisys.com",),
        keys=KeyLimits(four_byte_characters=False),
        tags=True,
        acls=True,
        object_lock=True,
        checksums=True,
        encryption="SSE-C",
    ),
)


def vendor_named(name: VendorName) -> Vendor:
    """By its name in settings."""
    return next((vendor for vendor in VENDORS if vendor.name == name), OTHER)


def vendor_of_host(host: str) -> Vendor | None:
    """Told by an endpoint's host name, if that tells it."""
    for vendor in VENDORS:
        if any(host == end or host.endswith(f".{end}") for end in vendor.hosts):
            return vendor
    return None


def vendor_of_headers(headers: Mapping[str, str]) -> Vendor:
    """Told by the headers of an answer, names in lower case; ``OTHER`` if they tell nothing."""
    for vendor in VENDORS:
        if any(
            name in headers and headers[name].startswith(begin) for name, begin in vendor.headers
        ):
            return vendor
    return OTHER
