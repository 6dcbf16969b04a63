"""The HTTP side against a daemon that only answers."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from s3fanout.engine.receive import Receipt
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.ports.ledger import FailureSelection
from s3fanout.service.http import FAILURES_MAX, RETRY_AFTER_S, application
from s3fanout.service.status import Json

TOKEN = "a secret:with a colon"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ACCEPTED = Receipt(1, 3, 0, 0, 0, 0, 0, ())


class AnsweringDaemon:
    """What the HTTP side needs, without anything behind it."""

    def __init__(self) -> None:
        self.draining = False
        self.reason: str | None = None
        self.receipt = ACCEPTED
        self.error: Exception | None = None
        self.bodies: list[bytes] = []
        self.asked: list[tuple[FailureSelection, int, int]] = []
        self.keys: list[str] = []

    async def receive(self, body: bytes) -> Receipt:
        self.bodies.append(body)
        self._fail()
        return self.receipt

    def not_ready_reason(self) -> str | None:
        return self.reason

    async def status(self) -> Json:
        self._fail()
        return {"kind": "status"}

    async def metrics(self) -> bytes:
        return b"s3fanout_up 1\n"

    async def failures(self, selection: FailureSelection, *, limit: int, offset: int) -> list[Json]:
        self.asked.append((selection, limit, offset))
        return [{"key": "k"}]

    async def key_records(self, key: str) -> list[Json]:
        self.keys.append(key)
        return [{"key": key}]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


Client = TestClient[web.Request, web.Application]


@pytest.fixture
def daemon() -> AnsweringDaemon:
    return AnsweringDaemon()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def open_client(
    stack: AsyncExitStack,
    daemon: AnsweringDaemon,
    *,
    token: str | None = TOKEN,
    webhook_path: str | None = "/events",
    body_s: float = 60.0,
) -> Client:
    app = application(
        daemon, token=token, webhook_path=webhook_path, body_bytes_max=100, body_s=body_s
    )
    return await stack.enter_async_context(TestClient(TestServer(app)))


@pytest.fixture
async def client(stack: AsyncExitStack, daemon: AnsweringDaemon) -> Client:
    return await open_client(stack, daemon)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_an_accepted_event_is_acknowledged_with_its_receipt(
    client: Client, daemon: AnsweringDaemon
) -> None:
    answer = await client.post("/events", data=b"{}", headers=BEARER)
    document = await answer.json()
    assert answer.status == 200
    assert (document["status"], document["events"], document["queued"]) == ("accepted", 1, 3)
    assert daemon.bodies == [b"{}"]


@pytest.mark.parametrize(
    ("receipt", "status", "word"),
    [
        (Receipt(0, 0, 0, 0, 0, 0, 1, ("kept x",)), 202, "kept"),
        (Receipt(1, 1, 0, 0, 0, 0, 1, ("kept x",)), 200, "accepted"),
        (Receipt(0, 0, 0, 0, 0, 1, 0, ("ignored x",)), 200, "accepted"),
    ],
)
async def test_a_message_that_was_only_kept_is_told_apart(
    client: Client, daemon: AnsweringDaemon, receipt: Receipt, status: int, word: str
) -> None:
    daemon.receipt = receipt
    answer = await client.post("/events", data=b"x", headers=BEARER)
    document = await answer.json()
    assert (answer.status, document["status"]) == (status, word)
    assert document["notes"] == list(receipt.notes)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Digest {TOKEN}",
        TOKEN,
        basic("any", "wrong"),
        basic(TOKEN, ""),
        "Basic not*base64",
        "Basic \u00fc",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/events"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/failures"),
        ("GET", "/api/v1/keys?key=k"),
    ],
)
async def test_without_the_token_nothing_is_done_or_shown(
    client: Client, daemon: AnsweringDaemon, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await client.request(method, path, headers=headers, data=b"{}")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    error = (await answer.json())["error"]
    assert error["code"] == "unauthorized"
    assert TOKEN not in str(error)
    assert (daemon.bodies, daemon.asked, daemon.keys) == ([], [], [])


@pytest.mark.parametrize(
    "header", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic("", TOKEN), basic("user", TOKEN)]
)
async def test_the_token_comes_as_bearer_or_as_the_password_of_basic(
    client: Client, header: str
) -> None:
    answer = await client.post("/events", headers={"Authorization": header}, data=b"{}")
    assert answer.status == 200


async def test_tokens_are_compared_in_constant_time_wherever_they_differ(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    class Recording:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return hmac.compare_digest(one, other)

    monkeypatch.setattr("s3fanout.service.http.hmac", Recording)
    others = (f"X{TOKEN[1:]}", f"{TOKEN[:-1]}X", TOKEN[:-1], f"{TOKEN}X")
    for given in (*others, TOKEN):
        answer = await client.get("/api/v1/status", headers={"Authorization": f"Bearer {given}"})
        assert (answer.status == 200) is (given == TOKEN)
    assert compared == [(given.encode(), TOKEN.encode()) for given in (*others, TOKEN)]


async def test_without_a_configured_token_everybody_may(
    stack: AsyncExitStack, daemon: AnsweringDaemon
) -> None:
    client = await open_client(stack, daemon, token=None)
    assert (await client.post("/events", data=b"{}")).status == 200
    assert (await client.get("/api/v1/status")).status == 200


async def test_a_body_beyond_the_limit_is_refused(client: Client, daemon: AnsweringDaemon) -> None:
    answer = await client.post("/events", data=b"x" * 101, headers=BEARER)
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (413, "too-large")
    assert "body_max" in error["hint"]
    assert daemon.bodies == []
    assert (await client.post("/events", data=b"x" * 100, headers=BEARER)).status == 200


async def test_two_tokens_are_none(client: Client, daemon: AnsweringDaemon) -> None:
    twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    for headers in (twice, [twice[0], ("Authorization", "Bearer wrong")]):
        answer = await client.post("/events", data=b"{}", headers=CIMultiDict(headers))
        assert answer.status == 401
    assert daemon.bodies == []


async def test_a_header_that_is_too_long_is_refused(
    client: Client, daemon: AnsweringDaemon
) -> None:
    answer = await client.post(
        "/events", data=b"{}", headers={"Authorization": "Bearer " + "x" * 100_000}
    )
    assert answer.status == 400
    assert daemon.bodies == []


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_bodies_in_chunks_are_bounded_too(client: Client, daemon: AnsweringDaemon) -> None:
    answer = await client.post("/events", data=in_pieces(*[b"x" * 40] * 3), headers=BEARER)
    assert answer.status == 413
    assert daemon.bodies == []
    answer = await client.post("/events", data=in_pieces(b"{", b"}"), headers=BEARER)
    assert answer.status == 200
    assert daemon.bodies == [b"{}"]


async def test_a_body_that_does_not_come_is_given_up(
    stack: AsyncExitStack, daemon: AnsweringDaemon
) -> None:
    client = await open_client(stack, daemon, body_s=0.01)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        f"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n"
        f"authorization: Bearer {TOKEN}\r\n\r\nslow".encode()
    )
    answer = await reader.read()  # To the end: the connection is given up, too.
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert daemon.bodies == []


async def test_a_ledger_that_fails_asks_the_sender_to_come_again(
    client: Client, daemon: AnsweringDaemon
) -> None:
    """It says nothing of what was accepted: of a message that was kept in part, the jobs were."""
    daemon.error = LedgerUnavailable("disk full")
    for method, path, hint in (
        ("POST", "/events", "send all of it again"),
        ("GET", "/api/v1/status", "ask again"),
    ):
        answer = await client.request(method, path, data=b"{}", headers=BEARER)
        error = (await answer.json())["error"]
        assert (answer.status, error["message"], error["hint"]) == (503, "disk full", hint)
        assert answer.headers["Retry-After"] == str(RETRY_AFTER_S)


async def test_a_daemon_that_stops_accepts_nothing_more(
    client: Client, daemon: AnsweringDaemon
) -> None:
    daemon.draining = True
    answer = await client.post("/events", data=b"{}", headers=BEARER)
    assert answer.status == 503
    assert (await answer.json())["error"]["hint"] == "nothing was accepted: send it again"
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_S)
    assert daemon.bodies == []


async def test_a_defect_is_logged_and_never_shown(
    client: Client, daemon: AnsweringDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.error = ZeroDivisionError("an inner detail")
    answer = await client.post("/events", data=b"{}", headers=BEARER)
    assert answer.status == 500
    assert (await answer.json())["error"]["code"] == "defect"
    assert "an inner detail" not in await answer.text()
    assert "an inner detail" in caplog.text


async def test_health_readiness_and_metrics_need_no_token(
    client: Client, daemon: AnsweringDaemon
) -> None:
    healthy, ready = await client.get("/healthz"), await client.get("/readyz")
    assert (healthy.status, await healthy.json()) == (200, {"status": "ok"})
    assert (ready.status, await ready.json()) == (200, {"status": "ready"})
    metrics = await client.get("/metrics")
    assert (metrics.status, await metrics.read()) == (200, b"s3fanout_up 1\n")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_a_daemon_that_is_not_ready_says_why(client: Client, daemon: AnsweringDaemon) -> None:
    daemon.reason = "the ledger refuses outcomes"
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert (await answer.json())["reason"] == "the ledger refuses outcomes"
    assert (await client.get("/healthz")).status == 200


async def test_failures_are_paged(client: Client, daemon: AnsweringDaemon) -> None:
    answer = await client.get("/api/v1/failures", headers=BEARER)
    assert await answer.json() == {
        "schema_version": 1,
        "kind": "failures",
        "failures": [{"key": "k"}],
    }
    await client.get("/api/v1/failures?destination=a&limit=99999&offset=7", headers=BEARER)
    assert daemon.asked == [
        (FailureSelection(), 100, 0),
        (FailureSelection(destination="a"), FAILURES_MAX, 7),
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "offset=-1", "offset=1.5"])
async def test_a_bad_page_is_refused(client: Client, daemon: AnsweringDaemon, query: str) -> None:
    answer = await client.get(f"/api/v1/failures?{query}", headers=BEARER)
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad-parameter")
    assert daemon.asked == []


async def test_a_key_is_asked_for_verbatim(client: Client, daemon: AnsweringDaemon) -> None:
    key = "a/../b +%2F\n\u00fc"
    answer = await client.get("/api/v1/keys", params={"key": key}, headers=BEARER)
    assert await answer.json() == {"schema_version": 1, "kind": "key", "records": [{"key": key}]}
    assert daemon.keys == [key]


@pytest.mark.parametrize("path", ["/api/v1/keys", "/api/v1/keys?key="])
async def test_a_missing_key_is_refused(client: Client, path: str) -> None:
    answer = await client.get(path, headers=BEARER)
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad-parameter")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/events", 405), ("POST", "/healthz", 405)],
)
async def test_what_is_not_there_is_told_as_json(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status == status
    assert answer.content_type == "application/json"
    assert set((await answer.json())["error"]) == {"code", "message", "hint"}


async def test_without_webhook_intake_no_event_is_taken(
    stack: AsyncExitStack, daemon: AnsweringDaemon
) -> None:
    client = await open_client(stack, daemon, webhook_path=None)
    assert (await client.post("/events", data=b"{}", headers=BEARER)).status == 404
    assert (await client.get("/api/v1/status", headers=BEARER)).status == 200
