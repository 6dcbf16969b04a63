"""Runs ministack with rules of AWS that it does not keep by itself.

| rule | where AWS says so (user guides, read November 2026) |
|---|---|
| CloudFormation acts with its caller's permissions | CloudFormation, "Control access with IAM" |
| requests on a log group's streams name the stream | CloudWatch Logs |
| Lambda writes a function's log with the function's role | Lambda, "CloudWatch Logs" |
| another account's bucket policy is about the caller itself | IAM, "Cross-account policies" |
| a copy may read in one account and write in another | S3, CopyObject |
| who reads or writes an encrypted object uses the bucket's key | S3, "Using SSE-KMS" |
| who may not read tags is not told their number | S3 API reference, "GetObject" |
| what a function wrote is in its log | Lambda, "CloudWatch Logs" |
| messages of a topic wait until the function can run | Lambda, "Asynchronous invocation" |

The last one bounds what a burst of messages costs: ministack itself starts a process for each that
comes while others run. It leaves the processes of functions that a stack removes; here they end.

ministack takes what it has read of a log when 5 ms passed without a line, and what a busy machine
brings later only with the function's next run, if there is one.

It is a program, ``python -P aws_rules.py``, configured by ministack's environment variables. The
tests that rely on a rule fail without it, seldom where it is about such a race.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from tests.servers.stack_permissions import Change, Here, asks

RUNS_AT_ONCE = 3
"""Of all functions together, for messages of topics."""
BATCHES_AT_ONCE = 2
"""Of one queue. Each needs a process, which starts for longer than it works."""
LINES_END_S, LINES_MAX_S = 0.05, 1.0
"""Silence after which a log is whole, and how long it is waited for."""
_LOG_STREAMS = frozenset({"logs:CreateLogStream", "logs:PutLogEvents", "logs:GetLogEvents"})


def main() -> None:
    """Change what has to be, then serve."""
    iam = importlib.import_module("ministack.core.iam_evaluator")
    ask_callers_of_stacks(iam)
    name_log_streams()
    write_logs_as_the_function(iam)
    open_foreign_buckets(iam)
    ask_for_keys_of_buckets(iam)
    tell_counts_to_readers(iam)
    wait_for_lines()
    queue_messages_of_topics()
    deliver_few_batches_at_once()
    end_removed_functions()
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

    vars(stacks).update(
        _provision_resource=checked_make,
        _update_resource=checked_change,
        _delete_resource=checked_remove,
    )


def check(iam: Any, kind: str, change: Change, properties: Any) -> None:
    """Refuse with AWS's words what the caller of this request may not do.

    Raises:
        ValueError: Which ministack makes a failed event of the stack.
    """
    access_key = iam._verified_key.get()
    if not access_key:
        return  # The account's root.
    here = place()
    caller = iam.resolve_principal(access_key, here.account)
    for action, arn in asks(kind, change, properties, here):
        if not allows(iam, [caller.policies, *caller.limits], action, arn):
            raise ValueError(
                f"User: {caller.arn} is not authorized to perform: {action} on resource: {arn}"
            )


def place() -> Here:
    """Region and account of this request."""
    responses: Any = importlib.import_module("ministack.core.responses")
    return Here(responses.get_region(), responses.get_account_id())


def allows(iam: Any, policies: list[Any], action: str, arn: str) -> bool:
    """Whether policies of an identity, and what limits them, allow something."""
    here = place()
    context = iam.EvalContext(
        principal_arn="",
        principal_type="",
        principal_account=here.account,
        action=action,
        resource_arn=arn,
        region=here.region,
    )
    return bool(iam.evaluate(context, *policies).decision == "Allow")


def write_logs_as_the_function(iam: Any) -> None:
    """Lambda writes the log of a run with the function's role, or not at all."""
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    logs: Any = importlib.import_module("ministack.services.cloudwatch_logs")
    emit = functions._emit_lambda_logs

    def emit_if_allowed(function: Any, *rest: Any, **more: Any) -> None:
        config, here = function.get("config") or function, place()
        group = f"/aws/lambda/{config['FunctionName']}"
        role = config["Role"].rpartition("/")[2]
        policies = [iam._gather_role_policies(role, here.account)]
        actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
        actions += [] if group in logs._log_groups else ["logs:CreateLogGroup"]
        arn = here.arn("logs", f"log-group:{group}:log-stream:s")
        if all(allows(iam, policies, action, arn) for action in actions):
            emit(function, *rest, **more)

    vars(functions).update(_emit_lambda_logs=emit_if_allowed)


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


def open_foreign_buckets(iam: Any) -> None:
    """Where caller, source and destination of a copy are not of one account.

    ministack asks the policy of a foreign bucket about the caller's account only, and then looks
    for the source among the buckets of the destination's account. It does not find its tags.
    """
    s3: Any = importlib.import_module("ministack.services.s3")
    evaluate = iam.evaluate_resource_policy

    def about_the_caller(document: Any, context: Any, *rest: Any, **more: Any) -> Any:
        caller = iam.caller_arn()
        if context.principal_type == "Root" and f":{context.principal_account}:" in caller:
            context = replace(context, principal_arn=caller)
        return evaluate(document, context, *rest, **more)

    iam.evaluate_resource_policy = about_the_caller
    vars(s3).update(
        _ensure_bucket=lambda name: s3._buckets.get_scoped(
            s3._bucket_owner_account(name), None, name
        )
    )


