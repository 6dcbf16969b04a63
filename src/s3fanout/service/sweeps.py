"""What the daemon does again and again beside events: passes, looks, and old uploads."""

from __future__ import annotations

import logging

from s3fanout.config.rules import rule_in, rules_of
from s3fanout.config.settings import Settings
from s3fanout.engine.leftovers import UploadSweeper
from s3fanout.engine.recent import RecentLook
from s3fanout.engine.sweep import Sweeper
from s3fanout.model.errors import S3FanoutError
from s3fanout.ports.system import Clock
from s3fanout.ports.telemetry import LostTelemetry
from s3fanout.wiring import Journal, Stores, verifier_of

LOG = logging.getLogger(__name__)


def open_sweeps(
    settings: Settings,
    stores: Stores,
    ledger: Journal,
    *,
    clock: Clock,
    telemetry: LostTelemetry,
) -> list[Sweeper | RecentLook]:
    """What looks for lost events, as configured."""
    sweep = settings.intake.sweep
    if sweep is None:
        return []
    passes = Sweeper(
        rules=rules_of(settings),
        verifier_of=lambda rule: verifier_of(
            settings, stores, ledger, rule, clock=clock, keys_per_s=sweep.rate, book=ledger
        ),
        books=ledger,
        clock=clock,
        telemetry=telemetry,
        interval_s=sweep.interval_s,
        grace_s=sweep.grace_s,
    )
    if sweep.recent_s is None:
        return [passes]
    looks = RecentLook(
        rules=rules_of(settings),
        source=stores.open(settings.source),
        books=ledger,
        clock=clock,
        telemetry=telemetry,
        every_s=sweep.recent_s,
        grace_s=sweep.grace_s,
        keys_per_s=sweep.rate,
    )
    return [passes, looks]


async def open_upload_sweepers(
    settings: Settings, stores: Stores, ledger: Journal, *, clock: Clock
) -> list[UploadSweeper]:
    """What takes unfinished uploads away, one for each destination.

    Those that are switched off are looked at while the ledger knows of uploads into them, if there
    are still credentials for them.
    """
    sweepers = []
    for name, to in settings.destinations.items():
        try:
            if to.enabled or await ledger.uploads_of(name) or await ledger.asked_of(name):
                sweepers.append(
                    UploadSweeper(
                        rule=rule_in(settings, name),
                        destination=stores.open(to),
                        books=ledger,
                        clock=clock,
                        abort_after_s=to.abort_uploads_after_s,
                        is_off=not to.enabled,
                    )
                )
        except S3FanoutError as error:
            LOG.warning("unfinished uploads into %s are not swept: %s", name, error)
    return sweepers
