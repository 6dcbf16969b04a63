"""What Lambda calls."""

from __future__ import annotations

from typing import Any


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Work one invocation off."""
    raise NotImplementedError
