"""The documents of S3 about versions, read as ``s3_xml`` reads the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from s3fanout.adapters.store.s3_xml import SIZE, instant_ms, root_of, text_of, unquoted
from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import Deleted, Version

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MARKER = "DeleteMarker"


@dataclass(frozen=True, slots=True)
class ListedVersions:
    """What a page of ``ListObjectVersions`` says about one key.

    Attributes:
        versions: In the order of the document, which is newest first.
        begins_with_latest: The first of them is the current object or marker.
        next_version_id: Where it goes on; ``None`` if all of the key is here.
        is_cut: There is more, of this key or of others.
    """

    versions: tuple[Version, ...]
    begins_with_latest: bool
    next_version_id: str | None
    is_cut: bool


def parse_versions_page(body: bytes, key: str) -> ListedVersions:
    """The part of a page that is about exactly ``key``.

    Raises:
        Unavailable: Not such a document, or one that says that it goes on but not where.
    """
    root = _root(body)
    encoded = text_of(root, "EncodingType") == "url"
    rows = [
        item
        for item in root
        if item.tag in ("Version", _MARKER) and _text(item, "Key", encoded=encoded) == key
    ]
    is_cut = text_of(root, "IsTruncated") == "true"
    next_version_id = None
    if is_cut and _text(root, "NextKeyMarker", encoded=encoded) == key:
        next_version_id = text_of(root, "NextVersionIdMarker")
        if not next_version_id:
            raise Unavailable("broken answer: truncated versions without a marker")
    return ListedVersions(
        tuple(_version(item) for item in rows),
        bool(rows) and text_of(rows[0], "IsLatest") == "true",
        next_version_id,
        is_cut,
    )


def parse_deleted_page(body: bytes) -> tuple[tuple[Deleted, ...], tuple[str, str] | None]:
    """The deleted keys of a page, and the markers of key and version that it goes on from.

    Raises:
        Unavailable: As ``parse_versions_page``.
    """
    root = _root(body)
    encoded = text_of(root, "EncodingType") == "url"
    rows = tuple(
        Deleted(_text(item, "Key", encoded=encoded), instant_ms(text_of(item, "LastModified")))
        for item in root
        if item.tag == _MARKER and text_of(item, "IsLatest") == "true"
    )
    if text_of(root, "IsTruncated") != "true":
        return rows, None
    place = _text(root, "NextKeyMarker", encoded=encoded)
    if not place:
        raise Unavailable("broken answer: truncated versions without a marker")
    keys = {
        _text(item, "Key", encoded=encoded) for item in root if item.tag in ("Version", _MARKER)
    }
    as_it_is = text_of(root, "NextKeyMarker")
    if place not in keys and as_it_is in keys:
        place = as_it_is  # Ceph RGW 16 encodes the keys and not the marker (probed 2026-11).
    return rows, (place, text_of(root, "NextVersionIdMarker"))


def parse_versioning(body: bytes) -> bool:
    """Whether a ``GetBucketVersioning`` answer says that versioning is on.

    Raises:
        Unavailable: Not such a document.
    """
    root = root_of(body)
    if root.tag != "VersioningConfiguration":
        raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")
    return text_of(root, "Status") == "Enabled"


def _root(body: bytes) -> Element:
    root = root_of(body)
    # Amazon's name of the document is ListVersionsResult, in its own API reference too.
    if root.tag != "ListVersionsResult":
        raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")
    return root


def _text(item: Element, name: str, *, encoded: bool) -> str:
    raw = text_of(item, name)
    return unquote_plus(raw, errors="surrogateescape") if encoded else raw


def _version(item: Element) -> Version:
    size = text_of(item, "Size") or "0"
    if not SIZE.fullmatch(size):
        raise Unavailable("broken answer: version without a size")
    return Version(
        text_of(item, "VersionId") or "null",
        item.tag == _MARKER,
        int(size),
        unquoted(text_of(item, "ETag")),
        instant_ms(text_of(item, "LastModified")),
    )
