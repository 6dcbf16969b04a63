"""The XML documents of multipart uploads, read as tolerantly as those of ``s3_xml``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.sax.saxutils import escape

from s3fanout.adapters.store.s3_xml import (
    SIZE,
    ErrorDocument,
    error_of,
    instant_ms,
    root_of,
    text_of,
    unquoted,
)
from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import ChecksumAlgorithm, ListedUpload, UploadedPart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element


def parse_upload_id(body: bytes) -> str | ErrorDocument:
    """The id of an upload that was begun.

    Raises:
        Unavailable: Not such a document.
    """
    root = _root(body, "InitiateMultipartUploadResult")
    if isinstance(root, ErrorDocument):
        return root
    if upload_id := text_of(root, "UploadId"):
        return upload_id
    raise Unavailable("broken answer: no upload id")


def parse_part_copy_result(body: bytes) -> tuple[str, str] | ErrorDocument:
    """The etag of a part that was copied, and its checksum, if the store tells one.

    Raises:
        Unavailable: Not such a document.
    """
    root = _root(body, "CopyPartResult")
    if isinstance(root, ErrorDocument):
        return root
    return unquoted(text_of(root, "ETag")), _checksum(root)


def parse_complete_result(body: bytes) -> str | ErrorDocument:
    """The etag of an object that was completed.

    Raises:
        Unavailable: Not such a document.
    """
    root = _root(body, "CompleteMultipartUploadResult")
    return root if isinstance(root, ErrorDocument) else unquoted(text_of(root, "ETag"))


def parse_parts_page(body: bytes) -> tuple[list[UploadedPart], str | None] | ErrorDocument:
    """Parts of a page, and where the next one begins.

    Raises:
        Unavailable: Not such a document.
    """
    root = _root(body, "ListPartsResult")
    if isinstance(root, ErrorDocument):
        return root
    parts = []
    for row in root.iter("Part"):
        number, size = text_of(row, "PartNumber"), text_of(row, "Size")
        if not SIZE.fullmatch(number) or not SIZE.fullmatch(size):
            raise Unavailable("broken answer: part without number or size")
        etag, checksum = unquoted(text_of(row, "ETag")), _checksum(row)
        parts.append(UploadedPart(int(number), etag, int(size), checksum))
    truncated = text_of(root, "IsTruncated") == "true"
    return parts, text_of(root, "NextPartNumberMarker") if truncated else None


def parse_uploads_page(body: bytes) -> list[ListedUpload] | ErrorDocument:
    """Unfinished uploads of a page.

    Raises:
        Unavailable: Not such a document.
    """
    root = _root(body, "ListMultipartUploadsResult")
    if isinstance(root, ErrorDocument):
        return root
    encoded = text_of(root, "EncodingType") == "url"
    return [
        ListedUpload(
            unquote_plus(key, errors="surrogateescape") if encoded else key,
            text_of(row, "UploadId"),
            instant_ms(text_of(row, "Initiated")),
        )
        for row in root.iter("Upload")
        if (key := text_of(row, "Key"))
    ]


def complete_document(
    parts: Sequence[UploadedPart], algorithm: ChecksumAlgorithm | None = None
) -> bytes:
    """What names the parts of an object to be completed, with checksums of that algorithm."""
    named = f"Checksum{algorithm}"
    rows = "".join(
        f'<Part><PartNumber>{part.number}</PartNumber><ETag>"{escape(part.etag)}"</ETag>'
        + (f"<{named}>{escape(part.checksum)}</{named}>" if algorithm else "")
        + "</Part>"
        for part in parts
    )
    return (
        '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{rows}</CompleteMultipartUpload>"
    ).encode()


def _checksum(row: Element) -> str:
    """A part has one of the algorithm that the upload was begun with."""
    return next(
        (text for each in ChecksumAlgorithm if (text := text_of(row, f"Checksum{each}"))), ""
    )


def _root(body: bytes, expected: str) -> Element | ErrorDocument:
    root = root_of(body)
    if root.tag == "Error":
        return error_of(root)
    if root.tag != expected:
        raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")
    return root
