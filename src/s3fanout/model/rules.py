"""Which keys a destination wants, and what it calls them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from s3fanout.model.keeping import Keeping


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """A predicate over source keys and sizes.

    A key passes if it matches any ``include`` (or there is none) and no ``exclude``, and if its
    size, where known, is within the limits.

    Attributes:
        include_prefixes, include_suffixes, include_globs: Any match includes.
        exclude_prefixes, exclude_suffixes, exclude_globs: Any match excludes; stronger.
        size_bytes_min, size_bytes_max: Inclusive; ``None`` is no limit.

    Globs: ``*`` any characters but ``/``, ``**`` any characters, ``?`` one character but ``/``,
    ``[abc]``, ``[!abc]``; they match the whole key, case-sensitively.
    """

    include_prefixes: tuple[str, ...] = ()
    include_suffixes: tuple[str, ...] = ()
    include_globs: tuple[str, ...] = ()
    exclude_prefixes: tuple[str, ...] = ()
    exclude_suffixes: tuple[str, ...] = ()
    exclude_globs: tuple[str, ...] = ()
    size_bytes_min: int | None = None
    size_bytes_max: int | None = None


@dataclass(frozen=True, slots=True)
class KeyMap:
    """How a source key becomes the replica's key: strip, then add, or strip, then write anew.

    Attributes:
        strip_prefix: Removed where the key starts with it. A key that does not start with it is
            not wanted by the rule (two sources of one replica key could collide).
        add_prefix: Put in front; ``""`` with a template.
        template: What the replica's key is made from instead, see ``decide.key_template``; ``""``
            for none.
    """

    strip_prefix: str = ""
    add_prefix: str = ""
    template: str = ""


EVERYTHING = KeyFilter()
UNCHANGED = KeyMap()


class Deletes(StrEnum):
    """What happens to a replica when its source object goes away."""

    IGNORE = "ignore"
    """It stays."""
    REPLICATE = "replicate"
    """It is deleted; a versioned bucket gets a delete marker."""


class Versions(StrEnum):
    """How much of a key's history a destination gets."""

    LATEST = "latest"
    """What the source holds now."""
    ALL = "all"
    """Every version, in order, into a versioned bucket."""


class Drift(StrEnum):
    """What happens to a replica that somebody else changed or removed."""

    REPORT = "report"
    """It is left as it is, and counted."""
    REPAIR = "repair"
    """It is made equal to the source object again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one destination wants of the source bucket.

    Attributes:
        destination: Name of the destination, unique in a configuration.
        filter, key_map: As above.
        deletes: What happens to a replica when its source object goes away.
        drift: What happens to a replica that somebody else changed.
        keeping: What replicas carry beside bytes, headers, metadata and tags.
        versions: How much of a key's history it gets.
        version_deletes: What happens to a version of a replica when its source version is removed
            for good; only where it gets all versions.
    """

    destination: str
    filter: KeyFilter = EVERYTHING
    key_map: KeyMap = UNCHANGED
    deletes: Deletes = Deletes.IGNORE
    drift: Drift = Drift.REPORT
    keeping: Keeping = field(default_factory=Keeping)
    versions: Versions = Versions.LATEST
    version_deletes: Deletes = Deletes.IGNORE

    def __post_init__(self) -> None:
        # What most rules have is then told by looking, not by comparing, for each event.
        if self.filter == EVERYTHING:
            object.__setattr__(self, "filter", EVERYTHING)
        if self.key_map == UNCHANGED:
            object.__setattr__(self, "key_map", UNCHANGED)
