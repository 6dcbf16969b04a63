"""Can a store hold this key as it is? A key that it would quietly change is refused instead.

| the store | the key | why it is not held |
|---|---|---|
| has a longest key | is longer | it is longer than … bytes |
| has a longest segment | a segment is longer | a segment is longer than … bytes |
| folds slashes | begins with ``/``, or has ``//`` | the store folds slashes |
| takes segments for directories | has a segment ``.`` or ``..`` | … is a directory there |
| folds backslashes | has one | the store takes a backslash for a slash |
| takes ``a/`` for a directory | ends with ``/``, and has bytes | a directory has no bytes |
| refuses characters | has one | the store takes no … |
| refuses names or beginnings | is one, or begins so | the store refuses … |
| has no characters of four bytes | has one | the store takes no character of four bytes |
| takes what looks the same for one key | is not composed (NFC) | … is the same key there |
"""

from __future__ import annotations

import unicodedata

from s3fanout.model.vendors import KeyLimits


def why_not_held(key: str, limits: KeyLimits, size_bytes: int | None) -> str | None:
    """Why the store would not hold an object of ``size_bytes`` as ``key``; ``None`` if it does.

    An unknown size passes: what is lost then is noticed when the replica is checked.
    """
    if limits.bytes_max is not None and len(key.encode()) > limits.bytes_max:
        return f"it is longer than {limits.bytes_max} bytes"
    segments = key.split("/")
    longest = limits.segment_bytes_max
    # Most keys are shorter than that as a whole.
    if (
        longest is not None
        and len(key.encode()) > longest
        and any(len(each.encode()) > longest for each in segments)
    ):
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
    return _why_not_spelled(key, limits)


def _why_not_spelled(key: str, limits: KeyLimits) -> str | None:
    """Why the store would not hold a key of these characters."""
    for character in limits.refused_characters:
        if character in key:
            return f"the store takes no {character!r}"
    if key in limits.refused_names:
        return f"the store refuses {key!r} as a key"
    for beginning in limits.refused_beginnings:
        if key.startswith(beginning):
            return f"the store refuses keys that begin with {beginning!r}"
    if not limits.four_byte_characters and any(character > "\uffff" for character in key):
        return "the store takes no character of four bytes"
    if not limits.forms_apart and not unicodedata.is_normalized("NFC", key):
        return f"{unicodedata.normalize('NFC', key)!a} is the same key there, composed (NFC)"
    return None
