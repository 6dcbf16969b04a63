"""The checksums of S3, computed apart from the product: zlib, hashlib, and tables for two CRCs."""

from __future__ import annotations

import base64
import functools
import hashlib
import zlib
from collections.abc import Callable, Mapping


@functools.cache
def _table(polynomial: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _crc(content: bytes, *, polynomial: int, bits: int) -> bytes:
    """A reflected CRC that starts and ends inverted."""
    table = _table(polynomial)
    value = mask = (1 << bits) - 1
    for byte in content:
        value = table[(value ^ byte) & 255] ^ value >> 8
    return (value ^ mask).to_bytes(bits // 8, "big")


def crc32c(content: bytes) -> bytes:
    """CRC-32/ISCSI."""
    return _crc(content, polynomial=0x82F6_3B78, bits=32)


def crc64nvme(content: bytes) -> bytes:
    """CRC-64/NVME."""
    return _crc(content, polynomial=0x9A6C_9329_AC4B_C9B5, bits=64)


ALGORITHMS: Mapping[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda content: zlib.crc32(content).to_bytes(4, "big"),
    "CRC32C": crc32c,
    "CRC64NVME": crc64nvme,
    "SHA1": lambda content: hashlib.sha1(content, usedforsecurity=False).digest(),
    "SHA256": lambda content: hashlib.sha256(content).digest(),
}
"""By S3's name of them."""


@functools.lru_cache(maxsize=64)
def checksum(algorithm: str, content: bytes) -> str:
    """As S3 writes it: base64."""
    return base64.b64encode(ALGORITHMS[algorithm](content)).decode("ascii")
