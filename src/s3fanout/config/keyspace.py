"""May two sets of keys have a key in common?

A set of keys is described by what is certain of its members: how they begin and how they end. The
answer "no" is a proof; the answer "yes" means that it could not be excluded. Sizes are not used:
an object whose size is not known passes every size limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from s3fanout.decide.key_template import parse_template
from s3fanout.model.rules import KeyFilter, KeyMap, Rule

_WILD: Final = re.compile(r"[*?\[]")
_WILD_END: Final = re.compile(r"\*\*/|[*?\]]")
"""``**/`` may stand for nothing, so the ``/`` is no certain part of the key's end."""
_GLOB_OF_PREFIX: Final = re.compile(r"([^*?\[]*)\*\*")
_GLOB_OF_SUFFIX: Final = re.compile(r"\*\*([^*?\[]*)")


@dataclass(frozen=True, slots=True)
class Edges:
    """Keys that begin with ``prefix`` and end with ``suffix`` (the two may overlap)."""

    prefix: str = ""
    suffix: str = ""

    def is_within(self, other: Edges) -> bool:
        """Whether each of these keys surely is one of the other."""
        return self.prefix.startswith(other.prefix) and self.suffix.endswith(other.suffix)

    def meet(self, other: Edges) -> Edges | None:
        """What keys of both have; ``None`` if there is no such key."""
        prefix = _longer(self.prefix, other.prefix)
        suffix = _longer(self.suffix, other.suffix)
        fits = (
            prefix.startswith(self.prefix)
            and prefix.startswith(other.prefix)
            and suffix.endswith(self.suffix)
            and suffix.endswith(other.suffix)
        )
        return Edges(prefix, suffix) if fits else None


@dataclass(frozen=True, slots=True)
class KeySpace:
    """Keys with any of the edges of ``within``, but none with those of ``without``.

    ``within`` may describe more keys than there are, ``without`` only such that surely are not
    members.
    """

    within: tuple[Edges, ...]
    without: tuple[Edges, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether surely no key is a member."""
        return all(any(each.is_within(gone) for gone in self.without) for each in self.within)


def may_overlap(one: KeySpace, other: KeySpace) -> bool:
    """Whether a key may be a member of both."""
    without = (*one.without, *other.without)
    meets = (a.meet(b) for a in one.within for b in other.within)
    return any(
        meet is not None and not any(meet.is_within(gone) for gone in without) for meet in meets
    )


def wanted_keys(rule: Rule) -> KeySpace:
    """The source keys that ``rule`` copies."""
    begins = Edges(prefix=rule.key_map.strip_prefix)
    meets = (edges.meet(begins) for edges in _included(rule.filter))
    return KeySpace(
        within=tuple(meet for meet in meets if meet is not None),
        without=_excluded(rule.filter),
    )


def replica_keys(rule: Rule) -> KeySpace:
    """The keys that ``rule`` writes."""
    wanted = wanted_keys(rule)
    if rule.key_map.template:
        return KeySpace(tuple(_written(each, rule.key_map) for each in wanted.within))
    members = (
        each for each in wanted.within if not any(each.is_within(gone) for gone in wanted.without)
    )
    return KeySpace(
        within=tuple(_mapped(each, rule.key_map) for each in members),
        without=tuple(
            Edges(prefix=_mapped_prefix(gone.prefix, rule.key_map))
            for gone in wanted.without
            if not gone.suffix and gone.prefix.startswith(rule.key_map.strip_prefix)
        ),
    )


def _written(edges: Edges, key_map: KeyMap) -> Edges:
    """What is certain of the keys that a template makes of these."""
    stripped = _mapped(edges, KeyMap(strip_prefix=key_map.strip_prefix))
    template = parse_template(key_map.template)
    begins = {
        "key": stripped.prefix,
        "path": stripped.prefix[: stripped.prefix.rfind("/") + 1],
    }
    ends = {"key": stripped.suffix, "name": stripped.suffix.rpartition("/")[2]}
    return Edges(
        template.literals[0] + begins.get(template.fields[0], ""),
        ends.get(template.fields[-1], "") + template.literals[-1],
    )


def _mapped(edges: Edges, key_map: KeyMap) -> Edges:
    """Edges of the replica keys; ``edges.prefix`` begins with ``strip_prefix``."""
    prefix = _mapped_prefix(edges.prefix, key_map)
    # Stripping may cut into the suffix: "a/" and ".../x" share the "/" in the key "a/x". Only a
    # suffix that cannot begin inside the stripped text is certain to be left.
    cut = any(
        key_map.strip_prefix.endswith(edges.suffix[:length])
        for length in range(1, len(edges.suffix) + 1)
    )
    return Edges(prefix, "" if cut else edges.suffix)


def _mapped_prefix(prefix: str, key_map: KeyMap) -> str:
    return key_map.add_prefix + prefix[len(key_map.strip_prefix) :]


def _included(keys: KeyFilter) -> tuple[Edges, ...]:
    included = (
        *(Edges(prefix=prefix) for prefix in keys.include_prefixes),
        *(Edges(suffix=suffix) for suffix in keys.include_suffixes),
        *(_edges_of_glob(glob) for glob in keys.include_globs),
    )
    return included or (Edges(),)


def _excluded(keys: KeyFilter) -> tuple[Edges, ...]:
    """Only what excludes *every* key with certain edges: of the globs ``text**`` and ``**text``."""
    begins = (_GLOB_OF_PREFIX.fullmatch(glob) for glob in keys.exclude_globs)
    ends = (_GLOB_OF_SUFFIX.fullmatch(glob) for glob in keys.exclude_globs)
    return (
        *(Edges(prefix=prefix) for prefix in keys.exclude_prefixes),
        *(Edges(suffix=suffix) for suffix in keys.exclude_suffixes),
        *(Edges(prefix=match[1]) for match in begins if match),
        *(Edges(suffix=match[1]) for match in ends if match),
    )


def _edges_of_glob(glob: str) -> Edges:
    """The text before the first and behind the last wildcard; both are the key if there is none."""
    first = _WILD.search(glob)
    if first is None:
        return Edges(glob, glob)
    last = max((m.end() for m in _WILD_END.finditer(glob)), default=len(glob))
    return Edges(glob[: first.start()], glob[last:])


def _longer(one: str, other: str) -> str:
    return one if len(one) >= len(other) else other
