"""What every resource of a deployment is called. Pure: from settings alone.

Names are those of the walkthrough where it has them: the topic is ``<source>-fanout``, a classic
function is named exactly as its destination bucket. A name that AWS would refuse (too long, or a
character that it does not take) is shortened and gets eight hex digits of its hash, so that two
names never become one; ``Names.derived`` says which, for ``plan`` to tell.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from s3fanout.config.settings import Destination, Settings
from s3fanout.model.errors import Misconfigured
from s3fanout.model.topology import EventRoute, Topology

FUNCTION_MAX: Final = 64
ROLE_MAX: Final = 64
QUEUE_MAX: Final = 80
TOPIC_MAX: Final = 256
STACK_MAX: Final = 64
RULE_MAX: Final = 64
"""Longest names, in characters (AWS API references of each service, read November 2026)."""

_HASH_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class DestinationNames:
    """Of one destination.

    Attributes:
        destination: Its name in the configuration.
        logical: Prefix of the logical ids of its resources in the template.
        function, role, log_group: Of its function.
        queue, dead_letters: Its SQS queues; ``None`` with topology classic.
        rule: Its EventBridge rule; ``None`` unless that is the route.
        sweep: The rule of the schedule that starts its sweep; ``None`` without one.
        alarm: Prefix of its alarms; ``None`` with topology classic.
    """

    destination: str
    logical: str
    function: str
    role: str
    log_group: str
    queue: str | None = None
    dead_letters: str | None = None
    rule: str | None = None
    sweep: str | None = None
    alarm: str | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """Of a deployment.

    Attributes:
        stack: CloudFormation stack.
        topic: Receives the bucket's events; ``None`` with EventBridge.
        notification: ``Id`` of our entry in the bucket's notifications.
        table: The ledger; ``None`` with topology classic.
        alerts: Topic of the alarms; ``None`` with topology classic.
        dashboard: ``None`` with topology classic.
        destinations: Of the enabled destinations, by name, in the order of the file.
        derived: Sentences about names that could not be as wished.
    """

    stack: str
    topic: str | None
    notification: str
    table: str | None
    alerts: str | None
    dashboard: str | None
    destinations: Mapping[str, DestinationNames]
    derived: tuple[str, ...] = field(default=())


def names_of(settings: Settings, leaving: EventRoute | None = None) -> Names:
    """All names.

    Args:
        settings: With an ``[aws]`` section.
        leaving: An event route that is there beside that of the settings.

    Raises:
        Misconfigured: There is no ``[aws]`` section.
    """
    if settings.aws is None:
        raise Misconfigured(
            "the configuration has no [aws] section", hint="s3fanout init --aws writes one"
        )
    aws, bucket = settings.aws, settings.source.bucket
    durable = aws.topology is Topology.DURABLE
    fanout = f"{bucket}-fanout"
    routes = {aws.event_route, leaving}
    derived: list[str] = []
    stack = aws.stack or fitted(f"s3fanout-{bucket}", STACK_MAX, "-")
    topic = fitted(fanout, TOPIC_MAX, "_-")
    if topic != fanout:
        derived.append(f"the topic is called {topic}: SNS takes no {fanout}")
    alerts = fitted(f"{fanout}-alerts", TOPIC_MAX, "_-")
    destinations = {}
    for name, to in settings.enabled.items():
        is_ruled = EventRoute.EVENTBRIDGE in routes
        destinations[name] = _destination(settings, name, to, fanout, is_ruled=is_ruled)
        if not durable and destinations[name].function != to.bucket:
            derived.append(
                f"the function of {name} is called {destinations[name].function}: Lambda takes no "
                f"{to.bucket}; it learns the bucket from its environment"
            )
    return Names(
        stack=stack,
        topic=topic if EventRoute.SNS in routes else None,
        notification=f"s3fanout-{stack}",
        table=fanout if durable else None,
        alerts=alerts if durable else None,
        dashboard=fitted(fanout, TOPIC_MAX - 1, "_-") if durable else None,
        destinations=destinations,
        derived=tuple(derived),
    )


def code_bucket(names: Names, account: str, region: str) -> str:
    """The bucket for the functions' code, where the settings name none.

    Bucket names are of all the world: account and Region are in the hash.
    """
    return f"s3fanout-code-{_hash(f'{account}/{region}/{names.stack}', 24)}"


def fitted(name: str, length_max: int, more: str) -> str:
    """``name`` if it has letters, digits and ``more`` only and is short enough, else one like it.

    Args:
        name: As wished.
        length_max: In characters.
        more: Characters that are allowed beside ASCII letters and digits.
    """
    clean = re.sub(f"[^A-Za-z0-9{re.escape(more)}]", "-", name)
    if clean == name and len(name) <= length_max:
        return name
    return f"{clean[: length_max - _HASH_DIGITS - 1].rstrip('-_')}-{_hash(name, _HASH_DIGITS)}"


def _destination(
    settings: Settings, name: str, to: Destination, fanout: str, *, is_ruled: bool
) -> DestinationNames:
    logical = f"{re.sub('[^A-Za-z0-9]', '', name.title())}{_hash(name, _HASH_DIGITS)}"
    own = f"{fanout}-{name}"
    assert settings.aws is not None
    if settings.aws.topology is Topology.CLASSIC:
        function = fitted(to.bucket, FUNCTION_MAX, "_-")
        return DestinationNames(
            destination=name,
            logical=logical,
            function=function,
            role=fitted(f"{own}-role", ROLE_MAX, "_-"),
            log_group=f"/aws/lambda/{function}",
        )
    function = fitted(own, FUNCTION_MAX, "_-")
    return DestinationNames(
        destination=name,
        logical=logical,
        function=function,
        role=fitted(f"{own}-role", ROLE_MAX, "_-"),
        log_group=f"/aws/lambda/{function}",
        queue=fitted(own, QUEUE_MAX, "_-"),
        dead_letters=fitted(f"{own}-dead-letters", QUEUE_MAX, "_-"),
        rule=fitted(own, RULE_MAX, "_-") if is_ruled else None,
        sweep=fitted(f"{own}-sweep", RULE_MAX, "_-") if settings.intake.sweep else None,
        alarm=own,
    )


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
