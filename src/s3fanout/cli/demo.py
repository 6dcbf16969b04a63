"""``s3fanout demo``: see it work, with a store of its own, in one command."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click

from s3fanout.cli import live
from s3fanout.cli.output import err_console, human_seconds, print_json, print_line, print_note
from s3fanout.model.errors import ExitCode
from s3fanout.service import demo as service
from s3fanout.service import logs
from s3fanout.service.status import SCHEMA_VERSION
from s3fanout.wiring import event_loop_factory, system_clock

SAMPLES_PER_S = 2.0


@click.command()
@click.option("--exit", "exits", is_flag=True, help="Write, compare, report, end.")
@click.option(
    "--objects",
    default=500,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="With --exit: how many objects.",
)
@click.option("--json", "as_json", is_flag=True, help="With --exit: print JSON (docs/json.md).")
def demo(*, exits: bool, objects: int, as_json: bool) -> int:
    """Start a small store, a source, three destinations and the daemon, and watch objects arrive.

    Keeps writing sample objects until Ctrl-C, and prints how to drop in files of your own. With
    --exit it writes --objects objects, compares every replica byte for byte, and ends with 0 only
    if all are equal.
    """
    logs.configure(style="auto", level="warning")
    with (
        tempfile.TemporaryDirectory(prefix="s3fanout-demo-") as directory,
        asyncio.Runner(loop_factory=event_loop_factory()) as runner,
    ):
        if exits:
            return int(runner.run(_once(Path(directory), objects, as_json=as_json)))
        return int(runner.run(_watch(Path(directory))))


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[service.RunningDemo]:
    async with service.running(
        directory,
        access_key="demo" + secrets.token_hex(6),
        secret_key=secrets.token_hex(16),
        token=secrets.token_hex(16),
        env=os.environ,
    ) as started:
        yield started


async def _once(directory: Path, objects: int, *, as_json: bool) -> ExitCode:
    clock = system_clock()
    keys = [f"samples/{index:06}.txt" for index in range(objects)]
    async with _running(directory) as started:
        began_s = clock.monotonic_s()
        print_note(f"writing {objects} objects to {service.SOURCE}, copying to 3 destinations …")
        view = None
        if sys.stderr.isatty():
            view = live.start(started.daemon, err_console(), title="demo")
        await service.write_samples(started, keys)
        complete = await service.wait_replicated(started, objects)
        took_s = clock.monotonic_s() - began_s
        if view is not None:
            view.cancel()
            await asyncio.gather(view, return_exceptions=True)
        print_note("comparing every replica byte for byte …")
        result = await service.compare(started, keys)
    equal = complete and not result.different
    lags = {name: _percentile(result.lags_s, share) for name, share in _PERCENTILES}
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "demo",
                "equal": equal,
                "objects": result.objects,
                "replicas": result.replicas,
                "different": [{"key": key, "destination": name} for key, name in result.different],
                "seconds": round(took_s, 3),
                "lag_s": lags,
            }
        )
    else:
        print_line(
            f"{result.objects} objects, {result.replicas} replicas in {human_seconds(took_s)}: "
            + ("all equal" if equal else f"{len(result.different)} DIFFERENT")
        )
        for key, name in result.different[:20]:
            print_line(f"  differs: {key} in {name}", style="red")
        shown = "  ".join(f"{name} {value * 1000:.0f} ms" for name, value in lags.items())
        print_line(f"lag from event to settled replica: {shown}")
    return ExitCode.OK if equal else ExitCode.DIFFERENT


_PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


def _percentile(ascending: Sequence[float], share: float) -> float:
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


async def _watch(directory: Path) -> ExitCode:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _running(directory) as started:
        _introduce(started)
        writer = loop.create_task(_keep_writing(started))
        tasks = [writer]
        if sys.stderr.isatty():
            title = f"{service.SOURCE} → {len(service.DESTINATIONS)} destinations (Ctrl-C ends)"
            tasks.append(live.start(started.daemon, err_console(), title=title))
        stopped = loop.create_task(stop.wait())
        await asyncio.wait({stopped, writer}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopped):
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        print_note("stopping …")
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome
    return ExitCode.OK


async def _keep_writing(started: service.RunningDemo) -> None:
    clock = system_clock()
    index = 0
    while True:
        await service.write_samples(started, [f"samples/{index:06}.txt"])
        index += 1
        await clock.sleep(1 / SAMPLES_PER_S)


def _introduce(started: service.RunningDemo) -> None:
    for line in (
        "A store, a source bucket, three destinations and the daemon are running.",
        "Drop a file into the source with any S3 client and watch it arrive:",
        "",
        f"  export AWS_ACCESS_KEY_ID={started.access_key}",
        f"  export AWS_SECRET_ACCESS_KEY={started.secret_key}",
        "  export AWS_REGION=us-east-1",
        f"  aws --endpoint-url {started.endpoint} s3 cp FILE s3://{service.SOURCE}/",
        f"  aws --endpoint-url {started.endpoint} s3 ls s3://{service.bucket_of('paris')}/",
        "",
        "Ask from another terminal:",
        "",
        f"  s3fanout status -c {started.config_path}",
        f"  s3fanout explain -c {started.config_path} samples/000000.txt",
        "",
    ):
        print_line(line)
