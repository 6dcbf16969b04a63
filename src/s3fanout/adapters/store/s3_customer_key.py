"""A customer's own encryption key (SSE-C), as it travels with every request."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """A key of 256 bits. It is never printed."""

    key: bytes = field(repr=False)

    def headers(self, *, of_copy_source: bool = False) -> dict[str, str]:
        """What to send with a request about an object, or about the source of a copy."""
        source = "copy-source-" if of_copy_source else ""
        name = f"x-amz-{source}server-side-encryption-customer"
        digest = hashlib.md5(self.key, usedforsecurity=False).digest()
        return {
            f"{name}-algorithm": "AES256",
            f"{name}-key": base64.b64encode(self.key).decode("ascii"),
            f"{name}-key-md5": base64.b64encode(digest).decode("ascii"),
        }
