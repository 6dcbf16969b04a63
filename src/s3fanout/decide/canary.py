"""Which key proves that a deployment works? One that its rules want; as few as will do for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from s3fanout.decide.match import refusal
from s3fanout.model.rules import Rule

BYTES_MAX = 2**20
"""A rule that wants larger objects only gets no canary."""


def canary_keys(rules: Sequence[Rule], name: str) -> Mapping[str, tuple[str, int]]:
    """Key and size of the canary of each destination; destinations whose rule no key fits miss.

    Destinations share a key where one fits both.

    Args:
        rules: One per destination.
        name: Unique text, a good part of a key.
    """
    candidates = [candidate for rule in rules for candidate in _candidates(rule, name)]
    sizes = [size for rule in rules if (size := _size(rule)) <= BYTES_MAX]
    size_bytes = max(sizes, default=0)
    found = {}
    for rule in rules:
        for key in candidates:
            for size in (size_bytes, _size(rule)):
                if rule.destination not in found and refusal(rule, key, size) is None:
                    found[rule.destination] = (key, size)
    return {name: (key, size) for name, (key, size) in found.items() if size <= BYTES_MAX}


def _size(rule: Rule) -> int:
    return max(len("canary"), rule.filter.size_bytes_min or 0)


def _candidates(rule: Rule, name: str) -> Iterator[str]:
    wanted = rule.filter
    suffix = next(iter(wanted.include_suffixes), "")
    yield f"{rule.key_map.strip_prefix}{name}"
    for prefix in wanted.include_prefixes:
        yield f"{prefix}{name}"
    if suffix:
        yield f"{rule.key_map.strip_prefix}{name}{suffix}"
    for glob in wanted.include_globs:
        text = glob.replace("**/", "").replace("**", name).replace("*", name)
        yield text.replace("?", "x")
