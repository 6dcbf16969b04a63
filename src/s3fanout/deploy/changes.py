"""Two templates → what becomes of every resource and every permission. Pure.

| resource in the stack | in the new template | change |
|---|---|---|
| no | yes | create |
| yes | equal | keep |
| yes | other | change, with the properties that differ |
| yes | no | remove |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from s3fanout.deploy.intrinsics import Json


class Change(StrEnum):
    """What happens to a resource or permission."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Difference:
    """One property that changes; values as text, ``None`` where there is none."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """What becomes of one resource."""

    change: Change
    kind: str
    name: str
    logical_id: str
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """Who may do what, as one line of a policy.

    Attributes:
        holder: Name of the role, or of the resource whose policy it is.
        principal: Who; the holder itself in a role.
        action: Of IAM.
        resource: ARN.
        condition: JSON, ``""`` without one.
    """

    holder: str
    principal: str
    action: str
    resource: str
    condition: str = ""


_NAMES: Final = (
    *("RoleName", "FunctionName", "QueueName", "TopicName", "TableName", "AlarmName"),
    *("DashboardName", "LogGroupName", "AliasName", "Name"),
)
_POLICIES: Final = frozenset({"AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::KMS::Key"})


def changes(before: Json | None, after: Json | None) -> list[ResourceChange]:
    """All resources of both, those of ``after`` first, in its order."""
    old = (before or {}).get("Resources", {})
    new = (after or {}).get("Resources", {})
    found = [_changed(logical, old.get(logical), body) for logical, body in new.items()]
    gone = [logical for logical in old if logical not in new]
    return found + [
        ResourceChange(Change.REMOVE, old[each]["Type"], name_of(each, old[each]), each)
        for each in gone
    ]


def permissions(template: Json | None, account: str) -> dict[Permission, str]:
    """Every permission that the template gives, with the ``Sid`` of its statement."""
    resources: Mapping[str, Json] = (template or {}).get("Resources", {})
    text = _Text(resources, account)
    found: dict[Permission, str] = {}
    for logical, body in resources.items():
        name = name_of(logical, body)
        for statement in _statements(body):
            for permission in text.permissions(name, statement):
                found[permission] = statement.get("Sid", "")
        if body["Type"] == "AWS::Lambda::Permission":
            properties = body["Properties"]
            found[
                Permission(
                    text.of(properties["FunctionName"]),
                    properties["Principal"],
                    properties["Action"],
                    text.of(properties["FunctionName"]),
                    text.of({"aws:SourceArn": properties["SourceArn"]}),
                )
            ] = ""
    return found


def name_of(logical: str, body: Json) -> str:
    """What the resource is called, or its logical id where it has no name."""
    properties = body.get("Properties", {})
    return next((str(properties[each]) for each in _NAMES if _is_text(properties, each)), logical)


def _is_text(properties: Json, name: str) -> bool:
    return isinstance(properties.get(name), str)


def _statements(body: Json) -> Iterator[Json]:
    properties = body.get("Properties", {})
    if body["Type"] == "AWS::IAM::Role":
        documents = [each["PolicyDocument"] for each in properties.get("Policies", ())]
    elif body["Type"] in _POLICIES:
        documents = [properties.get("PolicyDocument") or properties.get("KeyPolicy")]
    else:
        return
    for document in documents:
        yield from document["Statement"]


def _changed(logical: str, old: Json | None, new: Json) -> ResourceChange:
    name = name_of(logical, new)
    if old is None:
        return ResourceChange(Change.CREATE, new["Type"], name, logical)
    before, after = dict(_leaves("", old)), dict(_leaves("", new))
    differences = tuple(
        Difference(path, before.get(path), after.get(path))
        for path in {**before, **after}
        if before.get(path) != after.get(path)
    )
    change = Change.CHANGE if differences else Change.KEEP
    return ResourceChange(change, new["Type"], name, logical, differences)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value and not any(key.startswith("Fn::") for key in value):
        for key, below in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, below)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for at, below in enumerate(value):
            yield from _leaves(f"{path}[{at}]", below)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, sort_keys=True)


class _Text:
    """Values of a template as a person reads them."""

    def __init__(self, resources: Mapping[str, Json], account: str) -> None:
        self._resources = resources
        self._pseudo = {"AWS::AccountId": account, "AWS::Partition": "aws", "AWS::Region": "*"}

    def permissions(self, holder: str, statement: Json) -> Iterator[Permission]:
        """The lines of one statement."""
        principal = statement.get("Principal", holder)
        who = self.of(next(iter(principal.values()))) if isinstance(principal, dict) else principal
        condition = self.of(statement["Condition"]) if "Condition" in statement else ""
        for action in _listed(statement["Action"]):
            for target in _listed(statement["Resource"]):
                yield Permission(holder, who, action, self.of(target), condition)

    def of(self, value: Any) -> str:
        """One value."""
        resolved = self._resolved(value)
        return resolved if isinstance(resolved, str) else json.dumps(resolved, sort_keys=True)

    def _resolved(self, value: Any) -> Any:
        match value:
            case {"Ref": str(name)}:
                return self._pseudo.get(name) or self._named(name)
            case {"Fn::GetAtt": [str(name), *_]}:
                return self._named(name)
            case {"Fn::Join": ["", list(parts)]}:
                return "".join(self.of(part) for part in parts)
            case dict():
                return {key: self._resolved(below) for key, below in value.items()}
            case list():
                return [self._resolved(below) for below in value]
        return value

    def _named(self, logical: str) -> str:
        body = self._resources.get(logical)
        return logical if body is None else name_of(logical, body)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
