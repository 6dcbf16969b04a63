"""Part arithmetic: how an object is cut, so that every store takes it and its etag may stay.

| the source | part size |
|---|---|
| its first part's size is told, and fits its size and number of parts | that one |
| its etag says how many parts, and one usual size fits | that one (a wrong guess costs the etag) |
| anything else | the wanted one, or larger: at most 10,000 parts |

A part size below the smallest or above the largest that is allowed here is not taken. All parts but
the last have one size: some stores insist (R2: Cloudflare documentation, "Multipart upload", 2026),
and the etag of an S3 object depends on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from s3fanout.model.limits import MIB, PARTS_MAX
from s3fanout.model.objects import FirstPart, ObjectAttributes, Present, Probe, UploadedPart

_USUAL_MIB = (8, 5, 16, 10, 15, 6, 7, 20, 25, 32, 50, 64, 100, 128, 200, 256, 500, 512, 1000, 1024)
"""Part sizes of common uploaders; AWS CLI, boto3 and s3transfer's 8 MiB first."""
_MULTIPART_ETAG = re.compile(r"[0-9a-f]{32}-([0-9]{1,5})")
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Layout:
    """An object of ``size_bytes`` (at least 1) in parts of ``part_bytes``, the last one smaller."""

    size_bytes: int
    part_bytes: int

    @property
    def count(self) -> int:
        """How many parts."""
        return -(-self.size_bytes // self.part_bytes)

    def range_of(self, number: int) -> tuple[int, int]:
        """First and last byte of part ``number`` (from 1), inclusive."""
        first = (number - 1) * self.part_bytes
        return first, min(first + self.part_bytes, self.size_bytes) - 1

    def length_of(self, number: int) -> int:
        """Bytes of part ``number``."""
        first, last = self.range_of(number)
        return last - first + 1


def choose_layout(
    size_bytes: int,
    *,
    etag: str,
    first_part: FirstPart | None,
    wanted_bytes: int,
    smallest_bytes: int,
    largest_bytes: int,
) -> Layout | None:
    """How to cut an object; ``None`` if it has too many parts even at ``largest_bytes``."""
    known = _known(size_bytes, etag, first_part, smallest_bytes, largest_bytes)
    if known is not None:
        return Layout(size_bytes, known)
    part_bytes = max(wanted_bytes, smallest_bytes)
    if size_bytes > part_bytes * PARTS_MAX:
        needed = -(-size_bytes // PARTS_MAX)
        part_bytes = -(-needed // MIB) * MIB
    part_bytes = min(part_bytes, largest_bytes)
    if size_bytes > part_bytes * PARTS_MAX:
        return None
    return Layout(size_bytes, part_bytes)


def parts_of(etag: str) -> int:
    """How many parts an object with this etag was uploaded in; 0 if it does not say."""
    found = _MULTIPART_ETAG.fullmatch(etag)
    return int(found[1]) if found else 0


def missing_parts(layout: Layout, have: Sequence[UploadedPart]) -> list[int]:
    """Numbers of the parts that are still to be written, ascending."""
    there = {
        part.number
        for part in have
        if part.number <= layout.count and part.size_bytes == layout.length_of(part.number)
    }
    return [number for number in range(1, layout.count + 1) if number not in there]


def etag_of_parts(parts: Sequence[UploadedPart]) -> str | None:
    """The etag that S3 gives to an object of these parts; ``None`` where their etags are no MD5.

    AWS documents it for objects that are not encrypted with KMS or a customer's key.
    """
    if not all(_MD5.fullmatch(part.etag) for part in parts):
        return None
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def stood_still(before: Present, after: Probe) -> bool:
    """Whether the source had one state between two looks at it.

    An equal etag alone does not say so: the source may have gone to another state and back. That
    the second of the last change is equal too proves it, if that second was over at the first look
    (``rest_s``): a write since then has a later one.
    """
    return isinstance(after, Present) and (after.etag, after.last_modified_at_ms) == (
        before.etag,
        before.last_modified_at_ms,
    )


def rest_s(facts: Present) -> float:
    """How long to wait after a look before any later write tells by the second of the change."""
    return 0.0 if facts.told_at_ms >= facts.last_modified_at_ms + 1000 else 1.0


def fingerprint(facts: Present, attributes: ObjectAttributes, *, composite: str = "") -> str:
    """Names a state of the source: an upload of another state is never completed.

    ``attributes`` are those that the replica is to have; ``composite`` is the algorithm of an
    upload each part of which has a checksum.
    """
    extras = attributes.extras
    state = [
        facts.etag,
        facts.last_modified_at_ms,
        sorted(attributes.headers.items()),
        sorted(attributes.metadata.items()),
        sorted((attributes.tags or {}).items()),
        repr(extras),
        *([composite] if composite else []),
    ]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _known(
    size_bytes: int,
    etag: str,
    first_part: FirstPart | None,
    smallest_bytes: int,
    largest_bytes: int,
) -> int | None:
    count = parts_of(etag)
    if first_part is not None:
        candidates: tuple[int, ...] = (first_part.size_bytes,)
        count = first_part.count
    else:
        candidates = tuple(mib * MIB for mib in _USUAL_MIB)
    for part_bytes in candidates:
        fits = smallest_bytes <= part_bytes <= largest_bytes
        if count > 1 and fits and -(-size_bytes // part_bytes) == count:
            return part_bytes
    return None
