"""What the parts of a template are made from: settings and names, with the questions they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from s3fanout.config.aws import NEW_KEY, Aws
from s3fanout.config.rules import rule_of
from s3fanout.config.settings import Destination, Settings
from s3fanout.deploy.intrinsics import att
from s3fanout.deploy.names import DestinationNames, Names, names_of
from s3fanout.model.errors import Misconfigured
from s3fanout.model.rules import Rule
from s3fanout.model.topology import EventRoute, Topology

TOPIC = "Topic"
KEY = "Key"
LEDGER = "Ledger"
ALERTS = "Alerts"


@dataclass(frozen=True, slots=True)
class Branch:
    """One destination of a deployment.

    Attributes:
        name: In the configuration.
        to: Its settings.
        names: Of its resources.
        rule: What it wants.
    """

    name: str
    to: Destination
    names: DestinationNames
    rule: Rule

    def logical(self, what: str) -> str:
        """Logical id of one of its resources, such as ``Function``."""
        return self.names.logical + what


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A deployment before it is one.

    Attributes:
        settings: Of the file.
        aws: Its ``[aws]`` section.
        names: Of every resource.
        leaving: An event route that it had, and still has until the other one is known to work.
    """

    settings: Settings
    aws: Aws
    names: Names
    leaving: EventRoute | None = None

    @property
    def is_durable(self) -> bool:
        """Whether there are queues, a ledger and alarms."""
        return self.aws.topology is Topology.DURABLE

    @property
    def has_topic(self) -> bool:
        """Whether events come by the topic."""
        return EventRoute.SNS in {self.aws.event_route, self.leaving}

    @property
    def has_rules(self) -> bool:
        """Whether events come by EventBridge."""
        return EventRoute.EVENTBRIDGE in {self.aws.event_route, self.leaving}

    @property
    def key_arn(self) -> Any:
        """The deployment's own key as the template names it; ``None`` without one."""
        if self.aws.kms_key is None:
            return None
        return att(KEY) if self.aws.kms_key == NEW_KEY else self.aws.kms_key

    def lists_replicas(self, branch: Branch) -> bool:
        """Whether the sweep compares with the destination itself, and not only with the ledger.

        Replica keys that a template made come in another order than source keys, and a function has
        no room to sort a bucket.
        """
        sweep = self.settings.intake.sweep
        return (
            sweep is not None
            and sweep.replicas
            and self.is_durable
            and not branch.rule.key_map.template
        )

    def branches(self) -> Iterator[Branch]:
        """The enabled destinations, in the order of the file."""
        for name, to in self.settings.enabled.items():
            yield Branch(name, to, self.names.destinations[name], rule_of(name, to))


def blueprint(settings: Settings, leaving: EventRoute | None = None) -> Blueprint:
    """From settings.

    Args:
        settings: Of the file.
        leaving: See ``Blueprint``.

    Raises:
        Misconfigured: There is no ``[aws]`` section.
    """
    names = names_of(settings, leaving)
    if settings.aws is None:  # names_of said so already
        raise Misconfigured("the configuration has no [aws] section")
    return Blueprint(settings, settings.aws, names, leaving)
