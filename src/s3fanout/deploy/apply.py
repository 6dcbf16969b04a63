"""Makes a deployment, changes it in place, removes it, in an order that loses no event.

- deploy: code, then the stack, and at the end the bucket's notification, when everything behind it
  is there. All problems that can be known are told before the first change.
- deploy with another event route: the stack gets the new route beside the old one, the bucket sends
  by both for ``OVERLAP_S`` (what comes twice is harmless), then by the new one only, and at last
  the stack loses the old one. Interrupted anywhere, the next deploy goes on.
- destroy: the bucket's notification first, then the stack, then the code. Only what deploy made:
  never a bucket of the user's, never an object.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from s3fanout.config.settings import Settings
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.bucket import SourceBucket
from s3fanout.deploy.code import CodeStore
from s3fanout.deploy.intrinsics import Json
from s3fanout.deploy.notifications import Merge, without
from s3fanout.deploy.package import Package, build_package
from s3fanout.deploy.session import AwsSession
from s3fanout.deploy.stack import FLAG_TAG, Deployed, Stack, Tell, tags_of
from s3fanout.deploy.survey import Survey, code_of, merge_of, owned

BODY_BYTES_MAX: Final = 51_200
"""Longest template in a request (AWS CloudFormation user guide, "Quotas", November 2026)."""

OVERLAP_S: Final = 300.0
"""How long S3 may take until it sends by a new route (Amazon S3 user guide, "Enabling Amazon
EventBridge": about five minutes, read November 2026)."""

Pause = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a deploy did.

    Attributes:
        stack_changed: Whether the stack was made or changed.
        notifications_changed: Whether the bucket's notifications were.
        code_key: Where the code is.
        package_bytes: Its size.
    """

    stack_changed: bool
    notifications_changed: bool
    code_key: str
    package_bytes: int


@dataclass(frozen=True, slots=True)
class Removal:
    """What a destroy will do.

    Attributes:
        deployed: The stack; ``None`` if there is none.
        merge: What becomes of the bucket's notifications.
        code: Where the code is.
    """

    deployed: Deployed | None
    merge: Merge
    code: CodeStore


def package_for(settings: Settings) -> Package:
    """The functions' code for the architecture and Python of the settings.

    Raises:
        Misconfigured: pip could not fetch a library.
    """
    aws = blueprint(settings).aws
    return build_package(aws.architecture.value, aws.python.value)


def apply(
    found: Survey,
    package: Package,
    aws: AwsSession,
    bucket: SourceBucket,
    *,
    tell: Tell,
    pause: Pause,
) -> Applied:
    """Make it so. Idempotent: what is already so is left alone.

    Raises:
        Refused: The bucket's notifications overlap; nothing was changed.
        StackFailed, StackBusy: CloudFormation did not come to an end as wished.
        AccessDenied, StoreError: Something was refused.
    """
    found.refuse_overlaps()
    stack = Stack(aws, found.plan.names.stack)
    exists = found.deployed is not None
    if found.deployed is not None and not found.deployed.is_usable:
        tell(f"removing what is left of a deployment that failed: {found.deployed.status}")
        _remove(stack, tell=tell, pause=pause)
        exists = False
    tell(f"code: {package.size} bytes in {found.code.bucket}")
    key = found.code.upload(package)

    def put(template: Json, *, exists: bool, flag_is_ours: bool) -> bool:
        last = stack.last_event() if exists else None
        changed = stack.put(
            _body(json.dumps(template, separators=(",", ":")), found.code),
            parameters={"CodeBucket": found.code.bucket, "CodeKey": key},
            tags=tags_of(found.plan, flag_is_ours=flag_is_ours),
            exists=exists,
        )
        if changed:
            stack.wait(since=last, tell=tell, pause=pause)
        return changed

    if found.crossing is None or not exists:
        changed = put(found.template, exists=exists, flag_is_ours=found.flag_is_ours)
        bucket.write(found.merge)
        return Applied(changed, found.merge.changed, key, package.size)
    crossing = found.crossing
    # The flag is kept until the end, so whose it is must be known until then.
    put(crossing.template, exists=True, flag_is_ours=found.flag_is_ours or found.flag_was_ours)
    bucket.write(crossing.merge)
    tell(f"events come by both routes for {OVERLAP_S:.0f} s, until S3 uses the new one everywhere")
    pause(OVERLAP_S)
    # Somebody else may have changed theirs meanwhile.
    bucket.write(merge_of(found.plan, bucket.read(), aws, found.account, ours=found.flag_was_ours))
    put(found.template, exists=True, flag_is_ours=found.flag_is_ours)
    return Applied(
        stack_changed=True, notifications_changed=True, code_key=key, package_bytes=package.size
    )


def survey_removal(settings: Settings, aws: AwsSession, bucket: SourceBucket) -> Removal:
    """Look what a destroy would remove.

    Raises:
        Misconfigured: The stack is not ours.
    """
    plan = blueprint(settings)
    deployed = owned(Stack(aws, plan.names.stack), plan)
    flag_is_ours = deployed is not None and deployed.tags.get(FLAG_TAG) == "ours"
    merge = without(bucket.read(), plan.names.notification, event_bridge=flag_is_ours)
    return Removal(deployed, merge, code_of(plan, aws, aws.account()))


def remove(
    found: Removal,
    aws: AwsSession,
    bucket: SourceBucket,
    *,
    name: str,
    tell: Tell,
    pause: Pause,
) -> None:
    """Remove what deploy made. Idempotent, also after a destroy that was interrupted.

    Raises:
        StackFailed, StackBusy, AccessDenied, StoreError: As in ``apply``.
    """
    bucket.write(found.merge)
    if found.deployed is not None:
        _remove(Stack(aws, name), tell=tell, pause=pause)
    found.code.clear()


def _remove(stack: Stack, *, tell: Tell, pause: Pause) -> None:
    last = stack.last_event()
    stack.delete()
    stack.wait(since=last, tell=tell, pause=pause)


def _body(text: str, code: CodeStore) -> dict[str, str]:
    if len(text.encode()) <= BODY_BYTES_MAX:
        return {"TemplateBody": text}
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"TemplateURL": code.put_template(text, digest)}
