"""``s3fanout redrive``: put dead letters back to work."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from s3fanout.cli.options import (
    code_option,
    config_option,
    destination_option,
    json_option,
    known_destination,
    load_config,
    older_option,
    prefix_option,
    since_option,
    with_ledger,
)
from s3fanout.cli.output import print_json, print_line
from s3fanout.deploy import interventions
from s3fanout.deploy.deployment import open_deployment
from s3fanout.ports.ledger import FailureSelection
from s3fanout.service.status import SCHEMA_VERSION
from s3fanout.wiring import system_clock


@click.command()
@config_option
@json_option
@destination_option
@prefix_option
@code_option
@since_option
@older_option
def redrive(
    config_path: Path,
    *,
    as_json: bool,
    destination: str | None,
    prefix: str,
    code: str | None,
    since_at_ms: int | None,
    until_at_ms: int | None,
) -> None:
    """Make dead letters ready again, all or the selected ones, with their attempts at zero.

    A running daemon notices within about a second.
    """
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    selection = FailureSelection(destination, prefix, code, since_at_ms, until_at_ms)
    now_ms = system_clock().now_ms()
    if settings.aws is not None:
        deployment = open_deployment(settings, os.environ)
        count = asyncio.run(interventions.redrive(deployment, selection, now_ms=now_ms))
    else:
        count = with_ledger(settings, lambda journal: journal.redrive(selection, now_ms=now_ms))
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "kind": "redrive", "redriven": count})
    else:
        print_line(f"put {count} jobs back")
