"""Run the whole matrix: every store as a source of all of them, small and multipart.

``scripts/vendor-matrix`` calls this. It writes the record and the page, and fails if there is a
difference that nobody expects.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.matrix import record as recorded
from tests.matrix.attributes import Kind
from tests.matrix.differences import needless, unexpected
from tests.matrix.replication import Cells, items
from tests.matrix.stores import STARTERS, cells_of
from tests.matrix.table import PAGE, with_tables
from tests.servers.server import Server

SIZES = ("small", "multipart")


def run(
    directory: Path, sources: Sequence[str], kinds: Sequence[Kind]
) -> Iterator[tuple[str, Cells]]:
    """All cells of some kinds by source. A minute for each store."""
    for source in sources:
        # Fresh servers for each source: they keep gigabytes in memory otherwise.
        with ExitStack() as running:
            servers = {}
            for name, start in STARTERS.items():
                home = directory / source / name
                home.mkdir(parents=True)
                servers[name] = running.enter_context(start(home))
            parts = [_part(source, servers, directory, kind) for kind in kinds]
        held = {name: verdict for part in parts for name, verdict in part.held.items()}
        print(f"{source}: {len(held)} objects", file=sys.stderr)
        yield (
            source,
            Cells(
                held,
                {
                    to: {item: cell for part in parts for item, cell in part.replicas[to].items()}
                    for to in parts[0].replicas
                },
            ),
        )


def _part(source: str, servers: Mapping[str, Server], directory: Path, kind: Kind) -> Cells:
    numbers = itertools.count()
    return cells_of(
        source,
        servers,
        directory / source / f"installation-{kind}",
        items(SIZES, kind),
        name=lambda purpose: f"{purpose}-{kind}-{next(numbers)}",
        sizes=SIZES if kind is Kind.PLAIN else (),
        kind=kind,
    )


def main() -> int:
    """Exit code 1 if anything is unexpected; the files are written all the same."""
    parser = argparse.ArgumentParser(prog="scripts/vendor-matrix")
    parser.add_argument("--page", action="store_true", help="only write the page from the record")
    parser.add_argument(
        "--kind", type=Kind, choices=[*Kind], action="append", help="only what needs such buckets"
    )
    parser.add_argument("sources", nargs="*", help="only from these stores")
    arguments = parser.parse_args()
    if not arguments.page:
        with tempfile.TemporaryDirectory() as directory:
            sources = arguments.sources or tuple(STARTERS)
            for source, cells in run(Path(directory), sources, arguments.kind or tuple(Kind)):
                # What an interrupted run has seen is kept.
                recorded.add(source, cells)
    record = recorded.load()
    PAGE.write_text(with_tables(PAGE.read_text("utf-8"), record), "utf-8")
    problems = [f"unexpected: {each}" for each in unexpected(record)]
    problems += [f"known, and shown by nothing: {each}" for each in needless(record)]
    print("\n".join(problems or ["every cell is exact or a known difference"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
