"""``s3fanout check``: is the configuration right, and do the real stores do what it needs?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from s3fanout.cli.options import config_option, json_option, load_config
from s3fanout.cli.output import err_console, out_console, print_json
from s3fanout.model.errors import ExitCode
from s3fanout.service.check import Finding, Grade, probe
from s3fanout.service.logs import printable
from s3fanout.service.status import SCHEMA_VERSION

STYLE = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.FAILED: "bold red"}
SIGN = {Grade.OK: "ok     ", Grade.WARNING: "warning", Grade.FAILED: "FAILED "}


@click.command()
@config_option
@json_option
@click.option("--offline", is_flag=True, help="Only the file, not the stores.")
def check(config_path: Path, *, as_json: bool, offline: bool) -> int:
    """Validate the configuration and probe the stores; say what to fix. Leaves nothing behind."""
    settings = load_config(config_path).settings
    findings: list[Finding] = []
    if not offline:
        show = (lambda _: None) if as_json else print_finding
        findings = asyncio.run(probe(settings, os.environ, found=show))
    return verdict_on(findings, kind="check", as_json=as_json, fine=f"{config_path} is fine")


def verdict_on(findings: Sequence[Finding], *, kind: str, as_json: bool, fine: str) -> ExitCode:
    """Print what all findings come to, or all of them as JSON; returns what to end with."""
    failed = [finding for finding in findings if finding.grade is Grade.FAILED]
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": kind,
                "ok": not failed,
                "findings": [asdict(finding) for finding in findings],
            }
        )
    elif failed:
        err_console().print(Text(f"{len(failed)} of {len(findings)} checks failed", "bold red"))
    else:
        out_console().print(Text(fine, "green"))
    if not failed:
        return ExitCode.OK
    denied = all(finding.code == "access-denied" for finding in failed)
    return ExitCode.ACCESS_DENIED if denied else ExitCode.CONFIGURATION


def print_finding(finding: Finding) -> None:
    """One finding, for a person."""
    line = Text(SIGN[finding.grade], STYLE[finding.grade])
    line.append(f" {finding.target}: {finding.check}: ", "bold")
    line.append(printable(finding.message))
    out_console().print(line)
    if finding.hint:
        out_console().print(Text("        " + printable(finding.hint), "cyan"))
