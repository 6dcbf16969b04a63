"""What is wrong with a deployment, where, and what to do: ``s3fanout doctor``.

| check | asks | fails when |
|---|---|---|
| ``stack`` | CloudFormation | it is not in a finished state; its last change was undone (warning) |
| ``region`` | each bucket | it is in another Region than the settings say |
| ``notification`` | the source | our entry, or the EventBridge flag, is gone or changed |
| ``subscription`` | the topic | a destination is not subscribed |
| ``function`` | Lambda | it is not active; it is being changed (warning) |
| ``trigger`` | Lambda | it is off without a pause, or gone |
| ``permission`` | IAM's simulator | the role lacks an action, or the bucket's policy denies it |
| ``key`` | bucket and KMS | a key is disabled, or the settings do not name the bucket's key |
| ``uploads`` | the destination | no lifecycle rule aborts unfinished uploads (warning) |
| ``queue`` | SQS, CloudWatch | the oldest message is old (warning) |
| ``dead-letters`` | SQS | there are some |
| ``alarm`` | CloudWatch | one is in alarm (warning) |
| ``concurrency`` | Lambda | the account's limit is too low for what came in the last hour |

A check that may not be asked is a warning that names the missing permission; the others go on. What
is asked about and is not there has failed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from s3fanout.config.rules import rules_of
from s3fanout.config.settings import Store
from s3fanout.decide.canary import canary_keys
from s3fanout.decide.match import replica_key
from s3fanout.deploy.deployment import Deployment
from s3fanout.deploy.names import DestinationNames
from s3fanout.deploy.role import denials, reading, writing
from s3fanout.deploy.session import asking, error_code
from s3fanout.deploy.triggers import TriggerState
from s3fanout.deploy.vitals import HOUR_S, DestinationVitals, observe, require_stack
from s3fanout.model.errors import S3FanoutError, StoreError
from s3fanout.service.check import Finding, Grade

OLD_S = 900.0
"""S3 Replication Time Control promises 15 minutes."""
BUSY_SHARE = 0.5
FULL_SHARE = 0.8
_NOTHING = frozenset(
    {
        *("NoSuchBucket", "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration"),
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
_GONE = frozenset(
    {
        *("ResourceNotFoundException", "NotFound", "NotFoundException", "NoSuchEntity"),
        *("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
    }
)
_PROBE = "s3fanout-doctor"


def examine(
    deployment: Deployment, *, now_ms: int, found: Callable[[Finding], None]
) -> list[Finding]:
    """All findings, also told one by one to ``found`` as they come."""
    doctor = _Doctor(deployment, now_ms)
    findings: list[Finding] = []
    for check, target, ask in doctor.checks():
        try:
            for finding in ask():
                findings.append(finding)
                found(finding)
        except S3FanoutError as error:
            finding = _unanswered(target, check, error)
            findings.append(finding)
            found(finding)
    return findings


def _unanswered(target: str, check: str, error: S3FanoutError) -> Finding:
    """Something that was asked about is gone, or could not be asked."""
    if isinstance(error, StoreError) and error.s3_code in _GONE:
        return _failed(target, check, error.message, _anew(target))
    return Finding(target, check, Grade.WARNING, error.message, error.hint, code=error.code)


def _anew(destination: str) -> str:
    return (
        "CloudFormation does not put back what was changed or removed by hand: let the queue run "
        f"empty, set enabled = false for {destination}, s3fanout deploy, take that out, s3fanout "
        "deploy; what was written meanwhile is copied by s3fanout backfill"
    )


Ask = Callable[[], Iterator[Finding]]


class _Doctor:
    """Asks; every method is one row of the module's table."""

    def __init__(self, deployment: Deployment, now_ms: int) -> None:
        self._on = deployment
        self._now_ms = now_ms
        self._vitals: list[DestinationVitals] | None = None
        self._account = deployment.session.account()
        partition = deployment.session.session.get_partition_for_region(deployment.session.region)
        self._arn = f"arn:{partition}"
        self._keys = canary_keys(list(rules_of(deployment.settings)), _PROBE)

    def checks(self) -> Iterator[tuple[str, str, Ask]]:
        """(check, target, how to ask)."""
        yield "stack", "stack", self._stack
        yield "region", "source", lambda: self._region("source", self._on.settings.source)
        yield "key", "source", lambda: self._bucket_key("source", self._on.settings.source)
        yield "notification", "source", self._notification
        if self._on.names.topic is not None:
            yield "subscription", "topic", self._subscriptions
        for name, of in self._on.names.destinations.items():
            yield from self._of_destination(name, of)
        yield "concurrency", "account", self._concurrency

    def _of_destination(self, name: str, of: DestinationNames) -> Iterator[tuple[str, str, Ask]]:
        to = self._on.settings.destinations[name]
        yield "region", name, lambda: self._region(name, to)
        yield "key", name, lambda: self._bucket_key(name, to)
        yield "uploads", name, lambda: self._uploads(name, to)
        yield "function", name, lambda: self._function(name, of)
        yield "permission", name, lambda: self._permissions(name, of)
        yield "trigger", name, lambda: self._trigger(name)
        yield "queue", name, lambda: self._queue(name)
        yield "alarm", name, lambda: self._alarms(name)

    def _stack(self) -> Iterator[Finding]:
        state = require_stack(self._on.session, self._on.names)
        name = self._on.names.stack
        if state.endswith("_COMPLETE") and "ROLLBACK" not in state:
            yield Finding("stack", "stack", Grade.OK, f"{name} is {state}")
        elif state == "UPDATE_ROLLBACK_COMPLETE":
            yield Finding(
                "stack",
                "stack",
                Grade.WARNING,
                f"the last change of {name} failed and was taken back: what was before it works",
                "see its events in CloudFormation; s3fanout plan shows what is still to be changed",
            )
        else:
            yield _failed(
                "stack", "stack", f"{name} is {state}", "see its events in CloudFormation; then "
                "s3fanout deploy"
            )  # fmt: skip

    def _region(self, target: str, to: Store) -> Iterator[Finding]:
        client = self._on.session.client("s3", region=to.region)
        answer = _or_none(
            lambda: client.get_bucket_location(Bucket=to.bucket), f"the Region of {to.bucket}"
        )
        if answer is None:
            yield _failed(target, "region", f"there is no bucket {to.bucket}", "create it")
            return
        real = {"": "us-east-1", "EU": "eu-west-1"}.get(
            answer.get("LocationConstraint") or "", answer.get("LocationConstraint")
        )
        if real == to.region:
            yield Finding(target, "region", Grade.OK, f"{to.bucket} is in {real}")
        else:
            yield _failed(
                target,
                "region",
                f"{to.bucket} is in {real}, the settings say {to.region}",
                f"set the region of {target} to {real}, then: s3fanout deploy",
            )

    def _notification(self) -> Iterator[Finding]:
        bucket, names = self._on.settings.source.bucket, self._on.names
        with asking(f"the notifications of {bucket}"):
            answer = self._on.session.client("s3").get_bucket_notification_configuration(
                Bucket=bucket
            )
        if names.topic is None:
            yield _graded(
                "EventBridgeConfiguration" in answer,
                ("source", "notification"),
                f"{bucket} sends its events to EventBridge",
                f"{bucket} does not send its events to EventBridge any more",
                "s3fanout deploy puts it back",
            )
            return
        ours = [
            entry
            for entry in answer.get("TopicConfigurations", [])
            if entry.get("TopicArn", "").rpartition(":")[2] == names.topic
        ]
        created = any(
            event.startswith("s3:ObjectCreated:") for entry in ours for event in entry["Events"]
        )
        yield _graded(
            created,
            ("source", "notification"),
            f"{bucket} sends its events to {names.topic}",
            f"{bucket} does not send its events to {names.topic}: somebody replaced its "
            "notifications",
            "s3fanout deploy puts the entry back beside the others; objects written meanwhile are "
            "not replicated by themselves",
        )

    def _subscriptions(self) -> Iterator[Finding]:
        names = self._on.names
        arn = f"{self._arn}:sns:{self._on.session.region}:{self._account}:{names.topic}"
        pages = self._on.session.client("sns").get_paginator("list_subscriptions_by_topic")
        with asking(f"the subscriptions of {names.topic}"):
            ends = {
                each["Endpoint"].rpartition(":")[2]
                for page in pages.paginate(TopicArn=arn)
                for each in page["Subscriptions"]
                if each["SubscriptionArn"].startswith("arn:")
            }
        for name, of in names.destinations.items():
            end = of.queue or of.function
            yield _graded(
                end in ends,
                (name, "subscription"),
                f"{end} is subscribed to {names.topic}",
                f"{end} is not subscribed to {names.topic}",
                _anew(name),
            )

    def _function(self, name: str, of: DestinationNames) -> Iterator[Finding]:
        with asking(f"the function {of.function}"):
            answer = self._on.session.client("lambda").get_function_configuration(
                FunctionName=of.function
            )
        state = str(answer.get("State") or "Active")
        update = str(answer.get("LastUpdateStatus") or "Successful")
        why = answer.get("StateReason") or answer.get("LastUpdateStatusReason") or ""
        if state == "Pending" and update != "Failed":
            text = f"{of.function} is being changed: {why}"
            yield Finding(name, "function", Grade.WARNING, text, "wait a minute, and ask again")
            return
        yield _graded(
            state in {"Active", "Inactive"} and update != "Failed",
            (name, "function"),
            f"{of.function} is {state.lower()}, {answer.get('Runtime', '')}",
            f"{of.function} is {state.lower()}, last update {update.lower()}: {why}",
            "s3fanout deploy",
        )

    def _permissions(self, name: str, of: DestinationNames) -> Iterator[Finding]:
        settings = self._on.settings
        if name not in self._keys:
            return
        key, _ = self._keys[name]
        rule = next(rule for rule in rules_of(settings) if rule.destination == name)
        to = settings.destinations[name]
        role = f"{self._arn}:iam::{self._account}:role/{of.role}"
        replica = replica_key(rule.key_map, key)
        writes = writing(rule.keeping)
        wanted: list[tuple[tuple[str, ...], str]] = [
            (reading(rule.keeping), f"{self._arn}:s3:::{settings.source.bucket}/{key}"),
            (writes, f"{self._arn}:s3:::{to.bucket}/{replica}"),
        ]
        if settings.source.kms_key is not None:
            wanted.append((("kms:Decrypt",), settings.source.kms_key))
        if to.kms_key is not None:
            wanted.append((("kms:GenerateDataKey", "kms:Decrypt"), to.kms_key))
        missing = [
            f"{action} on {arn}"
            for actions, arn in wanted
            for action in self._refused(role, actions, arn)
        ]
        denied = list(self._denials(to, role, replica, writes))
        yield _graded(
            not missing,
            (name, "permission"),
            f"{of.role} may read the source and write {to.bucket}",
            f"{of.role} lacks {'; '.join(missing)}",
            f"{_anew(name)}; or a permissions boundary takes it away",
        )
        for action, statement in denied:
            yield _failed(
                name,
                "permission",
                f"the policy of {to.bucket} denies {action}, statement {statement}",
                "change that statement of the bucket's policy, then: s3fanout redrive",
            )

    def _refused(self, role: str, actions: tuple[str, ...], arn: str) -> Iterator[str]:
        with asking("what the function's role may do"):
            answer = self._on.session.client("iam").simulate_principal_policy(
                PolicySourceArn=role, ActionNames=list(actions), ResourceArns=[arn]
            )
        for result in answer["EvaluationResults"]:
            if result["EvalDecision"] != "allowed":
                yield str(result["EvalActionName"])

    def _denials(
        self, to: Store, role: str, key: str, actions: tuple[str, ...]
    ) -> Iterator[tuple[str, str]]:
        client = self._on.session.client("s3", region=to.region)
        answer = _or_none(
            lambda: client.get_bucket_policy(Bucket=to.bucket), f"the policy of {to.bucket}"
        )
        if answer is not None:
            arn = f"{self._arn}:s3:::{to.bucket}/{key}"
            yield from denials(json.loads(answer["Policy"]), role, actions, arn)

    def _bucket_key(self, target: str, to: Store) -> Iterator[Finding]:
        used = self._key_of(to)
        if used is None and to.kms_key is None:
            return
        if used is not None and used != to.kms_key and ":alias/" not in used:
            yield _failed(
                target,
                "key",
                f"{to.bucket} is encrypted with {used}, the settings say "
                f"{to.kms_key or 'nothing'}: the function has no grant for it",
                f'set kms_key = "{used}" for {target}, then: s3fanout deploy',
            )
            return
        key = to.kms_key or used
        with asking(f"the key of {to.bucket}"):
            state = self._on.session.client("kms", region=to.region).describe_key(KeyId=key)
        enabled = bool(state["KeyMetadata"]["Enabled"])
        yield _graded(
            enabled,
            (target, "key"),
            f"the key of {to.bucket} is enabled",
            f"the key of {to.bucket} is {state['KeyMetadata'].get('KeyState', 'disabled')}",
            "enable it, or choose another one",
        )

    def _key_of(self, to: Store) -> str | None:
        """The key that the bucket is encrypted with by default, if it is a customer's."""
        client = self._on.session.client("s3", region=to.region)
        answer = _or_none(
            lambda: client.get_bucket_encryption(Bucket=to.bucket), f"the encryption of {to.bucket}"
        )
        if answer is None:
            return None
        for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
            found = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
            if found and ":key/" in found:
                return str(found)
        return None

    def _uploads(self, name: str, to: Store) -> Iterator[Finding]:
        client = self._on.session.client("s3", region=to.region)
        answer = _or_none(
            lambda: client.get_bucket_lifecycle_configuration(Bucket=to.bucket),
            f"the lifecycle rules of {to.bucket}",
        )
        if any(aborts_uploads(rule) for rule in (answer or {}).get("Rules", ())):
            text = f"a lifecycle rule of {to.bucket} aborts uploads that nobody goes on with"
            yield Finding(name, "uploads", Grade.OK, text)
        else:
            yield Finding(
                name,
                "uploads",
                Grade.WARNING,
                f"nothing aborts uploads to {to.bucket} that nobody goes on with: they are "
                "invisible, and are paid for",
                "add a lifecycle rule with AbortIncompleteMultipartUpload after 7 days",
            )

    def _trigger(self, name: str) -> Iterator[Finding]:
        trigger = self._of(name).trigger
        yield _graded(
            trigger.state is TriggerState.ON,
            (name, "trigger"),
            "events start its function" + (f" ({trigger.said})" if trigger.said else ""),
            f"its trigger is {trigger.state}: events wait",
            f"s3fanout resume {name}" if trigger.state is TriggerState.OFF else _anew(name),
        )

    def _queue(self, name: str) -> Iterator[Finding]:
        vitals = self._of(name)
        if vitals.queue is None or vitals.dead_letters is None:
            return
        waits = f"{vitals.queue.messages} messages"
        if vitals.oldest_s is not None and vitals.oldest_s > OLD_S and vitals.queue.messages:
            yield Finding(
                name,
                "queue",
                Grade.WARNING,
                f"{waits}, the oldest waits {vitals.oldest_s:.0f} s",
                "is it paused, throttled or failing? s3fanout status, s3fanout logs; more at a "
                "time: aws.concurrency",
            )
        else:
            yield Finding(name, "queue", Grade.OK, waits)
        dead = vitals.dead_letters.messages
        yield _graded(
            not dead,
            (name, "dead-letters"),
            "no dead letters",
            f"{dead} dead letters",
            f"s3fanout failures -d {name}; remove the cause; s3fanout redrive -d {name}",
        )

    def _alarms(self, name: str) -> Iterator[Finding]:
        for alarm in self._of(name).alarms:
            if alarm.state == "ALARM":
                yield Finding(
                    name, "alarm", Grade.WARNING, f"{alarm.name}: {alarm.reason}", "see above"
                )

    def _concurrency(self) -> Iterator[Finding]:
        with asking("the account's concurrency"):
            answer = self._on.session.client("lambda").get_account_settings()
        limit = int(answer["AccountLimit"]["ConcurrentExecutions"])
        unreserved = int(answer["AccountLimit"].get("UnreservedConcurrentExecutions", limit))
        yield concurrency_finding(self._all(), limit=limit, unreserved=unreserved)

    def _all(self) -> list[DestinationVitals]:
        if self._vitals is None:
            self._vitals = observe(self._on.session, self._on.names, now_ms=self._now_ms)
        return self._vitals

    def _of(self, name: str) -> DestinationVitals:
        return next(vitals for vitals in self._all() if vitals.destination == name)


