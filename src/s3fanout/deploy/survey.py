"""What a deployment would change: read here, before any change; decided in pure modules."""

from __future__ import annotations

from dataclasses import dataclass

from s3fanout.config.settings import Settings
from s3fanout.deploy.blueprint import TOPIC, Blueprint, blueprint
from s3fanout.deploy.bucket import SourceBucket
from s3fanout.deploy.changes import Permission, ResourceChange, changes, permissions
from s3fanout.deploy.code import CodeStore
from s3fanout.deploy.intrinsics import Json
from s3fanout.deploy.names import code_bucket
from s3fanout.deploy.needs import Need, needs_of
from s3fanout.deploy.notifications import (
    EVENT_BRIDGE,
    Configuration,
    Merge,
    entry_of,
    with_entry,
    with_event_bridge,
    without,
)
from s3fanout.deploy.session import AwsSession
from s3fanout.deploy.stack import FLAG_TAG, SOURCE_TAG, Deployed, Stack
from s3fanout.deploy.template import template_of
from s3fanout.model.errors import Misconfigured, Refused
from s3fanout.model.topology import EventRoute


@dataclass(frozen=True, slots=True)
class Crossing:
    """The deployment between two event routes: it has both, so that no event is lost.

    Attributes:
        leaving: The route that is given up at the end.
        template: With both.
        merge: What the bucket's notifications are meanwhile: the new route beside what is there.
    """

    leaving: EventRoute
    template: Json
    merge: Merge


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that plan prints and deploy acts on.

    Attributes:
        plan: What is to be.
        account: Of the credentials.
        template: As it would be deployed.
        deployed: As it is now; ``None`` if nothing is.
        resources: What becomes of each.
        permissions_before, permissions_after: Each with its ``Sid``.
        notifications: As they are in the bucket.
        merge: What they become.
        flag_was_ours: Whether the bucket's EventBridge flag was set by us.
        flag_is_ours: Whether it is, or will be.
        needs: What the deploying user must be allowed to do.
        code: Where the code is kept.
        crossing: What is in between, where the event route changes; ``None`` where it does not.
    """

    plan: Blueprint
    account: str
    template: Json
    deployed: Deployed | None
    resources: list[ResourceChange]
    permissions_before: dict[Permission, str]
    permissions_after: dict[Permission, str]
    notifications: Configuration
    merge: Merge
    flag_was_ours: bool
    flag_is_ours: bool
    needs: list[Need]
    code: CodeStore
    crossing: Crossing | None = None

    def refuse_overlaps(self) -> None:
        """Stop before anything is changed.

        Raises:
            Refused: The bucket has a notification that S3 would not let ours stand beside.
        """
        if not self.merge.overlaps:
            return
        bucket = self.plan.settings.source.bucket
        listed = "\n".join(
            f"{each.id or 'without id'}: {each.event} to {each.target}"
            for each in self.merge.overlaps
        )
        raise Refused(
            f"the bucket {bucket} already sends these events elsewhere, and S3 sends an event to "
            f"one place only\n{listed}",
            operation="PutBucketNotificationConfiguration",
            hint='set aws.event_route = "eventbridge": it stands beside any notification; or '
            "narrow the filters so that no prefixes overlap. Nothing was changed",
        )


def survey(settings: Settings, aws: AwsSession, bucket: SourceBucket) -> Survey:
    """Look. Five requests.

    Raises:
        Misconfigured: No ``[aws]`` section, filters too long, or the stack's name is taken.
        AccessDenied, StoreError: Something cannot be read.
    """
    plan = blueprint(settings)
    template = template_of(settings)
    account = aws.account()
    deployed = owned(Stack(aws, plan.names.stack), plan)
    current = bucket.read()
    was_ours = deployed is not None and deployed.tags.get(FLAG_TAG) == "ours"
    flag_is_ours = was_ours or (not plan.has_topic and EVENT_BRIDGE not in current)
    before = None if deployed is None else deployed.template
    code = code_of(plan, aws, account)
    crossing = _crossing(plan, current, before, aws=aws, account=account)
    widest = blueprint(settings, crossing.leaving) if crossing else plan
    return Survey(
        plan=plan,
        account=account,
        template=template,
        deployed=deployed,
        resources=changes(before, template),
        permissions_before=permissions(before, account),
        permissions_after=permissions(template, account),
        notifications=current,
        merge=merge_of(plan, current, aws, account, ours=was_ours),
        flag_was_ours=was_ours,
        flag_is_ours=flag_is_ours and not plan.has_topic,
        needs=needs_of(widest, account, code.bucket, deployed=before),
        code=code,
        crossing=crossing,
    )


def owned(stack: Stack, plan: Blueprint) -> Deployed | None:
    """The stack, ``None`` if there is none.

    Raises:
        Misconfigured: There is one of this name that is not ours, or of another source.
    """
    deployed = stack.read()
    if deployed is None:
        return None
    source = deployed.tags.get(SOURCE_TAG)
    # A template that other tools deployed has no tags: its description tells it.
    is_ours = str(deployed.template.get("Description", "")).startswith("s3fanout: ")
    if source is None and not is_ours:
        raise Misconfigured(
            f"the stack {stack.name} was not made by s3fanout", hint="set another name in aws.stack"
        )
    if source is not None and source != plan.settings.source.bucket:
        raise Misconfigured(
            f"the stack {stack.name} is of another source bucket source={source}",
            hint="set another name in aws.stack",
        )
    return deployed


def _crossing(
    plan: Blueprint, current: Configuration, before: Json | None, *, aws: AwsSession, account: str
) -> Crossing | None:
    """What is in between, where the deployment has a route that it shall not have.

    Topology classic has no queues for two routes to lead to.
    """
    resources: Json = (before or {}).get("Resources", {})
    has_rules = any("EventPattern" in each.get("Properties", ()) for each in resources.values())
    had = {EventRoute.SNS: TOPIC in resources, EventRoute.EVENTBRIDGE: has_rules}
    wanted = plan.aws.event_route
    leaving = next((route for route, there in had.items() if there and route is not wanted), None)
    if leaving is None or not plan.is_durable:
        return None
    if wanted is EventRoute.SNS:
        merge = with_entry(current, entry_of(plan, topic_arn(plan, aws, account)))
    else:
        merge = with_event_bridge(current)
    return Crossing(leaving, template_of(plan.settings, leaving), merge)


def topic_arn(plan: Blueprint, aws: AwsSession, account: str) -> str:
    """The topic's ARN, which is known before there is a topic."""
    partition = aws.session.get_partition_for_region(aws.region)
    return f"arn:{partition}:sns:{aws.region}:{account}:{plan.names.topic or TOPIC}"


def code_of(plan: Blueprint, aws: AwsSession, account: str) -> CodeStore:
    """Where the code of this deployment is kept."""
    chosen = plan.aws.code_bucket
    bucket = chosen or code_bucket(plan.names, account, aws.region)
    return CodeStore(aws, bucket=bucket, stack=plan.names.stack, is_ours=chosen is None)


def merge_of(
    plan: Blueprint, current: Configuration, aws: AwsSession, account: str, *, ours: bool
) -> Merge:
    """Our part in, the part of the other route, if we had it, out.

    Args:
        plan: What is to be.
        current: As read.
        aws: Where.
        account: Likewise.
        ours: Whether the bucket's EventBridge flag was set by us.
    """
    if plan.has_topic:
        rest = without(current, "", event_bridge=ours)
        wanted = with_entry(rest.configuration, entry_of(plan, topic_arn(plan, aws, account)))
    else:
        rest = without(current, plan.names.notification, event_bridge=False)
        wanted = with_event_bridge(rest.configuration)
    return Merge(wanted.configuration, rest.changed or wanted.changed, wanted.overlaps)
