"""One source store, replicated by a real daemon into others, and what boto3 then reads there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from tests.e2e.installation import Installation, Place, until
from tests.e2e.notices import message, put_event
from tests.matrix.attributes import ATTRIBUTES, KEYS, PLAIN, Case, Kind, everything
from tests.matrix.objects import Row, held, key_of, read, refusal, write
from tests.servers.server import Server, boto3_client

SETTINGS = """\
limits.part_size = "5MiB"
limits.attempts_max = 6
limits.retry_base = "50ms"
limits.circuit_failures = 1000
"""
"""Parts as boto3 wrote them; a store that cannot take an object is believed soon."""
SETTLED_S = 300.0

EXACT, NOTHING = "exact", "nothing to keep"


@dataclass(frozen=True, slots=True)
class Item:
    """A case in one size."""

    case: Case
    size: str

    @property
    def name(self) -> str:
        return f"{self.case.name}, {self.size}"


@dataclass(frozen=True, slots=True)
class Cells:
    """What one source store showed.

    Attributes:
        held: By item: ``exact``, or how the *source* store loses or refuses what boto3 writes.
        replicas: By name of a destination, then by item: ``exact``, ``nothing to keep`` where the
            source holds nothing, or what is different: ``lost`` if s3fanout recorded it as a
            difference, ``unnamed`` if it did not.
    """

    held: Mapping[str, str]
    replicas: Mapping[str, Mapping[str, str]]


def items(sizes: Sequence[str], kind: Kind = Kind.PLAIN) -> list[Item]:
    """All cases of a kind in the sizes; keys are tried with plain ones, in the first size only."""
    chosen = [case for case in ATTRIBUTES if case.kind is kind]
    if kind is not Kind.PLAIN:
        return [Item(case, size) for size in sizes for case in chosen]
    everywhere = [Item(case, size) for size in sizes for case in (PLAIN, *chosen)]
    return [*everywhere, *(Item(case, sizes[0]) for case in KEYS)]


def new_bucket(server: Server, bucket: str, *, locked: bool = False) -> None:
    """Make a bucket; with object lock if the store knows it."""
    with closing(boto3_client(server, "s3")) as client:
        if locked:
            with suppress(ClientError):
                client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
                return
        if server.name in _OWNERSHIP:
            client.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
        else:
            client.create_bucket(Bucket=bucket)


_OWNERSHIP = frozenset({"ministack", "moto"})
"""Stores that know what AWS needs for ACLs since 2023."""


def replicate(
    directory: Path,
    source: Place,
    destinations: Mapping[str, Place],
    wanted: Iterable[Item],
    *,
    sizes: Sequence[str] = (),
) -> Cells:
    """Write ``wanted`` into the source, let the daemon replicate, read all of it back.

    With ``sizes`` also one object per size that has everything that the source holds.
    """
    with ExitStack() as open_clients:

        def client(place: Place) -> Any:
            return open_clients.enter_context(closing(boto3_client(place.server, "s3")))

        origin = client(source)
        state = _Written(origin, source.bucket)
        for item in wanted:
            state.add(item)
        for size in sizes:
            names = frozenset(
                case.name for case in ATTRIBUTES if state.held.get(f"{case.name}, {size}") == EXACT
            )
            state.add(Item(everything(names), size))
        with Installation(
            directory, source=source, destinations=destinations, settings=SETTINGS
        ) as installation:
            installation.start()
            _tell(installation, source.bucket, state.rows)
            stopped = _stopped(installation, len(state.rows))
            named = _named(installation.ledger)
        return Cells(
            state.held,
            {
                name: _compared(
                    client(place),
                    place.bucket,
                    state,
                    stopped.get(name, {}),
                    named.get(name, {}),
                )
                for name, place in destinations.items()
            },
        )


class _Written:
    """What is in the source bucket, and what it holds of it."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self.held: dict[str, str] = {}
        self.rows: list[Row] = []
        self.fields: dict[str, tuple[Item, Mapping[str, Any]]] = {}

    def add(self, item: Item) -> None:
        try:
            rows, fields = self._written(item)
        except (ClientError, BotoCoreError) as error:
            self.held[item.name] = refusal(error)
            return
        if held(item.case, item.size, fields):
            self.held[item.name] = EXACT
            self.fields[item.name] = (item, fields)
            self.rows += rows
        else:
            self.held[item.name] = "lost"

    def _written(self, item: Item, *, tries: int = 5) -> tuple[list[Row], dict[str, Any]]:
        try:
            rows = write(self._client, self._bucket, item.case, item.size)
            return rows, read(self._client, self._bucket, item.case, item.size)
        except ConnectionClosedError:
            # SeaweedFS 4.48 takes a key that ends with a slash for a folder: it answers and closes
            # without having read the body, which a client may see as a closed connection alone.
            if tries == 1:
                raise
        return self._written(item, tries=tries - 1)


