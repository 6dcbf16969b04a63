"""``s3fanout doctor``: what is wrong with the deployment, where, and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import click

from s3fanout.cli.check import print_finding, verdict_on
from s3fanout.cli.options import config_option, json_option, load_config
from s3fanout.deploy.deployment import open_deployment
from s3fanout.deploy.doctor import examine
from s3fanout.wiring import system_clock


@click.command()
@config_option
@json_option
def doctor(config_path: Path, *, as_json: bool) -> int:
    """Look for what keeps the deployment on AWS from working: drift, permissions, keys, limits.

    Reads only. Each finding says what, where and what to do.
    """
    settings = load_config(config_path).settings
    deployment = open_deployment(settings, os.environ)
    findings = examine(
        deployment,
        now_ms=system_clock().now_ms(),
        found=(lambda _: None) if as_json else print_finding,
    )
    return verdict_on(findings, kind="doctor", as_json=as_json, fine="the deployment is fine")
