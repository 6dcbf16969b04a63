"""``s3fanout logs``: what the functions of a deployment wrote."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from s3fanout.cli.options import (
    config_option,
    destination_option,
    json_option,
    known_destination,
    load_config,
)
from s3fanout.cli.output import print_json_line, print_line, print_note
from s3fanout.cli.times import Duration
from s3fanout.deploy.deployment import open_deployment
from s3fanout.deploy.function_logs import FunctionLogs, LogLine
from s3fanout.service.status import rfc3339
from s3fanout.wiring import system_clock


@click.command()
@config_option
@destination_option
@click.option(
    "--since",
    "since_s",
    default="10m",
    show_default=True,
    type=Duration(),
    metavar="DURATION",
    help="How far back.",
)
@click.option("--grep", default="", metavar="TEXT", help="Only lines that contain it.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@json_option
def logs(
    config_path: Path,
    *,
    destination: str | None,
    since_s: float,
    grep: str,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what the functions on AWS wrote, oldest first, of all destinations or one."""
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    deployment = open_deployment(settings, os.environ)
    found = FunctionLogs(deployment.session, deployment.chosen(destination))
    clock = system_clock()
    began_ms = clock.now_ms() - round(since_s * 1000)
    show = _print_json if as_json else _print

    async def run() -> None:
        async for line in found.follow(began_ms, clock=clock):
            if grep in line.text:
                show(line)

    if follow:
        asyncio.run(run())
        return
    lines = found.since(began_ms, containing=grep)
    for line in lines:
        show(line)
    if not lines:
        print_note("no lines; they appear some seconds after a run. Further back with --since")


def _print(line: LogLine) -> None:
    print_line(f"{rfc3339(line.at_ms)} {line.destination:<12} {line.text}")


def _print_json(line: LogLine) -> None:
    print_json_line(line_document(line))


def line_document(line: LogLine) -> dict[str, Any]:
    """One line of ``s3fanout logs --json``."""
    return {
        "at": rfc3339(line.at_ms),
        "destination": line.destination,
        "text": line.text,
    }
