"""The differences that are known, each with its name and its reason; any other one fails.

A replica may lack what its store does not hold: then boto3 loses it there too, and nothing is said
here. Everything else that is different is a difference of ours and needs an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import permutations

from tests.matrix.attributes import ATTRIBUTES
from tests.matrix.replication import EXACT, NOTHING, Cells


@dataclass(frozen=True, slots=True)
class Known:
    """A difference of ours.

    Attributes:
        name: How tables name it.
        why: One sentence for the reader of the page.
        what: ``lost: FIELD``, ``unnamed: FIELD`` or ``stopped: CODE``; a pattern.
        item, source, destination: Where it may be; patterns.
    """

    name: str
    why: str
    what: str
    item: str = "*"
    source: str = "*"
    destination: str = "*"

    def covers(self, what: str, *, item: str, source: str, destination: str) -> bool:
        """Whether the difference is this one."""
        pairs = (
            (what, self.what),
            (item, self.item),
            (source, self.source),
            (destination, self.destination),
        )
        return all(fnmatchcase(text, pattern) for text, pattern in pairs)


KNOWN: tuple[Known, ...] = (
    Known(
        "not looked at",
        "SSE-S3 of single objects is not seen where SeaweedFS copies by itself, unless the "
        'destination has `attributes = "all"`.',
        "unnamed: sse",
        source="seaweedfs",
        destination="seaweedfs",
    ),
    *(
        Known(
            "checksum",
            "Emulators only: moto does not say of which parts its checksums are, ministack's own "
            "copies drop them, and its CRC64NVME is one of parts, which S3 has not.",
            "*: checksum",
            source=source,
            destination=destination,
        )
        for source, destination in (("ministack", "*"), ("moto", "*"), ("*", "moto"))
    ),
    # An emulator's bug: it compares with the checksum of one of the parts.
    Known(
        "emulator",
        "ministack compares the CRC64NVME of an object in parts with that of one of them, and "
        "refuses the replica.",
        "stopped: *",
        "checksum CRC64NVME, multipart",
        destination="ministack",
    ),
    Known(
        "not copied",
        'Ceph RGW copies no object under SSE-C by itself: set `copy = "stream"`.',
        "stopped: unavailable:NotImplemented",
        "sse-c*",
        source="ceph",
        destination="ceph",
    ),
    *(
        Known(
            "accounts",
            "Ids of accounts mean nothing to another store: what is granted to them is left out.",
            "lost: acl",
            "acl: grant to an account, *",
            source=source,
            destination=destination,
        )
        for source, destination in permutations(("ceph", "ministack", "moto"), 2)
    ),
)


def explained(
    record: Mapping[str, Cells], source: str, destination: str, item: str
) -> Mapping[str, str]:
    """How one replica differs: what is different → whose difference it is.

    ``"store"`` if the destination's store holds no such thing, the name of a ``Known``, or ``""``
    if nobody expects it. Empty if it is exact, or there was nothing to keep.
    """
    verdict = record[source].replicas[destination][item]
    if verdict in {EXACT, NOTHING}:
        return {}
    store = store_of(destination)
    parts = [verdict]
    if verdict.startswith(("lost: ", "unnamed: ")):
        kinds = [segment.partition(": ") for segment in verdict.split("; ")]
        parts = [f"{kind}: {name}" for kind, _, names in kinds for name in names.split(", ")]
    return {part: _whose(record, part, item, source=source, store=store) for part in parts}


def store_of(destination: str) -> str:
    """The store of a destination; ``STORE, streamed`` is its source's store too."""
    return destination.partition(",")[0]


def _whose(record: Mapping[str, Cells], what: str, item: str, *, source: str, store: str) -> str:
    name, _, size = item.rpartition(", ")
    held = record[store].held
    whole = name == "all of these"
    lost = what.removeprefix("lost: ")
    asked = [case.name for case in ATTRIBUTES if lost in case.expects or lost == what]
    limited = not what.startswith("unnamed: ") and any(
        held.get(f"{each}, {size}", EXACT) != EXACT for each in (asked if whole else [name])
    )
    if limited:
        return "store"
    for known in KNOWN:
        if known.covers(what, item=item, source=source, destination=store):
            return known.name
    return ""


def unexpected(record: Mapping[str, Cells]) -> list[str]:
    """Every difference that nobody expects, in words."""
    return [
        f"{source} → {destination}, {item}: {what}"
        for source, cells in record.items()
        for destination, replicas in cells.replicas.items()
        for item in replicas
        for what, whose in explained(record, source, destination, item).items()
        if not whose
    ]


def needless(record: Mapping[str, Cells]) -> list[str]:
    """Names of known differences that nothing shows any more."""
    shown = {
        whose
        for source, cells in record.items()
        for destination, replicas in cells.replicas.items()
        for item in replicas
        for whose in explained(record, source, destination, item).values()
    }
    return sorted({known.name for known in KNOWN} - shown)
