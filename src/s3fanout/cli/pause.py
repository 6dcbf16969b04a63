"""``s3fanout pause`` and ``resume``: stop and restart the work for one destination."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from s3fanout.cli.options import config_option, known_destination, load_config, with_ledger
from s3fanout.cli.output import print_line
from s3fanout.deploy import interventions
from s3fanout.deploy.deployment import open_deployment
from s3fanout.model.topology import Topology
from s3fanout.wiring import system_clock

WAITS = {
    Topology.DURABLE: "its queue keeps events for 7 days; go on with: s3fanout resume",
    Topology.CLASSIC: "events older than six hours are LOST; go on with: s3fanout resume",
}


@click.command()
@config_option
@click.argument("destination")
@click.option("--reason", default="paused by hand", show_default=True, help="Shown by status.")
def pause(config_path: Path, destination: str, *, reason: str) -> None:
    """Start nothing more for DESTINATION; changes keep being accepted. Survives restarts."""
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    now_ms = system_clock().now_ms()
    if settings.aws is not None:
        deployment = open_deployment(settings, os.environ)
        asyncio.run(
            interventions.pause(deployment, destination, reason=reason, clock=system_clock())
        )
        print_line(f"{destination} is paused; {WAITS[settings.aws.topology]} {destination}")
        return
    with_ledger(settings, lambda journal: journal.pause(destination, now_ms=now_ms, reason=reason))
    print_line(f"{destination} is paused; its backlog grows until: s3fanout resume {destination}")


@click.command()
@config_option
@click.argument("destination")
def resume(config_path: Path, destination: str) -> None:
    """Let a paused DESTINATION work again."""
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    if settings.aws is not None:
        deployment = open_deployment(settings, os.environ)
        was_paused = asyncio.run(
            interventions.resume(deployment, destination, clock=system_clock())
        )
        print_line(f"{destination} {'works again' if was_paused else 'was not paused'}")
        return
    was_paused = with_ledger(settings, lambda journal: journal.resume(destination))
    print_line(f"{destination} {'works again' if was_paused else 'was not paused'}")
