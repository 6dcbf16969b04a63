"""An object of a store, as facts that were read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What an object carries beside its bytes.

    Attributes:
        headers: Content headers by lower-case name: ``content-type``, ``content-encoding``,
            ``content-disposition``, ``content-language``, ``cache-control``, ``expires``; only
            those that are set.
        metadata: User metadata by lower-case name without ``x-amz-meta-``; values as sent on the
            wire (not decoded).
        tags: Tag set; ``None`` when it was not read.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """The object exists (first of the three values of a probe).

    Attributes:
        key: The key that was asked for.
        size_bytes: Content length.
        etag: Opaque validator without quotes, never a hash by assumption.
        version_id: ``None`` when the store sent none.
        last_modified_at_ms: Unix milliseconds, second resolution; 0 when the store sent none.
        tag_count: Number of tags, where the store says so; 0 otherwise.
        attributes: Headers and metadata as read; ``tags`` is ``None`` (a probe does not read them).
    """

    key: str
    size_bytes: int
    etag: str
    version_id: str | None = None
    last_modified_at_ms: int = 0
    tag_count: int = 0
    attributes: ObjectAttributes = field(default_factory=ObjectAttributes)


@dataclass(frozen=True, slots=True)
class Absent:
    """The store *confirmed* that the key has no current object (404, or a delete marker).

    Anything else that keeps us from knowing is an error raised by the probe: the third value,
    ``Unknown``, is an exception so that nobody can mistake it for this one.
    """

    key: str


Probe = Present | Absent


@dataclass(frozen=True, slots=True)
class Body:
    """A whole object of at most one part, in memory.

    Attributes:
        facts: As for a probe, read in the same request as the bytes.
        content: The bytes; ``len(content) == facts.size_bytes``.
        md5_hex, sha256_hex: Digests of ``content``.
    """

    facts: Present
    content: bytes
    md5_hex: str
    sha256_hex: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a store answered to a write.

    Attributes:
        etag: Validator of the object written, without quotes; ``""`` when the store sent none.
        version_id: ``None`` when the store sent none.
    """

    etag: str
    version_id: str | None = None


class Listed(NamedTuple):
    """One row of a listing. A tuple, because a million of them are made at a time.

    Attributes:
        key: The object's key.
        size_bytes: Its size.
        etag: Opaque validator without quotes; ``""`` when the store sent none.
        last_modified_at_ms: Unix milliseconds; 0 when the store sent none.
        storage_class: As the store spells it; ``""`` when it sent none.
    """

    key: str
    size_bytes: int
    etag: str
    last_modified_at_ms: int
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing.

    Attributes:
        objects: In the store's own order (not every store lists in byte order).
        next_token: Pass it to get the next page; ``None`` on the last one.
        prefixes: With a delimiter: what stands for the keys below it, delimiter included.
    """

    objects: tuple[Listed, ...]
    next_token: str | None
    prefixes: tuple[str, ...] = ()


def is_text(key: str) -> bool:
    """Whether a listed key is UTF-8.

    The bytes of another are surrogate escapes in it: it can be read and written as it is, and the
    ledger cannot hold it.
    """
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
