"""The record as the tables of docs/vendors.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from s3fanout.model.vendors import CONTROL_CHARACTERS, LINE_BREAKS, VENDORS, KeyLimits
from tests.docs.pages import DOCS
from tests.matrix.differences import KNOWN, explained
from tests.matrix.replication import EXACT, NOTHING, Cells

PAGE = DOCS / "vendors.md"
_REGION = r"(<!-- {name}: made by scripts/vendor-matrix -->\n).*?(<!-- end of {name} -->)"
TITLES = {
    "seaweedfs": "SeaweedFS",
    "minio": "MinIO front end",
    "ceph": "Ceph RGW",
    "ministack": "ministack",
    "moto": "moto",
}
"""Stores in the order of the tables."""
_CHARACTERS = {
    "": "",
    CONTROL_CHARACTERS: "no control characters",
    LINE_BREAKS: "no line breaks",
}


def with_tables(page: str, record: Mapping[str, Cells]) -> str:
    """The page with the tables of the record between its marks."""
    for name, text in (("matrix", lines(record)), ("vendors", vendor_lines())):
        made = "\n".join(text)
        region = re.compile(_REGION.format(name=name), re.DOTALL)
        page = region.sub(partial(_between, made), page)
    return page


def _between(made: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}\n{made}\n\n{marks[2]}"


def vendor_lines() -> Iterator[str]:
    """What is known of each vendor, seen or read."""
    yield _row("", "keys", "copy conditions", "tags", "ACLs", "object lock", "checksums",
               "encryption", "storage classes", "in byte order", "known from")  # fmt: skip
    yield _rule(10)
    for vendor in VENDORS:
        flags = (vendor.copy_conditions, vendor.tags, vendor.acls, vendor.object_lock,
                 vendor.checksums)  # fmt: skip
        yield _row(
            f"{vendor.title} (`{vendor.name}`)",
            _keys(vendor.keys),
            *map(_flag, flags),
            vendor.encryption or "?",
            vendor.storage_classes or "?",
            _flag(vendor.byte_order),
            vendor.source,
        )


def _flag(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "?"}[value]


def _keys(limits: KeyLimits) -> str:
    words = [
        "no `//`, no leading `/`" * (not limits.empty_segments),
        "no `.` or `..`" * (not limits.dot_segments),
        "no backslash" * (not limits.backslashes),
        "no bytes in `a/`" * (not limits.folder_bytes),
        "no `x` beside `x/y`" * (not limits.file_beside_folder),
        "no `x` beside `x/`" * (not limits.file_beside_marker),
        f"segments to {limits.segment_bytes_max} bytes" * (limits.segment_bytes_max is not None),
        _CHARACTERS[limits.refused_characters],
        *(f"not `{name}`" for name in limits.refused_names),
        *(f"not below `{beginning}`" for beginning in limits.refused_beginnings),
        "no characters of four bytes" * (not limits.four_byte_characters),
        "only composed (NFC)" * (not limits.forms_apart),
    ]
    return ", ".join(filter(None, words)) or "all"


def lines(record: Mapping[str, Cells]) -> Iterator[str]:
    """Everything between the marks."""
    stores = [name for name in TITLES if name in record]
    yield "### What each store holds"
    yield ""
    yield "Written and read by boto3, without s3fanout. *lost*: accepted, and not there when read."
    yield ""
    yield _row("", *(TITLES[name] for name in stores))
    yield _rule(len(stores))
    for name in _names(record[stores[0]].held):
        yield _row(name, *(_both(record[store].held, name, _held) for store in stores))
    for source in stores:
        yield from _of_source(record, source)
    yield ""
    yield "### Differences of s3fanout"
    yield ""
    yield _row("name", "what it is")
    yield _rule(1)
    for name, why in {known.name: known.why for known in KNOWN}.items():
        yield _row(f"*{name}*", why)


def _of_source(record: Mapping[str, Cells], source: str) -> Iterator[str]:
    cells = record[source]
    yield ""
    yield f"### From {TITLES[source]}"
    yield ""
    yield _row("", *map(_column, cells.replicas))
    yield _rule(len(cells.replicas))
    for name in _names(cells.held):
        row = []
        for destination, replicas in cells.replicas.items():

            def text(item: str, _: str, to: str = destination) -> str:
                return _difference(record, source, to, item)

            row.append(_both(replicas, name, text))
        yield _row(name, *row)


def _names(held: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(item.rpartition(", ")[0] for item in held))


def _both(verdicts: Mapping[str, str], name: str, text: Callable[[str, str], str]) -> str:
    shown = [
        text(item, verdicts[item])
        for size in ("small", "multipart")
        if (item := f"{name}, {size}") in verdicts
    ]
    return " / ".join(dict.fromkeys(shown))


def _held(_item: str, verdict: str) -> str:
    return "=" if verdict == EXACT else verdict


def _difference(record: Mapping[str, Cells], source: str, destination: str, item: str) -> str:
    if record[source].replicas[destination][item] == NOTHING:
        return "\u00b7"
    marks = []
    for what, whose in explained(record, source, destination, item).items():
        stopped = "" if what.startswith(("lost", "unnamed")) else what.partition(": ")[2]
        mark = "\u2013" if whose == "store" else f"*{whose or 'UNEXPECTED'}*"
        marks.append(f"{mark} `{stopped}`" if stopped and whose == "store" else mark)
    return ", ".join(dict.fromkeys(marks)) or "="


def _column(destination: str) -> str:
    store, _, way = destination.partition(",")
    return f"{TITLES[store]},{way}" if way else TITLES[store]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(columns: int) -> str:
    return "|" + "---|" * (columns + 1)
