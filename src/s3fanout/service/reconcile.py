"""``s3fanout reconcile`` behind the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from s3fanout.config.rules import rule_in
from s3fanout.config.settings import Settings
from s3fanout.decide.repair import REPAIR_IGNORES, Left
from s3fanout.engine.backfill import BackfillBooks
from s3fanout.engine.examiner import Depth
from s3fanout.engine.sweep import Repairer, Repairs
from s3fanout.engine.verify import Tally
from s3fanout.model.rules import Drift
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.system import Clock
from s3fanout.service.status import SCHEMA_VERSION, Json
from s3fanout.wiring import Stores, verifier_of


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One destination: what was found, and what was done about it."""

    destination: str
    tally: Tally
    repairs: Repairs


async def reconcile_destinations(
    settings: Settings,
    stores: Stores,
    books: BackfillBooks,
    ledger: Ledger,
    names: Sequence[str],
    *,
    prefix: str,
    clock: Clock,
    dry_run: bool,
    repair_drift: bool,
    depth: Depth = Depth.LISTING,
    progress: Callable[[str, Tally], None] = lambda _name, _tally: None,
) -> list[Reconciled]:
    """Compare each destination with the source and queue what repairs it.

    What differs only in storage class is repaired where a ``depth`` is asked for.

    Raises:
        StoreError, LedgerUnavailable: What was queued stays; run it again.
    """
    done = []
    for name in names:
        rule = rule_in(settings, name)
        if repair_drift:
            rule = replace(rule, drift=Drift.REPAIR)
        repairer = Repairer(
            rule=rule, books=books, clock=clock, grace_s=0.0, revives=True, dry_run=dry_run
        )
        ignored = REPAIR_IGNORES if depth is Depth.LISTING else frozenset()
        verifier = verifier_of(
            settings, stores, ledger, rule, clock=clock, depth=depth, ignored=ignored
        )
        tally = await verifier.run(prefix, repairer.found, progress=partial(progress, name))
        done.append(Reconciled(name, tally, repairer.repairs))
    return done


def reconcile_document(
    done: Sequence[Reconciled], prefix: str, *, dry_run: bool, depth: Depth
) -> Json:
    """What happened, as in ``docs/json.md``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "reconcile",
        "dry_run": dry_run,
        "prefix": prefix,
        "depth": str(depth),
        "destinations": [
            {
                "name": each.destination,
                "queued": each.repairs.queued,
                "busy": each.repairs.busy,
                **{f"left_{why}": each.repairs.left.get(why, 0) for why in Left},
                "same": next(iter(each.tally.counts.values())),
            }
            for each in done
        ],
    }
