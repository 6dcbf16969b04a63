"""Settings become components: the only place that knows which adapter implements which port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from s3fanout import __version__
from s3fanout.adapters.events.sqs import SqsSource
from s3fanout.adapters.journal.ownership import owner_pid
from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.adapters.store.aws_endpoints import aws_endpoint
from s3fanout.adapters.store.credentials import (
    BotocoreCredentials,
    CredentialSource,
    FileCredentials,
    from_environment,
)
from s3fanout.adapters.store.endpoint import Addressing, Endpoint
from s3fanout.adapters.store.neighbours import Neighbours
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.s3_customer_key import CustomerKey
from s3fanout.adapters.store.s3_probe import StoreVendor
from s3fanout.adapters.store.transport import Transport, TransportSettings
from s3fanout.adapters.store.transport_routed import RoutedTransport
from s3fanout.adapters.system import SystemClock, SystemRand
from s3fanout.config import settings as config
from s3fanout.config.credentials import Credentials, CredentialsKind
from s3fanout.config.problems import ConfigProblems
from s3fanout.config.references import check_references, read_customer_key
from s3fanout.config.rules import limits_of, rules_of, vendor_of
from s3fanout.decide.match import may_collide, refusal
from s3fanout.decide.plan import Way
from s3fanout.decide.repair import REPAIR_IGNORES
from s3fanout.engine.comparing import ComparingCopier
from s3fanout.engine.copier import Copier
from s3fanout.engine.engine import Engine
from s3fanout.engine.examiner import Depth
from s3fanout.engine.exclusive import Attempts, ExclusiveCopier
from s3fanout.engine.history import HistoryCopier
from s3fanout.engine.holding import HoldingCopier
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.knowledge import StoreKnowledge
from s3fanout.engine.lane import Lane
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.receive import Receiver
from s3fanout.engine.remover import Remover
from s3fanout.engine.settler import GATHER_S, Settler
from s3fanout.engine.tags import Tags
from s3fanout.engine.verify import Verifier
from s3fanout.model.errors import Misconfigured
from s3fanout.model.limits import Limits
from s3fanout.model.rules import Deletes, Rule, Versions
from s3fanout.model.vendors import KeyLimits, Vendor
from s3fanout.ports.abilities import Abilities
from s3fanout.ports.checkpoints import Checkpoints
from s3fanout.ports.histories import Histories
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.queue import Queue
from s3fanout.ports.removals import Removals
from s3fanout.ports.replica_keys import ReplicaKeys
from s3fanout.ports.system import Clock
from s3fanout.ports.telemetry import Telemetry
from s3fanout.ports.uploads import KnownUploads, Uploads


class Journal(
    Queue,
    Ledger,
    Removals,
    ReplicaKeys,
    Uploads,
    KnownUploads,
    Histories,
    Checkpoints,
    Abilities,
    Protocol,
):
    """A ledger that is also the queue, as one file."""

    async def close(self) -> None:
        """Close the file."""
        ...


@dataclass(frozen=True, slots=True)
class Components:
    """Everything that a daemon is made of.

    Attributes:
        engine: Not started.
        receiver: Takes messages in.
        ledger: Also the queue.
        clock: Real time.
        sqs: Where events are fetched from, if configured.
        stores: All stores, for closing.
        knowledge: What is known of the destinations' stores, by destination.
    """

    engine: Engine
    receiver: Receiver
    ledger: Journal
    clock: Clock
    sqs: SqsSource | None
    stores: Stores
    knowledge: Mapping[str, StoreKnowledge]

    async def close(self) -> None:
        """Close the ledger and all connections. The engine must have been stopped."""
        await self.ledger.close()
        await self.stores.close()


class Stores:
    """Opens buckets; those with the same connection settings share a transport."""

    def __init__(
        self,
        settings: config.Settings,
        env: Mapping[str, str],
        *,
        clock: Clock,
        on_again: Callable[[str], None] = lambda _operation: None,
    ) -> None:
        """``on_again`` is told the operation of each read that is asked for once more."""
        self._settings = settings
        self._env = env
        self._clock = clock
        self._on_again = on_again
        self._transports: dict[object, Transport] = {}
        self._credentials: dict[Credentials, CredentialSource] = {}
        self._neighbours: dict[str, Neighbours] = {}

    def open(self, to: config.Store) -> S3Store:
        """The bucket of the source or of a destination.

        Raises:
            Misconfigured: The endpoint or region makes no sense, or a customer's key is none.
            AccessDenied: Credentials of the environment are missing.
        """
        return S3Store(
            bucket=to.bucket,
            endpoint=endpoint_of(to),
            credentials=self.credentials(to.credentials, to.region),
            transport=self._transport(to),
            clock=self._clock,
            customer_key=self._customer_key(to),
            source_customer_key=self._customer_key(self._settings.source),
            is_source=to is self._settings.source,
            on_again=self._on_again,
            neighbours=self._neighbours.setdefault(store_name(to), Neighbours()),
        )

    def credentials(self, reference: Credentials, region: str) -> CredentialSource:
        """The identity behind a reference; equal references share one source."""
        found = self._credentials.get(reference)
        if found is None:
            found = self._credentials[reference] = self._source_of(reference, region)
        return found

    async def close(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.close()

    def _customer_key(self, of: config.Store) -> CustomerKey | None:
        reference = of.customer_key
        return CustomerKey(read_customer_key(reference, self._env)) if reference else None

    def _transport(self, to: config.Store) -> Transport:
        found = self._transports.get(to.ca_file)
        if found is None:
            limits = self._settings.limits
            # Room for every attempt that the lanes may have in flight, each with one request.
            connections = sum(map(self._settings.concurrency_of, self._settings.enabled))
            found = self._transports[to.ca_file] = RoutedTransport(
                TransportSettings(
                    connections_max=max(connections, limits.concurrency) + 8,
                    connect_s=limits.connect_timeout_s,
                    read_s=limits.request_timeout_s,
                    total_s=limits.request_timeout_s,
                    ca_file=to.ca_file,
                )
            )
        return found

    def _source_of(self, reference: Credentials, region: str) -> CredentialSource:
        match reference.kind:
            case CredentialsKind.ENV if reference.env is not None:
                return from_environment(reference.env, self._env)
            case CredentialsKind.FILE if reference.file is not None:
                return FileCredentials(reference.file, clock=self._clock)
            case _:
                return BotocoreCredentials(
                    clock=self._clock,
                    profile=reference.profile,
                    role=reference.role,
                    external_id=reference.external_id,
                    region=region,
                )


def endpoint_of(to: config.Store) -> Endpoint:
    """Where the bucket's store is."""
    addressing = {
        config.Addressing.AUTO: Addressing.AUTO,
        config.Addressing.PATH: Addressing.PATH,
        config.Addressing.VIRTUAL: Addressing.VIRTUAL_HOST,
    }[to.addressing]
    if to.endpoint is None:
        return aws_endpoint(to.region, addressing=addressing)
    return Endpoint.parse(to.endpoint, region=to.region, addressing=addressing)