def tell_counts_to_readers(iam: Any) -> None:
    """Whoever may not read an object's tags is not told how many there are."""
    s3: Any = importlib.import_module("ministack.services.s3")
    count = s3._object_tagging_count_header

    def of_readers(bucket: str, key: str, version_id: str | None) -> dict[str, str]:
        access_key = iam._verified_key.get()
        if access_key:
            caller = iam.resolve_principal(access_key, place().account)
            policies, arn = [caller.policies, *caller.limits], f"arn:aws:s3:::{bucket}/{key}"
            if not allows(iam, policies, "s3:GetObjectTagging", arn):
                return {}
        return dict(count(bucket, key, version_id))

    vars(s3).update(_object_tagging_count_header=of_readers)


def ask_for_keys_of_buckets(iam: Any) -> None:
    """Whoever reads or writes an object must be allowed to use the key of its bucket."""
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    kms: Any = importlib.import_module("ministack.services.kms")
    in_scope = importlib.import_module("ministack.core.responses").request_scope
    enforce, checks, policy_of = iam.enforce, actions.s3_additional_checks, kms.key_policy_for_arn

    def with_keys(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        yield from checks(method, path, headers, body, query)
        bucket, _, key = path.lstrip("/").partition("/")
        if key and (action := _use_of_key(method, query)) and (arn := key_of_bucket(bucket)):
            yield action, arn
        source = str(headers.get("x-amz-copy-source", "")).lstrip("/").partition("/")[0]
        if source and (arn := key_of_bucket(source)):
            yield "kms:Decrypt", arn

    def enforce_also_keys(
        access_key: str, action: str, service: str, *rest: Any, **more: Any
    ) -> Any:
        service = "kms" if action.startswith("kms:") else service
        return enforce(access_key, action, service, *rest, **more)

    def policy_of_any_key(arn: str) -> Any:
        _, _, _, region, owner, _ = arn.split(":", 5)
        with in_scope(owner, region):
            return policy_of(arn)

    actions.s3_additional_checks = with_keys
    iam.enforce = enforce_also_keys
    kms.key_policy_for_arn = policy_of_any_key


def wait_for_lines() -> None:
    """Lambda loses no line of a log, however late it is read."""
    processes: Any = importlib.import_module("ministack.core.lambda_runtime")
    read = processes.Worker._drain_stderr_bounded

    def read_patiently(worker: Any, **_: float) -> Any:
        return read(
            worker,
            first_line_wait=LINES_MAX_S / 2,
            idle_confirm=LINES_END_S,
            hard_cap=LINES_MAX_S,
        )

    processes.Worker._drain_stderr_bounded = read_patiently


def queue_messages_of_topics() -> None:
    """Lambda queues what it is sent asynchronously while it can run no more."""
    topics: Any = importlib.import_module("ministack.services.sns")
    deliver, free = topics._deliver_to_lambda, threading.BoundedSemaphore(RUNS_AT_ONCE)

    def deliver_when_free(*message: Any) -> None:
        with free:
            deliver(*message)

    vars(topics).update(_deliver_to_lambda=deliver_when_free)


def deliver_few_batches_at_once() -> None:
    """Two are enough for batches to overtake each other."""
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    allowed = functions._sqs_esm_concurrency

    def few(*of: Any) -> int:
        return min(BATCHES_AT_ONCE, int(allowed(*of)))

    vars(functions).update(_sqs_esm_concurrency=few)


def end_removed_functions() -> None:
    """A function that a stack removes has no processes any more."""
    stacks: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    processes: Any = importlib.import_module("ministack.core.lambda_runtime")
    functions = stacks._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    remove = functions["delete"]

    def remove_and_end(name: str, properties: Any) -> None:
        remove(name, properties)
        here = place()
        processes.invalidate_worker(name, account=here.account, region=here.region)

    functions["delete"] = remove_and_end


def key_of_bucket(bucket: str) -> str | None:
    """ARN of the key that a bucket of any account is encrypted with; ``None`` without one."""
    s3: Any = importlib.import_module("ministack.services.s3")
    responses: Any = importlib.import_module("ministack.core.responses")
    with responses.request_scope(s3._bucket_owner_account(bucket) or "", responses.get_region()):
        found = s3._bucket_default_sse_headers(bucket)
    arn: str | None = found.get("x-amz-server-side-encryption-aws-kms-key-id")
    return arn


def _use_of_key(method: str, query: Any) -> str | None:
    """What a request about an object asks of the bucket's key."""
    if method == "GET" and not query.keys() & {"tagging", "acl", "uploadId", "attributes"}:
        return "kms:Decrypt"
    is_write = (method == "PUT" and "tagging" not in query) or (
        method == "POST" and query.keys() & {"uploads", "uploadId"}
    )
    return "kms:GenerateDataKey" if is_write else None


if __name__ == "__main__":
    main()
