"""Relations between settings that no single setting shows.

| relation | if not |
|---|---|
| some destination is enabled | error: accepted events would be thrown away |
| some intake is on, or an ``[aws]`` section | error |
| ``intake.sweep.replicas`` is only off with an ``[aws]`` section | error: a daemon lists them |
| replicas in the source bucket are wanted by no rule that leads back to them | error: a loop |
| no two destinations write one key of one bucket | error |
| the filter of a destination lets some key through | warning |
| ``size_min`` ≤ ``size_max`` | error |
| ``copy = "server"`` only within the source's store | error |
| ``addressing = "virtual"`` only with a host name | error |
| ``version_deletes`` only with ``versions = "all"`` | error |
| all versions of two keys never have one replica key | error: it would be one history |
| ``loop_guard`` without ``versions = "all"`` | warning: histories are compared anyway |
| a bucket name that AWS would give out | warning: other stores allow more |
| ``ca_file`` only with TLS | warning |
| ``customer_key`` without TLS | warning: it goes over the wire with every request |
| not both ``customer_key`` and another ``encryption`` | error |
| a server that others can reach asks for a token | error |
| ``retry_base`` ≤ ``retry_cap``, ``connect_timeout`` ≤ ``request_timeout`` | error |
| ``part_size`` ≤ ``stream_memory`` | error: such an object could never be streamed |
| half of ``stream_memory`` has a part for each streamed destination, and one more | warning |

With an ``[aws]`` section also those of ``check_aws``.

Buckets are the same if endpoint and name are. Two names of one server are not seen through.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final
from urllib.parse import urlsplit

from s3fanout.config.check_aws import check_aws
from s3fanout.config.keyspace import may_overlap, replica_keys, wanted_keys
from s3fanout.config.locate import dotted
from s3fanout.config.problems import Problem, Severity
from s3fanout.config.replicas import EncryptionChoice
from s3fanout.config.rules import rule_of
from s3fanout.config.settings import Addressing, CopyMode, Destination, Settings, Store
from s3fanout.config.units import format_duration, format_size
from s3fanout.decide.match import may_collide
from s3fanout.model.limits import PART_BYTES_MIN
from s3fanout.model.rules import Deletes, Versions

# Amazon S3 user guide, "General purpose bucket naming rules", read November 2026.
_AWS_BUCKET: Final = re.compile(r"(?!.*\.\.)(?![0-9.]*$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_LEFT_TO_THE_KEY: Final = (EncryptionChoice.KEEP, EncryptionChoice.BUCKET)


def check(settings: Settings) -> list[Problem]:
    """All relations that do not hold, without lines (``load`` adds them)."""
    return [
        *_intake_and_destinations(settings),
        *_stores(settings),
        *_encryption(settings),
        *_destinations(settings),
        *_loops(settings),
        *_collisions(settings),
        *_server(settings),
        *_limits(settings),
        *(check_aws(settings, settings.aws) if settings.aws is not None else ()),
    ]


def _path(*parts: str) -> str:
    return dotted(parts)


def _intake_and_destinations(settings: Settings) -> Iterator[Problem]:
    if not settings.destinations:
        yield Problem(
            "destinations",
            "there is no destination",
            'add a section such as [destinations.replica] with bucket = "…"',
        )
    elif not settings.enabled:
        yield Problem(
            "destinations",
            "no destination is enabled, events would be accepted and thrown away",
            "enable one, or stop s3fanout",
        )
    if not settings.has_intake and settings.aws is None:
        yield Problem(
            "intake",
            "changes cannot become known",
            "add [intake.webhook] (stores post events), [intake.sqs] (events are fetched), or "
            "[aws] (a deployment on AWS)",
        )
    sweep = settings.intake.sweep
    if sweep is not None and not sweep.replicas and settings.aws is None:
        yield Problem(
            "intake.sweep.replicas",
            "a daemon's sweep always lists the destinations",
            "remove it; intake.sweep.recent looks at the source alone",
        )


def _stores(settings: Settings) -> Iterator[Problem]:
    stores: dict[str, Store] = {"source": settings.source}
    stores |= {_path("destinations", name): each for name, each in settings.destinations.items()}
    for path, store in stores.items():
        if _AWS_BUCKET.fullmatch(store.bucket) is None:
            yield Problem(
                f"{path}.bucket",
                f"{store.bucket!r} is no bucket name on AWS",
                "3 to 63 of a-z 0-9 . -; other stores may allow it",
                severity=Severity.WARNING,
            )
        if store.endpoint is None:
            continue
        url = urlsplit(store.endpoint)
        if store.addressing is Addressing.VIRTUAL and _is_ip_address(url.hostname or ""):
            yield Problem(
                f"{path}.addressing",
                "virtual addressing needs an endpoint with a host name",
                'use "path"',
                related=(f"{path}.endpoint",),
            )
        if store.ca_file is not None and url.scheme == "http":
            yield Problem(
                f"{path}.ca_file",
                "has no effect, the endpoint is not https",
                severity=Severity.WARNING,
                related=(f"{path}.endpoint",),
            )


def _encryption(settings: Settings) -> Iterator[Problem]:
    stores: dict[str, Store] = {"source": settings.source}
    stores |= {_path("destinations", name): each for name, each in settings.destinations.items()}
    for path, store in stores.items():
        if store.customer_key is None:
            continue
        if store.endpoint is not None and urlsplit(store.endpoint).scheme == "http":
            yield Problem(
                f"{path}.customer_key",
                "goes over the wire with every request, and the endpoint is not https",
                severity=Severity.WARNING,
                related=(f"{path}.endpoint",),
            )
        if isinstance(store, Destination) and store.encryption not in _LEFT_TO_THE_KEY:
            yield Problem(
                f"{path}.customer_key",
                f"encrypts the replicas, and encryption = {str(store.encryption)!r} does so too",
                "remove one of them",
                related=(f"{path}.encryption",),
            )


def _destinations(settings: Settings) -> Iterator[Problem]:
    for name, each in settings.destinations.items():
        path = _path("destinations", name)
        low, high = each.size_min_bytes, each.size_max_bytes
        if low is not None and high is not None and low > high:
            yield Problem(
                f"{path}.size_min",
                f"{format_size(low)} is more than size_max = {format_size(high)}",
                related=(f"{path}.size_max",),
            )
        if wanted_keys(rule_of(name, each)).is_empty:
            yield Problem(
                path,
                "no key passes include, exclude and strip_prefix together",
                severity=Severity.WARNING,
            )
        if each.key and each.add_prefix:
            yield Problem(
                f"{path}.key",
                "says the whole key of a replica, and add_prefix is set too",
                "put the prefix into the template",
                related=(f"{path}.add_prefix",),
            )
        yield from _versions(each, path)
        if each.copy_mode is CopyMode.SERVER and each.endpoint != settings.source.endpoint:
            yield Problem(
                f"{path}.copy",
                "a store copies only within itself, and the source is in another one",
                'use "auto" or "stream"',
                related=(f"{path}.endpoint", "source.endpoint"),
            )


def _versions(each: Destination, path: str) -> Iterator[Problem]:
    if each.versions is Versions.LATEST:
        if each.version_deletes is not Deletes.IGNORE:
            yield Problem(
                f"{path}.version_deletes",
                "only the latest version is replicated, so no other can be deleted",
                'set versions = "all", or leave it out',
            )
        return
    if may_collide(rule_of("", each).key_map):
        yield Problem(
            f"{path}.key",
            "may give two objects one key, and their versions would be one history",
            'use {path} and {name}, or {key}; or versions = "latest"',
            related=(f"{path}.versions",),
        )
    if each.loop_guard:
        yield Problem(
            f"{path}.loop_guard",
            "has no effect with all versions: histories are compared before every copy",
            severity=Severity.WARNING,
            related=(f"{path}.versions",),
        )


def _loops(settings: Settings) -> Iterator[Problem]:
    """Destinations in the source bucket whose replicas come back to them as source objects."""
    inside = {
        name: each
        for name, each in settings.enabled.items()
        if _bucket_id(each) == _bucket_id(settings.source)
    }
    follows = _successors(inside)
    for name in inside:
        way = _way_back(name, follows)
        if way is None:
            continue
        others = [_path("destinations", other) for other in way]
        message = "replicas would be copied again: they are in the source bucket, and "
        message += (
            f"{' then '.join(dotted((other,)) for other in way)} leads back"
            if way
            else "this rule wants them"
        )
        yield Problem(
            f"{_path('destinations', name)}.bucket",
            message,
            "exclude the prefix that replicas are written below, or include others only",
            related=("source.bucket", *others),
        )


def _successors(inside: Mapping[str, Destination]) -> dict[str, list[str]]:
    """Per destination, those whose rule may want its replicas."""
    rules = {name: rule_of(name, each) for name, each in inside.items()}
    return {
        name: [
            other
            for other, rule in rules.items()
            if may_overlap(replica_keys(rules[name]), wanted_keys(rule))
        ]
        for name in rules
    }


def _way_back(start: str, follows: Mapping[str, list[str]]) -> list[str] | None:
    """The destinations between ``start`` and itself, ``[]`` if none, ``None`` without a way."""
    ways: list[list[str]] = [[]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for follower in follows[way[-1] if way else start]:
            if follower == start:
                return way
            if follower not in seen:
                seen.add(follower)
                ways.append([*way, follower])
    return None


def _collisions(settings: Settings) -> Iterator[Problem]:
    for (name, one), (other_name, other) in combinations(settings.enabled.items(), 2):
        if _bucket_id(one) != _bucket_id(other):
            continue
        rule, other_rule = rule_of(name, one), rule_of(other_name, other)
        # Equal key maps that lose nothing: replica keys are the same exactly where the source keys
        # are, and of those more is known (every exclude counts).
        same = rule.key_map == other_rule.key_map and not may_collide(rule.key_map)
        keys = wanted_keys if same else replica_keys
        if may_overlap(keys(rule), keys(other_rule)):
            yield Problem(
                f"{_path('destinations', other_name)}.bucket",
                f"may write the same keys as {dotted((name,))}",
                "give them different add_prefix or key, or filters that share no key",
                related=(f"{_path('destinations', name)}.bucket",),
            )


def _server(settings: Settings) -> Iterator[Problem]:
    if settings.intake.webhook is None and not settings.server.listen.is_loopback:
        yield Problem(
            "server.listen",
            f"{settings.server.listen} is reachable from other machines, and without "
            "[intake.webhook] there is no token",
            "listen on 127.0.0.1, or add [intake.webhook] with a token",
            related=("intake",),
        )


def _limits(settings: Settings) -> Iterator[Problem]:
    limits = settings.limits
    if limits.retry_cap_s < limits.retry_base_s:
        yield Problem(
            "limits.retry_cap",
            f"{format_duration(limits.retry_cap_s)} is less than "
            f"retry_base = {format_duration(limits.retry_base_s)}",
            related=("limits.retry_base",),
        )
    if limits.request_timeout_s < limits.connect_timeout_s:
        yield Problem(
            "limits.request_timeout",
            f"{format_duration(limits.request_timeout_s)} is less than "
            f"connect_timeout = {format_duration(limits.connect_timeout_s)}",
            related=("limits.connect_timeout",),
        )
    if limits.stream_memory_bytes < limits.part_size_bytes:
        yield Problem(
            "limits.stream_memory",
            f"{format_size(limits.stream_memory_bytes)} is less than "
            f"part_size = {format_size(limits.part_size_bytes)}",
            related=("limits.part_size",),
        )
        return
    streamed = sum(not settings.copies_on_server(name) for name in settings.enabled)
    enough_bytes = 2 * max(limits.part_size_bytes, PART_BYTES_MIN) * (streamed + 1)
    if streamed and limits.stream_memory_bytes < enough_bytes:
        yield Problem(
            "limits.stream_memory",
            f"{format_size(limits.stream_memory_bytes)} has no part for each of {streamed} "
            "destinations that are streamed to: some that stand still may hold up the others",
            f"{format_size(enough_bytes)} is enough",
            severity=Severity.WARNING,
            related=("limits.part_size",),
        )


def _bucket_id(store: Store) -> tuple[str | None, str]:
    return store.endpoint, store.bucket


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