def open_sqs(settings: config.Settings, stores: Stores) -> SqsSource | None:
    """The configured queue of events."""
    sqs = settings.intake.sqs
    if sqs is None:
        return None
    return SqsSource(
        queue_url=sqs.queue_url,
        region=sqs.region,
        endpoint_url=sqs.endpoint,
        credentials=stores.credentials(sqs.credentials, sqs.region),
        wait_s=round(sqs.wait_s),
        visibility_s=round(sqs.visibility_s),
    )


async def open_ledger(settings: config.Settings, *, exclusive: bool) -> Journal:
    """The ledger: owned by the daemon (``exclusive``), or beside it for a command.

    Raises:
        AlreadyRunning, Misconfigured, LedgerUnavailable: See ``SqliteJournal.open``.
        Misconfigured: Its directory does not exist, too.
    """
    path = settings.ledger.path
    if not await asyncio.to_thread(path.parent.is_dir):
        raise Misconfigured(
            f"there is no directory for the ledger path={path}",
            hint=f"make {path.parent}, or set ledger.path",
        )
    return await SqliteJournal.open(path, clock=SystemClock(), exclusive=exclusive)


def verifier_of(
    settings: config.Settings,
    stores: Stores,
    ledger: Ledger | None,
    rule: Rule,
    *,
    clock: Clock,
    depth: Depth = Depth.LISTING,
    sample: float = 1.0,
    ignored: Collection[str] = REPAIR_IGNORES,
    keys_per_s: float | None = None,
    book: Abilities | None = None,
) -> Verifier:
    """A comparison of one destination with the source; what ``ignored`` names may differ.

    In which order stores list is looked up in ``book`` and kept there, if there is one.
    """
    to = settings.destinations[rule.destination]
    source, replica = stores.open(settings.source), stores.open(to)
    return Verifier(
        rule=rule,
        source=source,
        replica=replica,
        ledger=ledger,
        clock=clock,
        depth=depth,
        sample=sample,
        ignored=ignored,
        keys_per_s=keys_per_s,
        orders=(knowledge_of(settings.source, source, book), knowledge_of(to, replica, book)),
    )


