"""One signed JSON request to DynamoDB, SQS or Lambda; small, so that a cold function starts fast.

The first two speak "AWS JSON 1.0": ``POST /`` with the operation in ``x-amz-target`` (AWS,
"DynamoDB low-level API" and "Amazon SQS: making requests using AWS JSON protocol", read 2026-11).
Lambda has a path for each operation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from s3fanout.adapters.store.aws_endpoints import dns_suffix
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.sigv4 import Signer, SigningDate
from s3fanout.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.adapters.store.credentials import CredentialSource
    from s3fanout.adapters.store.transport import Header, Response, Transport
    from s3fanout.ports.system import Clock, Rand

TRIES = 4
PAUSE_S = 0.05
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""DynamoDB answers at most 16 MB, SQS 10 messages of 1 MiB."""

_DONE = frozenset({200, 202})
_THROTTLED = ("Throttling", "ProvisionedThroughputExceeded", "RequestLimitExceeded")


@dataclass(frozen=True, slots=True)
class Service:
    """What is called.

    Attributes:
        name: In host names and signatures: ``dynamodb``, ``sqs``.
        target: Prefix of the operation; ``""`` where operations have paths.
    """

    name: str
    target: str = ""


DYNAMODB = Service("dynamodb", "DynamoDB_20120810")
SQS = Service("sqs", "AmazonSQS")
LAMBDA = Service("lambda")


class ServiceRefusal(Exception):
    """The service answered that it will not do it.

    Attributes:
        operation: What was asked.
        code: The error's short name, ``ConditionalCheckFailedException``.
        status: HTTP status.
        document: The whole answer.
    """

    def __init__(self, operation: str, code: str, status: int, document: dict[str, Any]) -> None:
        text = str(document.get("message") or document.get("Message") or "")
        super().__init__(f"service said {code} operation={operation} message={text[:300]!r}")
        self.operation = operation
        self.code = code
        self.status = status
        self.document = document


class JsonClient:
    """Calls one service in one region."""

    def __init__(
        self,
        service: Service,
        *,
        region: str,
        endpoint_url: str | None,
        credentials: CredentialSource,
        transport: Transport,
        clock: Clock,
        rand: Rand,
    ) -> None:
        """Bind to a service.

        Args:
            service: ``DYNAMODB``, ``SQS`` or ``LAMBDA``.
            region: Where.
            endpoint_url: Of an emulator; ``None`` is AWS.
            credentials: Who signs.
            transport: May be shared; not closed from here.
            clock: Signs the time, and pauses between tries.
            rand: Jitter of those pauses.
        """
        url = endpoint_url or f"https://{service.name}.{region}.{dns_suffix(region)}"
        endpoint = Endpoint.parse(url, region=region)
        self._target = service.target
        self._base = f"{endpoint.scheme}://{endpoint.authority}"
        self._host = endpoint.authority
        self._signer = Signer(region, service.name)
        self._credentials = credentials
        self._transport = transport
        self._clock = clock
        self._rand = rand

    async def call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """One operation; tried ``TRIES`` times while the service is throttling or not answering.

        So it may be carried out twice: callers ask only for what is harmless twice.

        Raises:
            ServiceRefusal: The service said no, or was throttling to the end.
            Unavailable: No answer to the end.
        """
        content = json.dumps(body, separators=(",", ":")).encode()
        target = ("x-amz-target", f"{self._target}.{operation}")
        return await self.post(operation, "/", content, headers=(target,))

    async def post(
        self, operation: str, path: str, content: bytes, *, headers: Sequence[Header]
    ) -> dict[str, Any]:
        """As ``call``, with a path and headers of the service."""
        for number in range(1, TRIES + 1):
            try:
                return _understood(operation, await self._send(path, content, headers))
            except (Unavailable, ServiceRefusal) as error:
                if number == TRIES or not _is_passing(error):
                    raise
            await self._clock.sleep(self._rand.uniform(0.0, PAUSE_S * float(1 << number)))
        raise AssertionError("unreachable")

    async def _send(self, path: str, content: bytes, own: Sequence[Header]) -> Response:
        credentials = await self._credentials.current()
        date = SigningDate.of_ms(self._clock.now_ms())
        digest = sha256(content).hexdigest()
        headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("host", self._host),
            ("x-amz-content-sha256", digest),
            ("x-amz-date", date.amz_date),
            *own,
        ]
        if credentials.token is not None:
            headers.append(("x-amz-security-token", credentials.token))
        headers.sort()  # as they are signed
        authorization = self._signer.authorization(
            method="POST",
            raw_path=path,
            query="",
            headers=headers,
            payload_sha256_hex=digest,
            date=date,
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
        )
        return await self._transport.request(
            "POST",
            self._base,
            path,
            "",
            [*headers, ("authorization", authorization)],
            content,
            response_bytes_max=ANSWER_BYTES_MAX,
        )


def _understood(operation: str, answer: Response) -> dict[str, Any]:
    try:
        document = json.loads(answer.body or b"{}")
    except (RecursionError, ValueError):
        document = None
    if not isinstance(document, dict):
        raise Unavailable(
            f"broken answer operation={operation} status={answer.status}",
            operation=operation,
            status=answer.status,
        )
    if answer.status in _DONE:
        return document
    kind = str(document.get("__type") or answer.headers.get("x-amzn-errortype") or "")
    code = kind.rpartition("#")[2].partition(":")[0] or f"HTTP{answer.status}"
    raise ServiceRefusal(operation, code, answer.status, document)


def _is_passing(error: Unavailable | ServiceRefusal) -> bool:
    """Whether the same request may work in a moment."""
    if isinstance(error, Unavailable):
        return True
    return error.status >= 500 or is_throttling(error)  # noqa: PLR2004 - HTTP


def is_throttling(error: ServiceRefusal) -> bool:
    """Whether the service asks for a lower rate."""
    return error.code.startswith(_THROTTLED)
