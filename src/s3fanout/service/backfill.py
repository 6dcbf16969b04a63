"""``s3fanout backfill`` and ``reconcile`` behind the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from s3fanout.adapters.inventory import Inventory, keys_of_file
from s3fanout.adapters.inventory_download import fetch_inventory
from s3fanout.config.rules import limits_of, rule_in
from s3fanout.config.settings import Settings
from s3fanout.decide.backfill import Choice, requests_of
from s3fanout.decide.cost import Prices, copies_dollars
from s3fanout.engine.backfill import (
    CHECKPOINT,
    LATER_MAX,
    Backfill,
    BackfillBooks,
    BackfillTally,
    Summaries,
    listed,
)
from s3fanout.engine.engine import Engine
from s3fanout.model.errors import InventoryBroken
from s3fanout.model.items import Batch
from s3fanout.model.keeping import Carry
from s3fanout.model.rules import Rule, Versions
from s3fanout.ports.system import Clock
from s3fanout.service.status import SCHEMA_VERSION, Json
from s3fanout.wiring import Stores

LOOK_S = 0.5
S3_SCHEME = "s3://"


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """What is to be filled, and from what.

    Attributes:
        destinations: Names.
        prefix: Of source keys; of a listing only.
        since_at_ms: Only what was modified then or later.
        inventory: ``manifest.json`` of an S3 Inventory, instead of a listing: a path, or
            ``s3://bucket/key``.
        keys: A file of keys, instead of a listing.
        rate_per_s: Most objects in a second.
        bytes_per_s: Most bytes of objects in a second.
        dry_run: Only count.
        restart: Forget an unfinished one.
    """

    destinations: Sequence[str]
    prefix: str = ""
    since_at_ms: int | None = None
    inventory: str | None = None
    keys: Path | None = None
    rate_per_s: float | None = None
    bytes_per_s: float | None = None
    dry_run: bool = False
    restart: bool = False


class _How(TypedDict):
    clock: Clock
    progress: Callable[[BackfillTally], None]
    later_max: int


async def fill(
    settings: Settings,
    stores: Stores,
    books: BackfillBooks,
    request: BackfillRequest,
    *,
    clock: Clock,
    progress: Callable[[BackfillTally], None],
    later_max: int = LATER_MAX,
) -> BackfillTally:
    """Queue what ``request`` names; at most ``later_max`` jobs of it wait in one queue.

    Raises:
        InventoryBroken, CheckpointMismatch, Misconfigured: Nothing was queued.
        StoreError, LedgerUnavailable: What was queued stays; it can go on.
    """
    how: _How = {"clock": clock, "progress": progress, "later_max": later_max}
    if request.inventory is None:
        return await _fill(settings, stores, books, request, None, **how)
    with TemporaryDirectory(prefix="s3fanout-inventory-") as folder:
        manifest = await _manifest(settings, stores, request.inventory, Path(folder))
        inventory = Inventory.open(manifest, source_bucket=settings.source.bucket)
        return await _fill(settings, stores, books, request, inventory, **how)


async def _manifest(settings: Settings, stores: Stores, named: str, folder: Path) -> Path:
    """Where the manifest is, and beside it the rest; fetched into ``folder`` if need be."""
    if not named.startswith(S3_SCHEME):
        return Path(named)
    bucket, _, key = named.removeprefix(S3_SCHEME).partition("/")
    if not bucket or not key.endswith("manifest.json"):
        raise InventoryBroken(
            f"{named} names no manifest",
            hint="write s3://bucket/path/manifest.json, or the path of a downloaded one",
        )
    # An inventory is delivered in the source's Region, so its endpoint and identity are used.
    store = stores.open(settings.source.model_copy(update={"bucket": bucket}))
    return await fetch_inventory(store, key, folder)


async def _fill(
    settings: Settings,
    stores: Stores,
    books: BackfillBooks,
    request: BackfillRequest,
    inventory: Inventory | None,
    *,
    clock: Clock,
    progress: Callable[[BackfillTally], None],
    later_max: int,
) -> BackfillTally:
    rules = [rule_in(settings, name) for name in request.destinations]
    backfill = Backfill(
        rules=rules,
        books=books,
        clock=clock,
        fingerprint=_fingerprint(settings, rules, request, inventory),
        since_at_ms=request.since_at_ms,
        rate_per_s=request.rate_per_s,
        bytes_per_s=request.bytes_per_s,
        requests_of=_requests_of(settings),
        later_max=later_max,
        dry_run=request.dry_run,
    )
    if request.restart and not request.dry_run:
        await books.drop_checkpoint(CHECKPOINT)
    position = await backfill.resume()
    if inventory is not None:
        batches = _of_prefix(inventory.batches(position), request.prefix)
    elif request.keys is not None:
        batches = _of_prefix(keys_of_file(request.keys, position), request.prefix)
    else:
        batches = listed(
            stores.open(settings.source),
            clock,
            request.prefix,
            position,
            with_deleted=any(rule.versions is Versions.ALL for rule in rules),
        )
    return await backfill.run(batches, progress=progress)


async def drain(
    books: Summaries,
    engine: Engine | None,
    destinations: Sequence[str],
    *,
    clock: Clock,
    tally: BackfillTally,
    progress: Callable[[BackfillTally], None],
) -> int:
    """Wait until the queues of ``destinations`` are empty, paused ones aside.

    Args:
        books: Where the jobs are.
        engine: Works them off; started. ``None`` if a daemon does.
        destinations: Whose.
        clock: Time.
        tally: Brought up to what is left.
        progress: Told at each look.

    Returns:
        How many of their keys are dead letters.
    """
    while True:
        summaries = [each for each in await books.summaries() if each.destination in destinations]
        working = [each for each in summaries if each.paused_at_ms is None]
        tally.left = sum(each.backlog for each in working)
        tally.left_bytes = sum(each.backlog_bytes for each in working)
        progress(tally)
        busy = engine is not None and any(view.in_flight for view in engine.views())
        if not tally.left and not busy:
            return sum(each.dead for each in summaries)
        await clock.sleep(LOOK_S)


def backfill_document(
    settings: Settings,
    tally: BackfillTally,
    request: BackfillRequest,
    *,
    prices: Prices,
    took_s: float,
) -> Json:
    """What happened, as in ``docs/json.md``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "backfill",
        "dry_run": request.dry_run,
        "resumed": tally.resumed,
        "prefix": request.prefix,
        "items": tally.items,
        "took_s": round(took_s, 3),
        "prices_read_on": prices.read_on,
        "listing": {
            "requests": tally.pages,
            "dollars": _listing_dollars(settings, tally, prices),
        },
        "destinations": [
            {
                "name": name,
                **{str(choice): tally.choices.get(name, {}).get(choice, 0) for choice in Choice},
                "queued_bytes": tally.queued_bytes.get(name, 0),
                "requests": tally.requests.get(name, 0),
                "looks": _looks(settings, name, tally),
                "dollars": _dollars(settings, name, tally, prices),
            }
            for name in request.destinations
        ],
    }


