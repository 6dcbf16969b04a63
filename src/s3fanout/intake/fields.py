"""What a single JSON field is worth: text, sizes, instants, etags and keys of any sender.

Every reader takes whatever stood in the document and says what is missing with ``None`` or ``""``;
only a key can be wrong enough to raise. Text that is not printable (control characters, lone
surrogates) is as good as missing everywhere but in keys: it would end up in request headers, in
logs and in UTF-8 columns.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote_plus

from s3fanout.model.errors import MalformedEvent

KEY_BYTES_MAX = 1024
"""Longest key in UTF-8 bytes (Amazon S3 user guide, "Naming Amazon S3 objects")."""

SIZE_BYTES_MAX = 2**63 - 1
"""Larger sizes are nonsense of the sender, and do not fit the integer column of any ledger."""

_SIZE_DIGITS_MAX = 19
_QUOTED_CHARACTERS_MAX = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001 - subtracted from naive text that means UTC


def printable(value: object) -> str:
    """``value`` if it is printable text, else ``""``."""
    return value if isinstance(value, str) and value.isprintable() else ""


def quoted(value: object) -> str:
    """Any text in a form that is safe to print and store: ASCII, in quotes, cut short."""
    return ascii(value[:_QUOTED_CHARACTERS_MAX]) if isinstance(value, str) else type(value).__name__


def etag(value: object) -> str | None:
    """An etag without its quotes; ``None`` when there is none."""
    return printable(value).strip('"') or None


def size_bytes(value: object) -> int | None:
    """A size in bytes; Ceph's documents show it as text. ``None`` when it is not one."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= _SIZE_DIGITS_MAX):
            return None
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SIZE_BYTES_MAX:
        return value
    return None


def instant_ms(value: object, received_at_ms: int) -> int:
    """An ISO 8601 instant as Unix milliseconds, rounded down; UTC where it names no zone.

    ``received_at_ms`` stands in for what is missing, unreadable or before 1970 (Go prints its zero
    time as year 1).
    """
    if not isinstance(value, str):
        return received_at_ms
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return received_at_ms
    since = instant - (_EPOCH if instant.tzinfo is not None else _EPOCH_NAIVE)
    at_ms = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    return at_ms if at_ms > 0 else received_at_ms


def plain_key(value: object) -> str:
    """A key that the sender did not encode.

    Raises:
        MalformedEvent: ``bad-key``: no text, empty, longer than S3 allows, or not valid Unicode.
    """
    if not isinstance(value, str):
        raise MalformedEvent("bad-key", f"key is {quoted(value)}, not text")
    if not value:
        raise MalformedEvent("bad-key", "key is empty")
    if value.isascii():
        length = len(value)
    else:
        try:
            length = len(value.encode())
        except UnicodeEncodeError as error:
            raise MalformedEvent("bad-key", "key holds a lone surrogate") from error
    if length > KEY_BYTES_MAX:
        raise MalformedEvent("bad-key", f"key has {length} bytes, S3 allows {KEY_BYTES_MAX}")
    return value


def form_encoded_key(value: object) -> str:
    """A key that the sender encoded as an HTML form does: ``+`` is a space, ``%XX`` a byte.

    Raises:
        MalformedEvent: ``bad-key``, as for ``plain_key``, and for bytes that are not UTF-8.
    """
    if isinstance(value, str) and ("%" in value or "+" in value):
        try:
            value = unquote_plus(value, errors="strict")
        except UnicodeDecodeError as error:
            raise MalformedEvent("bad-key", "key is not UTF-8 once decoded") from error
    return plain_key(value)
