"""What a listing of the memory store shows."""

from __future__ import annotations

from collections.abc import Iterable


def entries_of(keys: Iterable[str], prefix: str, delimiter: str, *, after: str) -> list[str]:
    """Keys and what they start with, in byte order, behind ``after``."""
    entries = {_entry(key, prefix, delimiter).encode() for key in keys}
    return [entry.decode() for entry in sorted(entries) if entry and entry > after.encode()]


def _entry(key: str, prefix: str, delimiter: str) -> str:
    """What a listing shows for ``key``: itself, what it starts with, or (``""``) nothing."""
    if not key.startswith(prefix):
        return ""
    if not delimiter or delimiter not in key[len(prefix) :]:
        return key
    return prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter


def is_prefix(entry: str, prefix: str, delimiter: str) -> bool:
    """Whether it is what keys start with, and no key."""
    return bool(delimiter) and delimiter in entry[len(prefix) :]
