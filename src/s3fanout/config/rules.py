"""From settings to the rules and limits that the engine decides with."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from s3fanout.config.replicas import Acl, Annotations
from s3fanout.config.settings import Destination, Settings, Store
from s3fanout.model.keeping import KEEP, SSE_C, Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.rules import KeyFilter, KeyMap, Rule
from s3fanout.model.vendors import Vendor, VendorName, vendor_named, vendor_of_host


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """One rule per enabled destination, in the order of the file."""
    return tuple(rule_in(settings, name) for name in settings.enabled)


def rule_in(settings: Settings, name: str) -> Rule:
    """The rule of one destination, enabled or not, for objects of this source."""
    to = settings.destinations[name]
    rule, source = rule_of(name, to), vendor_of(settings.source)
    keeping = replace(
        rule.keeping,
        source_encrypts_all=source is not None and source.name is VendorName.AWS,
        same_accounts=to.endpoint == settings.source.endpoint,
    )
    return replace(rule, keeping=keeping)


def vendor_of(store: Store) -> Vendor | None:
    """Whose store it is, where the settings tell; otherwise it must be asked."""
    if store.vendor is not VendorName.AUTO:
        return vendor_named(store.vendor)
    if store.endpoint is None:
        return vendor_named(VendorName.AWS)
    return vendor_of_host(urlsplit(store.endpoint).hostname or "")


def rule_of(name: str, destination: Destination) -> Rule:
    """The rule of one destination, whatever the source is."""
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
        annotations=destination.annotations is Annotations.KEEP,
        strict=destination.strict,
    )


def limits_of(settings: Settings) -> Limits:
    """The engine's limits."""
    chosen = settings.limits
    return Limits(
        attempts_max=chosen.attempts_max,
        retry_base_s=chosen.retry_base_s,
        retry_cap_s=chosen.retry_cap_s,
        part_bytes=chosen.part_size_bytes,
        stream_bytes=chosen.stream_memory_bytes,
        circuit_failures=chosen.circuit_failures,
        circuit_cap_s=chosen.circuit_cap_s,
        drain_s=chosen.drain_s,
        deletes_max=chosen.deletes_max,
        deletes_percent_max=chosen.deletes_percent_max,
        deletes_window_s=chosen.deletes_window_s,
    )
