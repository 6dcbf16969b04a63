"""The daemon's life: start, work, drain, stop.

Start: ledger locked and opened, engine started (what an earlier process left is claimed like
anything else), then intake. Stop: intake first, so that nothing new is accepted; then attempts in
hand get ``limits.drain``; then the ledger closes. At no point is anything acknowledged that is not
durable, so a stop at any moment, ``kill -9`` included, loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from s3fanout.config.references import read_secret
from s3fanout.config.settings import Settings
from s3fanout.decide.backfill import unfilled
from s3fanout.engine.leftovers import sweep_for_ever
from s3fanout.engine.receive import Receipt
from s3fanout.model.errors import ExitCode, LedgerUnavailable
from s3fanout.model.jobs import DestinationSummary
from s3fanout.ports.ledger import FailureSelection
from s3fanout.ports.system import Clock
from s3fanout.service.abilities import ask_for_ever, asked_stores, look_at_abilities
from s3fanout.service.http import application
from s3fanout.service.listener import Listener
from s3fanout.service.metrics import Metrics
from s3fanout.service.poller import Poller
from s3fanout.service.status import Json, look_at_sweep, record_document, rfc3339, status_document
from s3fanout.service.sweeps import open_sweeps, open_upload_sweepers
from s3fanout.wiring import Components, build

LOG = logging.getLogger(__name__)

REFUSED_S = 30.0
"""How long one refused event makes us unready: whoever sends only to ready daemons would otherwise
never send the event that shows that the ledger is well again."""


class RunningDaemon:
    """A started daemon; ``service.daemon.run`` adds signals and logs."""

    def __init__(self, settings: Settings, components: Components, metrics: Metrics) -> None:
        self._settings = settings
        self._parts = components
        self._metrics = metrics
        self._listener: Listener | None = None
        self._poller: Poller | None = None
        self._sweeps: list[asyncio.Task[None]] = []
        self._asking: asyncio.Task[None] | None = None
        self._draining = False
        self._refused_at_s: float | None = None
        self.address = ""
        """``http://host:port`` that it listens on, once started."""

    @classmethod
    async def start(cls, settings: Settings, env: Mapping[str, str]) -> RunningDaemon:
        """Open everything and begin to work.

        Raises:
            AlreadyRunning: Another daemon holds the ledger.
            Misconfigured: A reference cannot be resolved, or the address is taken.
            LedgerUnavailable: The ledger cannot be opened.
        """
        metrics = Metrics()
        token = _token(settings, env)
        components = await build(settings, env, telemetry=metrics)
        daemon = cls(settings, components, metrics)
        try:
            await daemon._listen(token)
        except BaseException:
            await components.close()
            raise
        components.engine.start()
        await _offer_backfill(settings, components)
        for sweep in open_sweeps(
            settings,
            components.stores,
            components.ledger,
            clock=components.clock,
            telemetry=metrics,
        ):
            daemon._sweeps.append(asyncio.create_task(sweep.run(), name="sweep"))
        leftovers = await open_upload_sweepers(
            settings, components.stores, components.ledger, clock=components.clock
        )
        daemon._sweeps.append(
            asyncio.create_task(sweep_for_ever(leftovers, clock=components.clock), name="uploads")
        )
        asked = asked_stores(settings, components)
        daemon._asking = asyncio.create_task(
            ask_for_ever(asked, clock=components.clock), name="abilities"
        )
        daemon._asking.add_done_callback(_say_defect)
        if components.sqs is not None and settings.intake.sqs is not None:
            daemon._poller = Poller(
                components.sqs,
                receiver=components.receiver,
                clock=components.clock,
                loops=settings.intake.sqs.pollers,
            )
            daemon._poller.start()
        return daemon

    async def stop(self) -> int:
        """Drain and close. Returns how many attempts were given back unfinished."""
        self._draining = True
        if self._poller is not None:
            await self._poller.stop()
        behind = [*self._sweeps, *([] if self._asking is None else [self._asking])]
        for task in behind:
            task.cancel()
        await asyncio.gather(*behind, return_exceptions=True)
        released = await self._parts.engine.stop(drain_s=self._settings.limits.drain_s)
        if self._listener is not None:
            await self._listener.close()
        await self._parts.close()
        return released

    async def wait_failed(self) -> BaseException:
        """Return the defect that ended the engine; waits for ever while all is well."""
        engine = asyncio.ensure_future(self._parts.engine.wait_failed())
        try:
            await asyncio.wait({engine, *self._sweeps}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            engine.cancel()
        if engine.done() and not engine.cancelled():
            return engine.result()
        ended = next(sweep for sweep in self._sweeps if sweep.done())
        return ended.exception() or RuntimeError(f"{ended.get_name()} ended by itself")

    @property
    def clock(self) -> Clock:
        """The time that it runs by."""
        return self._parts.clock

    @property
    def draining(self) -> bool:
        """Nothing new is accepted."""
        return self._draining

    async def receive(self, body: bytes) -> Receipt:
        """Take one posted message in."""
        try:
            receipt = await self._parts.receiver.receive(body, route="webhook")
        except LedgerUnavailable:
            self._refused_at_s = self.clock.monotonic_s()
            raise
        self._refused_at_s = None
        return receipt

    def not_ready_reason(self) -> str | None:
        """Why events are not taken in or outcomes not written; ``None`` when all is well."""
        if self._draining:
            return "the daemon is stopping"
        failing_since_ms = self._parts.engine.ledger_failing_since_ms
        if failing_since_ms is not None:
            return f"the ledger refuses writes since {rfc3339(failing_since_ms)}"
        refused_at_s = self._refused_at_s
        if refused_at_s is not None and self.clock.monotonic_s() - refused_at_s < REFUSED_S:
            return "the ledger refused an event just now"
        if self._poller is not None and self._poller.last_error is not None:
            return f"the queue cannot be polled: {self._poller.last_error}"
        return None

    async def summaries(self) -> Sequence[DestinationSummary]:
        """The roll-up of every destination; one without a record yet is there too."""
        found = {each.destination: each for each in await self._parts.ledger.summaries()}
        for name in self._settings.enabled:
            found.setdefault(name, DestinationSummary(name))
        return [found[name] for name in sorted(found)]

    async def status(self) -> Json:
        """The status document, with what only this process knows."""
        return status_document(
            source=self._settings.source.bucket,
            buckets={name: to.bucket for name, to in self._settings.enabled.items()},
            summaries=await self.summaries(),
            views=self._parts.engine.views(),
            malformed=await self._parts.ledger.malformed_count(),
            daemon_pid=os.getpid(),
            now_ms=self._parts.clock.now_ms(),
            guards=await self._parts.ledger.delete_guards(),
            sweep=await look_at_sweep(self._settings, self._parts.ledger),
            abilities=await look_at_abilities(self._settings, self._parts.ledger),
        )

    async def metrics(self) -> bytes:
        """The Prometheus text."""
        return self._metrics.render(
            await self.summaries(),
            self._parts.engine.views(),
            now_ms=self._parts.clock.now_ms(),
            sweep=await look_at_sweep(self._settings, self._parts.ledger),
        )

    async def failures(self, selection: FailureSelection, *, limit: int, offset: int) -> list[Json]:
        """Dead letters, newest first."""
        rows = await self._parts.ledger.failures(selection, limit=limit, offset=offset)
        return [record_document(row) for row in rows]

    async def key_records(self, key: str) -> list[Json]:
        """The ledger's records of one source key."""
        return [record_document(row) for row in await self._parts.ledger.records_of_key(key)]

    async def _listen(self, token: str | None) -> None:
        webhook = self._settings.intake.webhook
        app = application(
            self,
            token=token,
            webhook_path=None if webhook is None else webhook.path,
            body_bytes_max=1024 if webhook is None else webhook.body_max_bytes,
        )
        self._listener = await Listener.start(app, self._settings.server.listen)
        self.address = self._listener.address


def _say_defect(task: asyncio.Task[None]) -> None:
    """Say that a task ended that nothing depends on."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        LOG.error("a defect ended what finds out of abilities", exc_info=error)


async def _offer_backfill(settings: Settings, components: Components) -> None:
    """Say which destinations came later than others and have nothing of what was before."""
    known = {each.destination for each in await components.ledger.summaries()}
    for name in unfilled(settings.enabled, known) if known else ():
        LOG.warning(
            "destination %s is new: what was there before is copied by: s3fanout backfill -d %s",
            name,
            name,
        )


async def run(
    settings: Settings,
    env: Mapping[str, str],
    *,
    on_start: Callable[[RunningDaemon], None] | None = None,
) -> ExitCode:
    """The daemon's whole life, until SIGTERM or SIGINT, or a defect of the engine.

    A second signal ends the process at once (nothing is lost by that either).

    Args:
        settings: Checked settings.
        env: Environment that references point into.
        on_start: Called once when it works.
    """
    stop_asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_stop() -> None:
        if stop_asked.is_set():
            os._exit(ExitCode.INTERRUPTED)
        stop_asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_stop)
    daemon = await RunningDaemon.start(settings, env)
    LOG.info(
        "started",
        extra={
            "action": "start",
            "address": daemon.address,
            "source": settings.source.bucket,
            "destinations": ",".join(settings.enabled),
        },
    )
    if on_start is not None:
        on_start(daemon)
    failed = asyncio.ensure_future(daemon.wait_failed())
    asked = asyncio.ensure_future(stop_asked.wait())
    await asyncio.wait({failed, asked}, return_when=asyncio.FIRST_COMPLETED)
    defect = failed.result() if failed.done() else None
    if defect is not None:
        LOG.critical("the engine stopped by a defect; the daemon ends", exc_info=defect)
    else:
        LOG.info("stopping", extra={"action": "drain", "limit_s": settings.limits.drain_s})
    failed.cancel()
    asked.cancel()
    released = await daemon.stop()
    LOG.info("stopped", extra={"action": "stop", "given_back": released})
    return ExitCode.OK if defect is None else ExitCode.FAILED


def _token(settings: Settings, env: Mapping[str, str]) -> str | None:
    webhook = settings.intake.webhook
    return None if webhook is None else read_secret(webhook.token, env)
