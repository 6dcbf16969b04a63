"""``s3fanout pause`` and ``resume``: stop and restart the work for one destination."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import config_option, known_destination, load_config, with_ledger
from s3fanout.cli.output import print_line
from s3fanout.wiring import system_clock


@click.command()
@config_option
@click.argument("destination")
@click.option("--reason", default="paused by hand", show_default=True, help="Shown by status.")
def pause(config_path: Path, destination: str, *, reason: str) -> None:
    """Start nothing more for DESTINATION; changes keep being accepted. Survives restarts."""
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    now_ms = system_clock().now_ms()
    with_ledger(settings, lambda journal: journal.pause(destination, now_ms=now_ms, reason=reason))
    print_line(f"{destination} is paused; its backlog grows until: s3fanout resume {destination}")


@click.command()
@config_option
@click.argument("destination")
def resume(config_path: Path, destination: str) -> None:
    """Let a paused DESTINATION work again."""
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    was_paused = with_ledger(settings, lambda journal: journal.resume(destination))
    print_line(f"{destination} {'works again' if was_paused else 'was not paused'}")
