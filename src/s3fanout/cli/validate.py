"""``s3fanout validate``: does the deployment work, end to end, now?"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import click

from s3fanout.cli.options import config_option, json_option, load_config
from s3fanout.cli.output import human_seconds, print_json, print_line, print_note
from s3fanout.cli.times import Duration
from s3fanout.deploy.deployment import Deployment, open_deployment
from s3fanout.deploy.validate import Arrival
from s3fanout.deploy.validate import validate as run_validation
from s3fanout.model.errors import ExitCode
from s3fanout.service.status import SCHEMA_VERSION, Json, record_document
from s3fanout.wiring import system_clock


@click.command()
@config_option
@click.option(
    "--timeout",
    "timeout_s",
    default="2m",
    show_default=True,
    type=Duration(),
    metavar="DURATION",
    help="How long to wait.",
)
@json_option
def validate(config_path: Path, *, timeout_s: float, as_json: bool) -> int:
    """Write a test object into the source, wait for it in every destination, remove it again.

    Shows each function's log lines and ledger records of it. Ends with 0 only if it arrived
    everywhere, byte for byte.
    """
    settings = load_config(config_path).settings
    deployment = open_deployment(settings, os.environ)
    if not as_json:
        print_note(
            f"a test object goes into {settings.source.bucket}, and should come out in "
            f"{len(settings.enabled)} destinations …"
        )
    arrivals = validated(deployment, timeout_s=timeout_s, show=not as_json)
    if as_json:
        print_json(validation_document(arrivals))
    else:
        print_arrivals(arrivals)
    return ExitCode.OK if has_arrived(arrivals) else ExitCode.DIFFERENT


def validated(deployment: Deployment, *, timeout_s: float, show: bool) -> list[Arrival]:
    """Run it, with a line for each arrival if ``show``."""

    def tell(arrival: Arrival) -> None:
        if show:
            print_note(f"  {arrival.destination}: arrived after {human_seconds(_after(arrival))}")

    return asyncio.run(
        run_validation(
            deployment,
            canary=secrets.token_hex(8),
            timeout_s=timeout_s,
            clock=system_clock(),
            tell=tell,
        )
    )


def has_arrived(arrivals: Sequence[Arrival]) -> bool:
    """Whether the test object arrived wherever it was tried."""
    return all(arrival.after_s is not None for arrival in arrivals if arrival.key is not None)


def print_arrivals(arrivals: Sequence[Arrival]) -> None:
    """What became of the test object, for a person."""
    for arrival in arrivals:
        if arrival.key is None:
            print_line(f"- {arrival.destination} ({arrival.bucket}): {arrival.reason}")
            continue
        if arrival.after_s is None:
            print_line(
                f"✗ {arrival.destination} ({arrival.bucket}): did not arrive: {arrival.reason}",
                style="red",
            )
        else:
            print_line(
                f"✓ {arrival.destination} ({arrival.bucket}): byte for byte after "
                f"{human_seconds(arrival.after_s)}",
                style="green",
            )
        for line in arrival.log_lines:
            print_line(f"    log     {line}")
        if arrival.record is not None:
            print_line(f"    ledger  {arrival.record.state}: {arrival.record.reason}")


def validation_document(arrivals: Sequence[Arrival]) -> Json:
    """The document of ``s3fanout validate --json``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "validate",
        "ok": has_arrived(arrivals),
        "destinations": [
            {
                "name": arrival.destination,
                "bucket": arrival.bucket,
                "key": arrival.key,
                "replica_key": arrival.replica_key,
                "arrived": arrival.after_s is not None,
                "after_s": arrival.after_s,
                "reason": arrival.reason,
                "log_lines": arrival.log_lines,
                "record": None if arrival.record is None else record_document(arrival.record),
            }
            for arrival in arrivals
        ],
    }


def _after(arrival: Arrival) -> float:
    return arrival.after_s or 0.0
