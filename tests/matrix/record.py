"""What the last whole run of the matrix showed, as a file beside the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from tests.matrix.replication import Cells
from tests.tidy.repository import ROOT

FILE = ROOT / "tests" / "golden" / "matrix.json"


def load() -> dict[str, Cells]:
    """By source store."""
    document = json.loads(FILE.read_text("utf-8"))
    return {name: Cells(**cells) for name, cells in document.items()}


def save(record: Mapping[str, Cells]) -> None:
    document = {name: asdict(cells) for name, cells in record.items()}
    FILE.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
