"""The checksums of S3, of bytes that are here, to be compared with what a store says of them.

| algorithm | computed by | without it |
|---|---|---|
| CRC32, SHA1, SHA256 | Python | – |
| CRC32C, CRC64NVME | awscrt, which is an extra (decision record 15) | not compared here |

awscrt is imported with the first object that has such a checksum: that takes 33 ms, once.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec

from s3fanout.model.objects import Checksum, ChecksumAlgorithm

EXTRA = "s3fanout[checksums]"
"""What to install so that all of them are computed."""
_OF_PYTHON: Mapping[ChecksumAlgorithm, Callable[[bytes], bytes]] = {
    ChecksumAlgorithm.CRC32: lambda content: zlib.crc32(content).to_bytes(4, "big"),
    ChecksumAlgorithm.SHA1: lambda content: hashlib.sha1(content, usedforsecurity=False).digest(),
    ChecksumAlgorithm.SHA256: lambda content: hashlib.sha256(content).digest(),
}


@cache
def computable() -> frozenset[ChecksumAlgorithm]:
    """The algorithms that can be computed here. Imports nothing."""
    return frozenset(ChecksumAlgorithm if find_spec("awscrt") else _OF_PYTHON)


def checksum_of(algorithm: ChecksumAlgorithm, content: bytes) -> str:
    """As on the wire; ``""`` if it cannot be computed here."""
    compute = _OF_PYTHON.get(algorithm) or _of_awscrt().get(algorithm)
    return base64.b64encode(compute(content)).decode("ascii") if compute else ""


def is_compared(checksums: Sequence[Checksum]) -> bool:
    """Whether ``wrong_checksum`` can tell anything by them."""
    return any(each.full_object and each.algorithm in computable() for each in checksums)


def wrong_checksum(content: bytes, sha256_hex: str, checksums: Sequence[Checksum]) -> str:
    """Which checksum of the whole object is not that of ``content``; ``""`` if none."""
    for each in checksums:
        if not each.full_object or each.algorithm not in computable():
            continue
        if each.algorithm is ChecksumAlgorithm.SHA256:
            found = base64.b64encode(bytes.fromhex(sha256_hex)).decode("ascii")
        else:
            found = checksum_of(each.algorithm, content)
        if found != each.value:
            return each.algorithm
    return ""


@cache
def _of_awscrt() -> Mapping[ChecksumAlgorithm, Callable[[bytes], bytes]]:
    if not find_spec("awscrt"):
        return {}
    from awscrt.checksums import crc32c, crc64nvme  # noqa: PLC0415 - an extra

    return {
        ChecksumAlgorithm.CRC32C: lambda content: crc32c(content).to_bytes(4, "big"),
        ChecksumAlgorithm.CRC64NVME: lambda content: crc64nvme(content).to_bytes(8, "big"),
    }
