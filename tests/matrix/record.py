"""What the last whole run of the matrix showed, as a file beside the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from tests.matrix.attributes import Kind
from tests.matrix.objects import CONTENTS
from tests.matrix.replication import Cells, items
from tests.tidy.repository import ROOT

FILE = ROOT / "tests" / "golden" / "matrix.json"


def load() -> dict[str, Cells]:
    """By source store."""
    document = json.loads(FILE.read_text("utf-8"))
    return {name: Cells(**cells) for name, cells in document.items()}


def add(source: str, seen: Cells) -> None:
    """Put in what was seen; cases that there are no more are dropped."""
    record = load()
    known = record.get(source, Cells({}, {}))
    names = {item.name for kind in Kind for item in items(tuple(CONTENTS), kind)}
    names |= {f"all of these, {size}" for size in CONTENTS}

    def merged(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
        return {name: cell for name, cell in {**before, **now}.items() if name in names}

    replicas = {
        to: merged(known.replicas.get(to, {}), cells) for to, cells in seen.replicas.items()
    }
    record[source] = Cells(merged(known.held, seen.held), replicas)
    document = {name: asdict(cells) for name, cells in record.items()}
    FILE.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
