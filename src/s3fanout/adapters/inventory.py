"""Inputs of a backfill that are files: an S3 Inventory, or a list of keys."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s3fanout.adapters.inventory_columns import check_columns, check_reader, column_rows
from s3fanout.intake.inventory import InventoryForm, Manifest, item_of, parse_manifest
from s3fanout.model.errors import CheckpointMismatch, InventoryBroken
from s3fanout.model.items import Batch, Item

BATCH_ITEMS = 1000
_NUMBER = re.compile(r"[0-9]{1,18}")
HALF_READ = (
    "its rows are not what S3 writes; what came before is queued and does no harm: "
    "download the inventory again, then begin anew with --restart"
)
"""Of a file that has the MD5 that its manifest says."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory whose files are all there and whole."""

    manifest: Manifest
    files: tuple[Path, ...]
    fingerprint: str

    @classmethod
    def open(cls, path: Path, *, source_bucket: str) -> Inventory:
        """Check everything before anything is used.

        The files are looked for beside ``manifest.json``, in ``data/`` beside it, and in ``data/``
        one level up, which is where they are after ``aws s3 sync`` of the inventory's folder.

        Raises:
            InventoryBroken: Something is missing or is not what its checksum says, or the inventory
                is of another bucket.
            Misconfigured: It needs a library that is not installed.
        """
        body = _read(path)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        checksum = path.with_name("manifest.checksum")
        if checksum.exists() and _read(checksum).decode("ascii", "replace").strip() != digest:
            raise InventoryBroken(f"{path} is not what manifest.checksum says")
        manifest = parse_manifest(body)
        if manifest.form is not InventoryForm.CSV:
            check_reader(manifest.form)
        if manifest.source_bucket != source_bucket:
            raise InventoryBroken(
                f"the inventory is of bucket {manifest.source_bucket}, not of {source_bucket}"
            )
        files = tuple(_found(path, each.key) for each in manifest.files)
        for file, said in zip(files, manifest.files, strict=True):
            if _md5_hex(file) != said.md5_hex:
                raise InventoryBroken(f"{file} is not what the manifest says (MD5)")
        if manifest.form is not InventoryForm.CSV:
            for file in files:
                check_columns(file, manifest.form)
        return cls(manifest, files, digest)

    def batches(self, position: str | None) -> Iterator[Batch]:
        """The items; a position is ``file:row``, both counted from 0.

        Raises:
            InventoryBroken: A row makes no sense.
            CheckpointMismatch: ``position`` is none.
        """
        at_file, at_row = _numbers(position, 2)
        sizes = [file.stat().st_size for file in self.files]
        for number, file in enumerate(self.files[at_file:], at_file):
            before, skip = sum(sizes[:number]), at_row if number == at_file else 0
            items: list[Item] = []
            for count, (item, part) in enumerate(self._rows(file), 1):
                if count <= skip:
                    continue
                if item is not None:
                    items.append(item)
                if len(items) >= BATCH_ITEMS:
                    share = (before + part * sizes[number]) / sum(sizes)
                    yield Batch(items, f"{number}:{count}", share)
                    items = []
            last = number + 1 == len(self.files)
            share = (before + sizes[number]) / sum(sizes)
            yield Batch(items, None if last else f"{number + 1}:0", share)

    def _rows(self, file: Path) -> Iterator[tuple[Item | None, float]]:
        """Each row, and which part of the file is behind it."""
        if self.manifest.form is InventoryForm.CSV:
            return _csv_rows(file, self.manifest.columns)
        return column_rows(file, self.manifest.form)


def _csv_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[Item | None, float]]:
    size_bytes = max(file.stat().st_size, 1)
    try:
        with (
            file.open("rb") as packed,
            gzip.open(packed, "rt", encoding="utf-8", newline="") as lines,
        ):
            for row in csv.reader(lines):
                yield item_of(columns, row), packed.tell() / size_bytes
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise InventoryBroken(f"{file} cannot be read: {error}", hint=HALF_READ) from error
    except InventoryBroken as error:
        raise InventoryBroken(f"{file}: {error.message}", hint=HALF_READ) from error


def keys_of_file(path: Path, position: str | None) -> Iterator[Batch]:
    """One key a line, UTF-8, nothing else; a position is a number of lines.

    Raises:
        InventoryBroken: The file cannot be read, or is not UTF-8.
        CheckpointMismatch: ``position`` is none.
    """
    (done,) = _numbers(position, 1)
    items: list[Item] = []
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for _ in lines:
                pass  # It is all UTF-8, or nothing of it is used.
        size_bytes, read_bytes = max(path.stat().st_size, 1), 0
        with path.open(encoding="utf-8", newline="\n") as lines:
            for count, line in enumerate(lines, 1):
                read_bytes += len(line.encode())
                if count <= done:
                    continue
                key = line.removesuffix("\n")
                if key:
                    items.append(Item(key))
                if len(items) >= BATCH_ITEMS:
                    yield Batch(items, str(count), read_bytes / size_bytes)
                    items = []
    except (OSError, UnicodeDecodeError) as error:
        raise InventoryBroken(f"{path} cannot be read: {error}") from error
    yield Batch(items, None, 1.0)


def _numbers(position: str | None, count: int) -> list[int]:
    """The numbers of a position, all 0 at the start.

    Raises:
        CheckpointMismatch: They are not so many, or no numbers.
    """
    if position is None:
        return [0] * count
    parts = position.split(":")
    if len(parts) != count or not all(map(_NUMBER.fullmatch, parts)):
        raise CheckpointMismatch("the place of an unfinished backfill cannot be read")
    return [int(part) for part in parts]


def _found(manifest: Path, key: str) -> Path:
    name = key.rpartition("/")[2]
    for folder in (manifest.parent, manifest.parent / "data", manifest.parent.parent / "data"):
        if (folder / name).is_file():
            return folder / name
    raise InventoryBroken(
        f"a file of the inventory is missing: {key}",
        hint="download the whole inventory, its data folder too",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InventoryBroken(f"cannot read {path}: {error.strerror}") from error


def _md5_hex(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise InventoryBroken(f"cannot read {path}: {error.strerror}") from error
