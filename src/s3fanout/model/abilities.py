"""What a store showed it can do when it was asked; kept, because asking costs requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

YES = "yes"
NO = "no"


class Ability(StrEnum):
    """What was asked. The words are those of ``s3fanout check``."""

    CONDITIONS = "conditions"
    """A copy, whole or of a part, that is pinned to another etag is refused."""
    ORDER = "order"
    """Listings are in the order of the keys' bytes."""
    DIGESTS = "digests"
    """A part with another ``Content-MD5`` than its bytes is refused."""
    DIGESTS_WANTED = "digests-wanted"
    """A part without one is refused."""
    TAGS = "tags"
    CHECKSUMS = "checksums"
    """What becomes of checksums of a whole object in parts: words for each algorithm."""
    ABORT = "abort"
    """An upload may be aborted. Where not, nothing more is asked by uploads."""


@dataclass(frozen=True, slots=True)
class AbilityRecord:
    """One answer.

    Attributes:
        store: Endpoint and bucket, as a URL.
        ability: What was asked.
        value: ``YES``, ``NO``, or words.
        found_at_ms: When.
        found_by: What asked: ``check``, ``daemon`` or ``sweep``.
        program: Its version.
        server: What the store called itself then (``Server`` header), ``""`` if it did not.
    """

    store: str
    ability: Ability
    value: str
    found_at_ms: int
    found_by: str
    program: str
    server: str
