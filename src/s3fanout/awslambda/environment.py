"""What one function knows about its work: a value, and its form as environment variables.

| variable | meaning | when it is not set |
|---|---|---|
| ``S3FANOUT_TOPOLOGY`` | ``classic`` or ``durable`` | classic |
| ``S3FANOUT_SOURCE_BUCKET`` | the one bucket that is copied from | any bucket that an event names |
| ``S3FANOUT_SOURCE_REGION`` | its region | the function's own |
| ``S3FANOUT_DESTINATION`` | name of the destination in ledger and logs | the destination's bucket |
| ``S3FANOUT_DESTINATION_BUCKET`` | the bucket that is copied to | the function's name |
| ``S3FANOUT_DESTINATION_REGION`` | its region | the function's own |
| ``S3FANOUT_RULE`` | JSON: filter, key map and what is kept, where not the default | every key |
| ``S3FANOUT_LOOP_GUARD`` | ``true``: both sides are compared before every copy | ``false`` |
| ``S3FANOUT_TABLE`` | DynamoDB table of the ledger | no ledger |
| ``S3FANOUT_QUEUE_URL`` | the SQS queue that feeds the function | – (classic has none) |
| ``S3FANOUT_DEAD_LETTER_URL`` | where messages go that cannot be done | the queue moves them |
| ``S3FANOUT_CONCURRENCY`` | attempts at one time in one invocation | 16 |
| ``S3FANOUT_LIMITS`` | JSON: limits that are not the default | the defaults |

So a function that has nothing set does what the walkthrough's does: it copies what the event names
into the bucket that is called as the function is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NotRequired, TypedDict, TypeVar

from s3fanout.model.errors import Misconfigured
from s3fanout.model.keeping import Keeping
from s3fanout.model.limits import Limits
from s3fanout.model.rules import Deletes, KeyFilter, KeyMap, Rule
from s3fanout.model.topology import Topology

HANDLER = "s3fanout.awslambda.handler.handle"
"""What Lambda is told to call."""

CONCURRENCY = 16
"""Copies wait for S3, not for the processor: a small function keeps this many in flight."""

SWEEP = "s3fanout_sweep"
"""In the event that a schedule starts a function with: a ``SweepOrder``."""

Part = TypeVar("Part", KeyFilter, KeyMap, Keeping, Limits)


class SweepOrder(TypedDict):
    """How a destination is swept.

    Attributes:
        interval_s: Rest between the end of a pass and the next.
        grace_s: Younger objects are left to their events.
        replicas: The destination is listed too.
        drift: What is done about what somebody else did there: a ``Drift``.
    """

    interval_s: float
    grace_s: float
    replicas: NotRequired[bool]
    drift: NotRequired[str]


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """What one function needs to know.

    Attributes:
        topology: As above.
        source_bucket: ``None``: any bucket that an event names (classic).
        source_region: Where facts of source objects are read.
        bucket: Of the destination.
        region: Of the destination; copies are asked for there.
        rule: What the destination wants; ``rule.destination`` is its name.
        loop_guard: Both sides are compared before every copy, and an equal replica is left alone.
        table: The ledger, in the function's region.
        queue_url: Feeds the function, in the function's region.
        dead_letter_url: Beside it.
        concurrency: Attempts at one time in one invocation.
        limits: How hard an attempt tries; ``attempts_max`` counts deliveries of a message.
    """

    topology: Topology
    source_bucket: str | None
    source_region: str
    bucket: str
    region: str
    rule: Rule
    loop_guard: bool = False
    table: str | None = None
    queue_url: str | None = None
    dead_letter_url: str | None = None
    concurrency: int = CONCURRENCY
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what functions do not do: a wish that is ignored would pass for fulfilled.

        Raises:
            Misconfigured: Deletes are to be replicated.
        """
        if self.rule.deletes is not Deletes.IGNORE:
            raise Misconfigured(
                f"functions replicate no deletes destination={self.rule.destination}",
                hint='use deletes = "ignore", or a daemon (s3fanout run)',
            )

    @property
    def destination(self) -> str:
        """The destination's name."""
        return self.rule.destination

    def to_environment(self) -> dict[str, str]:
        """The variables to set; what is at its default is not among them (4 KB are allowed)."""
        rule = {
            name: part
            for name, part in (
                ("filter", _changed(self.rule.filter)),
                ("key_map", _changed(self.rule.key_map)),
                ("keeping", _changed(self.rule.keeping)),
            )
            if part
        }
        limits = _changed(self.limits)
        values = {
            "S3FANOUT_TOPOLOGY": self.topology.value,
            "S3FANOUT_SOURCE_BUCKET": self.source_bucket,
            "S3FANOUT_SOURCE_REGION": self.source_region,
            "S3FANOUT_DESTINATION": self.rule.destination,
            "S3FANOUT_DESTINATION_BUCKET": self.bucket,
            "S3FANOUT_DESTINATION_REGION": self.region,
            "S3FANOUT_RULE": _compact(rule) if rule else None,
            "S3FANOUT_LOOP_GUARD": "true" if self.loop_guard else None,
            "S3FANOUT_TABLE": self.table,
            "S3FANOUT_QUEUE_URL": self.queue_url,
            "S3FANOUT_DEAD_LETTER_URL": self.dead_letter_url,
            "S3FANOUT_CONCURRENCY": (
                None if self.concurrency == CONCURRENCY else str(self.concurrency)
            ),
            "S3FANOUT_LIMITS": _compact(limits) if limits else None,
        }
        return {name: value for name, value in values.items() if value}