def _tell(installation: Installation, bucket: str, rows: Sequence[Row]) -> None:
    events = (put_event(bucket, row.key, etag=row.etag, size_bytes=row.size_bytes) for row in rows)
    answer = installation.post(message(*events))
    assert answer.status == 200, answer.body


def _stopped(installation: Installation, count: int) -> dict[str, dict[str, str]]:
    """Error code by key of each destination's dead letters, once nothing is left to do."""

    def look() -> bool:
        rows = installation.api_status().values()
        return all(
            not row["backlog_jobs"]
            and row["replicated"] + row["failed"] + row["superseded"] >= count
            for row in rows
        )

    until(look, what="every object is settled or stopped", within_s=SETTLED_S)
    found: dict[str, dict[str, str]] = {}
    for row in installation.read("failures", "--limit", "10000")["failures"]:
        found.setdefault(row["destination"], {})[row["key"]] = row["error"]["code"]
    return found


def _named(ledger: Path) -> dict[str, dict[str, frozenset[str]]]:
    """By destination and key: the differences that s3fanout recorded."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    with closing(sqlite3.connect(ledger)) as connection:
        for destination, key, names in connection.execute(
            "SELECT name, key, differences FROM replica JOIN destination"
            " ON destination.id = destination_id WHERE differences IS NOT NULL"
        ):
            found.setdefault(destination, {})[key] = frozenset(json.loads(names))
    return found


_CALLED: Mapping[str, frozenset[str]] = {
    "sse": frozenset({"encryption"}),
    "sse-c": frozenset({"encryption"}),
    "checksum": frozenset({"checksum", "checksum-type"}),
    "retention": frozenset({"object-lock"}),
    "legal-hold": frozenset({"object-lock"}),
}
"""What s3fanout calls a field, where it is not called as the field is."""


def _same_checksum(ours: str, theirs: str) -> bool:
    """Whether the values are equal, and the types where both stores tell them."""
    (value, *kind), (other, *other_kind) = ours.split() or [""], theirs.split() or [""]
    return value == other and (not kind or not other_kind or kind == other_kind)


def _compared(
    client: Any,
    bucket: str,
    state: _Written,
    stopped: Mapping[str, str],
    named: Mapping[str, frozenset[str]],
) -> dict[str, str]:
    verdicts = dict.fromkeys(state.held, NOTHING)
    for name, (item, fields) in state.fields.items():
        code = stopped.get(key_of(item.case, item.size)) or stopped.get(item.case.beside)
        if code is not None:
            verdicts[name] = f"stopped: {code}"
            continue
        try:
            replica = read(client, bucket, item.case, item.size)
        except ClientError as error:
            verdicts[name] = f"unreadable: {error.response['Error']['Code']}"
            continue
        judged = item.case.expects or fields
        lost = sorted(
            {
                each
                for each in ("bytes", *judged)
                if replica[each] != fields[each]
                and not (each == "checksum" and _same_checksum(fields[each], replica[each]))
            }
        )
        names = named.get(key_of(item.case, item.size), frozenset())
        said = [each for each in lost if names & _CALLED.get(each, {each})]
        verdicts[name] = (
            "; ".join(
                f"{kind}: {', '.join(those)}"
                for kind, those in (
                    ("lost", said),
                    ("unnamed", [each for each in lost if each not in said]),
                )
                if those
            )
            or EXACT
        )
    return verdicts
