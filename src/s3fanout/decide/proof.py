"""Is what was written what was read? Facts of both → the first contradiction, or the best proof.

| compared | a contradiction |
|---|---|
| size | always |
| checksums of the whole object, of an algorithm that both have | always |
| etag | never: what it is made of is the store's own business |
| etags of parts, of which some are the digest of what was sent | if others are not |

An object that was written in parts is as sure as the first line that holds:

| what is seen | proof |
|---|---|
| a checksum is the same on both sides, of the whole object or of equal parts | ``CHECKSUM`` |
| both have one etag, of so many parts: it was made of the digests of equal parts | ``ETAG`` |
| what was read has the source's checksum, the replica the etag of the digests of it | ``READ`` |
| the replica's etag is that of the digests of what was read and sent | ``DIGESTS`` |
| what was read has the source's checksum | ``READ_AND_SIZE`` |
| anything else | ``SIZE`` |

An etag of parts that is not encrypted otherwise is the digest of their digests (Amazon S3 user
guide, "Checking object integrity", 2026-11); two that are equal are no chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from s3fanout.decide.parts import parts_of
from s3fanout.model.objects import Absent, Present, Probe, UploadedPart


class Proof(StrEnum):
    """What shows that an object in parts is the source, for people."""

    CHECKSUM = "checked by checksum"
    ETAG = "checked by the etag that both sides have"
    READ = "read with the source's checksum, and each checked by digest"
    DIGESTS = "each checked by digest"
    READ_AND_SIZE = "read with the source's checksum, and checked by size"
    SIZE = "each pinned to the etag, checked by size"


def contradiction(source: Present, replica: Probe) -> str:
    """What proves that the replica is not the source; ``""`` if nothing does."""
    if isinstance(replica, Absent):
        return f"the destination holds nothing where {source.size_bytes} bytes were written"
    if replica.size_bytes != source.size_bytes:
        return (
            f"the destination holds {replica.size_bytes} bytes where {source.size_bytes} bytes "
            "were written"
        )
    theirs = {
        checksum.algorithm: checksum.value for checksum in replica.checksums if checksum.full_object
    }
    for checksum in source.checksums:
        found = theirs.get(checksum.algorithm)
        if checksum.full_object and found is not None and found != checksum.value:
            return f"the destination's {checksum.algorithm} is {found}, not {checksum.value}"
    return ""


def proof_of_parts(
    source: Present, replica: Present, *, sent_etag: str | None, is_as_told: bool = False
) -> Proof:
    """What shows that a replica which contradicts nothing is the source.

    ``sent_etag`` is of the digests of what was read and sent; ``None`` if that is not all known.
    ``is_as_told`` says that it has the checksum that the source keeps.
    """
    if any(checksum in replica.checksums for checksum in source.checksums):
        return Proof.CHECKSUM
    if parts_of(source.etag) and source.etag == replica.etag:
        return Proof.ETAG
    if sent_etag is not None and sent_etag == replica.etag:
        return Proof.READ if is_as_told else Proof.DIGESTS
    return Proof.READ_AND_SIZE if is_as_told else Proof.SIZE


def altered_parts(sent: Mapping[int, str], parts: Sequence[UploadedPart]) -> list[int]:
    """Numbers of the parts that the store holds other bytes of than were sent.

    Some stores check no digest on receipt (moto, probed). ``sent`` has MD5 digests by number; of a
    store whose etags are none of them (keys of KMS) nothing can be said.
    """
    told = [(part.number, part.etag == sent[part.number]) for part in parts if part.number in sent]
    if not any(is_same for _, is_same in told):
        return []
    return [number for number, is_same in told if not is_same]
