"""An S3 Inventory that is still in its bucket: fetched into a folder, where it is then checked.

All of it is there before any of it is used: an inventory that lacks a file queues nothing. Files
are read in pieces, so memory does not grow with them; the folder needs as much room as they do.
"""

from __future__ import annotations

from pathlib import Path

from s3fanout.intake.inventory import parse_manifest
from s3fanout.model.errors import InventoryBroken, SourceAbsent
from s3fanout.model.limits import MIB
from s3fanout.model.objects import Present
from s3fanout.ports.object_store import ObjectStore

_PIECE_BYTES = 8 * MIB


async def fetch_inventory(store: ObjectStore, key: str, folder: Path) -> Path:
    """Fetch the inventory of the manifest at ``key``; where its manifest is now.

    Args:
        store: The bucket that it is in.
        key: Of ``manifest.json``.
        folder: Empty.

    Raises:
        InventoryBroken: A file is missing, or changes while it is read.
        StoreError: The store does not answer, or denies it.
    """
    manifest = folder / "manifest.json"
    await _fetch(store, key, manifest)
    checksum = key.removesuffix("manifest.json") + "manifest.checksum"
    if isinstance(await store.head(checksum), Present):
        await _fetch(store, checksum, folder / "manifest.checksum")
    files = parse_manifest(manifest.read_bytes()).files
    names = {file.key.rpartition("/")[2] for file in files}
    if len(names) < len(files):
        raise InventoryBroken("two files of the inventory have one name")
    (folder / "data").mkdir()
    for file in files:
        await _fetch(store, file.key, folder / "data" / file.key.rpartition("/")[2])
    return manifest


async def _fetch(store: ObjectStore, key: str, path: Path) -> None:
    facts = await store.head(key)
    if not isinstance(facts, Present):
        raise InventoryBroken(
            f"a file of the inventory is missing: s3://{store.bucket}/{key}",
            hint="check the path; an inventory is complete when its manifest.json is there",
        )
    try:
        with path.open("xb") as file:
            for first in range(0, facts.size_bytes, _PIECE_BYTES):
                last = min(first + _PIECE_BYTES, facts.size_bytes) - 1
                piece = await store.get_range(key, first=first, last=last, if_match=facts.etag)
                file.write(piece.content)
    except SourceAbsent as error:
        raise InventoryBroken(f"s3://{store.bucket}/{key} went away while it was read") from error
    except OSError as error:
        raise InventoryBroken(
            f"cannot write {path}: {error.strerror}",
            hint="an inventory needs its size as room in the temporary folder (TMPDIR)",
        ) from error
