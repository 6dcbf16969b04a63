"""A warm function: its settings become components once, and serve every invocation of its life.

The daemon's ``wiring`` builds from the configuration file and its model; importing that would cost
a cold function more than the copy. This builds the same engine from the environment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from s3fanout.adapters.aws.json_client import DYNAMODB, LAMBDA, SQS, JsonClient, Service
from s3fanout.adapters.aws.lambda_function import LambdaFunction
from s3fanout.adapters.aws.sqs_messages import SqsMessages
from s3fanout.adapters.journal.dynamodb import DynamoDbLedger
from s3fanout.adapters.journal.local_uploads import LocalUploads
from s3fanout.adapters.store.aws_endpoints import aws_endpoint
from s3fanout.adapters.store.credentials import from_environment as credentials_of
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import Transport, TransportSettings
from s3fanout.adapters.store.transport_routed import RoutedTransport
from s3fanout.adapters.system import SystemClock, SystemRand
from s3fanout.awslambda.environment import SWEEP, FunctionSettings, SweepOrder
from s3fanout.awslambda.invocation import PARTS_SHARE, Invocations
from s3fanout.awslambda.report import Report
from s3fanout.decide.plan import Way
from s3fanout.engine.comparing import ComparingCopier
from s3fanout.engine.copier import Copier
from s3fanout.engine.delivery import Deliverer
from s3fanout.engine.exclusive import Attempts
from s3fanout.engine.holding import HoldingCopier
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.tags import Tags
from s3fanout.engine.turns import TurnTaker
from s3fanout.model.errors import Misconfigured
from s3fanout.model.limits import MIB
from s3fanout.model.rules import Drift
from s3fanout.model.vendors import Vendor, VendorName, vendor_named

COPY_S = 900.0
"""S3 sends nothing while it copies up to 5 GB; no invocation is longer than this (AWS quotas)."""


def open_transport(settings: FunctionSettings) -> Transport:
    """Connections for all attempts that an invocation makes at one time."""
    return RoutedTransport(
        TransportSettings(
            connections_max=2 * settings.concurrency + 8, read_s=COPY_S, total_s=COPY_S
        )
    )


ONE_REQUEST_BYTES_MAX = 512 * MIB
"""Larger objects are copied in parts: one CopyObject of 5 GB can outlast an invocation."""


class Function:
    """Everything that invocations share."""

    def __init__(
        self,
        settings: FunctionSettings,
        env: Mapping[str, str],
        *,
        transport: Transport,
        write: Callable[[str], object],
    ) -> None:
        """Build; nothing is requested yet.

        Args:
            settings: Of the function.
            env: Lambda's own variables: credentials, region, and an emulator's endpoint.
            transport: From ``open_transport``; closed with the function.
            write: Takes log lines.

        Raises:
            AccessDenied: There are no credentials.
            Misconfigured: A region or the endpoint makes no sense.
        """
        self._settings = settings
        self._endpoint_url = env.get("AWS_ENDPOINT_URL") or None
        self._own_region = env.get("AWS_REGION") or settings.source_region
        self._credentials = credentials_of("AWS", env)
        self._clock = SystemClock()
        self._rand = SystemRand()
        self._transport = transport
        self.report = Report(
            destination=settings.destination,
            function=env.get("AWS_LAMBDA_FUNCTION_NAME") or settings.bucket,
            write=write,
            now_ms=self._clock.now_ms,
        )
        self._ledger = (
            None
            if settings.table is None
            else DynamoDbLedger(
                self._client(DYNAMODB), settings.table, clock=self._clock, queue=None
            )
        )
        self._uploads = self._ledger or LocalUploads()
        messages = None if settings.queue_url is None else SqsMessages(self._client(SQS))
        self._invocations = Invocations(
            settings,
            deliverers=_Deliverers(self.deliverer),
            messages=messages,
            send_on=self._sender(messages, env),
            uploads=self._uploads,
            keeper=self._ledger,
            clock=self._clock,
            report=self.report,
        )

    async def invoke(
        self, event: dict[str, Any], *, time_s: float, request_id: str
    ) -> dict[str, Any]:
        """Work one invocation off within ``time_s``; see ``awslambda.invocation``."""
        self.report.request_id = request_id
        records = event.get("Records") or ()
        try:
            if SWEEP in event:
                return await self._sweep(event[SWEEP], time_s=time_s)
            if records and records[0].get("eventSource") == "aws:sqs":
                return await self._invocations.batch(records, time_s=time_s)
            return await self._invocations.event(event, time_s=time_s)
        finally:
            self.report.flush()

    async def _sweep(self, asked: SweepOrder, *, time_s: float) -> dict[str, Any]:
        """Go on with the sweep: list, compare, queue what events missed.

        Raises:
            Misconfigured: There is no ledger or no queue (topology classic).
            S3FanoutError: It could not; the next run goes on.
        """
        # Only the schedule needs these: a copy should not wait for them in a cold function.
        from s3fanout.adapters.aws.books import AwsBooks  # noqa: PLC0415
        from s3fanout.adapters.aws.sqs_queue import SqsQueue  # noqa: PLC0415
        from s3fanout.engine.sweep_pages import AgainstLedger, AgainstReplicas  # noqa: PLC0415
        from s3fanout.engine.sweep_runs import Pages, SweepRuns  # noqa: PLC0415

        settings, url = self._settings, self._settings.queue_url
        if self._ledger is None or url is None or settings.source_bucket is None:
            raise Misconfigured("a sweep needs the ledger and the queue of topology durable")
        messages = SqsMessages(self._client(SQS))
        urls = {settings.destination: url}
        books = AwsBooks(self._ledger, SqsQueue(messages, urls, clock=self._clock), messages, urls)
        source = self._store(settings.source_bucket, settings.source_region, is_source=True)
        rule = replace(settings.rule, drift=Drift(asked.get("drift", Drift.REPORT)))
        pages: Pages
        if asked.get("replicas", False):
            pages = AgainstReplicas(
                rule=rule,
                source=source,
                replica=self._store(settings.bucket, settings.region),
                ledger=self._ledger,
                books=books,
                clock=self._clock,
                grace_s=asked["grace_s"],
                drifted=self.report.drifted,
            )
        else:
            pages = AgainstLedger(
                rule=rule,
                source=source,
                books=books,
                clock=self._clock,
                grace_s=asked["grace_s"],
            )
        runs = SweepRuns(
            rule=rule,
            source_bucket=settings.source_bucket,
            pages=pages,
            books=books,
            clock=self._clock,
            interval_s=asked["interval_s"],
        )
        stop_at_s = self._clock.monotonic_s() + time_s * PARTS_SHARE
        now, done = await runs.run(stop_at_s=stop_at_s)
        found = {"healed": done.healed, "drifted": done.drifted, "foreign": done.foreign}
        self.report.swept(seen=now.seen, found=found, is_complete=now.ended_at_ms is not None)
        return {"seen": now.seen, **found}

    def deliverer(self, source_bucket: str) -> Deliverer:
        """What copies from one bucket, as the daemon does; made once."""
        settings = self._settings
        source = self._store(source_bucket, settings.source_region, is_source=True)
        destination = self._store(settings.bucket, settings.region)
        limits = settings.limits
        # In parts it can be continued, and parts are copied side by side.
        limits = replace(limits, copy_bytes_max=min(limits.copy_bytes_max, ONE_REQUEST_BYTES_MAX))
        keeper = Keeper(
            settings.rule.keeping,
            destination=destination,
            vendor=_amazon_s3,
            clock=self._clock,
        )
        reads = SharedReads(
            source,
            budget_bytes=limits.stream_bytes,
            part_bytes=limits.part_bytes,
            destinations=1,
            vendor=_amazon_s3,
            clock=self._clock,
        )
        attempts: Attempts = Copier(
            rule=settings.rule,
            way=Way.SERVER,
            source=source,
            destination=destination,
            reads=reads,
            keeper=keeper,
            takers_of=lambda _: (settings.destination,),
            remover=None,
            uploads=self._uploads,
            conditions_honoured=lambda: self._endpoint_url is None,
            clock=self._clock,
            limits=limits,
        )
        if settings.loop_guard:
            attempts = ComparingCopier(
                attempts,
                rule=settings.rule,
                source=source,
                destination=destination,
                keeper=keeper,
                tags=reads.tags,
                replica_tags=Tags(destination, vendor=_amazon_s3, clock=self._clock),
                always=True,
            )
        taker = TurnTaker(
            # Outermost: a key that is not held is neither compared nor copied.
            copier=HoldingCopier(
                attempts,
                rule=settings.rule,
                source=source,
                destination=destination,
                vendor=_amazon_s3,
            ),
            source=source,
            destination=destination,
            key_map=settings.rule.key_map,
            ledger=self._ledger,
        )
        return Deliverer(
            taker=taker,
            ledger=self._ledger,
            clock=self._clock,
            rand=self._rand,
            telemetry=self.report,
            limits=limits,
        )

    async def close(self) -> None:
        """Close connections. Lambda never asks for it."""
        await self._transport.close()

    def _sender(
        self, messages: SqsMessages | None, env: Mapping[str, str]
    ) -> Callable[[str], Awaitable[None]]:
        """What has another invocation work a job message off: the queue, or Lambda itself."""
        url = self._settings.queue_url
        if messages is not None and url is not None:
            return lambda body: messages.send(url, [body])
        name = env.get("AWS_LAMBDA_FUNCTION_NAME") or self._settings.bucket
        return LambdaFunction(self._client(LAMBDA), name).invoke_later

    def _store(self, bucket: str, region: str, *, is_source: bool = False) -> S3Store:
        endpoint = (
            aws_endpoint(region)
            if self._endpoint_url is None
            else Endpoint.parse(self._endpoint_url, region=region)
        )
        return S3Store(
            bucket=bucket,
            endpoint=endpoint,
            credentials=self._credentials,
            transport=self._transport,
            clock=self._clock,
            is_source=is_source,
        )

    def _client(self, service: Service) -> JsonClient:
        return JsonClient(
            service,
            region=self._own_region,
            endpoint_url=self._endpoint_url,
            credentials=self._credentials,
            transport=self._transport,
            clock=self._clock,
            rand=self._rand,
        )


async def _amazon_s3() -> Vendor:
    """Whose store every destination of a function is."""
    return vendor_named(VendorName.AWS)


class _Deliverers(dict[str, Deliverer]):
    """By source bucket, made when first asked for."""

    def __init__(self, make: Callable[[str], Deliverer]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, bucket: str) -> Deliverer:
        made = self[bucket] = self._make(bucket)
        return made
