"""``s3fanout pause`` and ``resume``: stop and restart the work for one destination."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from s3fanout.cli.options import (
    config_option,
    json_option,
    known_destination,
    load_config,
    with_ledger,
)
from s3fanout.cli.output import human_seconds, print_json, print_line
from s3fanout.cli.times import Duration, Instant
from s3fanout.config.settings import Settings
from s3fanout.deploy import interventions
from s3fanout.deploy.deployment import open_deployment
from s3fanout.model.topology import Topology
from s3fanout.service.status import SCHEMA_VERSION, rfc3339
from s3fanout.wiring import system_clock

WAITS = {
    Topology.DURABLE: "its queue keeps events for 7 days; go on with: s3fanout resume",
    Topology.CLASSIC: "events older than six hours are LOST; go on with: s3fanout resume",
}


@click.command()
@config_option
@json_option
@click.argument("destination")
@click.option("--reason", default="paused by hand", show_default=True, help="Shown by status.")
@click.option("--for", "for_s", type=Duration(), help="Resume by itself after so long (2h).")
@click.option(
    "--until",
    "until_ms",
    type=Instant(),
    help="Resume by itself then (2026-11-24T08:00Z; without an offset UTC).",
)
def pause(
    config_path: Path,
    destination: str,
    *,
    as_json: bool,
    reason: str,
    for_s: float | None,
    until_ms: int | None,
) -> None:
    """Start nothing more for DESTINATION; changes keep being accepted. Survives restarts.

    Of a destination that is paused already the reason and the end become these.
    """
    now_ms = system_clock().now_ms()
    if for_s is not None and until_ms is not None:
        raise click.UsageError("--for and --until are two ends: give one")
    if until_ms is not None and until_ms <= now_ms:
        raise click.BadParameter("that time is past", param_hint="--until")
    ends_at_ms = until_ms if for_s is None else now_ms + round(for_s * 1000)
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    if settings.aws is None:
        with_ledger(
            settings,
            lambda journal: journal.pause(
                destination, now_ms=now_ms, reason=reason, ends_at_ms=ends_at_ms
            ),
        )
    else:
        deployment = open_deployment(settings, os.environ)
        asyncio.run(
            interventions.pause(
                deployment, destination, reason=reason, ends_at_ms=ends_at_ms, clock=system_clock()
            )
        )
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "pause",
                "destination": destination,
                "reason": reason,
                "pause_ends_at": rfc3339(ends_at_ms),
            }
        )
        return
    left_s = None if ends_at_ms is None else (ends_at_ms - now_ms) / 1000
    print_line(_said(settings, destination, left_s))


def _said(settings: Settings, destination: str, left_s: float | None) -> str:
    if settings.aws is not None:
        return f"{destination} is paused; {WAITS[settings.aws.topology]} {destination}"
    resume = f"s3fanout resume {destination}"
    if left_s is None:
        return f"{destination} is paused; its backlog grows until: {resume}"
    return f"{destination} is paused for {human_seconds(left_s)}, or until: {resume}"


@click.command()
@config_option
@json_option
@click.argument("destination")
def resume(config_path: Path, destination: str, *, as_json: bool) -> None:
    """Let a paused DESTINATION work again."""
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    if settings.aws is None:
        was_paused = with_ledger(settings, lambda journal: journal.resume(destination))
    else:
        deployment = open_deployment(settings, os.environ)
        was_paused = asyncio.run(
            interventions.resume(deployment, destination, clock=system_clock())
        )
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "resume",
                "destination": destination,
                "was_paused": was_paused,
            }
        )
        return
    print_line(f"{destination} {'works again' if was_paused else 'was not paused'}")
