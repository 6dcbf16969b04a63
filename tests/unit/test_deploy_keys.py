"""Which services may use the key of topics and queues, by an evaluation of the key's policy.

No emulator uses a key when it delivers an event. So the statements are judged by the IAM engine of
one of them (ministack's), for what each service sends (SNS, SQS and EventBridge developer guides,
read November 2026).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from s3fanout.config.load import parse
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.keys import services, statement

ACCOUNT, ANOTHER = "123456789012", "999999999999"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"
USES = ("kms:GenerateDataKey", "kms:Decrypt")


def allowed(policy: Any, service: str, action: str, source_account: str | None) -> bool:
    engine: Any = importlib.import_module("ministack.core.iam_evaluator")
    context = engine.EvalContext(
        principal_arn="",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=KEY,
        region="us-east-1",
        service_context={"aws:sourceaccount": source_account},
    )
    name = f"{service}.amazonaws.com"
    return bool(engine.evaluate_resource_policy(policy, context, service=name).decision == "Allow")


def policy_of(topology: str, route: str) -> Any:
    text = f"""
        schema = 1
        source.bucket = "photos"
        destinations.paris.bucket = "photos-paris"
        aws = {{ topology = "{topology}", event_route = "{route}", kms_key = "new" }}
    """
    plan = blueprint(parse(text, path=Path("c"), env={}).settings)
    return {"Statement": [statement(each, ACCOUNT) for each in services(plan)]}


@pytest.mark.parametrize(
    ("topology", "route", "writers"),
    [
        ("classic", "sns", {"s3", "sns"}),
        ("durable", "sns", {"s3", "sns", "cloudwatch"}),
        ("durable", "eventbridge", {"events", "cloudwatch"}),
    ],
)
def test_exactly_the_services_that_write_may_use_the_key(
    topology: str, route: str, writers: set[str]
) -> None:
    policy = policy_of(topology, route)
    for service in ("s3", "sns", "cloudwatch", "events", "lambda", "sqs"):
        told = None if service == "events" else ACCOUNT
        expected = service in writers
        assert [allowed(policy, service, use, told) for use in USES] == [expected] * 2
        assert not allowed(policy, service, "kms:DisableKey", told)


def test_on_behalf_of_another_account_the_key_is_not_used() -> None:
    policy = policy_of("durable", "sns")
    for service in ("s3", "sns", "cloudwatch"):
        assert not any(allowed(policy, service, use, ANOTHER) for use in USES)
        assert not any(allowed(policy, service, use, None) for use in USES)
