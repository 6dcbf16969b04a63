"""``s3fanout backfill`` on AWS: lists here, queues there, and Lambda copies.

A queue of SQS has no lower priority: what is queued is worked off beside live changes. So few jobs
may wait at a time (``LATER_MAX``), and a live change waits behind these at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from s3fanout.deploy.deployment import Deployment
from s3fanout.deploy.session import at_endpoint
from s3fanout.deploy.triggers import TriggerState, trigger_of
from s3fanout.engine.backfill import BackfillTally
from s3fanout.model.errors import Misconfigured
from s3fanout.ports.ledger import FailureSelection
from s3fanout.ports.system import Clock
from s3fanout.service.backfill import BackfillRequest, drain, fill
from s3fanout.wiring import Stores

LATER_MAX: Final = 1_000
_FAILURES_MAX: Final = 100_000


async def fill_deployment(
    deployment: Deployment,
    env: Mapping[str, str],
    request: BackfillRequest,
    *,
    clock: Clock,
    waits: bool,
    progress: Callable[[BackfillTally], None],
) -> tuple[BackfillTally, int]:
    """Queue what ``request`` names for the deployed functions.

    Returns:
        What was queued; and with ``waits``, which stays until the queues are empty, how many of the
        destinations' keys are dead letters.

    Raises:
        Misconfigured: Topology classic, or a destination is paused: its queue would only grow.
        InventoryBroken, CheckpointMismatch, StoreError, LedgerUnavailable: As ``fill``.
    """
    if not request.dry_run:
        _refuse_paused(deployment, request)
    settings = at_endpoint(deployment.settings)
    stores = Stores(settings, env, clock=clock)
    try:
        async with deployment.books() as books:
            tally = await fill(
                settings,
                stores,
                books,
                request,
                clock=clock,
                progress=progress,
                later_max=LATER_MAX,
            )
            if not waits or request.dry_run:
                return tally, 0
            await drain(
                books, None, request.destinations, clock=clock, tally=tally, progress=progress
            )
            dead = 0
            for name in request.destinations:
                selection = FailureSelection(destination=name)
                dead += len(await books.ledger.failures(selection, limit=_FAILURES_MAX))
            return tally, dead
    finally:
        await stores.close()


def _refuse_paused(deployment: Deployment, request: BackfillRequest) -> None:
    functions = deployment.session.client("lambda")
    for name in request.destinations:
        (of,) = deployment.chosen(name)
        if trigger_of(functions, of).state is TriggerState.OFF:
            raise Misconfigured(
                f"{name} is paused: what is queued for it would only wait",
                hint=f"s3fanout resume {name}, or name another destination with -d",
            )
