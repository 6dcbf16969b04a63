"""The source's listing in the order of replica keys, where a key template gives them another one.

The listing is read to its end and sorted, in temporary files where it is long: so both sides can be
read in step as ever, at one request per 1,000 keys, and no object has to be looked up by itself.

Where a template gives several source objects one replica key, the ledger says whose it is: of the
one whose replica it wrote, or of the first, if it wrote none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby

from s3fanout.decide.key_template import parse_template
from s3fanout.decide.match import may_collide, refusal, replica_key
from s3fanout.engine.examiner import Records
from s3fanout.engine.listing import Partition, Side, in_order_of
from s3fanout.model.jobs import ReplicaRecord
from s3fanout.model.objects import Listed
from s3fanout.model.rules import KeyMap, Rule
from s3fanout.ports.system import Clock


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the listing.

    Attributes:
        rows: By replica key, which stands in them for the key; no two have the same.
        owners: The rows as they are, by replica key.
        refused: Rows whose replica key is another's, and whose.
        listed: Rows of the listing.
    """

    rows: list[Listed] = field(default_factory=list)
    owners: dict[str, Listed] = field(default_factory=dict)
    refused: list[tuple[Listed, str]] = field(default_factory=list)
    listed: int = 0


async def by_target(
    rule: Rule, side: Side, clock: Clock, prefix: str, records: Records
) -> AsyncGenerator[Piece]:
    """The source objects whose name starts with ``prefix``, by replica key.

    Raises:
        StoreError: The source cannot be listed.
    """
    listing = in_order_of(
        side, clock, Partition(prefix), lambda key: replica_key(rule.key_map, key)
    )
    held: list[tuple[str, Listed]] = []
    async with aclosing(listing):
        async for rows in listing:
            held += rows
            last = held[-1][0]
            cut = len(held)
            while cut and held[cut - 1][0] == last:
                cut -= 1  # what has the last replica key may go on in the next rows
            if cut:
                yield await _piece(rule, held[:cut], records)
            held = held[cut:]
    if held:
        yield await _piece(rule, held, records)


def source_key_of(key_map: KeyMap, target: str) -> str | None:
    """The source key of a replica key; ``None`` if there is none, or the template does not tell."""
    if may_collide(key_map):
        return None
    stripped = parse_template(key_map.template).source_of(target)
    return None if stripped is None else key_map.strip_prefix + stripped


async def _piece(rule: Rule, rows: Sequence[tuple[str, Listed]], records: Records) -> Piece:
    piece = Piece(listed=len(rows))
    for target, group in groupby(rows, key=lambda entry: entry[0]):
        claimants = [row for _, row in group]
        if len(claimants) > 1:
            wanted = [row for row in claimants if refusal(rule, row.key, row.size_bytes) is None]
            claimants = wanted or claimants[:1]
        owner = claimants[0]
        if len(claimants) > 1:
            known = await records([row.key for row in claimants])
            owner = next((row for row in claimants if _is_written(known, row.key)), owner)
        piece.rows.append(owner._replace(key=target))
        piece.owners[target] = owner
        piece.refused.extend((row, owner.key) for row in claimants if row is not owner)
    return piece


def _is_written(known: Mapping[str, ReplicaRecord], key: str) -> bool:
    record = known.get(key)
    return record is not None and bool(record.replica_etag)
