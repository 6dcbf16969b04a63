"""Runs seeds: ``python -m tests.simulation.run --seeds 1000``, or one of them: ``--seed 17``.

Of one seed it prints what it is like and what happened in it; of many, those that failed. The exit
code is 1 if any failed.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.simulation.functions import (
    FunctionOptions,
    FunctionParts,
    FunctionWorld,
    draw_function,
)
from tests.simulation.loop import SimLoop
from tests.simulation.options import Options, draw
from tests.simulation.process import Parts
from tests.simulation.world import World

BATCH = 50


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a seed.

    Attributes:
        error: The violation, ``""`` if there was none.
        trace: Digest of everything that happened; equal for equal seeds.
        events, requests, virtual_s: How much happened.
    """

    seed: int
    error: str
    trace: str
    events: int
    requests: int
    virtual_s: float


def simulate(
    options: Options, parts: type[Parts] = Parts, *, story: list[str] | None = None
) -> Report:
    """One run; never raises what the run is about."""
    logging.disable(logging.CRITICAL)
    shuffle = random.Random(options.seed + 1) if options.shuffle else None
    loop = SimLoop(shuffle=shuffle)
    world = World(options, loop, parts)
    world.story = story
    error = ""
    try:
        loop.run(world.run())
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is what the seed found
        error = f"{type(failure).__name__}: {failure}"
        if story is not None:
            story.append(traceback.format_exc())
    finally:
        logging.disable(logging.NOTSET)
    return Report(
        options.seed,
        error,
        world.trace.hexdigest(),
        world.events,
        world.requests.total(),
        round(loop.now_s, 3),
    )


def simulate_function(
    options: FunctionOptions,
    parts: FunctionParts | None = None,
    *,
    story: list[str] | None = None,
) -> Report:
    """One run of invocations over one queue."""
    logging.disable(logging.CRITICAL)
    loop = SimLoop(shuffle=random.Random(options.seed + 1))
    world = FunctionWorld(options, loop, parts)
    world.story = story
    error = ""
    try:
        loop.run(world.run())
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is what the seed found
        error = f"{type(failure).__name__}: {failure}"
    finally:
        logging.disable(logging.NOTSET)
    return Report(
        options.seed,
        error,
        world.trace.hexdigest(),
        world.counts.total(),
        world.copies,
        round(loop.now_s, 3),
    )


def run_batch(first: int, count: int) -> list[Report]:
    """The reports of ``count`` seeds from ``first`` on."""
    gc.freeze()
    return [simulate(draw(seed)) for seed in range(first, first + count)]


def run_functions(first: int, count: int) -> list[Report]:
    """The same of functions on AWS."""
    gc.freeze()
    return [simulate_function(draw_function(seed)) for seed in range(first, first + count)]


def run_many(
    run: Callable[[int, int], list[Report]], first: int, count: int, *, jobs: int
) -> list[Report]:
    """The same, in several processes."""
    if jobs == 1:
        return run(first, count)
    starts = range(first, first + count, BATCH)
    counts = [min(BATCH, first + count - start) for start in starts]
    with ProcessPoolExecutor(jobs) as pool:
        return [report for batch in pool.map(run, starts, counts) for report in batch]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="only this one, with its story")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--functions", action="store_true", help="of functions on AWS instead")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        story: list[str] = []
        if arguments.functions:
            of_function = draw_function(arguments.seed)
            print(of_function)
            report = simulate_function(of_function, story=story)
        else:
            options = draw(arguments.seed)
            print(options)
            report = simulate(options, story=story)
        print("\n".join(story), report, sep="\n")
        return 1 if report.error else 0
    began_s = time.perf_counter()
    run = run_functions if arguments.functions else run_batch
    reports = run_many(run, arguments.first, arguments.seeds, jobs=arguments.jobs)
    took_s = time.perf_counter() - began_s
    failed = [report for report in reports if report.error]
    for report in failed:
        print(f"seed {report.seed}: {report.error}")
    print(
        f"{len(reports)} seeds, {len(failed)} failed, {took_s:.1f} s, "
        f"{len(reports) / took_s:.0f} seeds/s, {sum(r.requests for r in reports)} requests, "
        f"{sum(r.virtual_s for r in reports) / 3600:.1f} virtual hours"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
