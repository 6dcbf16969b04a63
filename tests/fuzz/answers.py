"""What a store or a service answers, from the first byte of its HTTP on, and credential files."""

from __future__ import annotations

import asyncio
import json
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from s3fanout.adapters.aws.json_client import SQS, JsonClient
from s3fanout.adapters.aws.sqs_messages import SqsMessages
from s3fanout.adapters.journal import dynamodb_items
from s3fanout.adapters.store.credentials import CredentialSource, FileCredentials, StaticCredentials
from s3fanout.adapters.store.endpoint import Addressing, Endpoint
from s3fanout.adapters.store.s3 import S3Store, examined_object
from s3fanout.adapters.store.s3_probe import store_clock_ms
from s3fanout.adapters.store.transport import Header, Response
from s3fanout.adapters.store.transport_direct import _Broken, _Connection, _head
from s3fanout.adapters.system import SystemClock, SystemRand
from s3fanout.intake.job_message import read_job_message
from s3fanout.model.errors import AccessDenied, LedgerUnavailable, MalformedEvent, StoreError
from s3fanout.model.objects import ObjectAttributes, Present
from s3fanout.model.vendors import vendor_of_headers

Ask = Callable[[S3Store], Coroutine[Any, Any, Any]]
_KEY, _ETAG, _BYTES_MAX = "k", "e", 4096
_QUEUE = "https://sqs.test/q"
_PIECE_BYTES = 700
_REQUESTS_MAX = 20
_STATUSES = {b"200", b"400", b"403", b"500", b"503"}


def answers(body: bytes) -> None:
    """The bytes of an HTTP answer: each operation understands it, or has an error of ours."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        answer = _heard(loop, body, without_body=False)
        if answer is not None:
            vendor_of_headers(answer.headers)
            for ask in _ASKED:
                _asked(loop, ask, answer)
        headed = _heard(loop, body, without_body=True)
        if headed is not None:
            _asked(loop, store_clock_ms, headed)
            found = _asked(loop, lambda store: store.head(_KEY), headed)
            if isinstance(found, Present):
                _asked(loop, lambda store: store.create_upload(_KEY, found.attributes), headed)
                _kept(found.etag, found.version_id)


def services(body: bytes) -> None:
    """What SQS answers, or who answers in its place: messages, or an error of ours."""
    status, _, document = body.partition(b" ")
    answer = Response(int(status) if status in _STATUSES else 200, {}, document)
    client = JsonClient(
        SQS,
        region="eu-west-3",
        endpoint_url=None,
        credentials=StaticCredentials("AKEXAMPLE", "very-secret"),
        transport=_Always(answer),
        clock=_Hasty(),
        rand=SystemRand(),
    )
    messages = SqsMessages(client)
    with suppress(LedgerUnavailable):
        for message in at_once(messages.receive(_QUEUE, 10, wait_s=0)):
            assert isinstance(message.handle, str)
            assert message.received >= 0
            with suppress(MalformedEvent):
                read_job_message(message.body)
    with suppress(LedgerUnavailable):
        assert at_once(messages.count(_QUEUE)) >= 0
    with suppress(LedgerUnavailable):
        at_once(messages.delete(_QUEUE, ["handle"]))


def items(body: bytes) -> None:
    """An item of the table that is the ledger: what it says, or that it cannot be read."""
    try:
        item = json.loads(body)
    except (ValueError, RecursionError):
        return
    for read in _READS:
        with suppress(LedgerUnavailable):
            read(item)


def credentials(body: bytes) -> None:
    """A file of credentials: what can sign a request that can be sent, or what is wrong."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "credentials.json")
        path.write_bytes(body)
        with suppress(AccessDenied):
            found = FileCredentials(path, clock=SystemClock())._read()
            signer = StaticCredentials(found.access_key, found.secret_key, found.token)
            always = _Always(Response(204, {}, b""))
            at_once(_store(always, signer).delete(_KEY))
            assert always.sent


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of what waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise AssertionError("it waits for something")


def _asked(loop: AbstractEventLoop, ask: Ask, answer: Response) -> Any:
    """What an operation makes of an answer, which is also that to each further question."""
    store = _store(_Always(answer), StaticCredentials("AKEXAMPLE", "very-secret"))
    try:
        return loop.run_until_complete(ask(store))
    except StoreError as error:
        _kept(str(error), error.s3_code, error.hint)
        return None


def _kept(*texts: str | None) -> None:
    """Such texts go into the ledger, which is UTF-8."""
    for text in texts:
        if text is not None:
            text.encode()


def _store(transport: _Always, signer: CredentialSource) -> S3Store:
    return S3Store(
        bucket="bucket",
        endpoint=Endpoint.parse("https://s3.test", region="eu-west-1", addressing=Addressing.PATH),
        credentials=signer,
        transport=transport,
        clock=_Hasty(),
    )


def _heard(loop: AbstractEventLoop, body: bytes, *, without_body: bool) -> Response | None:
    """The answer that a connection takes ``body`` for; ``None`` if it breaks, or does not end."""
    connection = _Connection(loop, set(), 120.0)
    connection.connection_made(_Wire())
    waiting = connection.send(
        b"GET", b"", without_body=without_body, bytes_max=_BYTES_MAX, total_s=600.0
    )
    for first in range(0, len(body), _PIECE_BYTES):
        if connection.is_open:
            connection.data_received(body[first : first + _PIECE_BYTES])
    connection.connection_lost(None)
    error = waiting.exception()
    assert error is None or isinstance(error, _Broken)
    return waiting.result() if error is None else None


class _Wire(asyncio.Transport):
    """Where requests go: nowhere."""

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass


class _Always:
    """``Transport`` with one answer to everything, that refuses what no connection could send."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer
        self.sent = 0

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
        del base, total_s
        _head(method, f"{raw_path}?{query}", headers, len(body))
        self.sent += 1
        assert self.sent < _REQUESTS_MAX, "it asks without an end"
        if len(self._answer.body) > response_bytes_max:
            return self._answer._replace(body=b"", oversized=True)
        return self._answer

    async def close(self) -> None:
        pass


class _Hasty(SystemClock):
    """Waits for nothing."""

    async def sleep(self, seconds: float) -> None:
        del seconds


_READS: tuple[Callable[[dynamodb_items.Item], object], ...] = (
    dynamodb_items.record_of,
    dynamodb_items.recorded_of,
    dynamodb_items.error_at_ms_of,
    dynamodb_items.pause_of,
    dynamodb_items.upload_of,
    dynamodb_items.checkpoint_of,
    dynamodb_items.malformed_of,
    dynamodb_items.numbered_of,
    dynamodb_items.kept_of,
)
_SMALL, _ = examined_object(Present(_KEY, 1, _ETAG), b"x")
_ASKED: tuple[Ask, ...] = (
    lambda store: store.get(_KEY, if_match=None, size_bytes_max=_BYTES_MAX),
    lambda store: store.get_range(_KEY, first=0, last=3, if_match=_ETAG),
    lambda store: store.first_part(_KEY, if_match=_ETAG),
    lambda store: store.copy(_KEY, source_bucket="source", source_key=_KEY, if_match=_ETAG),
    lambda store: store.put(_KEY, _SMALL, ObjectAttributes()),
    lambda store: store.delete(_KEY),
    lambda store: store.get_tags(_KEY),
    lambda store: store.list_page(),
    lambda store: store.list_versions(_KEY),
    lambda store: store.list_deleted(),
    lambda store: store.list_parts(_KEY, "upload"),
    lambda store: store.list_annotations(_KEY),
    lambda store: store.get_annotation(_KEY, "a"),
)
