"""What shows that a replica is its source, and what shows that it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3fanout.decide.proof import Proof, altered_parts, contradiction, proof_of_parts
from s3fanout.model.objects import Absent, Checksum, ChecksumAlgorithm, Present, UploadedPart

PARTS_ETAG = "0123456789abcdef0123456789abcdef-3"
OTHER_ETAG = "ffffffffffffffffffffffffffffffff-3"
CRC = Checksum(ChecksumAlgorithm.CRC64NVME, "AAAAAAAAAAA=", full_object=True)
OF_PARTS = Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==-3", full_object=False)
SOURCE = Present("k", 30, PARTS_ETAG, checksums=(CRC,))


@pytest.mark.parametrize(
    ("source", "replica", "sent_etag", "proof"),
    [
        (SOURCE, replace(SOURCE, etag=OTHER_ETAG), None, Proof.CHECKSUM),
        (SOURCE, replace(SOURCE, checksums=()), None, Proof.ETAG),
        (SOURCE, Present("k", 30, OTHER_ETAG), OTHER_ETAG, Proof.DIGESTS),
        (SOURCE, Present("k", 30, OTHER_ETAG), PARTS_ETAG, Proof.SIZE),
        (SOURCE, Present("k", 30, OTHER_ETAG), None, Proof.SIZE),
        # An etag without a number of parts may be anything, also of a store that copies it.
        (Present("k", 30, "opaque"), Present("k", 30, "opaque"), None, Proof.SIZE),
        # A composite checksum is that of equal parts, or of parts that are cut in another way.
        (
            Present("k", 30, "a", checksums=(OF_PARTS,)),
            Present("k", 30, "b", checksums=(OF_PARTS,)),
            None,
            Proof.CHECKSUM,
        ),
        (
            Present("k", 30, "a", checksums=(OF_PARTS,)),
            Present("k", 30, "b", checksums=(replace(OF_PARTS, value="BBBBBB==-2"),)),
            None,
            Proof.SIZE,
        ),
    ],
)
def test_the_best_proof_that_there_is(
    source: Present, replica: Present, sent_etag: str | None, proof: Proof
) -> None:
    assert proof_of_parts(source, replica, sent_etag=sent_etag) is proof


@pytest.mark.parametrize(
    ("replica", "sent_etag", "proof"),
    [
        (SOURCE, None, Proof.CHECKSUM),
        (replace(SOURCE, checksums=()), OTHER_ETAG, Proof.ETAG),
        (Present("k", 30, OTHER_ETAG), OTHER_ETAG, Proof.READ),
        (Present("k", 30, "opaque"), OTHER_ETAG, Proof.READ_AND_SIZE),
    ],
)
def test_what_was_read_with_the_sources_checksum_is_better_proven(
    replica: Present, sent_etag: str, proof: Proof
) -> None:
    assert proof_of_parts(SOURCE, replica, sent_etag=sent_etag, is_as_told=True) is proof


@pytest.mark.parametrize(
    ("replica", "says"),
    [
        (SOURCE, ""),
        (replace(SOURCE, etag=OTHER_ETAG, checksums=()), ""),
        (Absent("k"), "nothing"),
        (replace(SOURCE, size_bytes=29), "29 bytes"),
        (replace(SOURCE, checksums=(replace(CRC, value="BBBBBBBBBBB="),)), "CRC64NVME"),
    ],
)
def test_a_contradiction_is_named(replica: Present | Absent, says: str) -> None:
    found = contradiction(SOURCE, replica)
    assert (says in found) if says else not found


@pytest.mark.parametrize(
    ("sent", "etags", "altered"),
    [
        ({1: "a", 2: "b"}, ["a", "b"], []),
        ({1: "a", 2: "b"}, ["a", "x"], [2]),
        ({1: "a", 2: "b"}, ["x", "y"], []),  # no digests at all: keys of KMS
        ({2: "b"}, ["a", "b"], []),  # part 1 is of an earlier attempt
        ({}, ["a", "b"], []),
    ],
)
def test_an_altered_part_shows_among_others(
    sent: dict[int, str], etags: list[str], altered: list[int]
) -> None:
    parts = [UploadedPart(number, etag, 10) for number, etag in enumerate(etags, start=1)]
    assert altered_parts(sent, parts) == altered
