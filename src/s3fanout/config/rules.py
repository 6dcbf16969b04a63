"""From settings to the rules that the engine decides with."""

from __future__ import annotations

from s3fanout.config.replicas import Acl
from s3fanout.config.settings import Destination, Settings
from s3fanout.model.keeping import KEEP, SSE_C, Keeping
from s3fanout.model.rules import KeyFilter, KeyMap, Rule


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """One rule per enabled destination, in the order of the file."""
    return tuple(rule_of(name, destination) for name, destination in settings.enabled.items())


def rule_of(name: str, destination: Destination) -> Rule:
    """The rule of one destination, enabled or not."""
    return Rule(
        destination=name,
        filter=KeyFilter(
            include_prefixes=destination.include.prefixes,
            include_suffixes=destination.include.suffixes,
            include_globs=destination.include.globs,
            exclude_prefixes=destination.exclude.prefixes,
            exclude_suffixes=destination.exclude.suffixes,
            exclude_globs=destination.exclude.globs,
            size_bytes_min=destination.size_min_bytes,
            size_bytes_max=destination.size_max_bytes,
        ),
        key_map=KeyMap(
            strip_prefix=destination.strip_prefix,
            add_prefix=destination.add_prefix,
            template=destination.key,
        ),
        deletes=destination.deletes,
        drift=destination.drift,
        versions=destination.versions,
        version_deletes=destination.version_deletes,
        keeping=_keeping(destination),
    )


def _keeping(destination: Destination) -> Keeping:
    chosen = destination.storage_class
    return Keeping(
        attributes=destination.attributes,
        storage_class="" if chosen == KEEP else chosen,
        encryption=SSE_C if destination.customer_key else destination.encryption,
        kms_key=destination.kms_key or "",
        acl="" if destination.acl is Acl.NONE else destination.acl,
        lock=destination.object_lock,
        strict=destination.strict,
    )
