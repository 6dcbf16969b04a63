"""The CloudFormation stack: what is deployed, and how it is made, changed and removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from s3fanout.deploy.blueprint import Blueprint
from s3fanout.deploy.intrinsics import Json
from s3fanout.deploy.session import AwsSession, asking
from s3fanout.deploy.template import CAPABILITY
from s3fanout.model.errors import S3FanoutError, StackBusy, StackFailed

POLL_S: Final = 2.0
POLLS_MAX: Final = 1800
"""An hour: CloudFormation itself gives up on these resources before."""

SOURCE_TAG: Final = "s3fanout:source"
FLAG_TAG: Final = "s3fanout:event-bridge"
"""``ours`` where the deployment set the bucket's EventBridge flag, so that destroy may take it."""

_UNUSABLE: Final = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"})
"""A first deployment that failed: such a stack can only be deleted."""
_DONE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack as it is now.

    Attributes:
        status: Of CloudFormation.
        template: As it was deployed.
        tags: Of the stack.
        parameters: As they were given.
    """

    status: str
    template: Json
    tags: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def is_usable(self) -> bool:
        """Whether it can be changed in place."""
        return self.status not in _UNUSABLE


class Stack:
    """One stack by name."""

    def __init__(self, aws: AwsSession, name: str) -> None:
        self._client = aws.client("cloudformation")
        self.name = name

    def status(self) -> str | None:
        """Of CloudFormation; ``None`` if there is no such stack. One request."""
        found = self._describe()
        return None if found is None else str(found["StackStatus"])

    def read(self) -> Deployed | None:
        """The stack, ``None`` if there is none. Two requests."""
        found = self._describe()
        if found is None:
            return None
        with asking(f"the template of the stack {self.name}"):
            body = self._client.get_template(StackName=self.name)["TemplateBody"]
        return Deployed(
            status=found["StackStatus"],
            template=body if isinstance(body, dict) else json.loads(body),
            tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", ())},
            parameters={
                each["ParameterKey"]: each.get("ParameterValue", "")
                for each in found.get("Parameters", ())
            },
        )

    def put(
        self,
        body: Mapping[str, str],
        *,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        exists: bool,
    ) -> bool:
        """Ask for the stack to be made or changed; ``False`` if it is that already.

        Args:
            body: ``TemplateBody`` or ``TemplateURL``.
            parameters: Of the template.
            tags: Of the stack.
            exists: Whether it is a change.

        Raises:
            StackBusy, AccessDenied, StoreError: It was not accepted.
        """
        request: dict[str, Any] = {
            "StackName": self.name,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "Capabilities": [CAPABILITY],
            **body,
        }
        try:
            with asking(f"the stack {self.name}"):
                if exists:
                    self._client.update_stack(**request)
                else:
                    self._client.create_stack(**request, OnFailure="ROLLBACK")
        except S3FanoutError as error:
            if "No updates are to be performed" in error.message:
                return False
            if "_IN_PROGRESS state" in error.message:
                raise StackBusy(error.message) from error
            raise
        return True

    def delete(self) -> None:
        """Ask for the stack to be removed."""
        with asking(f"the removal of the stack {self.name}"):
            self._client.delete_stack(StackName=self.name)

    def wait(self, *, since: str | None, tell: Tell, pause: Callable[[float], None]) -> None:
        """Until CloudFormation rests; each event is told.

        Args:
            since: Id of the last event before it began; ``None`` if there was none.
            tell: Takes a line for a person.
            pause: Waits that many seconds.

        Raises:
            StackFailed: With the reasons.
        """
        told = since
        reasons: list[str] = []
        for _ in range(POLLS_MAX):
            found = self._describe()
            events = self._events_since(told) if found is not None else []
            for event in events:
                told = event["EventId"]
                tell(_line(event))
                if event["ResourceStatus"].endswith("_FAILED"):
                    reasons.append(_line(event))
            if found is None:
                return
            status = str(found["StackStatus"])
            if not status.endswith("_IN_PROGRESS"):
                if status in _DONE:
                    return
                why = "\n".join(reasons) or str(found.get("StackStatusReason", ""))
                raise StackFailed(f"the stack is {status}\n{why}".rstrip())
            pause(POLL_S)
        raise StackBusy("CloudFormation has not finished within an hour")

    def last_event(self) -> str | None:
        """Id of the newest event; ``None`` if there is no stack."""
        return next((event["EventId"] for event in self._events()), None)

    def _events_since(self, event_id: str | None) -> list[Any]:
        found = []
        for event in self._events():
            if event["EventId"] == event_id:
                break
            found.append(event)
        return found[::-1]

    def _events(self) -> Iterator[Any]:
        """Newest first."""
        with asking(f"the events of the stack {self.name}"):
            try:
                pages = self._client.get_paginator("describe_stack_events")
                for page in pages.paginate(StackName=self.name):
                    yield from page["StackEvents"]
            except ClientError as error:
                if not _is_absent(error):
                    raise

    def _describe(self) -> Any:
        with asking(f"the stack {self.name}"):
            try:
                answer = self._client.describe_stacks(StackName=self.name)
            except ClientError as error:
                if _is_absent(error):
                    return None
                raise
        found = answer["Stacks"][0] if answer["Stacks"] else None
        is_gone = found is None or found["StackStatus"] == "DELETE_COMPLETE"
        return None if is_gone else found


def tags_of(plan: Blueprint, *, flag_is_ours: bool) -> dict[str, str]:
    """What tells the stack as one of ours."""
    found = {SOURCE_TAG: plan.settings.source.bucket}
    return {**found, FLAG_TAG: "ours"} if flag_is_ours else found


def _is_absent(error: ClientError) -> bool:
    return "does not exist" in str(error.response.get("Error", {}).get("Message", ""))


def _line(event: Any) -> str:
    reason = event.get("ResourceStatusReason", "")
    line = f"{event['ResourceStatus']} {event['ResourceType']} {event['LogicalResourceId']}"
    return f"{line}: {reason}" if reason else line
