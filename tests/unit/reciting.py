"""An S3 client over a transport that only recites: answers that no well-behaved server gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Addressing, Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import Header, Response
from s3fanout.model.errors import Unavailable

COPIED = b"<CopyObjectResult><ETag>&quot;e1&quot;</ETag></CopyObjectResult>"


@dataclass(frozen=True, slots=True)
class Sent:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Reciting:
    """``Transport`` that records requests and gives the next answer of its list."""

    answers: list[Response | Unavailable]
    sent: list[Sent] = field(default_factory=list)
    closed: int = 0

    async def request(  # noqa: PLR0917 -- the transport's signature
        self,
        method: str,
        base: str,
        raw_path: str,
        query: str,
        headers: Sequence[Header],
        body: bytes = b"",
        *,
        response_bytes_max: int,
        total_s: float | None = None,
    ) -> Response:
        assert len(dict(headers)) == len(headers)
        url = base + raw_path + (f"?{query}" if query else "")
        self.sent.append(Sent(method, url, dict(headers), body))
        answer = self.answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        if len(answer.body) > response_bytes_max:
            return Response(answer.status, answer.headers, b"", oversized=True)
        return answer

    async def close(self) -> None:
        self.closed += 1


@dataclass(slots=True)
class FixedClock:
    at_ms: int = 1_795_395_723_000

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the client never waits")


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"content-length": str(len(body)), **named}, body)


def error(status: int, code: str) -> Response:
    return answer(status, f"<Error><Code>{code}</Code></Error>".encode())


def store_of(
    *answers: Response | Unavailable,
    token: str | None = None,
    endpoint: str = "https://s3.test",
    is_source: bool = False,
    on_again: Callable[[str], None] = lambda _operation: None,
    transport: Reciting | None = None,
    clock: FixedClock | None = None,
) -> tuple[S3Store, Reciting]:
    transport = transport or Reciting(list(answers))
    store = S3Store(
        bucket="bucket",
        endpoint=Endpoint.parse(endpoint, region="eu-west-1", addressing=Addressing.PATH),
        credentials=StaticCredentials("AKEXAMPLE", "very-secret", token),
        transport=transport,
        clock=clock or FixedClock(),
        is_source=is_source,
        on_again=on_again,
    )
    return store, transport