def concurrency_finding(vitals: list[DestinationVitals], *, limit: int, unreserved: int) -> Finding:
    """Runs at the same time that the last hour's events need on average, against the limit.

    By Little's law: runs a second times seconds a run. Events come in bursts, so half of the limit
    is a warning and four fifths are a failure.
    """
    needed = sum((v.runs / HOUR_S) * (v.run_ms or 0.0) / 1000 for v in vitals)
    runs = sum(v.runs for v in vitals)
    text = (
        f"{runs} runs in the last hour kept {needed:.1f} functions busy; the account may run "
        f"{limit}, {unreserved} of them unreserved"
    )
    hint = "ask AWS for a higher limit (Service Quotas, Lambda, Concurrent executions)"
    if needed > FULL_SHARE * unreserved:
        return _failed("account", "concurrency", text, hint)
    if needed > BUSY_SHARE * unreserved:
        return Finding("account", "concurrency", Grade.WARNING, text, hint)
    return Finding("account", "concurrency", Grade.OK, text)


def aborts_uploads(rule: Mapping[str, Any]) -> bool:
    """Whether a lifecycle rule aborts unfinished uploads of any key.

    Those of rules for a prefix may, too, but not of the keys that it leaves out.
    """
    scope = rule.get("Filter", {"Prefix": rule.get("Prefix", "")})
    return (
        rule.get("Status") == "Enabled"
        and "AbortIncompleteMultipartUpload" in rule
        and scope in ({}, {"Prefix": ""})
    )


def _or_none(ask: Callable[[], Any], what: str) -> Any:
    """The answer; ``None`` if there is no such bucket, or it has no such thing."""
    with asking(what):
        try:
            return ask()
        except ClientError as error:
            if error_code(error) not in _NOTHING:
                raise
            return None


def _graded(good: bool, at: tuple[str, str], fine: str, wrong: str, hint: str) -> Finding:  # noqa: FBT001 - the first word of the sentence
    target, check = at
    return Finding(target, check, Grade.OK, fine) if good else _failed(target, check, wrong, hint)


def _failed(target: str, check: str, message: str, hint: str) -> Finding:
    return Finding(target, check, Grade.FAILED, message, hint, code="misconfigured")
