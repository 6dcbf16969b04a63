"""What starts a destination's function, and how a person stops and starts that.

With topology durable the trigger is the queue's event source mapping: off, messages wait in the
queue for up to its retention. With topology classic there is no queue: a function whose concurrency
is zero is tried again by Lambda for at most six hours, then the event is lost (AWS Lambda developer
guide, "How Lambda handles errors and retries with asynchronous invocation", read November 2026).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from s3fanout.deploy.names import DestinationNames
from s3fanout.deploy.session import AwsSession, asking, error_code
from s3fanout.model.errors import Misconfigured
from s3fanout.ports.system import Clock

SETTLES_S = 60.0
"""A mapping takes some seconds to change, and refuses changes until then."""


class TriggerState(StrEnum):
    """Whether events start the function."""

    ON = "on"
    CHANGING = "changing"
    OFF = "off"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts a function.

    Attributes:
        state: Whether it does.
        mapping: Id of the event source mapping; ``None`` with topology classic.
        said: What Lambda last said of it, ``""`` if nothing.
    """

    state: TriggerState
    mapping: str | None = None
    said: str = ""


_STATES = {
    "Enabled": TriggerState.ON,
    "Disabled": TriggerState.OFF,
}


def trigger_of(functions: Any, of: DestinationNames) -> Trigger:
    """One request. ``functions`` is a client of Lambda."""
    with asking(f"the trigger of {of.destination}"):
        try:
            if of.queue is None:
                answer = functions.get_function_concurrency(FunctionName=of.function)
                is_off = answer.get("ReservedConcurrentExecutions") == 0
                return Trigger(TriggerState.OFF if is_off else TriggerState.ON)
            answer = functions.list_event_source_mappings(FunctionName=of.function)
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            return Trigger(TriggerState.MISSING)
    for mapping in answer["EventSourceMappings"]:
        if str(mapping["EventSourceArn"]).rpartition(":")[2] == of.queue:
            state = _STATES.get(str(mapping["State"]), TriggerState.CHANGING)
            said = str(mapping.get("LastProcessingResult") or "")
            return Trigger(state, str(mapping["UUID"]), said)
    return Trigger(TriggerState.MISSING)


async def switch(session: AwsSession, of: DestinationNames, *, on: bool, clock: Clock) -> bool:
    """Turn a trigger on or off, and wait until it is. Returns whether it had to be changed.

    Runs that are under way finish.

    Raises:
        Misconfigured: There is no trigger: it was removed by somebody, or never deployed.
    """
    functions = session.client("lambda")
    wanted = TriggerState.ON if on else TriggerState.OFF
    trigger = await _settled(functions, of, clock)
    if trigger.state is TriggerState.MISSING:
        raise Misconfigured(
            f"nothing starts the function of {of.destination}: its trigger is gone",
            hint="s3fanout deploy puts it back",
        )
    if trigger.state is wanted:
        return False
    with asking(f"the trigger of {of.destination} to be {wanted}"):
        if trigger.mapping is not None:
            functions.update_event_source_mapping(UUID=trigger.mapping, Enabled=on)
        elif on:
            functions.delete_function_concurrency(FunctionName=of.function)
        else:
            functions.put_function_concurrency(
                FunctionName=of.function, ReservedConcurrentExecutions=0
            )
    await _settled(functions, of, clock)
    return True


async def _settled(functions: Any, of: DestinationNames, clock: Clock) -> Trigger:
    """The trigger when it is not changing, or after ``SETTLES_S``."""
    give_up_at_s = clock.monotonic_s() + SETTLES_S
    trigger = trigger_of(functions, of)
    while trigger.state is TriggerState.CHANGING and clock.monotonic_s() < give_up_at_s:
        await clock.sleep(1.0)
        trigger = trigger_of(functions, of)
    return trigger
