"""What is remembered of one destination's deletes."""

from __future__ import annotations

from dataclasses import dataclass

DELETES_HELD = "deletes-held"
"""Error code of a job whose delete the guard holds back."""


@dataclass(frozen=True, slots=True)
class DeleteGuard:
    """State of the mass-delete guard of one destination; durable.

    Attributes:
        window_at_ms: When the window began in which deletes are counted.
        deleted: Deletes that were let through in it.
        replicas: Replicas of the destination when it began.
        held_at_ms: Since when deletes are held back; ``None`` while they are not.
        held_reason: Why, in words.
        released_at_ms: Deletes that changes accepted until then ask for are meant; 0 for never.
    """

    window_at_ms: int = 0
    deleted: int = 0
    replicas: int = 0
    held_at_ms: int | None = None
    held_reason: str = ""
    released_at_ms: int = 0
