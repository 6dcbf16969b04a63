"""Can a store hold this key as it is? A key that it would quietly change is refused instead.

| the store | the key | why it is not held |
|---|---|---|
| has a longest key | is longer | it is longer than … bytes |
| has a longest segment | a segment is longer | a segment is longer than … bytes |
| folds slashes | begins with ``/``, or has ``//`` | the store folds slashes |
| takes segments for directories | has a segment ``.`` or ``..`` | … is a directory there |
| folds backslashes | has one | the store takes a backslash for a slash |
| takes ``a/`` for a directory | ends with ``/``, and has bytes | a directory has no bytes |
"""

from __future__ import annotations

from s3fanout.model.vendors import KeyLimits


def why_not_held(key: str, limits: KeyLimits, size_bytes: int | None) -> str | None:
    """Why the store would not hold an object of ``size_bytes`` as ``key``; ``None`` if it does.

    An unknown size passes: what is lost then is noticed when the replica is checked.
    """
    if limits.bytes_max is not None and len(key.encode()) > limits.bytes_max:
        return f"it is longer than {limits.bytes_max} bytes"
    segments = key.split("/")
    longest = limits.segment_bytes_max
    if longest is not None and any(len(each.encode()) > longest for each in segments):
        return f"a segment is longer than {longest} bytes"
    # The last one may be empty: "a/" is a folder mark.
    if not limits.empty_segments and "" in segments[:-1]:
        return "the store folds slashes"
    if not limits.dot_segments and not {".", ".."}.isdisjoint(segments):
        return "a segment . or .. is a directory there"
    if not limits.backslashes and "\\" in key:
        return "the store takes a backslash for a slash"
    if not limits.folder_bytes and key.endswith("/") and size_bytes:
        return "a directory has no bytes"
    return None
