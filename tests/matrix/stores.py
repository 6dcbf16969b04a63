"""The stores of the matrix, and the cells of one source over them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.e2e.installation import Place
from tests.matrix.attributes import CUSTOMER_KEY, Kind
from tests.matrix.replication import Cells, Item, new_bucket, replicate
from tests.servers.ceph import ceph
from tests.servers.minio_frontend import minio_frontend
from tests.servers.ministack import ministack
from tests.servers.moto import moto
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import Server

STARTERS: Mapping[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "seaweedfs": seaweedfs,
    "minio": minio_frontend,
    "ceph": ceph,
    "ministack": ministack,
    "moto": moto,
}
"""By name, in the order of the tables."""


def cells_of(
    source: str,
    servers: Mapping[str, Server],
    directory: Path,
    wanted: Iterable[Item],
    *,
    name: Callable[[str], str],
    sizes: Sequence[str] = (),
    kind: Kind = Kind.PLAIN,
) -> Cells:
    """Replicate ``wanted`` from one store into itself, twice, and into each of the others.

    Into itself once by the store's own copy, and once streamed.

    Args:
        source: Name of the source's store.
        servers: By name; only these.
        directory: For the installation.
        wanted: What is written.
        name: Makes names of buckets.
        sizes: Of the objects that have everything.
        kind: What the cases need of the buckets; where a store can.
    """
    keys: dict[str, str] = {}
    kept = {"acl": '"keep"'} if kind is Kind.GRANTED else {}
    if kind is Kind.KEYED:
        file = directory.with_name(f"{directory.name}.key")
        file.write_bytes(b64encode(CUSTOMER_KEY["SSECustomerKey"]))
        keys["customer_key"] = f'{{ file = "{file}" }}'

    def place(store: str, purpose: str, **settings: str) -> Place:
        bucket = name(purpose)
        new_bucket(servers[store], bucket, locked=kind is Kind.LOCKED)
        return Place(servers[store], bucket, settings={**settings, **keys})

    destinations = {f"{source}, copied": place(source, "copied", **kept)}
    destinations[f"{source}, streamed"] = place(source, "streamed", copy='"stream"', **kept)
    others = [store for store in servers if store != source]
    destinations |= {store: place(store, "replica", **kept) for store in others}
    # Names of destinations are narrower than what the table calls them.
    slugs = {column.replace(", ", "-"): column for column in destinations}
    cells = replicate(
        directory,
        place(source, "source"),
        {slug: destinations[column] for slug, column in slugs.items()},
        wanted,
        sizes=sizes,
    )
    return Cells(cells.held, {slugs[slug]: rows for slug, rows in cells.replicas.items()})