async def build(
    settings: config.Settings, env: Mapping[str, str], *, telemetry: Telemetry
) -> Components:
    """Everything, opened and wired, nothing started.

    Raises:
        ConfigProblems: References to variables or files that lead nowhere, all at once.
        AlreadyRunning: Another daemon owns the ledger.
        Misconfigured, LedgerUnavailable: As ``open_ledger``.
    """
    if problems := check_references(settings, env):
        raise ConfigProblems(problems)
    clock, rand = SystemClock(), SystemRand()
    stores = Stores(settings, env, clock=clock, on_again=telemetry.asked_again)
    ledger = await open_ledger(settings, exclusive=True)
    try:
        source = stores.open(settings.source)
        limits = limits_of(settings)
        settler = Settler(
            queue=ledger,
            ledger=ledger,
            clock=clock,
            unsettled_max=limits.unsettled_max,
            gather_s=GATHER_S,
        )
        reads = _reads(settings, source, clock=clock)
        knowledge = {
            name: knowledge_of(to, stores.open(to), ledger) for name, to in settings.enabled.items()
        }
        lanes = [
            Lane(
                name,
                store=stores.open(settings.destinations[name]),
                copier=_copier(
                    settings,
                    name,
                    source=source,
                    stores=stores,
                    reads=reads,
                    ledger=ledger,
                    knowledge=knowledge[name],
                ),
                queue=ledger,
                settler=settler,
                clock=clock,
                rand=rand,
                telemetry=telemetry,
                limits=limits,
                concurrency=settings.concurrency_of(name),
            )
            for name in settings.enabled
        ]
        receiver = Receiver(
            source_bucket=settings.source.bucket,
            rules=rules_of(settings),
            queue=ledger,
            ledger=ledger,
            clock=clock,
            telemetry=telemetry,
        )
        sqs = open_sqs(settings, stores)
    except BaseException:
        await ledger.close()
        await stores.close()
        raise
    return Components(
        Engine(lanes, settler=settler, reads=reads), receiver, ledger, clock, sqs, stores, knowledge
    )


def _reads(settings: config.Settings, source: S3Store, *, clock: Clock) -> SharedReads:
    limits = limits_of(settings)
    return SharedReads(
        source,
        budget_bytes=limits.stream_bytes,
        part_bytes=limits.part_bytes,
        destinations=sum(not settings.copies_on_server(name) for name in settings.enabled),
        vendor=_vendor_of(settings.source, source),
        clock=clock,
    )


