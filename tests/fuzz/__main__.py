"""Fuzzes for as long as one likes: ``python -m tests.fuzz --minutes 5 [TARGET …]``.

A crash is written to ``tests/fuzz/crashes/TARGET/``, where every test run tries it again for ever,
and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.fuzzer import Fuzzer
from tests.fuzz.targets import TARGETS

CRASHES = Path(__file__).parent / "crashes"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--number", type=int, help="of the chance; another one every time if not")
    chosen = parser.parse_args()
    number = random.SystemRandom().randrange(1 << 32) if chosen.number is None else chosen.number
    failed = False
    for name in chosen.targets or TARGETS:
        target = TARGETS[name]
        end_s = time.monotonic() + chosen.minutes * 60
        outcome = Fuzzer(target.run, target.seeds, number=number).fuzz(
            lambda _, end_s=end_s: time.monotonic() < end_s  # type: ignore[misc]
        )
        print(
            f"{name}: {outcome.inputs} inputs, {outcome.kept} kept, {len(outcome.lines)} lines "
            f"reached, number {number}"
        )
        if outcome.crash is not None:
            failed = True
            digest = hashlib.sha256(outcome.crash).hexdigest()[:16]
            path = CRASHES / name / digest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(outcome.crash)
            print(f"{name}: {path}")
            traceback.print_exception(outcome.error)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
