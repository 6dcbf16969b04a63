"""Does a replica have every version that its source has, in the same order?

It may have more: versions of before, and those that are gone from the source. Two versions are the
same if both are delete markers; or if their sizes are equal, and their etags do not prove that the
bytes are others.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3fanout.decide.compare import Standing, Verdict, is_md5
from s3fanout.model.objects import Version


def compare_histories(
    source: Sequence[Version], replica: Sequence[Version], *, etags_are_hashes: bool
) -> Verdict | None:
    """What the replica lacks; ``None`` for nothing.

    Args:
        source: What the rule wants of it, newest first.
        replica: All of it, newest first.
        etags_are_hashes: Those that look like MD5s may be some: nothing is encrypted with a key.
    """
    at, lacking = 0, []
    for version in source:
        end = next(
            (
                place
                for place in range(at, len(replica))
                if _is_same(version, replica[place], etags_are_hashes=etags_are_hashes)
            ),
            None,
        )
        if end is None:
            lacking.append(version)
        else:
            at = end + 1
    if not lacking:
        return None
    return Verdict(
        Standing.DIFFERS,
        "history",
        f"{len(lacking)} of {len(source)} versions are not in the replica, or not in their order; "
        f"the newest of them is {lacking[0].version_id}",
    )


def _is_same(ours: Version, theirs: Version, *, etags_are_hashes: bool) -> bool:
    if ours.is_marker or theirs.is_marker:
        return ours.is_marker and theirs.is_marker
    if ours.size_bytes != theirs.size_bytes:
        return False
    are_others = etags_are_hashes and is_md5(ours.etag) and is_md5(theirs.etag)
    return ours.etag == theirs.etag or not are_others
