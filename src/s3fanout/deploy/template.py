"""Settings → CloudFormation template. Pure: the same settings make the same text.

The template has two parameters, where the functions' code is; everything else is in it, so that it
can be deployed by anything that deploys templates. It needs ``CAPABILITY_NAMED_IAM``.
"""

from __future__ import annotations

import json
from typing import Final

from s3fanout.config.settings import Settings
from s3fanout.deploy import alarms, dashboard, events, functions, iam, keys, ledger, queues, sweeps
from s3fanout.deploy.blueprint import LEDGER, TOPIC, Blueprint, blueprint
from s3fanout.deploy.intrinsics import Json, ref
from s3fanout.model.topology import EventRoute

CAPABILITY: Final = "CAPABILITY_NAMED_IAM"

_PARAMETERS: Final = {
    "CodeBucket": {
        "Type": "String",
        "Description": "Bucket in this Region that holds the functions' code",
    },
    "CodeKey": {"Type": "String", "Description": "Key of the functions' code, a zip"},
}


def template_of(settings: Settings, leaving: EventRoute | None = None) -> Json:
    """The whole template.

    Args:
        settings: Of the file.
        leaving: See ``Blueprint``.

    Raises:
        Misconfigured: No ``[aws]`` section, or filters too long for Lambda.
    """
    plan = blueprint(settings, leaving)
    resources: dict[str, Json] = {}
    for part in (keys, events, ledger, alarms, dashboard):
        resources |= part.shared(plan)
    for branch in plan.branches():
        if plan.is_durable:
            resources |= queues.of_branch(plan, branch)
        resources[branch.logical("Role")] = iam.role(plan, branch)
        for one in (functions, events, alarms, sweeps):
            resources |= one.of_branch(plan, branch)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"s3fanout: new objects of {settings.source.bucket} in "
        f"{len(settings.enabled)} destinations, topology {plan.aws.topology.value}",
        "Parameters": _PARAMETERS,
        "Resources": resources,
        "Outputs": _outputs(plan),
    }


def template_text(template: Json) -> str:
    """As ``s3fanout template`` prints it."""
    return json.dumps(template, indent=2, ensure_ascii=True) + "\n"


def _outputs(plan: Blueprint) -> Json:
    found: Json = {}
    if plan.has_topic:
        found["TopicArn"] = {"Description": "Receives the bucket's events", "Value": ref(TOPIC)}
    if plan.is_durable:
        found["LedgerTable"] = {"Description": "Who has what", "Value": ref(LEDGER)}
    return found
