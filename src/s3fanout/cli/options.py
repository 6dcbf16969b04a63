"""Options that several commands share, and how a command opens what it works on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from s3fanout.cli.output import print_note
from s3fanout.cli.times import Ago
from s3fanout.config.load import LoadedConfig, load
from s3fanout.config.settings import Settings
from s3fanout.deploy.bucket import SourceBucket
from s3fanout.deploy.deployment import open_deployment
from s3fanout.deploy.session import AwsSession, open_session
from s3fanout.engine.examiner import Depth
from s3fanout.model.errors import Misconfigured
from s3fanout.ports.ledger import Ledger
from s3fanout.wiring import Journal, daemon_pid, open_ledger, system_clock

T = TypeVar("T")

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("s3fanout.toml"),
    show_default=True,
    envvar="S3FANOUT_CONFIG",
    help="Configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
destination_option = click.option(
    "-d", "--destination", metavar="NAME", help="Only this destination."
)
prefix_option = click.option("--prefix", default="", help="Only source keys that start with it.")
code_option = click.option("--code", help="Only this error code.")
since_option = click.option(
    "--since",
    "since_at_ms",
    type=Ago(),
    metavar="WHEN",
    help="Only what stopped then or later: 2h (ago), or 2026-11-24T08:00Z.",
)
older_option = click.option(
    "--older-than",
    "until_at_ms",
    type=Ago(),
    metavar="WHEN",
    help="Only what stopped then or earlier.",
)


def depth_of(*, attributes: bool, deep: bool) -> Depth:
    """How far the options of these names look."""
    return Depth.BYTES if deep else Depth.ATTRIBUTES if attributes else Depth.LISTING


def load_config(path: Path) -> LoadedConfig:
    """The configuration with the environment's overrides; warnings go to standard error.

    Raises:
        ConfigProblems: All problems at once.
    """
    loaded = load(path, env=os.environ)
    for warning in loaded.warnings:
        print_note(str(warning), style="yellow")
    return loaded


def open_source(path: Path) -> tuple[Settings, AwsSession, SourceBucket]:
    """The configuration, a session with AWS, and the source bucket's notifications.

    Raises:
        ConfigProblems: All problems at once.
        Misconfigured: There is no ``[aws]`` section.
        AccessDenied: There are no credentials.
    """
    settings = load_config(path).settings
    aws = open_session(settings, os.environ)
    return settings, aws, SourceBucket(aws, settings.source.bucket, pause=pause_s)


def pause_s(seconds: float) -> None:
    """Wait, in a command that does nothing else meanwhile."""
    asyncio.run(system_clock().sleep(seconds))


def known_destination(settings: Settings, name: str | None) -> None:
    """Refuse a name that the configuration does not have.

    Raises:
        Misconfigured: With the names that there are.
    """
    if name is not None and name not in settings.destinations:
        raise Misconfigured(
            f"no destination is called {name!r}",
            hint="the configuration has: " + ", ".join(settings.destinations),
        )


def need_daemon(settings: Settings, hint: str) -> None:
    """Refuse to queue what nobody would work off: the queue would fill, and the command wait.

    Raises:
        Misconfigured: No daemon owns the ledger.
    """
    if daemon_pid(settings) is None:
        raise Misconfigured("no daemon runs that would copy what is queued", hint=hint)


def with_ledger(settings: Settings, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Open the deployment's ledger, or the one beside the daemon; do ``work``, close it.

    Raises:
        Misconfigured: There is no ledger yet, or nothing is deployed.
    """
    if settings.aws is not None:
        deployment = open_deployment(settings, os.environ)

        async def run_on_aws() -> T:
            async with deployment.ledger() as ledger:
                return await work(ledger)

        return asyncio.run(run_on_aws())
    return with_journal(settings, work)


def with_journal(settings: Settings, work: Callable[[Journal], Awaitable[T]]) -> T:
    """Open the ledger beside the daemon, do ``work``, close it.

    Raises:
        Misconfigured: There is no ledger yet.
    """

    async def run() -> T:
        journal = await open_ledger(settings, exclusive=False)
        try:
            return await work(journal)
        finally:
            await journal.close()

    return asyncio.run(run())