def from_environment(env: Mapping[str, str], function_name: str) -> FunctionSettings:
    """The settings of the function that runs here.

    Args:
        env: Its variables, ``AWS_REGION`` among them, which Lambda sets.
        function_name: From the context of an invocation.

    Raises:
        Misconfigured: A variable cannot be understood; the message names it.
    """
    own_region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1"
    bucket = env.get("S3FANOUT_DESTINATION_BUCKET") or function_name
    rule = _json(env, "S3FANOUT_RULE")
    if unknown := rule.keys() - {"filter", "key_map", "keeping", "deletes"}:
        raise Misconfigured(f"unknown fields variable=S3FANOUT_RULE fields={sorted(unknown)}")
    if rule.get("deletes", "ignore") not in set(Deletes):
        raise Misconfigured("neither ignore nor replicate variable=S3FANOUT_RULE field=deletes")
    topology = env.get("S3FANOUT_TOPOLOGY") or Topology.CLASSIC
    if topology not in set(Topology):
        raise Misconfigured(
            f"not a topology S3FANOUT_TOPOLOGY={topology!r}", hint="classic or durable"
        )
    concurrency = env.get("S3FANOUT_CONCURRENCY") or str(CONCURRENCY)
    if not concurrency.isdecimal() or int(concurrency) == 0:
        raise Misconfigured(f"not a number from 1 S3FANOUT_CONCURRENCY={concurrency!r}")
    return FunctionSettings(
        topology=Topology(topology),
        source_bucket=env.get("S3FANOUT_SOURCE_BUCKET") or None,
        source_region=env.get("S3FANOUT_SOURCE_REGION") or own_region,
        bucket=bucket,
        region=env.get("S3FANOUT_DESTINATION_REGION") or own_region,
        rule=Rule(
            destination=env.get("S3FANOUT_DESTINATION") or bucket,
            filter=_part(KeyFilter, rule.get("filter", {}), "S3FANOUT_RULE"),
            key_map=_part(KeyMap, rule.get("key_map", {}), "S3FANOUT_RULE"),
            deletes=Deletes(rule.get("deletes", Deletes.IGNORE)),
            keeping=_part(Keeping, rule.get("keeping", {}), "S3FANOUT_RULE"),
        ),
        loop_guard=_switch(env, "S3FANOUT_LOOP_GUARD"),
        table=env.get("S3FANOUT_TABLE") or None,
        queue_url=env.get("S3FANOUT_QUEUE_URL") or None,
        dead_letter_url=env.get("S3FANOUT_DEAD_LETTER_URL") or None,
        concurrency=int(concurrency),
        limits=_part(Limits, _json(env, "S3FANOUT_LIMITS"), "S3FANOUT_LIMITS"),
    )


def _changed(part: KeyFilter | KeyMap | Keeping | Limits) -> dict[str, Any]:
    """The fields that are not at their default."""
    usual = asdict(type(part)())
    return {name: value for name, value in asdict(part).items() if value != usual[name]}


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _switch(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name) or "false"
    if value not in {"true", "false"}:
        raise Misconfigured(f"neither true nor false {name}={value!r}")
    return value == "true"


def _json(env: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        value = json.loads(env.get(name) or "{}")
    except ValueError as error:
        raise Misconfigured(f"not JSON variable={name}") from error
    if not isinstance(value, dict):
        raise Misconfigured(f"not a JSON object variable={name}")
    return value


def _part(kind: type[Part], values: Any, variable: str) -> Part:
    """A value of ``kind``; JSON's lists become tuples."""
    known = {known.name for known in fields(kind)}
    if not isinstance(values, dict) or not values.keys() <= known:
        raise Misconfigured(f"unknown fields variable={variable}")
    chosen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return kind(**chosen)
