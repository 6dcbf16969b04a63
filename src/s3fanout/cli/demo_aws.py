"""``s3fanout demo --aws``: a deployment on an emulator of AWS, from nothing to nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from s3fanout.cli.demo_report import report
from s3fanout.cli.options import pause_s
from s3fanout.cli.output import human_seconds, out_console, print_line, print_note
from s3fanout.cli.status_view import deployment_table, status_table
from s3fanout.cli.validate import has_arrived, print_arrivals, validated
from s3fanout.config.load import load
from s3fanout.config.settings import Settings
from s3fanout.deploy import demo as story
from s3fanout.deploy.apply import apply, package_for, remove, survey_removal
from s3fanout.deploy.bucket import SourceBucket
from s3fanout.deploy.deployment import Deployment, open_deployment
from s3fanout.deploy.emulator import Emulator, emulator, require_emulator, until_ready
from s3fanout.deploy.function_logs import FunctionLogs, LogLine
from s3fanout.deploy.session import AwsSession, open_session
from s3fanout.deploy.status import deployment_status
from s3fanout.deploy.survey import survey
from s3fanout.model.errors import ExitCode
from s3fanout.model.topology import Topology
from s3fanout.wiring import system_clock

LINES_SHOWN = 2


def run(*, topology: Topology, objects: int, exits: bool, keep: bool, as_json: bool) -> ExitCode:
    """The whole story.

    Args:
        topology: What is deployed.
        objects: How many are replicated.
        exits: End without waiting for Ctrl-C.
        keep: Leave emulator and deployment when ending.
        as_json: Print the result as JSON only.
    """
    require_emulator()
    with _directory(keep=keep) as directory, emulator(directory, keep=keep) as running:
        asyncio.run(until_ready(running, clock=system_clock()))
        config_path = story.write_config(directory, running, topology)
        settings = load(config_path, env=os.environ).settings
        aws = open_session(settings, os.environ)
        bucket = SourceBucket(aws, settings.source.bucket, pause=pause_s)
        _deploy(settings, aws, bucket)
        deployment = open_deployment(settings, os.environ)
        arrivals = validated(deployment, timeout_s=story.STALLED_S, show=not as_json)
        if not as_json:
            print_arrivals(arrivals)
        code = _replicate(deployment, objects, as_json=as_json)
        if keep:
            # With --json, standard output is one document.
            say = print_note if as_json else print_line
            _introduce(running, config_path, kept=True, say=say)
            return code
        if not exits:
            _introduce(running, config_path, kept=False, say=print_line)
            _until_interrupted()
        print_note("destroying the deployment …")
        name = deployment.names.stack
        found = survey_removal(settings, aws, bucket)
        remove(found, aws, bucket, name=name, tell=_quiet, pause=pause_s)
        if not as_json:
            print_line(f"{name} is removed; buckets and their objects are as they were")
    return code if has_arrived(arrivals) else ExitCode.DIFFERENT


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="s3fanout-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="s3fanout-demo-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def _deploy(settings: Settings, aws: AwsSession, bucket: SourceBucket) -> None:
    clock = system_clock()
    began_s = clock.monotonic_s()
    story.make_buckets(aws, settings)
    found = survey(settings, aws, bucket)
    print_note(
        f"deploying {len(found.resources)} resources to an emulator of AWS that enforces IAM …"
    )
    apply(found, package_for(settings), aws, bucket, tell=_quiet, pause=pause_s)
    print_note(f"deployed in {human_seconds(clock.monotonic_s() - began_s)}")


def _replicate(deployment: Deployment, objects: int, *, as_json: bool) -> ExitCode:
    clock, aws = system_clock(), deployment.session
    keys = story.sample_keys(objects)
    began_ms, began_s = clock.now_ms(), clock.monotonic_s()
    print_note(f"writing {objects} objects to {story.SOURCE}, awkward keys among them …")
    story.write_samples(aws, keys)
    replicas = objects * len(story.DESTINATIONS)

    def tell(found: int) -> None:
        if sys.stderr.isatty():
            print_note(f"  {found} of {replicas} replicas")

    def tell_quiet() -> None:
        patience = (
            f"no replica in {human_seconds(story.FUNCTION_S)}; "
            f"waiting for up to {human_seconds(story.STALLED_S)}"
        )
        if deployment.names.table is not None:  # Without it the topology has no queues.
            hidden = human_seconds(story.HIDDEN_S)
            patience += f": what the emulator lost comes back from a queue after {hidden}"
        print_note(f"  {patience}")

    complete = asyncio.run(
        story.wait_replicated(aws, keys, clock=clock, tell=tell, tell_quiet=tell_quiet)
    )
    took_s = clock.monotonic_s() - began_s
    print_note("comparing every replica byte for byte …")
    lines = FunctionLogs(aws, deployment.chosen(None)).since(began_ms)
    result = story.compare(aws, keys, lines)
    if not as_json:
        _show(deployment, lines)
    return report(result, complete=complete, took_s=took_s, as_json=as_json)


def _show(deployment: Deployment, lines: Sequence[LogLine]) -> None:
    """What the functions wrote last, and what the ledger and the queues hold."""
    print_line("the functions wrote (s3fanout logs):")
    for name in deployment.names.destinations:
        own = [each for each in lines if each.destination == name and '"replicated"' in each.text]
        for line in own[-LINES_SHOWN:]:
            print_line(f"  {name:<8} {line.text}")
    document = asyncio.run(deployment_status(deployment, now_ms=system_clock().now_ms()))
    print_line("the deployment (s3fanout status):")
    if deployment.names.table is not None:
        out_console().print(status_table(document))
    out_console().print(deployment_table(document))


def _introduce(
    running: Emulator, config_path: Path, *, kept: bool, say: Callable[[str], None]
) -> None:
    for line in (
        "",
        f"The emulator runs at {running.endpoint}. Ask from another terminal:",
        "",
        f"  s3fanout status -c {config_path}",
        f"  s3fanout doctor -c {config_path}",
        f"  s3fanout logs -f -c {config_path}",
        "",
        "Drop a file into the source:",
        "",
        "  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1",
        f"  aws --endpoint-url {running.endpoint} s3 cp FILE s3://{story.SOURCE}/",
        f"  aws --endpoint-url {running.endpoint} s3 ls s3://{story.bucket_of('backup')}/",
        "",
        f"End it: kill {running.pid}; rm -r {config_path.parent}"
        if kept
        else "Ctrl-C destroys the deployment and ends the emulator.",
        "",
    ):
        say(line)


def _until_interrupted() -> None:
    async def wait() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()

    asyncio.run(wait())


def _quiet(_: str) -> None:
    """Progress that the demo does not show."""
