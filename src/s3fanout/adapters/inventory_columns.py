"""Rows of an S3 Inventory in Parquet or ORC, by pyarrow, which is an extra (decision record 13).

Columns are ``key``, ``size``, ``e_tag``, ``last_modified_date``, ``is_latest`` and
``is_delete_marker``; all but the first may be missing. Keys are as they are, not percent-encoded
(Amazon S3 user guide, "Cataloging and analyzing your data with S3 Inventory", read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from s3fanout.intake.inventory import InventoryForm
from s3fanout.model.errors import InventoryBroken, Misconfigured
from s3fanout.model.items import Item

_COLUMNS = ("key", "size", "e_tag", "last_modified_date", "is_latest", "is_delete_marker")
_BATCH_ROWS = 4096


def check_reader(form: InventoryForm) -> None:
    """Refuse a format that cannot be read here.

    Raises:
        Misconfigured: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise Misconfigured(
            f"inventory files of format {form} are read by pyarrow, which is not installed",
            hint="pip install 's3fanout[inventory]', or configure the inventory as CSV",
        )


def check_columns(file: Path, form: InventoryForm) -> None:
    """Refuse a file whose head or foot says that it cannot be read.

    Raises:
        InventoryBroken: It is no such file, or has no keys.
    """
    with _named(file):
        _wanted(file, _names(file, form))


def column_rows(file: Path, form: InventoryForm) -> Iterator[tuple[Item | None, float]]:
    """The object of each row (``None`` if it is none that exists now), and how far it is.

    Raises:
        InventoryBroken: The file cannot be read, or a row has no key.
    """
    done = 0
    with _named(file):
        for count, batch in _batches(file, form):
            columns = [
                _plain(batch.column(name)) if name in batch.schema.names else [None] * len(batch)
                for name in _COLUMNS
            ]
            for row in zip(*columns, strict=True):
                done += 1
                yield _item(dict(zip(_COLUMNS, row, strict=True))), done / count


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """What pyarrow says, as our error."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InventoryBroken(f"{file} cannot be read: {error}") from error


def _names(file: Path, form: InventoryForm) -> list[str]:
    if form is InventoryForm.PARQUET:
        from pyarrow import parquet  # noqa: PLC0415 - an extra

        names: list[str] = parquet.read_schema(file).names
        return names
    from pyarrow import orc  # noqa: PLC0415 - an extra

    with file.open("rb") as opened:
        found: list[str] = orc.ORCFile(opened).schema.names
        return found


def _batches(file: Path, form: InventoryForm) -> Iterator[tuple[int, Any]]:
    """How many rows the file has, and some of them at a time."""
    if form is InventoryForm.PARQUET:
        from pyarrow import parquet  # noqa: PLC0415 - an extra

        with parquet.ParquetFile(file) as table:
            wanted = _wanted(file, table.schema_arrow.names)
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                yield table.metadata.num_rows, batch
        return
    from pyarrow import orc  # noqa: PLC0415 - an extra

    with file.open("rb") as opened:
        stripes = orc.ORCFile(opened)
        wanted = _wanted(file, stripes.schema.names)
        for number in range(stripes.nstripes):
            yield stripes.nrows, stripes.read_stripe(number, columns=wanted)


def _wanted(file: Path, names: list[str]) -> list[str]:
    if "key" not in names:
        raise InventoryBroken(f"{file} has no column key")
    return [name for name in _COLUMNS if name in names]


def _plain(column: Any) -> list[Any]:
    """Values of Python; instants as Unix milliseconds."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values


def _item(row: dict[str, Any]) -> Item | None:
    if row["is_latest"] is False:
        return None
    is_deleted = row["is_delete_marker"] is True
    key, size, modified_at_ms = row["key"], row["size"], row["last_modified_date"]
    if not isinstance(key, str) or not key:
        raise InventoryBroken(f"a row has the key {key!r}")
    return Item(
        key,
        size if isinstance(size, int) and not is_deleted else None,
        row["e_tag"] or None,
        modified_at_ms if isinstance(modified_at_ms, int) else None,
        is_deleted,
    )
