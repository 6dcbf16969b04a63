"""``s3fanout demo``: see it work, with a store of its own, in one command."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from s3fanout.cli import demo_aws, live
from s3fanout.cli.demo_report import report
from s3fanout.cli.output import err_console, print_line, print_note
from s3fanout.model.errors import ExitCode
from s3fanout.model.topology import Topology
from s3fanout.service import demo as service
from s3fanout.service import logs
from s3fanout.wiring import event_loop_factory, system_clock

SAMPLES_PER_S = 2.0
OBJECTS = 500
AWS_OBJECTS = 30


@click.command()
@click.option("--exit", "exits", is_flag=True, help="Write, compare, report, end.")
@click.option("--aws", is_flag=True, help="On an emulator of AWS: deploy, validate, replicate.")
@click.option(
    "--topology",
    type=click.Choice([each.value for each in Topology]),
    default=Topology.DURABLE.value,
    show_default=True,
    help="With --aws: what is deployed.",
)
@click.option("--keep", is_flag=True, help="With --aws: leave it running.")
@click.option(
    "--objects",
    type=click.IntRange(1, 1_000_000),
    help="With --exit or --aws: how many objects.  [default: 500; with --aws 30]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="With --exit or --keep: print JSON (docs/json.md)."
)
def demo(
    *, exits: bool, aws: bool, topology: str, keep: bool, objects: int | None, as_json: bool
) -> int:
    """Start a small store, a source, three destinations and the daemon, and watch objects arrive.

    Keeps writing sample objects until Ctrl-C, and prints how to drop in files of your own. With
    --exit it writes --objects objects, compares every replica byte for byte, and ends with 0 only
    if all are equal.

    With --aws it starts an emulator of AWS that enforces IAM, deploys, validates, replicates
    objects, shows what the functions logged and what the ledger holds, and destroys.
    """
    if aws:
        return demo_aws.run(
            topology=Topology(topology),
            objects=objects or AWS_OBJECTS,
            exits=exits,
            keep=keep,
            as_json=as_json,
        )
    if keep:
        raise click.UsageError("--keep goes with --aws")
    logs.configure(style="auto", level="warning")
    with (
        tempfile.TemporaryDirectory(prefix="s3fanout-demo-") as directory,
        asyncio.Runner(loop_factory=event_loop_factory()) as runner,
    ):
        if exits:
            return int(runner.run(_once(Path(directory), objects or OBJECTS, as_json=as_json)))
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
    return report(result, complete=complete, took_s=took_s, as_json=as_json)


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
