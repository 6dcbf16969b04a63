"""``s3fanout template``: the CloudFormation template, for those with their own pipeline."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import config_option, load_config, open_source
from s3fanout.cli.output import print_block, print_json, print_note
from s3fanout.deploy.apply import package_for
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.survey import survey
from s3fanout.deploy.template import CAPABILITY, template_of, template_text


@click.command()
@config_option
@click.option(
    "--package",
    "package_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the functions' code, a zip, to this file instead.",
)
@click.option(
    "--notification",
    is_flag=True,
    help="Print the source bucket's notifications with ours merged in instead.",
)
def template(config_path: Path, *, package_path: Path | None, notification: bool) -> None:
    """Print the CloudFormation template; what else is needed is said on standard error.

    The bucket's notification is not in it: the bucket was there before, and a template that owns
    its notifications would remove those of others.
    """
    if notification:
        settings, aws, bucket = open_source(config_path)
        found = survey(settings, aws, bucket)
        found.refuse_overlaps()
        print_json(found.merge.configuration)
        return
    settings = load_config(config_path).settings
    if package_path is not None:
        package_path.write_bytes(package_for(settings).content)
        print_note(f"wrote {package_path}")
        return
    print_block(template_text(template_of(settings)))
    names = blueprint(settings).names
    source = settings.source.bucket
    for line in (
        "next:",
        "  s3fanout template --package code.zip",
        f"  aws s3 cp code.zip s3://CODE_BUCKET/CODE_KEY --region {settings.source.region}",
        (
            f"  aws cloudformation deploy --stack-name {names.stack} --template-file FILE "
            f"--capabilities {CAPABILITY} --parameter-overrides CodeBucket=CODE_BUCKET "
            f"CodeKey=CODE_KEY --region {settings.source.region}"
        ),
        "  s3fanout template --notification > notification.json",
        (
            f"  aws s3api put-bucket-notification-configuration --bucket {source} "
            "--notification-configuration file://notification.json"
        ),
    ):
        print_note(line)
