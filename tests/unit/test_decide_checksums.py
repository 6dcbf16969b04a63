"""Checksums of parts make that of the whole, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.adapters.checksums import checksum_of
from s3fanout.decide.checksums import WHOLE_OF_PARTS, whole_checksum, whole_of_parts
from s3fanout.model.objects import Checksum, ChecksumAlgorithm, Present

CRCS = pytest.mark.parametrize("algorithm", sorted(WHOLE_OF_PARTS))


@CRCS
@given(pieces=st.lists(st.binary(max_size=300), min_size=1, max_size=9))
def test_checksums_of_parts_make_that_of_the_whole(
    algorithm: ChecksumAlgorithm, pieces: list[bytes]
) -> None:
    parts = [(checksum_of(algorithm, piece), len(piece)) for piece in pieces]
    whole = whole_of_parts(algorithm, parts)
    assert whole == Checksum(algorithm, checksum_of(algorithm, b"".join(pieces)), full_object=True)


@CRCS
def test_parts_of_the_sizes_of_s3_make_that_of_the_whole(algorithm: ChecksumAlgorithm) -> None:
    first, last = bytes(range(256)) * (5 << 12), b"the rest"
    parts = [(checksum_of(algorithm, piece), len(piece)) for piece in (first, first, last)]
    assert whole_of_parts(algorithm, parts).value == checksum_of(algorithm, first + first + last)


@CRCS
def test_another_byte_another_length_and_another_order_are_another_whole(
    algorithm: ChecksumAlgorithm,
) -> None:
    def of(*pieces: tuple[bytes, int]) -> Checksum:
        return whole_of_parts(algorithm, [(checksum_of(algorithm, each), n) for each, n in pieces])

    right = of((b"one", 3), (b"two", 3))
    assert right not in {
        of((b"onE", 3), (b"two", 3)),
        of((b"one", 3), (b"two", 4)),
        of((b"two", 3), (b"one", 3)),
    }


def test_only_a_checksum_of_the_whole_that_parts_tell_is_compared() -> None:
    def facts(*checksums: Checksum) -> Present:
        return Present("k", 1, "e", checksums=checksums)

    sha = Checksum(ChecksumAlgorithm.SHA256, "x", full_object=True)
    of_parts = Checksum(ChecksumAlgorithm.CRC32, "x-2", full_object=False)
    crc = Checksum(ChecksumAlgorithm.CRC32C, "x", full_object=True)
    assert whole_checksum(facts(sha, of_parts)) is None
    assert whole_checksum(facts(sha, of_parts, crc)) == crc
