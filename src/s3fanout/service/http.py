"""The daemon's HTTP side: webhook intake, health, metrics, JSON status API.

| path | auth | answers |
|---|---|---|
| ``POST`` webhook path | token | 200 accepted, 202 kept as malformed, 401, 408, 413, 503 again |
| any, before its head is whole | – | 408, 431: see ``service.heads`` |
| ``GET /healthz`` | – | 200 while the process works |
| ``GET /readyz`` | – | 200 while events are taken in and outcomes written, else 503 and why |
| ``GET /metrics`` | – | Prometheus text |
| ``GET /api/v1/status`` | token | the status document |
| ``GET /api/v1/failures`` | token | dead letters; ``destination``, ``limit``, ``offset`` |
| ``GET /api/v1/keys?key=…`` | token | the ledger's records of one key |

The token travels as ``Authorization: Bearer …``, or as the password of Basic authentication for
senders that can only put it into the URL (Ceph RGW). Without a configured token the API answers on
loopback only, which the configuration check enforces.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from s3fanout.engine.receive import Receipt
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.ports.ledger import FailureSelection
from s3fanout.service.status import SCHEMA_VERSION, Json

LOG = logging.getLogger(__name__)

FAILURES_MAX = 1000
RETRY_AFTER_S = 5
BODY_S = 60.0
"""A sender that trickles its bytes must not hold a connection and its memory for ever."""


class Daemon(Protocol):
    """What the HTTP side needs of the daemon."""

    @property
    def draining(self) -> bool: ...
    async def receive(self, body: bytes) -> Receipt: ...
    def not_ready_reason(self) -> str | None: ...
    async def status(self) -> Json: ...
    async def metrics(self) -> bytes: ...
    async def failures(
        self, selection: FailureSelection, *, limit: int, offset: int
    ) -> list[Json]: ...
    async def key_records(self, key: str) -> list[Json]: ...


def application(
    daemon: Daemon,
    *,
    token: str | None,
    webhook_path: str | None,
    body_bytes_max: int,
    body_s: float = BODY_S,
) -> web.Application:
    """The whole HTTP side.

    Args:
        daemon: Does the work.
        token: Required of senders and API users; ``None`` for none.
        webhook_path: Where events are posted; ``None`` without webhook intake.
        body_bytes_max: Larger bodies are refused unread.
        body_s: How long a body may take to come.
    """
    app = web.Application(client_max_size=body_bytes_max, middlewares=[_errors_as_json])
    guarded = _Guard(token)
    if webhook_path is not None:
        app.router.add_post(webhook_path, guarded(_webhook(daemon, body_s)))
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(daemon))
    app.router.add_get("/metrics", _metrics(daemon))
    app.router.add_get("/api/v1/status", guarded(_status(daemon)))
    app.router.add_get("/api/v1/failures", guarded(_failures(daemon)))
    app.router.add_get("/api/v1/keys", guarded(_keys(daemon)))
    return app


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Guard:
    """Lets only requests with the token through."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def __call__(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            # Two of them may mean two things to us and to a proxy in front: neither counts.
            given = request.headers.getall("Authorization", [])
            if self._token is not None and (len(given) != 1 or not self._admits(given[0])):
                return _problem(
                    HTTPStatus.UNAUTHORIZED,
                    "unauthorized",
                    "the token is missing or wrong",
                    "send 'Authorization: Bearer TOKEN' with the token that intake.webhook.token "
                    "refers to",
                    {"WWW-Authenticate": "Bearer"},
                )
            return await handler(request)

        return checked

    def _admits(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        candidate = given.strip().encode("utf-8", "surrogateescape")  # as aiohttp decoded it
        if scheme.lower() == "basic":
            try:
                candidate = base64.b64decode(candidate, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return self._token is not None and hmac.compare_digest(candidate, self._token)


def _webhook(daemon: Daemon, body_s: float) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(body_s):
                body = await request.read()
        except TimeoutError:
            return _problem(
                HTTPStatus.REQUEST_TIMEOUT,
                "too-slow",
                f"the body did not come within {body_s:.0f} s",
                "nothing was accepted: send it again",
                {"Connection": "close"},
            )
        if daemon.draining:
            return _try_again("the daemon is stopping", "nothing was accepted: send it again")
        try:
            receipt = await daemon.receive(body)
        except LedgerUnavailable as error:
            LOG.error("event refused, the sender must send again: %s", error)  # noqa: TRY400
            # Of a message with malformed records the jobs may be accepted, and are known then.
            return _try_again(error.message, "send all of it again")
        kept_only = receipt.malformed and not receipt.events and not receipt.ignored
        return web.json_response(
            _receipt_document(receipt),
            status=HTTPStatus.ACCEPTED if kept_only else HTTPStatus.OK,
        )

    return handle


async def _healthz(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "ok"})


def _readyz(daemon: Daemon) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        reason = daemon.not_ready_reason()
        if reason is not None:
            return web.json_response(
                {"status": "not ready", "reason": reason}, status=HTTPStatus.SERVICE_UNAVAILABLE
            )
        return web.json_response({"status": "ready"})

    return handle


def _metrics(daemon: Daemon) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=await daemon.metrics(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    return handle


def _status(daemon: Daemon) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.json_response(await daemon.status())

    return handle


def _failures(daemon: Daemon) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            limit = min(int(request.query.get("limit", "100")), FAILURES_MAX)
            offset = int(request.query.get("offset", "0"))
        except ValueError:
            limit = offset = -1
        if limit < 1 or offset < 0:
            return _problem(
                HTTPStatus.BAD_REQUEST,
                "bad-parameter",
                "limit and offset are whole numbers, limit from 1",
                "",
            )
        selection = FailureSelection(destination=request.query.get("destination"))
        rows = await daemon.failures(selection, limit=limit, offset=offset)
        return web.json_response(
            {"schema_version": SCHEMA_VERSION, "kind": "failures", "failures": rows}
        )

    return handle


def _keys(daemon: Daemon) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        key = request.query.get("key")
        if not key:
            return _problem(
                HTTPStatus.BAD_REQUEST, "bad-parameter", "the parameter key is missing", ""
            )
        rows = await daemon.key_records(key)
        return web.json_response({"schema_version": SCHEMA_VERSION, "kind": "key", "records": rows})

    return handle


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error answer is JSON with a message and a hint; a defect is logged, never shown."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge as error:
        return _problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too-large",
            f"the body is larger than the limit: {error.text}",
            "an S3 event has at most 64 KiB; raise intake.webhook.body_max for larger batches",
        )
    except web.HTTPException as error:
        return _problem(HTTPStatus(error.status), "http", error.reason, "")
    except LedgerUnavailable as error:
        return _try_again(error.message, "ask again")
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        LOG.exception("request failed by a defect of s3fanout", extra={"path": request.path})
        return _problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "defect", "an unexpected error; see the log", ""
        )


def _receipt_document(receipt: Receipt) -> Json:
    return {
        "status": "kept" if receipt.malformed and not receipt.events else "accepted",
        "events": receipt.events,
        "queued": receipt.queued,
        "duplicate": receipt.duplicate,
        "stale": receipt.stale,
        "unwanted": receipt.unwanted,
        "ignored": receipt.ignored,
        "malformed": receipt.malformed,
        "notes": list(receipt.notes),
    }


def _try_again(reason: str, hint: str) -> web.Response:
    return _problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-ready",
        reason,
        hint,
        {"Retry-After": str(RETRY_AFTER_S)},
    )


def _problem(
    status: HTTPStatus, code: str, message: str, hint: str, headers: dict[str, str] | None = None
) -> web.Response:
    return web.json_response(
        {"error": {"code": code, "message": message, "hint": hint}},
        status=status,
        headers=headers,
    )
