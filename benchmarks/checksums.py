"""CPU that a comparison with the source's checksum adds, by algorithm.

``python -m benchmarks.checksums [--mib 512] [--json]``. CPU time of this process, so that what
else the machine does matters little. Bytes in memory are examined as the store client examines a
part of 8 MiB and an object of 4 KiB: with the digests that every one gets, and with one checksum
more. Then the checksums of 10,000 parts are put together, as of the largest object. Five rounds, in
turns; the least of each counts, because noise only adds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from s3fanout.adapters.checksums import checksum_of, computable
from s3fanout.adapters.store.s3 import examined_object
from s3fanout.adapters.store.s3_multipart import examined_part
from s3fanout.decide.checksums import WHOLE_OF_PARTS, composite_of_parts, whole_of_parts
from s3fanout.model.objects import Checksum, ChecksumAlgorithm, Present

MIB = 1024 * 1024
ROUNDS = 5
PARTS = 10_000
PART, SMALL = bytes(range(256)) * (8 * MIB // 256), bytes(range(256)) * 16


def cpu_s(work: Callable[[], object], times: int) -> float:
    """CPU of one ``work``."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def facts_with(algorithm: ChecksumAlgorithm | None) -> Present:
    bare = Present("key", len(SMALL), "etag")
    if algorithm is None:
        return bare
    told = Checksum(algorithm, checksum_of(algorithm, SMALL), full_object=True)
    return replace(bare, checksums=(told,))


def put_together(algorithm: ChecksumAlgorithm) -> object:
    value = checksum_of(algorithm, SMALL)
    if algorithm in WHOLE_OF_PARTS:
        return whole_of_parts(algorithm, [(value, len(PART))] * PARTS)
    return composite_of_parts(algorithm, [value] * PARTS)


def measure(mib: int) -> list[dict[str, float | str]]:
    algorithms = [None, *(each for each in ChecksumAlgorithm if each in computable())]
    parts, objects = max(1, mib // 8), max(1, mib * 16)
    least: dict[ChecksumAlgorithm | None, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for algorithm in algorithms:
            facts = facts_with(algorithm)
            part_s = cpu_s(partial(examined_part, PART, algorithm), parts)
            small_s = cpu_s(partial(examined_object, facts, SMALL), objects)
            before = least.get(algorithm, (part_s, small_s))
            least[algorithm] = (min(before[0], part_s), min(before[1], small_s))
    part_s, small_s = least.pop(None)
    rows: list[dict[str, float | str]] = [
        {"checksum": "none", "gib_s": part_s * 128, "small_us": small_s * 1e6}
    ]
    for algorithm, (with_s, small_with_s) in least.items():
        assert algorithm is not None
        more_s = with_s - part_s
        rows.append(
            {
                "checksum": algorithm,
                "gib_s": more_s * 128,
                "mib_per_s": 8 / more_s,
                "small_us": (small_with_s - small_s) * 1e6,
                "parts_ms": 1000 * cpu_s(partial(put_together, algorithm), 1),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="of each algorithm and round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.mib)
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"{'':10} {'CPU s/GiB':>10} {'MiB/CPU s':>10} {'4 KiB, µs':>10} {'10,000 parts, ms':>17}")
    for row in rows:
        sign = "" if row["checksum"] == "none" else "+"
        print(
            f"{row['checksum']:10} {sign}{row['gib_s']:9.3f} {row.get('mib_per_s', 0):10.0f} "
            f"{sign}{row['small_us']:9.2f} {row.get('parts_ms', 0):17.1f}"
        )


if __name__ == "__main__":
    main()
