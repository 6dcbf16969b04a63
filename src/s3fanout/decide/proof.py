"""Is what was written what was read? Facts of both → the first contradiction.

| compared | a contradiction |
|---|---|
| size | always |
| checksums of the whole object, of an algorithm that both have | always |
| etag | never: what it is made of is the store's own business |
"""

from __future__ import annotations

from s3fanout.model.objects import Absent, Present, Probe


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


def is_proven(source: Present, replica: Present) -> bool:
    """Whether a checksum of the whole object is the same on both sides."""
    theirs = {checksum for checksum in replica.checksums if checksum.full_object}
    return any(checksum in theirs for checksum in source.checksums)
