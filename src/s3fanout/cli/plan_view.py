"""A plan for people: what is made, changed and removed, who may do what, and what is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

SIGNS: Final = {"create": "+", "change": "~", "remove": "-", "keep": "="}
STYLES: Final = {"create": "green", "change": "yellow", "remove": "red", "keep": "dim"}

Line = tuple[str, str]
"""Text and style."""


def plan_lines(document: dict[str, Any]) -> Iterator[Line]:
    """The lines of a plan."""
    state = "changes" if document["exists"] else "new"
    yield (
        (
            f"stack {document['stack']} ({state}), account {document['account']}, "
            f"{document['region']}, topology {document['topology']}"
        ),
        "bold",
    )
    yield from _resources(document["resources"])
    yield from _permissions(document["permissions"])
    yield from _notifications(document["notifications"])
    yield from _needs(document["needs"])
    yield from _others(document)
    for note in document["notes"]:
        yield f"note: {note}", "cyan"
    yield "", ""
    yield summary(document), "bold"


def summary(document: dict[str, Any]) -> str:
    """One line of counts."""
    counts = dict.fromkeys(SIGNS, 0)
    for each in document["resources"]:
        counts[each["change"]] += 1
    parts = [
        f"{count} to {change}" for change, count in counts.items() if count and change != "keep"
    ]
    text = ", ".join(parts) or "nothing to change in the stack"
    notifications = document["notifications"]
    written = "one write of" if notifications["changed"] else "no change of"
    return f"{text}; {written} the notifications of {notifications['bucket']}"


def _resources(resources: list[dict[str, Any]]) -> Iterator[Line]:
    yield "", ""
    yield "resources", "bold"
    for each in resources:
        if each["change"] == "keep":
            continue
        yield f"  {SIGNS[each['change']]} {each['type']} {each['name']}", STYLES[each["change"]]
        for difference in each["differences"]:
            before, after = (_shown(difference[side]) for side in ("before", "after"))
            yield f"      {difference['path']}: {before} → {after}", "yellow"
    kept = sum(each["change"] == "keep" for each in resources)
    if kept:
        yield f"  = {kept} as they are", "dim"


def _permissions(permissions: list[dict[str, Any]]) -> Iterator[Line]:
    yield "", ""
    yield "permissions", "bold"
    for (holder, principal), of_holder in groupby(
        permissions, key=lambda each: (each["holder"], each["principal"])
    ):
        who = holder if holder == principal else f"{principal} on {holder}"
        yield f"  {who}", ""
        for each in of_holder:
            line = f"    {SIGNS[each['change']]} {each['action']} on {each['resource']}"
            line += f" if {each['condition']}" if each["condition"] else ""
            line += f"  ({each['why']})" if each["why"] else ""
            yield line, STYLES[each["change"]]


def _notifications(found: dict[str, Any]) -> Iterator[Line]:
    yield "", ""
    yield f"notifications of the bucket {found['bucket']}", "bold"
    yield f"  {found['foreign_entries']} entries of others, kept as they are", ""
    if found["changed"]:
        what = "the EventBridge flag" if found["event_bridge"] else "our entry"
        yield f"  + {what}", "green"
    for each in found["overlaps"]:
        yield (
            (
                f"  ! {each['id'] or 'an entry without id'} has {each['event']} already, for "
                f"{each['target']}: deploy will refuse; "
                'aws.event_route = "eventbridge" is the way out'
            ),
            "bold red",
        )


def _needs(needs: list[dict[str, Any]]) -> Iterator[Line]:
    yield "", ""
    yield "you need (as a policy: plan --json, needs_policy)", "bold"
    for each in needs:
        yield f"  {', '.join(each['actions'])}", ""
        yield f"      on {', '.join(each['resources'])}: {each['why']}", "dim"


def _others(document: dict[str, Any]) -> Iterator[Line]:
    for each in document["other_accounts"]:
        yield "", ""
        yield f"account {each['account']} must add to the policy of {each['bucket']}", "bold"
        yield json.dumps(each["bucket_policy"], indent=2), ""
        if each["kms_key"] is not None:
            yield f"and to the policy of the key {each['kms_key']}", "bold"
            yield json.dumps(each["kms_key_statement"], indent=2), ""
    if document["own_key_statements"]:
        yield "", ""
        yield "the policy of aws.kms_key must have these statements", "bold"
        yield json.dumps(document["own_key_statements"], indent=2), ""


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
