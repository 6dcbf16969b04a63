"""Durations and sizes as people write them in a configuration, and back.

A unit is always written: ``30`` could be seconds or minutes, so it is refused, and so is ``0``
(write ``"0s"`` or ``"0B"``). Numbers are whole; ``"1m30s"`` and ``"1536MiB"`` say what fractions
would.
"""

from __future__ import annotations

import re
from typing import Final

SIZE_BYTES_MAX: Final = 2**63 - 1
"""Sizes end up in signed 64-bit columns."""

DURATION_MS_MAX: Final = 3650 * 86_400_000
"""Ten years: beyond it a deadline is a typing error."""

_DURATION_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SIZE_UNITS_BYTES: Final = {
    "TiB": 2**40,
    "TB": 10**12,
    "GiB": 2**30,
    "GB": 10**9,
    "MiB": 2**20,
    "MB": 10**6,
    "KiB": 2**10,
    "KB": 10**3,
    "B": 1,
}
_DURATION_PART: Final = re.compile(r"([0-9]{1,18})(ms|d|h|m|s)")
_DURATION: Final = re.compile(
    r"(?:[0-9]{1,18}d)?(?:[0-9]{1,18}h)?(?:[0-9]{1,18}m(?!s))?(?:[0-9]{1,18}s)?(?:[0-9]{1,18}ms)?"
)
_SIZE: Final = re.compile(r"([0-9]{1,19})([A-Za-z]+)")

DURATION_FORM: Final = 'a duration such as "500ms", "30s", "2m", "1h", "1d" or "1m30s"'
SIZE_FORM: Final = 'a size such as "512KiB", "8MiB", "5GiB" or "1GB"'


def parse_duration(text: str) -> float:
    """Seconds of ``text``: whole numbers with units d h m s ms, each once, largest first.

    Raises:
        ValueError: Not a duration, or longer than ten years; the message names the form.
    """
    if not text or _DURATION.fullmatch(text) is None:
        raise ValueError(f"expected {DURATION_FORM}")
    milliseconds = sum(
        int(number) * _DURATION_UNITS_MS[unit] for number, unit in _DURATION_PART.findall(text)
    )
    if milliseconds > DURATION_MS_MAX:
        raise ValueError("a duration is at most ten years")
    return milliseconds / 1000


def format_duration(seconds: float) -> str:
    """The shortest text that ``parse_duration`` reads back as ``seconds`` (to the millisecond)."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _DURATION_UNITS_MS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Bytes of ``text``: a whole number and one of B, KB … TB (powers of 1000), KiB … TiB (1024).

    Raises:
        ValueError: Not a size, or beyond ``SIZE_BYTES_MAX``; the message names the form.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {SIZE_FORM}")
    number, unit = match.groups()
    if unit not in _SIZE_UNITS_BYTES:
        near = [known for known in _SIZE_UNITS_BYTES if known.lower() == unit.lower()]
        meant = f'; did you mean "{number}{near[0]}"?' if near else ""
        raise ValueError(f"expected {SIZE_FORM}{meant}")
    size_bytes = int(number) * _SIZE_UNITS_BYTES[unit]
    if size_bytes > SIZE_BYTES_MAX:
        raise ValueError("a size is at most 2^63 - 1 bytes")
    return size_bytes


def format_size(size_bytes: int) -> str:
    """The text with the smallest number that ``parse_size`` reads back as exactly ``size_bytes``.

    Of two units with the same number the first of the pair (the binary one) is taken.
    """
    if size_bytes == 0:
        return "0B"
    exact = [
        (size_bytes // factor, unit)
        for unit, factor in _SIZE_UNITS_BYTES.items()
        if size_bytes % factor == 0
    ]
    number, unit = min(exact, key=lambda pair: pair[0])
    return f"{number}{unit}"
