"""Dates in headers of answers (RFC 9110, section 5.6.7)."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache


@lru_cache(maxsize=512)
def date_ms(text: str) -> int | None:
    """Unix milliseconds, ``None`` if it is no date; kept, for what was written together has one."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter from an offset of many digits
        return None
    # "-0000" is UTC without saying so.
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
