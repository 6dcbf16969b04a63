"""One deployment, opened for a command: its names, its session, its ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from s3fanout.adapters.aws.books import AwsBooks
from s3fanout.adapters.aws.json_client import DYNAMODB, SQS, JsonClient, Service
from s3fanout.adapters.aws.sqs_messages import SqsMessages
from s3fanout.adapters.aws.sqs_queue import SqsQueue
from s3fanout.adapters.journal.dynamodb import DynamoDbLedger
from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.transport import TransportSettings
from s3fanout.adapters.store.transport_routed import RoutedTransport
from s3fanout.adapters.system import SystemRand
from s3fanout.config.settings import Settings
from s3fanout.deploy.names import DestinationNames, Names, names_of
from s3fanout.deploy.session import AwsSession, asking, open_session
from s3fanout.deploy.vitals import require_stack
from s3fanout.model.errors import Misconfigured
from s3fanout.wiring import system_clock


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a command works on.

    Attributes:
        settings: Of the file.
        names: Of every resource.
        session: Reaches them.
    """

    settings: Settings
    names: Names
    session: AwsSession

    def chosen(self, destination: str | None) -> list[DestinationNames]:
        """One destination, or all for ``None``.

        Raises:
            Misconfigured: It is not enabled, and so not deployed.
        """
        if destination is None:
            return list(self.names.destinations.values())
        if destination not in self.names.destinations:
            raise Misconfigured(
                f"{destination} is not enabled, so it is not deployed",
                hint="the deployment has: " + ", ".join(self.names.destinations),
            )
        return [self.names.destinations[destination]]

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[DynamoDbLedger]:
        """The ledger; its ``redrive`` sends jobs to the destinations' queues.

        Raises:
            Misconfigured: Topology classic has none.
        """
        async with self.books() as books:
            yield books.ledger

    @asynccontextmanager
    async def books(self) -> AsyncIterator[AwsBooks]:
        """Ledger and queues.

        Raises:
            Misconfigured: Topology classic has neither.
        """
        if self.names.table is None:
            raise Misconfigured(
                "topology classic keeps no ledger",
                hint='s3fanout logs shows what the functions did; topology "durable" has a ledger',
            )
        sqs = self.session.client("sqs")
        with asking("the queues"):
            urls = {
                name: str(sqs.get_queue_url(QueueName=of.queue)["QueueUrl"])
                for name, of in self.names.destinations.items()
            }
        clock = system_clock()
        limits = self.settings.limits
        transport = RoutedTransport(
            TransportSettings(
                connections_max=8,
                connect_s=limits.connect_timeout_s,
                read_s=limits.request_timeout_s,
                total_s=limits.request_timeout_s,
            )
        )
        identity = self.session.identity
        credentials = StaticCredentials(identity.access_key, identity.secret_key, identity.token)

        def client(service: Service) -> JsonClient:
            return JsonClient(
                service,
                region=self.session.region,
                endpoint_url=self.session.endpoint,
                credentials=credentials,
                transport=transport,
                clock=clock,
                rand=SystemRand(),
            )

        messages = SqsMessages(client(SQS))
        queue = SqsQueue(messages, urls, clock=clock)
        ledger = DynamoDbLedger(client(DYNAMODB), self.names.table, clock=clock, queue=queue)
        try:
            yield AwsBooks(ledger, queue, messages, urls)
        finally:
            await transport.close()


def open_deployment(settings: Settings, env: Mapping[str, str]) -> Deployment:
    """The deployment that the settings describe.

    Raises:
        Misconfigured: There is no ``[aws]`` section, or nothing is deployed.
        AccessDenied: No credentials, or they may not look.
    """
    session = open_session(settings, env)
    names = names_of(settings)
    require_stack(session, names)
    return Deployment(settings, names, session)
