"""What a function's role must be allowed on objects, and what a bucket's policy takes away."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from s3fanout.model.keeping import KEEP, Keeping


def reading(keeping: Keeping) -> tuple[str, ...]:
    """Actions on the source's objects."""
    actions = ["s3:GetObject", "s3:GetObjectTagging"]
    if keeping.annotations:
        actions += ["s3:GetObjectAnnotation", "s3:ListObjectAnnotations"]
    if keeping.acl == KEEP:
        actions.append("s3:GetObjectAcl")
    return tuple(actions)


def writing(keeping: Keeping) -> tuple[str, ...]:
    """Actions on replicas."""
    actions = ["s3:PutObject", "s3:PutObjectTagging"]
    if keeping.annotations:
        actions += ["s3:PutObjectAnnotation", "s3:ListObjectAnnotations"]
    if keeping.acl:
        actions.append("s3:PutObjectAcl")
    return tuple(actions)


def denials(
    document: Any, role: str, actions: tuple[str, ...], arn: str
) -> Iterator[tuple[str, str]]:
    """(action, statement) for each action that an unconditional Deny of a bucket policy takes.

    Statements with a Condition are not judged: what they depend on is not known here.
    """
    for number, statement in enumerate(_listed(document.get("Statement", []))):
        if statement.get("Effect") != "Deny" or statement.get("Condition"):
            continue
        principal = statement.get("Principal", {})
        named = ["*"] if principal == "*" else _listed(principal.get("AWS", []))
        if not {"*", role} & set(named):
            continue
        if not any(fnmatchcase(arn, each) for each in _listed(statement.get("Resource", []))):
            continue
        patterns = [each.lower() for each in _listed(statement.get("Action", []))]
        for action in actions:
            if any(fnmatchcase(action.lower(), each) for each in patterns):
                yield action, str(statement.get("Sid") or f"number {number + 1}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
