"""S3 Inventory: a manifest and its rows → items. Pure; ``adapters.inventory`` reads the files.

A manifest names the files, their MD5 and, for CSV, the columns (Amazon S3 user guide, "Locating
your inventory list", read 2026-11-24). Parquet and ORC files name their columns themselves, in
lower case with underscores. Keys are percent-encoded in CSV only. Versions that are not the newest
are passed over; a delete marker that is the newest says that the object was deleted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from s3fanout.intake import fields
from s3fanout.model.errors import InventoryBroken
from s3fanout.model.items import Item


class InventoryForm(StrEnum):
    """Format of an inventory's files, as a manifest names it."""

    CSV = "CSV"
    PARQUET = "Parquet"
    ORC = "ORC"


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """One file of rows.

    Attributes:
        key: Where the inventory's bucket has it.
        md5_hex: Of its bytes.
    """

    key: str
    md5_hex: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says.

    Attributes:
        source_bucket: Whose objects are listed.
        form: Of all files.
        columns: In the order of the rows; empty where the files say it.
        files: All of them.
    """

    source_bucket: str
    form: InventoryForm
    columns: tuple[str, ...]
    files: tuple[InventoryFile, ...]


def parse_manifest(body: bytes) -> Manifest:
    """The manifest in ``manifest.json``.

    Raises:
        InventoryBroken: It is none, or its files are of a format that is not read here.
    """
    try:
        document: Any = json.loads(body)
        form = _form(document["fileFormat"])
        columns = document["fileSchema"].split(",") if form is InventoryForm.CSV else ()
        manifest = Manifest(
            document["sourceBucket"],
            form,
            tuple(name.strip() for name in columns),
            tuple(_file(each["key"], each["MD5checksum"]) for each in document["files"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InventoryBroken(f"not the manifest of an S3 Inventory: {error!r}") from error
    if form is InventoryForm.CSV and "Key" not in manifest.columns:
        raise InventoryBroken("the inventory has no column Key")
    return manifest


def _form(named: object) -> InventoryForm:
    for form in InventoryForm:
        if form == named:
            return form
    raise InventoryBroken(
        f"inventory files of format {named} are not read",
        hint="configure the inventory as CSV, Parquet or ORC",
    )


def _file(key: str, md5_hex: str) -> InventoryFile:
    name = key.rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name:
        raise ValueError(f"no file can be called {key!r}")
    return InventoryFile(key, md5_hex.lower())


def item_of(columns: Sequence[str], row: Sequence[str]) -> Item | None:
    """The object of a row; ``None`` if the row is an older version of one.

    Raises:
        InventoryBroken: The row has another number of columns, no key, or no object's size.
    """
    if len(row) != len(columns):
        raise InventoryBroken(f"a row has {len(row)} columns instead of {len(columns)}")
    named = dict(zip(columns, row, strict=True))
    if named.get("IsLatest") == "false":
        return None
    is_deleted = named.get("IsDeleteMarker") == "true"
    if not named["Key"]:
        raise InventoryBroken("a row has no key")
    size = named.get("Size", "")
    size_bytes = fields.size_bytes(size)
    if size and size_bytes is None:
        raise InventoryBroken(f"a row has the size {size[:40]!r}")
    return Item(
        unquote_plus(named["Key"], errors="surrogateescape"),
        None if is_deleted else size_bytes,
        named.get("ETag") or None,
        _ms(named.get("LastModifiedDate", "")),
        is_deleted,
    )


def _ms(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
