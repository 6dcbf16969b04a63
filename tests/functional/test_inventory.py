"""An S3 Inventory is read in each of its formats, from disk or bucket, and only if it is whole."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import orc, parquet

from s3fanout.adapters import inventory_columns
from s3fanout.adapters.inventory import Inventory
from s3fanout.adapters.inventory_download import fetch_inventory
from s3fanout.adapters.store.memory import MemoryStore, MemoryStores, StoredObject
from s3fanout.intake.inventory import InventoryForm
from s3fanout.model.errors import InventoryBroken, Misconfigured
from s3fanout.model.items import Batch, Item
from tests.functional.clock import VirtualClock

CSV_SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag"
MODIFIED = datetime(2026, 11, 1, tzinfo=UTC)
ODD_KEYS = {"b c+": "b%20c%2B", "é": "%C3%A9", "100%25": "100%2525"}
"""Keys as they are, and as CSV has them."""


def columns_of(keys: list[str]) -> pa.Table:
    """Rows as Amazon S3 writes them: each key once, an older version, and a delete marker."""
    rows = [*keys, "old", "gone"]
    last = len(keys)
    return pa.table(
        {
            "bucket": ["source"] * len(rows),
            "key": rows,
            "version_id": ["v"] * len(rows),
            "is_latest": [n != last for n in range(len(rows))],
            "is_delete_marker": [n > last for n in range(len(rows))],
            "size": pa.array([7] * (last + 1) + [None], pa.int64()),
            "last_modified_date": pa.array([MODIFIED] * len(rows), pa.timestamp("ms", tz="UTC")),
            "e_tag": ["e"] * (last + 1) + [None],
            "storage_class": ["STANDARD"] * len(rows),
        }
    )


def csv_of(keys: list[str]) -> bytes:
    def row(key: str, latest: str, marker: str) -> str:
        at = "2026-11-01T00:00:00.000Z"
        return f'"source","{key}","v","{latest}","{marker}","7","{at}","e"\n'

    rows = "".join(row(ODD_KEYS.get(key, key), "true", "false") for key in keys)
    return gzip.compress(
        (rows + row("old", "false", "false") + row("gone", "true", "true")).encode()
    )


class Files:
    """An inventory on disk, as ``aws s3 sync`` leaves it."""

    KEYS = (*(f"a{number}" for number in range(1500)), *ODD_KEYS)

    def __init__(self, folder: Path, form: InventoryForm = InventoryForm.CSV) -> None:
        self.folder = folder / "2026-11-24T00-00Z"
        self.data = folder / "data"
        self.folder.mkdir(parents=True)
        self.data.mkdir()
        self.form = form
        self.document: dict[str, Any] = {
            "sourceBucket": "source",
            "fileFormat": str(form),
            "fileSchema": CSV_SCHEMA if form is InventoryForm.CSV else "the files say it",
            "files": [
                self.file("one", list(self.KEYS[:1500])),
                self.file("two", list(self.KEYS[1500:])),
            ],
        }
        self.write()

    def file(self, name: str, keys: list[str]) -> dict[str, str]:
        path = self.data / f"{name}.{self.form.lower()}"
        match self.form:
            case InventoryForm.CSV:
                path.write_bytes(csv_of(keys))
            case InventoryForm.PARQUET:
                parquet.write_table(columns_of(keys), path, row_group_size=400)
            case InventoryForm.ORC:
                orc.write_table(columns_of(keys), str(path))
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        return {"key": f"inv/source/all/data/{path.name}", "MD5checksum": digest}

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    def write(self) -> None:
        body = json.dumps(self.document).encode()
        self.manifest.write_bytes(body)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        (self.folder / "manifest.checksum").write_text(digest + "\n")

    def open(self) -> Inventory:
        return Inventory.open(self.manifest, source_bucket="source")

    def upload(self) -> MemoryStore:
        """The same in a bucket."""
        bucket = MemoryStores(VirtualClock()).create_bucket("inventories")
        for path in (*self.folder.iterdir(), *self.data.iterdir()):
            key = f"inv/source/all/{path.parent.name}/{path.name}"
            bucket.objects[key] = StoredObject.of(path.read_bytes())
        return bucket


MANIFEST = "inv/source/all/2026-11-24T00-00Z/manifest.json"


@pytest.fixture(params=list(InventoryForm))
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(tmp_path / "made", request.param)


def keys_of(batches: Iterator[Batch]) -> list[str]:
    """Of what is there; what is not must be told as such."""
    items = [item for batch in batches for item in batch.items]
    assert {item.key for item in items if item.is_deleted} == {"gone"}
    return [item.key for item in items if not item.is_deleted]


def test_an_inventory_is_read_and_gone_on_with(files: Files) -> None:
    inventory = files.open()
    assert keys_of(inventory.batches(None)) == list(files.KEYS)
    first = next(inventory.batches(None))
    assert first.items[0] == Item("a0", 7, "e", 1_793_491_200_000)
    rest = list(inventory.batches(first.position))
    assert keys_of(iter([first, *rest])) == list(files.KEYS)
    shares = [batch.share or 0 for batch in (first, *rest)]
    assert (shares, shares[-1]) == (sorted(shares), 1.0)


def test_it_is_fetched_from_its_bucket(files: Files, tmp_path: Path) -> None:
    fetched = asyncio.run(fetch_inventory(files.upload(), MANIFEST, tmp_path))
    inventory = Inventory.open(fetched, source_bucket="source")
    assert keys_of(inventory.batches(None)) == list(files.KEYS)


def test_a_file_that_is_damaged_behind_its_checksum_is_named(files: Files) -> None:
    path = next(path for path in files.data.iterdir() if path.name.startswith("two"))
    path.write_bytes(b"no rows at all")
    files.document["files"][1]["MD5checksum"] = hashlib.md5(
        path.read_bytes(), usedforsecurity=False
    ).hexdigest()
    files.write()
    with pytest.raises(InventoryBroken, match="cannot be read"):
        # A CSV file tells it only to whoever reads it; the others when they are opened.
        keys_of(files.open().batches(None))
    if files.form is not InventoryForm.CSV:
        with pytest.raises(InventoryBroken, match="cannot be read"):
            files.open()


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    files = Files(tmp_path, InventoryForm.PARQUET)
    path = files.data / "two.parquet"
    parquet.write_table(columns_of(["a"]).drop_columns(["key"]), path)
    files.document["files"][1]["MD5checksum"] = hashlib.md5(
        path.read_bytes(), usedforsecurity=False
    ).hexdigest()
    files.write()
    with pytest.raises(InventoryBroken, match="no column key"):
        files.open()


def test_without_the_library_it_says_what_to_install(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_columns, "find_spec", lambda _: None)
    if files.form is InventoryForm.CSV:
        assert files.open().files
        return
    with pytest.raises(Misconfigured) as raised:
        files.open()
    assert "s3fanout[inventory]" in raised.value.hint


def lose(files: Files) -> None:
    (files.data / "two.csv").unlink()


def damage(files: Files) -> None:
    (files.data / "two.csv").write_bytes(b"\x1f\x8b damaged")


def alter_manifest(files: Files) -> None:
    files.manifest.write_bytes(files.manifest.read_bytes() + b" ")


def rename_format(files: Files) -> None:
    files.document["fileFormat"] = "Avro"
    files.write()


def rename_bucket(files: Files) -> None:
    files.document["sourceBucket"] = "other"
    files.write()


def lead_outside(files: Files) -> None:
    files.document["files"][1]["key"] = "inv/data/.."
    files.write()


def make_garbage(files: Files) -> None:
    files.manifest.write_bytes(b"[]")
    (files.folder / "manifest.checksum").unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lose, "missing"),
        (damage, "MD5"),
        (alter_manifest, "manifest.checksum"),
        (rename_format, "Avro"),
        (rename_bucket, "other"),
        (lead_outside, "not the manifest"),
        (make_garbage, "not the manifest"),
    ],
)
@pytest.mark.parametrize("where", ["disk", "bucket"])
def test_an_inventory_that_is_not_whole_is_refused_before_anything_is_used(
    harm: Callable[[Files], None], said: str, where: str, tmp_path: Path
) -> None:
    files = Files(tmp_path / "made")
    harm(files)
    (tmp_path / "fetched").mkdir()

    def opened() -> Inventory:
        if where == "disk":
            return files.open()
        fetched = fetch_inventory(files.upload(), MANIFEST, tmp_path / "fetched")
        return Inventory.open(asyncio.run(fetched), source_bucket="source")

    with pytest.raises(InventoryBroken, match=said):
        opened()


@pytest.mark.parametrize(
    "rows",
    [
        b'"source","k"\n',
        b'"source","","1"\n',
        b'"source","k","one"\n',
        # More digits than int() takes, and more bytes than a ledger can hold.
        b'"source","k","%s"\n' % (b"9" * 5000),
        b'"source","k","9999999999999999999"\n',
        b'"source","k","1"\n' * 3000,
    ],
    ids=["columns", "no key", "no number", "many digits", "too large", "cut off"],
)
def test_rows_that_make_no_sense_say_what_was_done_and_what_to_do(
    tmp_path: Path, rows: bytes
) -> None:
    whole = gzip.compress(rows)
    body = whole if len(rows) < 10_000 else whole[:-9]
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    (tmp_path / "a.csv.gz").write_bytes(body)
    manifest = {
        "sourceBucket": "source",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": "data/a.csv.gz", "MD5checksum": digest}],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    inventory = Inventory.open(tmp_path / "manifest.json", source_bucket="source")
    with pytest.raises(InventoryBroken, match=r"a\.csv\.gz") as raised:
        list(inventory.batches(None))
    assert "--restart" in raised.value.hint