def _copier(
    settings: config.Settings,
    name: str,
    *,
    source: ObjectStore,
    stores: Stores,
    reads: SharedReads,
    ledger: Journal,
    knowledge: StoreKnowledge,
) -> Attempts:
    to = settings.destinations[name]
    rules = {rule.destination: rule for rule in rules_of(settings)}
    on_server = settings.copies_on_server(name)
    alike = [one for to, one in rules.items() if settings.copies_on_server(to) == on_server]
    destination, limits = stores.open(to), limits_of(settings)
    known = vendor_of(to)
    vendor = _vendor_of(to, destination)
    rule = rules[name]
    replicates_all = rule.versions is Versions.ALL
    keeper = Keeper(rule.keeping, destination=destination, vendor=vendor, clock=SystemClock())
    copier = Copier(
        # With all versions it is the history that is deleted from.
        rule=replace(rule, deletes=Deletes.IGNORE) if replicates_all else rule,
        way=Way.SERVER if on_server else Way.STREAM,
        source=source,
        destination=destination,
        reads=reads,
        keeper=keeper,
        remover=Remover(
            destination=destination,
            ledger=ledger,
            removals=ledger,
            clock=SystemClock(),
            limits=limits,
        ),
        uploads=ledger,
        takers_of=lambda key: [
            other.destination
            for other in alike
            if other.versions is rule.versions and refusal(other, key, None) is None
        ],
        # AWS documents that it checks copy conditions; of other stores some ignore them in silence.
        conditions_honoured=(lambda: True) if to.endpoint is None else knowledge.honours_conditions,
        clock=SystemClock(),
        limits=limits,
    )
    attempts: Attempts
    if replicates_all:
        attempts = _historian(
            copier, rule, source=source, destination=destination, ledger=ledger, limits=limits
        )
    else:
        attempts = ComparingCopier(
            copier,
            rule=rule,
            source=source,
            destination=destination,
            keeper=keeper,
            tags=reads.tags,
            replica_tags=Tags(destination, vendor=vendor, clock=SystemClock()),
            always=to.loop_guard,
        )
    if may_collide(rule.key_map):
        attempts = ExclusiveCopier(attempts, rule=rule, replica_keys=ledger)
    if known is None or known.keys != KeyLimits():
        attempts = HoldingCopier(
            attempts, rule=rule, source=source, destination=destination, vendor=vendor
        )
    return attempts


def _historian(
    copier: Copier,
    rule: Rule,
    *,
    source: ObjectStore,
    destination: ObjectStore,
    ledger: Journal,
    limits: Limits,
) -> HistoryCopier:
    return HistoryCopier(
        copier,
        rule=rule,
        source=source,
        destination=destination,
        ledger=ledger,
        histories=ledger,
        removals=ledger,
        clock=SystemClock(),
        limits=limits,
    )


def store_name(to: config.Store) -> str:
    """What the ledger calls the store of a bucket."""
    return endpoint_of(to).name_of(to.bucket)


def knowledge_of(to: config.Store, store: S3Store, book: Abilities | None) -> StoreKnowledge:
    """What is known of the store of a bucket, and kept in ``book``."""
    return StoreKnowledge(
        store_name(to),
        program=__version__,
        vendor=_vendor_of(to, store),
        book=book,
        clock=system_clock(),
    )


def _vendor_of(to: config.Store, store: S3Store) -> Callable[[], Awaitable[Vendor]]:
    return _always(known) if (known := vendor_of(to)) else StoreVendor(store, clock=SystemClock())


def _always(vendor: Vendor) -> Callable[[], Awaitable[Vendor]]:
    async def answer() -> Vendor:
        return vendor

    return answer


def system_clock() -> Clock:
    """The real time, for commands."""
    return SystemClock()


def daemon_pid(settings: config.Settings) -> int | None:
    """The process that owns the ledger; ``None`` if no daemon runs."""
    return owner_pid(settings.ledger.path)


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where there is one (not on Windows), else the standard loop."""
    try:
        import uvloop  # noqa: PLC0415 - not everywhere
    except ImportError:
        return None
    return uvloop.new_event_loop
