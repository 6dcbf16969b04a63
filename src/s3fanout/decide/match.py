"""Event + rules → jobs: which destinations need this change, and why the others do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from s3fanout.decide.key_template import parse_template
from s3fanout.model.events import ChangeEvent, ChangeKind
from s3fanout.model.jobs import NewJob
from s3fanout.model.rules import EVERYTHING, UNCHANGED, Deletes, KeyFilter, KeyMap, Rule


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A destination (or none at all) that does not want an event.

    Attributes:
        destination: ``None`` when the event concerns no destination.
        reason: Stable slug: ``other-bucket``, ``deletes-ignored``, ``filtered-key``,
            ``filtered-size``.
    """

    destination: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Matched:
    """One event against all rules; every rule is in exactly one of the two."""

    jobs: tuple[NewJob, ...]
    unwanted: tuple[Unwanted, ...]


def match(event: ChangeEvent, *, source_bucket: str, rules: Sequence[Rule]) -> Matched:
    """The jobs that ``event`` makes, by the order of ``rules``."""
    if event.bucket != source_bucket:
        return Matched((), (Unwanted(None, "other-bucket"),))
    jobs: list[NewJob] = []
    unwanted: list[Unwanted] = []
    for rule in rules:
        if event.kind is ChangeKind.REMOVED:
            # Of what is gone only the key matters; some stores send the size it had, others 0.
            reason = _removal_refusal(rule, event.key)
        else:
            reason = refusal(rule, event.key, event.size_bytes)
        if reason is not None:
            unwanted.append(Unwanted(rule.destination, reason))
            continue
        jobs.append(
            NewJob(
                rule.destination,
                event.key,
                event.kind,
                event.event_at_ms,
                event.order,
                event.etag,
                event.size_bytes,
                event.version_id,
            )
        )
    return Matched(tuple(jobs), tuple(unwanted))


def _removal_refusal(rule: Rule, key: str) -> str | None:
    if rule.deletes is Deletes.IGNORE and rule.version_deletes is Deletes.IGNORE:
        return "deletes-ignored"
    return refusal(rule, key, None)


def refusal(rule: Rule, key: str, size_bytes: int | None) -> str | None:
    """Why ``rule`` does not want the object; ``None`` if it does.

    An unknown size passes: the plan asks again when it has read the facts.
    """
    if rule.filter is not EVERYTHING and not _key_passes(rule.filter, key):
        return "filtered-key"
    if rule.key_map is not UNCHANGED and not _mappable(rule.key_map, key):
        return "filtered-key"
    if size_bytes is not None and not _size_passes(rule.filter, size_bytes):
        return "filtered-size"
    return None


def replica_key(key_map: KeyMap, key: str) -> str:
    """What the destination calls ``key``; the rule must want the key (see ``refusal``)."""
    stripped = key.removeprefix(key_map.strip_prefix)
    if key_map.template:
        return parse_template(key_map.template).render(stripped)
    return key_map.add_prefix + stripped


def common_prefix(key_map: KeyMap) -> str:
    """What every replica key begins with."""
    if key_map.template:
        return parse_template(key_map.template).literals[0]
    return key_map.add_prefix


def name_prefix(rule: Rule, prefix: str) -> str | None:
    """What the names start with whose source keys start with ``prefix``; ``None`` if none do."""
    front = rule.key_map.strip_prefix
    if prefix.startswith(front):
        return prefix[len(front) :]
    return "" if front.startswith(prefix) else None


def may_collide(key_map: KeyMap) -> bool:
    """Whether two source keys may have one replica key."""
    return key_map.template != "" and not parse_template(key_map.template).is_lossless


def _mappable(key_map: KeyMap, key: str) -> bool:
    # A key equal to the stripped prefix may become the empty key, which no store can hold.
    return key.startswith(key_map.strip_prefix) and replica_key(key_map, key) != ""


def _size_passes(key_filter: KeyFilter, size_bytes: int) -> bool:
    low, high = key_filter.size_bytes_min, key_filter.size_bytes_max
    return (low is None or size_bytes >= low) and (high is None or size_bytes <= high)


def _key_passes(key_filter: KeyFilter, key: str) -> bool:
    included = not (
        key_filter.include_prefixes or key_filter.include_suffixes or key_filter.include_globs
    ) or _any_matches(
        key, key_filter.include_prefixes, key_filter.include_suffixes, key_filter.include_globs
    )
    return included and not _any_matches(
        key, key_filter.exclude_prefixes, key_filter.exclude_suffixes, key_filter.exclude_globs
    )


def _any_matches(
    key: str, prefixes: tuple[str, ...], suffixes: tuple[str, ...], globs: tuple[str, ...]
) -> bool:
    return (
        key.startswith(prefixes)
        or key.endswith(suffixes)
        or any(glob_pattern(glob).fullmatch(key) for glob in globs)
    )


@lru_cache(maxsize=1024)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """The regular expression of a glob as ``model.rules.KeyFilter`` defines it.

    ``**/`` also matches nothing, so that ``**/a`` finds ``a`` at the top.

    Raises:
        ValueError: A ``[`` without its ``]``.
    """
    out: list[str] = []
    at = 0
    while at < len(glob):
        if glob.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif glob.startswith("**", at):
            out.append(".*")
            at += 2
        elif glob[at] == "*":
            out.append("[^/]*")
            at += 1
        elif glob[at] == "?":
            out.append("[^/]")
            at += 1
        elif glob[at] == "[":
            text, at = _character_class(glob, at)
            out.append(text)
        else:
            out.append(re.escape(glob[at]))
            at += 1
    return re.compile("".join(out), re.DOTALL)


def _character_class(glob: str, start: int) -> tuple[str, int]:
    """Translate ``[...]`` that begins at ``start``; return it and the index behind it."""
    first = start + 1
    negated = glob.startswith("!", first)
    if negated:
        first += 1
    # A `]` right after the opening stands for itself.
    end = glob.find("]", first + 1)
    if end < 0:
        raise ValueError(f"glob has a [ without its ]: {glob!r}")
    members = glob[first:end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    if members.startswith("]"):
        members = "\\" + members
    return f"[{'^/' if negated else ''}{members}]", end + 1
