"""Checksums of parts make that of the whole, however it is cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.adapters.checksums import checksum_of
from s3fanout.decide.checksums import (
    WHOLE_OF_PARTS,
    composite_checksum,
    composite_of_parts,
    parts_of_composite,
    told_checksum,
    whole_checksum,
    whole_of_parts,
)
from s3fanout.model.objects import Checksum, ChecksumAlgorithm, Present
from tests.matrix.checksums import ALGORITHMS
from tests.matrix.checksums import checksum as by_the_book

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


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_a_composite_checksum_is_that_of_the_checksums_of_its_parts(algorithm: str) -> None:
    """As the user guide of Amazon S3 describes it, by other code (2026-11)."""
    pieces = [b"one", b"two", b""]
    made = composite_of_parts(
        ChecksumAlgorithm(algorithm), [by_the_book(algorithm, piece) for piece in pieces]
    )
    digests = b"".join(ALGORITHMS[algorithm](piece) for piece in pieces)
    value = f"{by_the_book(algorithm, digests)}-3"
    assert made == Checksum(ChecksumAlgorithm(algorithm), value, full_object=False)
    assert parts_of_composite(made) == 3


def facts(*checksums: Checksum) -> Present:
    return Present("k", 1, "e", checksums=checksums)


SHA = Checksum(ChecksumAlgorithm.SHA256, "x", full_object=True)
OF_PARTS = Checksum(ChecksumAlgorithm.CRC32, "x-2", full_object=False)
CRC = Checksum(ChecksumAlgorithm.CRC32C, "x", full_object=True)


def test_only_a_checksum_of_the_whole_that_parts_tell_is_compared() -> None:
    assert whole_checksum(facts(SHA, OF_PARTS)) is None
    assert whole_checksum(facts(SHA, OF_PARTS, CRC)) == CRC


@pytest.mark.parametrize(
    ("kept", "told", "composite"),
    [
        ([CRC, OF_PARTS], CRC, None),
        ([SHA, OF_PARTS], OF_PARTS, OF_PARTS),
        ([replace(OF_PARTS, value="x-3")], None, replace(OF_PARTS, value="x-3")),
        # An emulator has one of parts without their number, another one a CRC64NVME of parts.
        ([replace(OF_PARTS, value="x")], None, None),
        ([replace(OF_PARTS, algorithm=ChecksumAlgorithm.CRC64NVME)], None, None),
        ([SHA], None, None),
    ],
)
def test_what_two_parts_are_compared_with(
    kept: list[Checksum], told: Checksum | None, composite: Checksum | None
) -> None:
    assert told_checksum(facts(*kept), parts=2) == told
    assert composite_checksum(facts(*kept)) == composite