def _requests_of(settings: Settings) -> Callable[[str, int | None], int]:
    limits = limits_of(settings)

    def requests(name: str, size_bytes: int | None) -> int:
        return requests_of(
            size_bytes,
            on_server=settings.copies_on_server(name),
            part_bytes=limits.part_bytes,
            limits=limits,
        )

    return requests


def _looks(settings: Settings, name: str, tally: BackfillTally) -> int:
    """Looks at source objects before the store copies them; destinations of a daemon share them."""
    looks = settings.destinations[name].attributes is not Carry.COPIED
    queued = tally.choices.get(name, {}).get(Choice.QUEUE, 0)
    return queued if looks and settings.copies_on_server(name) else 0


def _listing_dollars(settings: Settings, tally: BackfillTally, prices: Prices) -> float | None:
    source = settings.source
    return (
        None if source.endpoint is not None else round(tally.pages * prices.put(source.region), 4)
    )


def _dollars(settings: Settings, name: str, tally: BackfillTally, prices: Prices) -> float | None:
    """What the copies cost where S3 makes them; ``None`` elsewhere.

    Another vendor's prices are not known here, nor what the network costs of this machine.
    """
    source, to = settings.source, settings.destinations[name]
    on_aws = source.endpoint is None and to.endpoint is None
    if not on_aws or not settings.copies_on_server(name):
        return None
    return round(
        copies_dollars(
            prices,
            source=source.region,
            destination=to.region,
            requests=tally.requests.get(name, 0),
            looks=_looks(settings, name, tally),
            size_bytes=tally.queued_bytes.get(name, 0),
        ),
        4,
    )


def _fingerprint(
    settings: Settings,
    rules: Sequence[Rule],
    request: BackfillRequest,
    inventory: Inventory | None,
) -> str:
    """Of everything that a position depends on."""
    source = settings.source
    document = {
        "form": 2,  # of the position
        "source": [source.bucket, source.endpoint],
        "rules": [asdict(rule) for rule in rules],
        "to": [
            [settings.destinations[name].bucket, settings.destinations[name].endpoint]
            for name in request.destinations
        ],
        "prefix": request.prefix,
        "since": request.since_at_ms,
        "inventory": inventory.fingerprint if inventory else None,
        "keys": _digest(request.keys),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _digest(path: Path | None) -> str | None:
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _of_prefix(batches: Iterator[Batch], prefix: str) -> AsyncGenerator[Batch]:
    for batch in batches:
        yield Batch([item for item in batch.items if item.key.startswith(prefix)], batch.position)
