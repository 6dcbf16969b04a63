"""What the checksums of parts say about the object that they make.

| of the object | made of | algorithms |
|---|---|---|
| a checksum of the whole | the checksums of its parts and their lengths, in any layout | the CRCs |
| a composite one | the checksums of its parts, in the layout that it has | all but CRC64NVME |

A CRC is the remainder of the bytes, read as a polynomial, so that of two pieces one after another
is the first one's, moved over by the length of the second, plus the second one's. Inverting the
register at the beginning and at the end, as all three do, cancels out. Parameters are those of the
catalogue of parametrised CRC algorithms (reveng.sourceforge.io, CRC-32/ISO-HDLC, CRC-32/ISCSI and
CRC-64/NVME, 2026-11); the bits of all three are reflected: the highest power is the lowest bit.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from s3fanout.model.objects import Checksum, ChecksumAlgorithm, Present

_POLYNOMIALS: Mapping[ChecksumAlgorithm, int] = {
    ChecksumAlgorithm.CRC32: 0xEDB8_8320,
    ChecksumAlgorithm.CRC32C: 0x82F6_3B78,
    ChecksumAlgorithm.CRC64NVME: 0x9A6C_9329_AC4B_C9B5,
}
"""Reflected, without the highest power."""
WHOLE_OF_PARTS = frozenset(_POLYNOMIALS)
"""Algorithms whose checksum of the whole follows from those of its parts. They are also those of
which S3 keeps one of the whole object however it was uploaded."""

_COMPOSITE = re.compile(r"[A-Za-z0-9+/=]+-([0-9]{1,5})")


def told_checksum(facts: Present, *, parts: int) -> Checksum | None:
    """The one that what was read in so many parts is compared with; ``None`` if they tell none."""
    composite = composite_checksum(facts)
    if composite is not None and parts_of_composite(composite) != parts:
        composite = None
    return whole_checksum(facts) or composite


def composite_checksum(facts: Present) -> Checksum | None:
    """One of its parts that a replica of the same parts has too; none beside one of the whole.

    S3 has a CRC64NVME of the whole object only (user guide, "Checking object integrity", 2026-11).
    """
    if whole_checksum(facts) is not None:
        return None
    for each in facts.checksums:
        if each.algorithm is not ChecksumAlgorithm.CRC64NVME and parts_of_composite(each):
            return each
    return None


def parts_of_composite(checksum: Checksum) -> int:
    """Of how many parts it is; 0 if it does not say, or is one of the whole."""
    found = None if checksum.full_object else _COMPOSITE.fullmatch(checksum.value)
    return int(found[1]) if found else 0


def composite_of_parts(algorithm: ChecksumAlgorithm, parts: Sequence[str]) -> Checksum:
    """That of an object whose parts, in order, have these checksums."""
    content = b"".join(base64.b64decode(text) for text in parts)
    match algorithm:
        case ChecksumAlgorithm.SHA1:
            digest = hashlib.sha1(content, usedforsecurity=False).digest()
        case ChecksumAlgorithm.SHA256:
            digest = hashlib.sha256(content).digest()
        case _:
            digest = _crc(algorithm, content)
    value = f"{base64.b64encode(digest).decode('ascii')}-{len(parts)}"
    return Checksum(algorithm, value, full_object=False)


def whole_checksum(facts: Present) -> Checksum | None:
    """The one that is compared with what was read in parts; ``None`` if no part tells."""
    return next(
        (each for each in facts.checksums if each.full_object and each.algorithm in WHOLE_OF_PARTS),
        None,
    )


def whole_of_parts(algorithm: ChecksumAlgorithm, parts: Iterable[tuple[str, int]]) -> Checksum:
    """That of an object whose parts, in order, have these checksums and lengths."""
    size = 8 if algorithm is ChecksumAlgorithm.CRC64NVME else 4
    value = 0
    for text, length in parts:
        moved = _product(algorithm, value, _power_of_bytes(algorithm, length))
        value = moved ^ int.from_bytes(base64.b64decode(text), "big")
    text = base64.b64encode(value.to_bytes(size, "big")).decode("ascii")
    return Checksum(algorithm, text, full_object=True)


def _crc(algorithm: ChecksumAlgorithm, content: bytes) -> bytes:
    """Bit by bit: a composite one is of four bytes a part."""
    polynomial, mask = _POLYNOMIALS[algorithm], (_one(algorithm) << 1) - 1
    value = mask
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
    return (value ^ mask).to_bytes(mask.bit_length() // 8, "big")


def _one(algorithm: ChecksumAlgorithm) -> int:
    return 1 << (63 if algorithm is ChecksumAlgorithm.CRC64NVME else 31)


@lru_cache(maxsize=256)
def _power_of_bytes(algorithm: ChecksumAlgorithm, length: int) -> int:
    """``x`` to the power of the bits of so many bytes, modulo the polynomial.

    Remembered: all parts of an object but the last have one length.
    """
    power, square = _one(algorithm), _one(algorithm) >> 8
    while length:
        if length & 1:
            power = _product(algorithm, power, square)
        square = _product(algorithm, square, square)
        length >>= 1
    return power


def _product(algorithm: ChecksumAlgorithm, left: int, right: int) -> int:
    polynomial, bit = _POLYNOMIALS[algorithm], _one(algorithm)
    product = 0
    while left:
        if left & bit:
            product ^= right
            left ^= bit
        bit >>= 1
        right = right >> 1 ^ (polynomial if right & 1 else 0)
    return product
