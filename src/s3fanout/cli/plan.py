"""``s3fanout plan``: what a deployment on AWS would change."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import config_option, json_option, open_source
from s3fanout.cli.output import print_json, print_lines
from s3fanout.cli.plan_view import plan_lines
from s3fanout.deploy.report import plan_document
from s3fanout.deploy.survey import survey
from s3fanout.model.errors import ExitCode


@click.command()
@config_option
@json_option
def plan(config_path: Path, *, as_json: bool) -> int:
    """Show what deploy would create, change and remove on AWS. Changes nothing."""
    settings, aws, bucket = open_source(config_path)
    found = survey(settings, aws, bucket)
    document = plan_document(found)
    if as_json:
        print_json(document)
    else:
        print_lines(plan_lines(document))
    return ExitCode.FAILED if found.merge.overlaps else ExitCode.OK
