"""``s3fanout deploy`` and ``s3fanout destroy``: the deployment on AWS, made and removed."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import config_option, json_option, open_source, pause_s, yes_option
from s3fanout.cli.output import print_json, print_line, print_lines, print_note
from s3fanout.cli.plan_view import plan_lines
from s3fanout.deploy.apply import apply, package_for, remove, survey_removal
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.report import SCHEMA_VERSION, plan_document
from s3fanout.deploy.survey import survey


@click.command()
@config_option
@json_option
@yes_option
def deploy(config_path: Path, *, as_json: bool, yes: bool) -> None:
    """Make the deployment on AWS, or change it in place. Shows the plan and asks."""
    settings, aws, bucket = open_source(config_path)
    found = survey(settings, aws, bucket)
    found.refuse_overlaps()
    if not yes:
        print_lines(plan_lines(plan_document(found)))
        click.confirm("deploy this?", abort=True, err=True)
    print_note("building the functions' code")
    package = package_for(settings)
    done = apply(found, package, aws, bucket, tell=print_note, pause=pause_s)
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "deploy",
                "stack": found.plan.names.stack,
                "stack_changed": done.stack_changed,
                "notifications_changed": done.notifications_changed,
                "code_bucket": found.code.bucket,
                "code_key": done.code_key,
                "package_bytes": done.package_bytes,
            }
        )
        return
    print_line(f"{found.plan.names.stack} is {'deployed' if done.stack_changed else 'as it was'}")
    print_line("next: s3fanout validate; and for what was there before: s3fanout backfill")


@click.command()
@config_option
@json_option
@yes_option
def destroy(config_path: Path, *, as_json: bool, yes: bool) -> None:
    """Remove what deploy made on AWS, the ledger included. Never a bucket of yours or an object."""
    settings, aws, bucket = open_source(config_path)
    name = blueprint(settings).names.stack
    found = survey_removal(settings, aws, bucket)
    resources = {} if found.deployed is None else found.deployed.template["Resources"]
    if not yes:
        print_note(f"stack {name}: {len(resources)} resources, the ledger and its queues included")
        click.confirm("remove them?", abort=True, err=True)
    remove(found, aws, bucket, name=name, tell=print_note, pause=pause_s)
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "destroy",
                "stack": name,
                "existed": found.deployed is not None,
                "resources_removed": len(resources),
                "notifications_changed": found.merge.changed,
            }
        )
    else:
        print_line(f"{name} is removed; buckets and their objects are as they were")
