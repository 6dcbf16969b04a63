"""What belongs to an object arrives with it, or is missing for a reason that has a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matrix import record as recorded
from tests.matrix.attributes import PLAIN, Kind
from tests.matrix.checksums import ALGORITHMS
from tests.matrix.differences import needless, unexpected
from tests.matrix.replication import Cells, Item, items
from tests.matrix.stores import cells_of
from tests.matrix.table import PAGE, with_tables
from tests.servers.server import Server


@pytest.fixture(scope="module")
def servers(
    seaweedfs: Server, minio_frontend: Server, ministack: Server, moto: Server
) -> dict[str, Server]:
    return {each.name: each for each in (seaweedfs, minio_frontend, ministack, moto)}


def check_as_recorded(source: str, seen: Cells) -> None:
    """A cell that changed, for better or worse, is to be recorded: ``scripts/vendor-matrix``."""
    record = recorded.load()[source]
    assert seen.held == {item: record.held[item] for item in seen.held}
    for destination, replicas in seen.replicas.items():
        known = record.replicas[destination]
        changed = {
            item: (cell, known[item]) for item, cell in replicas.items() if cell != known[item]
        }
        assert changed == {}, f"{source} into {destination}: what it is now, what is recorded"


@pytest.mark.stores
@pytest.mark.slow
def test_every_attribute_of_small_objects_and_parts_arrive_as_recorded(
    tmp_path: Path, servers: dict[str, Server], bucket_name: Callable[[str], str]
) -> None:
    """SeaweedFS, which holds most, into itself and into the three others that wheels bring."""
    wanted = [*items(["small"]), Item(PLAIN, "multipart")]
    seen = cells_of("seaweedfs", servers, tmp_path, wanted, name=bucket_name, sizes=["small"])
    check_as_recorded("seaweedfs", seen)


@pytest.mark.stores
@pytest.mark.slow
def test_object_lock_arrives_as_recorded(
    tmp_path: Path,
    seaweedfs: Server,
    minio_frontend: Server,
    ministack: Server,
    bucket_name: Callable[[str], str],
) -> None:
    some = {each.name: each for each in (seaweedfs, minio_frontend, ministack)}
    wanted = items(["small"], Kind.LOCKED)
    seen = cells_of("seaweedfs", some, tmp_path, wanted, name=bucket_name, kind=Kind.LOCKED)
    check_as_recorded("seaweedfs", seen)


@pytest.mark.stores
@pytest.mark.slow
def test_acls_arrive_as_recorded(
    tmp_path: Path, moto: Server, ministack: Server, bucket_name: Callable[[str], str]
) -> None:
    some = {each.name: each for each in (moto, ministack)}
    wanted = items(["small", "multipart"], Kind.GRANTED)
    seen = cells_of("moto", some, tmp_path, wanted, name=bucket_name, kind=Kind.GRANTED)
    check_as_recorded("moto", seen)


@pytest.mark.stores
@pytest.mark.slow
def test_objects_with_a_customers_key_arrive_as_recorded(
    tmp_path: Path, seaweedfs: Server, ministack: Server, bucket_name: Callable[[str], str]
) -> None:
    """Each bucket has its key; bytes are encrypted anew, copied and streamed."""
    some = {each.name: each for each in (seaweedfs, ministack)}
    wanted, home = items(["small"], Kind.KEYED), tmp_path / "keyed"
    seen = cells_of("seaweedfs", some, home, wanted, name=bucket_name, kind=Kind.KEYED)
    check_as_recorded("seaweedfs", seen)


@pytest.mark.stores
@pytest.mark.slow
def test_ceph_rgw_is_as_recorded(
    tmp_path: Path, ceph: Server, seaweedfs: Server, bucket_name: Callable[[str], str]
) -> None:
    """Where it is installed: a source that holds other things, and ignores copy conditions."""
    some = {each.name: each for each in (ceph, seaweedfs)}
    wanted = items(["small"])
    check_as_recorded("ceph", cells_of("ceph", some, tmp_path, wanted, name=bucket_name))


def test_every_recorded_difference_has_a_name() -> None:
    assert unexpected(recorded.load()) == []


def test_every_named_difference_is_still_seen() -> None:
    assert needless(recorded.load()) == []


def test_the_page_is_made_from_the_record() -> None:
    text = PAGE.read_text("utf-8")
    assert text == with_tables(text, recorded.load()), "run scripts/vendor-matrix --page"


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        # Check values of the catalogue of parametrised CRC algorithms, 2026-11.
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
    ],
)
def test_the_checksums_that_boto3_sends_are_right(algorithm: str, digest: str) -> None:
    assert ALGORITHMS[algorithm](b"123456789").hex() == digest
