"""Runs ministack with rules of AWS that it does not keep by itself.

| rule | where AWS says so |
|---|---|
| CloudFormation acts with the permissions of its caller | user guide, "Control access with IAM" |
| the ARN in requests on a log group's streams ends in the stream | user guide of CloudWatch Logs |
| a bucket policy of another account sees the caller itself, not its account | IAM user guide |

It is a program: ``python -P aws_rules.py``, configured by ministack's environment variables. What
it changes is named by the module that it changes, and the tests that rely on it fail without it.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from tests.servers.stack_permissions import Change, Here, asks

_LOG_STREAMS = frozenset({"logs:CreateLogStream", "logs:PutLogEvents", "logs:GetLogEvents"})


def main() -> None:
    """Change what has to be, then serve."""
    iam = importlib.import_module("ministack.core.iam_evaluator")
    ask_callers_of_stacks(iam)
    name_log_streams()
    show_callers_to_foreign_buckets(iam)
    importlib.import_module("ministack.app").main()


def ask_callers_of_stacks(iam: Any) -> None:
    """Before a resource is made, changed or removed its stack's caller must be allowed to."""
    stacks: Any = importlib.import_module("ministack.services.cloudformation.stacks")
    make, change, remove = (
        getattr(stacks, f"_{word}_resource") for word in ("provision", "update", "delete")
    )

    def checked_make(kind: str, logical: str, properties: Any, *rest: Any) -> Any:
        check(iam, kind, "create", properties)
        return make(kind, logical, properties, *rest)

    def checked_change(kind: str, physical: str, old: Any, new: Any, *rest: Any) -> Any:
        if old != new:
            check(iam, kind, "update", new)
        return change(kind, physical, old, new, *rest)

    def checked_remove(kind: str, physical: str, properties: Any, *rest: Any) -> Any:
        check(iam, kind, "delete", properties)
        return remove(kind, physical, properties, *rest)

    checked = {"provision": checked_make, "update": checked_change, "delete": checked_remove}
    for word, function in checked.items():
        setattr(stacks, f"_{word}_resource", function)


def check(iam: Any, kind: str, change: Change, properties: Any) -> None:
    """Refuse with AWS's words what the caller of this request may not do.

    Raises:
        ValueError: Which ministack makes a failed event of the stack.
    """
    responses = importlib.import_module("ministack.core.responses")
    access_key = iam._verified_key.get()
    if not access_key:
        return  # The account's root.
    here = Here(responses.get_region(), responses.get_account_id())
    caller = iam.resolve_principal(access_key, here.account)
    for action, arn in asks(kind, change, properties, here):
        context = iam.EvalContext(
            principal_arn=caller.arn,
            principal_type=caller.type,
            principal_account=caller.account,
            action=action,
            resource_arn=arn,
            region=here.region,
        )
        if iam.evaluate(context, caller.policies, *caller.limits).decision != "Allow":
            raise ValueError(
                f"User: {caller.arn} is not authorized to perform: {action} on resource: {arn}"
            )


def name_log_streams() -> None:
    """``…:log-group:NAME:log-stream:STREAM``, which an ARN of a group, ``…:NAME:*``, fits."""
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    named = actions.extract_resource_arn

    def with_stream(service: str, *rest: Any, **more: Any) -> Any:
        arn = named(service, *rest, **more)
        headers, body = rest[2], rest[3]
        target = str(headers.get("x-amz-target", "")).rpartition(".")[2]
        if service == "logs" and f"logs:{target}" in _LOG_STREAMS:
            return f"{arn}:log-stream:{json.loads(body).get('logStreamName', '')}"
        return arn

    actions.extract_resource_arn = with_stream


def show_callers_to_foreign_buckets(iam: Any) -> None:
    """ministack asks the policy of another account's bucket about the caller's account only."""
    evaluate = iam.evaluate_resource_policy

    def about_the_caller(document: Any, context: Any, *rest: Any, **more: Any) -> Any:
        caller = iam.caller_arn()
        if context.principal_type == "Root" and f":{context.principal_account}:" in caller:
            context = replace(context, principal_arn=caller)
        return evaluate(document, context, *rest, **more)

    iam.evaluate_resource_policy = about_the_caller


if __name__ == "__main__":
    main()
