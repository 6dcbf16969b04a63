"""``s3fanout status``: is every destination fresh, which is not, and why."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from s3fanout.cli.options import config_option, json_option, load_config, with_journal
from s3fanout.cli.output import out_console, print_json, print_line
from s3fanout.cli.status_view import deployment_table, status_table, sweep_lines
from s3fanout.config.settings import Settings
from s3fanout.deploy.deployment import open_deployment
from s3fanout.deploy.status import deployment_status
from s3fanout.service.abilities import look_at_abilities
from s3fanout.service.status import Json, look_at_sweep, status_document
from s3fanout.wiring import Journal, daemon_pid, system_clock


@click.command()
@config_option
@json_option
def status(config_path: Path, *, as_json: bool) -> None:
    """Show lag, backlog, replicated, failed, paused and the last error of each destination.

    Reads the ledger: it tells the truth whether the daemon runs or not.
    """
    settings = load_config(config_path).settings
    if settings.aws is not None:
        _status_on_aws(settings, as_json=as_json)
        return
    document = with_journal(settings, lambda journal: current_status(settings, journal))
    if as_json:
        print_json(document)
        return
    pid = daemon_pid(settings)
    print_line(
        f"source {settings.source.bucket}  daemon "
        + ("not running" if pid is None else f"running, pid {pid}")
    )
    out_console().print(status_table(document))
    for line in sweep_lines(document):
        print_line(line)
    _print_malformed(document)


def _print_malformed(document: Json) -> None:
    if document["malformed_messages"]:
        print_line(
            f"{document['malformed_messages']} messages could not be understood: "
            "s3fanout failures --malformed",
            style="yellow",
        )


def _status_on_aws(settings: Settings, *, as_json: bool) -> None:
    deployment = open_deployment(settings, os.environ)
    document: Any = asyncio.run(deployment_status(deployment, now_ms=system_clock().now_ms()))
    if as_json:
        print_json(document)
        return
    where = document["deployment"]
    print_line(
        f"source {settings.source.bucket}  stack {where['stack']} ({where['topology']}) "
        f"in {where['region']}"
    )
    out_console().print(status_table(document))
    print_line()
    out_console().print(deployment_table(document))
    _print_malformed(document)


async def current_status(settings: Settings, journal: Journal) -> Json:
    """The status document from outside the daemon."""
    return status_document(
        source=settings.source.bucket,
        buckets={name: to.bucket for name, to in settings.enabled.items()},
        summaries=await journal.summaries(),
        views=(),
        malformed=await journal.malformed_count(),
        daemon_pid=daemon_pid(settings),
        now_ms=system_clock().now_ms(),
        guards=await journal.delete_guards(),
        sweep=await look_at_sweep(settings, journal),
        abilities=await look_at_abilities(settings, journal),
    )
