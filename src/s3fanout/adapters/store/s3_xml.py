"""The XML documents of S3, read tolerantly: any namespace, any order, missing elements are empty.

Whatever is not the expected document is ``Unavailable``: a broken answer says nothing about the
object. Leading white space is allowed, because a store may send it to keep a slow copy's connection
alive. Documents with a DOCTYPE are refused unread: S3 has none, and entities are an attack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import Listed, ListPage

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SIZE = re.compile(r"[0-9]{1,19}")


_COPY_RESULT = re.compile(
    rb"\s*(?:<\?xml[^<>]*\?>\s*)?<CopyObjectResult(?:\s[^<>]*)?>"
    rb"(?:\s*<(?!ETag>)[A-Za-z0-9]+>[^<>]*</[A-Za-z0-9]+>)*"
    rb"\s*<ETag>(?:&quot;|&#34;|\"|)([A-Za-z0-9-]*)(?:&quot;|&#34;|\"|)</ETag>"
    rb"(?:\s*<[A-Za-z0-9]+>[^<>]*</[A-Za-z0-9]+>)*\s*</CopyObjectResult>\s*\Z"
)
"""The answer of a plain copy, whole and without surprises. Building a tree for it would take
five times longer, on the hottest path there is. Whatever is not exactly this goes to the parser."""


_TEXT = r"[ -%'-;=?-~]"
"""Printable ASCII without ``& < >``: a text that stands for itself in XML."""
_SIMPLE = rf"<([A-Za-z]+)>({_TEXT}*)</\1>|<[A-Za-z]+ ?/>"
_FIELDS = re.compile(_SIMPLE)
_PAGE_HEAD = re.compile(
    rf"\s*(?:<\?xml[^<>]*\?>\s*)?<ListBucketResult(?: xmlns={_TEXT}*)?>(?:\s*(?:{_SIMPLE}))*\s*"
)
_PAGE_TAIL = re.compile(rf"\s*(?:(?:{_SIMPLE})\s*)*</ListBucketResult>\s*")
_ROW = re.compile(
    rf"(<Contents><Key>({_TEXT}+)</Key><LastModified>({_TEXT}*)</LastModified>"
    r"<ETag>(?:&quot;|&#34;|\"|)([A-Za-z0-9-]*)(?:&quot;|&#34;|\"|)</ETag>"
    rf"(?:<Checksum(?:Algorithm|Type)>{_TEXT}*</Checksum(?:Algorithm|Type)>)*"
    r"<Size>([0-9]{1,19})</Size>"
    rf"(?:<Owner>(?:<(?:ID|DisplayName)>{_TEXT}*</(?:ID|DisplayName)>)*</Owner>)?"
    rf"<StorageClass>({_TEXT}*)</StorageClass></Contents>\s*)"
)
"""A row as AWS, MinIO and SeaweedFS write it. A page that consists of nothing else needs no tree,
which makes it five times cheaper; any other goes to the parser, so that what is malformed is met
there and nowhere else."""


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """A store's ``<Error>``; what is missing is ``""``.

    Attributes:
        code, message, request_id: As in the document.
        region: The region that the bucket is in, where the error is about that.
        resource_bucket: The bucket that the error is about (``BucketName``), where it says so.
    """

    code: str
    message: str
    request_id: str
    region: str = ""
    resource_bucket: str = ""


def parse_error(body: bytes) -> ErrorDocument | None:
    """The error document in ``body``, or ``None`` if there is none (HTML, nothing, garbage)."""
    try:
        root = root_of(body)
    except Unavailable:
        return None
    return error_of(root) if root.tag == "Error" else None


def parse_copy_result(body: bytes) -> str | ErrorDocument:
    """The etag (without quotes) of a copy that succeeded, or the error inside the 200 answer.

    Raises:
        Unavailable: Neither of the two.
    """
    plain = _COPY_RESULT.match(body)
    if plain is not None:
        return plain[1].decode("ascii")
    root = root_of(body)
    if root.tag == "CopyObjectResult":
        return unquoted(text_of(root, "ETag"))
    if root.tag == "Error":
        return error_of(root)
    raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")


def parse_tags(body: bytes) -> dict[str, str]:
    """The tag set of a ``GetObjectTagging`` answer.

    Raises:
        Unavailable: Not such a document.
    """
    root = root_of(body)
    if root.tag != "Tagging":
        raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")
    return {text_of(tag, "Key"): text_of(tag, "Value") for tag in root.iter("Tag")}


def parse_list_page(body: bytes) -> ListPage:
    """A page of ``ListObjectsV2``.

    Keys are decoded only if the store says that it encoded them: not every store honours
    ``encoding-type=url``. Bytes that are not UTF-8 become surrogate escapes, which the client
    encodes back to the same bytes: another object must never be read in place of this one.

    Raises:
        Unavailable: Not such a document, or one that says that it goes on but not where.
    """
    plain = _plain_page(body)
    if plain is not None:
        return plain
    root = root_of(body)
    if root.tag != "ListBucketResult":
        raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")
    encoded = text_of(root, "EncodingType") == "url"
    next_token = text_of(root, "NextContinuationToken") or None
    if text_of(root, "IsTruncated") != "true":
        next_token = None
    elif next_token is None:
        raise Unavailable("broken answer: truncated listing without a continuation token")
    return ListPage(
        tuple(_listed(item, encoded) for item in root.iter("Contents")),
        next_token,
        tuple(_key(text_of(item, "Prefix"), encoded) for item in root.iter("CommonPrefixes")),
    )


def unquoted(etag: str) -> str:
    """An etag without its quotes."""
    return etag.strip().strip('"')


def _listed(item: Element, encoded: bool) -> Listed:  # noqa: FBT001 -- one private caller
    raw = text_of(item, "Key")
    size = text_of(item, "Size")
    if not raw or not SIZE.fullmatch(size):
        raise Unavailable("broken answer: listing row without key or size")
    return Listed(
        _key(raw, encoded),
        int(size),
        unquoted(text_of(item, "ETag")),
        instant_ms(text_of(item, "LastModified")),
        text_of(item, "StorageClass"),
    )


def _key(raw: str, encoded: bool) -> str:  # noqa: FBT001 -- as above
    return unquote_plus(raw, errors="surrogateescape") if encoded else raw


def _plain_page(body: bytes) -> ListPage | None:
    """The page, if it is written without surprises; ``None`` leaves it to the parser."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        return None
    start = text.find("<Contents>")
    end = text.rfind("</Contents>") + len("</Contents>")
    if start < 0:
        return None
    head, tail = text[:start], text[end:]
    if not (_PAGE_HEAD.fullmatch(head) and _PAGE_TAIL.fullmatch(tail)):
        return None
    rows = _ROW.findall(text, start, end)
    if sum(len(row[0]) for row in rows) != end - start:
        return None
    fields: dict[str, str] = {}
    for name, value in _FIELDS.findall(head + tail):
        fields.setdefault(name, value)
    next_token = fields.get("NextContinuationToken") or None
    if fields.get("IsTruncated") != "true":
        next_token = None
    elif next_token is None:
        return None
    encoded = fields.get("EncodingType") == "url"
    return ListPage(
        tuple(
            Listed(
                _key(key, encoded) if "%" in key or "+" in key else key,
                int(size),
                etag,
                instant_ms(modified),
                storage_class,
            )
            for _, key, modified, etag, size, storage_class in rows
        ),
        next_token,
    )


@lru_cache(maxsize=4096)
def instant_ms(text: str) -> int:
    """A time in UTC unless it names an offset; 0 for what is no time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def error_of(root: Element) -> ErrorDocument:
    """What an ``<Error>`` says."""
    return ErrorDocument(
        code=text_of(root, "Code").strip(),
        message=text_of(root, "Message").strip(),
        request_id=text_of(root, "RequestId").strip(),
        region=text_of(root, "Region").strip(),
        resource_bucket=text_of(root, "BucketName").strip(),
    )


def text_of(parent: Element, name: str) -> str:
    """The text of a child, ``""`` without one."""
    return parent.findtext(name) or ""


def root_of(body: bytes) -> Element:
    """A document, its namespaces taken off.

    Raises:
        Unavailable: Not XML, or XML that S3 never sends.
    """
    # A NUL is in no ASCII-compatible document, and in all UTF-16, where a doctype would hide.
    if b"<!DOCTYPE" in body or b"\0" in body:
        raise Unavailable("broken answer: document with a doctype or a NUL")
    try:
        root = ET.fromstring(body.lstrip())  # noqa: S314 -- no doctype, so no entities
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Unavailable(f"broken answer: not XML reason={str(error)!r}") from error
    if b"xmlns" in body:
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
    return root
