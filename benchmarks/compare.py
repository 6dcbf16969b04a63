"""s3fanout beside s5cmd and rclone: ``python benchmarks/compare.py [--quick] [--json] [A B ...]``.

From the repository's root, with the development requirements installed and ``nginx`` in PATH. What
each scenario measures and what it should show is in ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import scenarios
from benchmarks.processes import ToolFailed
from benchmarks.ratios import Line

SCENARIOS = {
    "A": scenarios.null_overhead,
    "B": scenarios.one_store,
    "C": scenarios.two_stores,
    "D": scenarios.idle_latency,
    "E": scenarios.memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="s3fanout beside s5cmd and rclone")
    parser.add_argument("scenarios", nargs="*", help="letters; all without any")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wanted = arguments.scenarios or list(SCENARIOS)
    if unknown := set(wanted) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    lines: list[Line] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as directory:
        scale = 0.1 if arguments.quick else 1.0
        bench = scenarios.Bench(Path(directory), arguments.rounds, scale)
        for letter in wanted:
            print(f"scenario {letter}", file=sys.stderr, flush=True)
            began = time.perf_counter()
            try:
                found = SCENARIOS[letter](bench)
            except (ToolFailed, OSError) as error:  # The others are still worth their time.
                failed[letter] = str(error)
                print(f"{letter}  FAILED: {error}", file=sys.stderr, flush=True)
                continue
            print(f"  {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            lines += found
            if not arguments.json:
                show(found)
    if arguments.json:
        document = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpus": os.cpu_count(),
            "quick": arguments.quick,
            "failed": failed,
            "lines": [asdict(line) | {"verdict": line.verdict} for line in lines],
        }
        print(json.dumps(document, indent=1))
    sys.exit(1 if failed else 0)


def show(lines: Sequence[Line]) -> None:
    for line in lines:
        bound = ""
        if line.target is not None:
            sign = ">=" if line.at_least else "<="
            bound = f"  {sign} {line.target:g}  {line.verdict}"
        print(f"{line.scenario}  {line.what:42} {line.value!s:>32}{bound}", flush=True)


if __name__ == "__main__":
    main()
