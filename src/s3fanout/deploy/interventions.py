"""What a person does to a running deployment: pause, resume, redrive."""

from __future__ import annotations

from dataclasses import replace

from s3fanout.adapters.journal.dynamodb import NO_END, NO_END_HINT
from s3fanout.deploy.dead_letters import redrive_destination
from s3fanout.deploy.deployment import Deployment
from s3fanout.deploy.triggers import switch
from s3fanout.model.errors import Misconfigured
from s3fanout.ports.ledger import FailureSelection
from s3fanout.ports.system import Clock


async def pause(
    deployment: Deployment,
    destination: str,
    *,
    reason: str,
    ends_at_ms: int | None = None,
    clock: Clock,
) -> None:
    """Start nothing more for a destination; runs that are under way finish. Idempotent.

    The trigger stops the work; the ledger, where there is one, tells since when and why.

    Raises:
        Misconfigured: It should end by itself: nothing runs here that would turn a trigger on.
    """
    if ends_at_ms is not None:
        raise Misconfigured(NO_END, hint=NO_END_HINT)
    (of,) = deployment.chosen(destination)
    await switch(deployment.session, of, on=False, clock=clock)
    if deployment.names.table is not None:
        async with deployment.ledger() as ledger:
            await ledger.pause(destination, now_ms=clock.now_ms(), reason=reason)


async def resume(deployment: Deployment, destination: str, *, clock: Clock) -> bool:
    """Let events start the function again. Returns whether it was paused."""
    (of,) = deployment.chosen(destination)
    was_noted = False
    if deployment.names.table is not None:
        async with deployment.ledger() as ledger:
            was_noted = await ledger.resume(destination)
    return await switch(deployment.session, of, on=True, clock=clock) or was_noted


async def redrive(deployment: Deployment, selection: FailureSelection, *, now_ms: int) -> int:
    """Put the selected dead letters of one or all destinations back; returns how many."""
    async with deployment.ledger() as ledger:
        count = 0
        for of in deployment.chosen(selection.destination):
            own = replace(selection, destination=of.destination)
            count += await redrive_destination(deployment.session, of, ledger, own, now_ms=now_ms)
        return count
