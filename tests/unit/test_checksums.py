"""The checksums of S3 are right, and what cannot be computed here is not compared."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib import util

import pytest

from s3fanout.adapters import checksums
from s3fanout.adapters.checksums import checksum_of, computable, is_compared, wrong_checksum
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.model.objects import Checksum, ChecksumAlgorithm
from s3fanout.service.check import Finding, Grade, _compared
from tests.functional.clock import VirtualClock
from tests.matrix.checksums import checksum as by_the_book

TEXT = b"123456789"
SHA256_HEX = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        # Check values of the catalogue of parametrised CRC algorithms (reveng.sourceforge.io,
        # 2026-11); of the others, what sha1sum and sha256sum print.
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("SHA256", SHA256_HEX),
    ],
)
def test_each_checksum_is_the_one_of_the_catalogue(algorithm: str, digest: str) -> None:
    assert base64.b64decode(checksum_of(ChecksumAlgorithm(algorithm), TEXT)).hex() == digest


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
@pytest.mark.parametrize("size", [0, 1, 4097])
def test_each_checksum_is_the_one_that_other_code_computes(
    algorithm: ChecksumAlgorithm, size: int
) -> None:
    content = (bytes(range(256)) * 17)[:size]
    assert checksum_of(algorithm, content) == by_the_book(algorithm, content)


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_bytes_are_compared_with_a_checksum_of_the_whole(algorithm: ChecksumAlgorithm) -> None:
    true = Checksum(algorithm, checksum_of(algorithm, TEXT), full_object=True)
    other = Checksum(algorithm, checksum_of(algorithm, b"other"), full_object=True)
    of_parts = Checksum(algorithm, f"{other.value}-1", full_object=False)
    assert is_compared([true])
    assert not wrong_checksum(TEXT, SHA256_HEX, [true])
    assert wrong_checksum(TEXT, SHA256_HEX, [true, other]) == algorithm
    assert not is_compared([of_parts])
    assert not wrong_checksum(TEXT, SHA256_HEX, [of_parts])


@pytest.fixture(name="_without_awscrt")
def _without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def found(name: str) -> object:
        return None if name == "awscrt" else util.find_spec(name)

    monkeypatch.setattr(checksums, "find_spec", found)
    forget()
    yield
    forget()


def forget() -> None:
    computable.cache_clear()
    checksums._of_awscrt.cache_clear()


@pytest.mark.usefixtures("_without_awscrt")
def test_without_the_extra_two_checksums_are_not_compared_and_the_others_are() -> None:
    assert computable() == {
        ChecksumAlgorithm.CRC32,
        ChecksumAlgorithm.SHA1,
        ChecksumAlgorithm.SHA256,
    }
    wrong = [Checksum(each, "AAAAAA==", full_object=True) for each in ChecksumAlgorithm]
    told = {each.algorithm: wrong_checksum(TEXT, SHA256_HEX, [each]) for each in wrong}
    assert {algorithm for algorithm, said in told.items() if said} == computable()
    assert not checksum_of(ChecksumAlgorithm.CRC64NVME, TEXT)
    assert not is_compared(wrong[:2])


@pytest.mark.usefixtures("_without_awscrt")
async def test_check_says_which_checksums_are_not_compared_and_what_to_install() -> None:
    assert [finding.hint for finding in await said_of("CRC64NVME")] == [
        "pip install 's3fanout[checksums]'"
    ]
    assert [finding.grade for finding in await said_of("CRC32")] == [Grade.OK]
    assert await said_of() == []


async def test_check_says_which_checksums_are_compared() -> None:
    (finding,) = await said_of("CRC64NVME")
    assert (finding.check, finding.grade) == ("checksums", Grade.OK)
    assert finding.message == "CRC64NVME is kept, and compared with what is read"


async def said_of(*algorithms: str) -> list[Finding]:
    """What ``check`` says of a source object that has these checksums."""
    store = MemoryStores(clock=VirtualClock()).create_bucket("source")
    kept = tuple(Checksum(ChecksumAlgorithm(each), "x", full_object=True) for each in algorithms)
    store.objects["key"] = StoredObject.of(TEXT, checksums=kept)
    findings: list[Finding] = []
    await _compared(store, "key", findings.append)
    return findings
