"""What really goes over the wire, seen by a server that does nothing but record and recite.

A dependency's upgrade that changes one of these habits is noticed here, not in somebody's bucket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from s3fanout.adapters.store.transport import TransportSettings
from s3fanout.adapters.store.transport_aiohttp import AiohttpTransport
from s3fanout.adapters.store.transport_direct import DirectTransport
from s3fanout.adapters.store.transport_routed import RoutedTransport
from s3fanout.model.errors import Unavailable
from tests.servers.certificates import Authority, authority
from tests.servers.server import LOOPBACK, closed_port
from tests.unit.recorder import CLOSE, OK, Make, Recorder, ask, listening, opened

EVERY = pytest.mark.parametrize("make", [DirectTransport, AiohttpTransport])


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    async with listening(recorder):
        yield recorder


KEYS = [
    "plain",
    "a//b",
    "/lead",
    "//lead",
    "tail/",
    "tail//",
    ".",
    "..",
    "../x",
    "a/./b",
    "a/../b",
    "a/.",
    "a/..",
    "a/.../b",
    ".hidden",
    "a/.b/..c",
    "%2e%2e",
    "%2F",
    "a+b",
    "a b",
    "q?x#y",
    "back\\slash",
    "~!*'();:@&=$,[]{}|^`\"<>",
    "line\r\nbreak\t\x00\x7f",
    "é漢字\N{ROCKET}\ufeff",
    "x" * 1024,
    "é" * 512,
    "\N{ROCKET}" * 256,
]


@EVERY
async def test_every_path_is_sent_as_it_is(recorder: Recorder, make: Make) -> None:
    async with opened(make) as transport:
        for key in KEYS:
            raw_path = "/bucket/" + quote(key, safe="/~-._")
            for query in ("", "x-id=a%2Fb%20c&y=~"):
                answer = await ask(transport, recorder, "PUT", raw_path, query=query, body=b"1")
                assert (answer.status, answer.body) == (200, b"ok")
                assert recorder.target == (f"{raw_path}?{query}" if query else raw_path)


@EVERY
async def test_encoded_dots_are_sent_as_they_are(recorder: Recorder, make: Make) -> None:
    async with opened(make) as transport:
        for raw_path in ("/b/%2e%2E/c", "/b/%2e", "/b/.%2e/c", "/b/%2E."):
            await ask(transport, recorder, "GET", raw_path)
            assert recorder.target == raw_path


@EVERY
async def test_headers_are_sent_as_they_are_and_few_are_added(
    recorder: Recorder, make: Make
) -> None:
    headers = (("x-amz-meta-a", "café 漢字"), ("x-amz-meta-b", "two  spaces"), ("x-amz-meta-c", ""))
    async with opened(make) as transport:
        await ask(transport, recorder, "PUT", body=b"1", headers=headers)
        assert recorder.sent("host") == ["bucket.store.example"]
        for name, value in headers:
            assert recorder.sent(name) == [value]
        for name in ("content-type", "accept-encoding", "expect", "transfer-encoding", "cookie"):
            assert recorder.sent(name) == []


@EVERY
async def test_a_body_comes_with_its_length(recorder: Recorder, make: Make) -> None:
    content = bytes(range(256)) * 1024
    async with opened(make) as transport:
        await ask(transport, recorder, "PUT", body=content)
        assert (recorder.sent("content-length"), recorder.bodies[-1]) == (
            [str(len(content))],
            content,
        )
        await ask(transport, recorder, "PUT")
        assert recorder.sent("content-length") == ["0"]
        await ask(transport, recorder, "GET")
        assert recorder.sent("content-length") in ([], ["0"])


@EVERY
async def test_connections_are_kept_and_limited(recorder: Recorder, make: Make) -> None:
    async with opened(make, TransportSettings(connections_max=2, total_s=60)) as transport:
        await asyncio.gather(*(ask(transport, recorder, "PUT") for _ in range(40)))
    assert recorder.unanswered_max <= 2
    assert recorder.connections < 20
    assert len(recorder.heads) == 40


@EVERY
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_answers(recorder: Recorder, make: Make, status: int) -> None:
    text = f"HTTP/1.1 {status} Moved\r\nLocation: {recorder.base}/x\r\nContent-Length: 3\r\n\r\nsee"
    recorder.recite = [text.encode()]
    async with opened(make) as transport:
        answer = await ask(transport, recorder)
    assert (answer.status, answer.body, answer.headers["location"]) == (
        status,
        b"see",
        f"{recorder.base}/x",
    )
    assert len(recorder.heads) == 1


@EVERY
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "aws-chunked"])
async def test_bodies_are_never_decompressed(recorder: Recorder, make: Make, encoding: str) -> None:
    """A stored object's Content-Encoding is the object's: its bytes are copied as they are."""
    recorder.recite = [
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 4\r\n\r\n".encode()
        + b"\x1f\x8b\x00\xff"
    ]
    async with opened(make) as transport:
        answer = await ask(transport, recorder)
    assert answer.body == b"\x1f\x8b\x00\xff"
    assert (answer.headers["content-encoding"], answer.headers["content-length"]) == (encoding, "4")


@EVERY
async def test_no_cookies_are_kept(recorder: Recorder, make: Make) -> None:
    recorder.recite = [b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", OK]
    async with opened(make) as transport:
        for _ in range(2):
            await ask(transport, recorder)
    assert len(recorder.heads) == 2
    assert recorder.sent("cookie") == []


@EVERY
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_limit_is_not_read(
    recorder: Recorder, make: Make, chunked: bool
) -> None:
    content = b"x" * 1001
    framing = b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n%b\r\n0\r\n\r\n"
    recorder.recite = [
        b"HTTP/1.1 200 OK\r\nETag: e\r\n"
        + (framing % content if chunked else b"Content-Length: 1001\r\n\r\n" + content)
    ]
    async with opened(make) as transport:
        answer = await ask(transport, recorder, bytes_max=1000)
        assert (answer.status, answer.body, answer.oversized) == (200, b"", True)
        assert answer.headers["etag"] == "e"
        answer = await ask(transport, recorder, bytes_max=1001)
        assert (answer.body, answer.oversized) == (content, False)


@EVERY
async def test_the_length_in_an_answer_to_head_is_not_a_body(
    recorder: Recorder, make: Make
) -> None:
    recorder.recite = [b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n"]
    async with opened(make) as transport:
        answer = await ask(transport, recorder, "HEAD", bytes_max=10)
    assert (answer.body, answer.oversized) == (b"", False)
    assert answer.headers["content-length"] == "5000000"


@EVERY
async def test_header_names_are_lower_case_and_the_first_value_counts(
    recorder: Recorder, make: Make
) -> None:
    recorder.recite = [
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-AMZ-b:  c \r\nContent-Length: 0\r\n\r\n"
    ]
    async with opened(make) as transport:
        headers = (await ask(transport, recorder)).headers
    assert (headers["x-a"], headers["x-amz-b"]) == ("1", "c")


FOREIGN = (
    b"HTTP/1.1 200 OK\r\nX-Amz-Meta-A: caf\xc3\xa9\r\nX-Amz-Meta-B: caf\xe9\r\n"
    b"ETag: e\r\nContent-Length: 2\r\n\r\nok"
)


@EVERY
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_header_values_beyond_ascii_are_read(
    recorder: Recorder, make: Make, method: str
) -> None:
    recorder.recite = [FOREIGN if method == "GET" else FOREIGN.removesuffix(b"ok")]
    async with opened(make) as transport:
        headers = (await ask(transport, recorder, method)).headers
    assert (headers["x-amz-meta-a"], headers["x-amz-meta-b"]) == ("café", "caf\udce9")


@EVERY
@pytest.mark.parametrize("base", ["closed port", "http://no-such-host.invalid"])
async def test_what_was_never_sent_cannot_have_been_applied(make: Make, base: str) -> None:
    if base == "closed port":
        base = f"http://{LOOPBACK}:{closed_port()}"
    async with opened(make) as transport:
        with pytest.raises(Unavailable, match="no answer") as caught:
            await ask(transport, Recorder(base), "PUT", body=b"1")
    assert caught.value.maybe_applied is False


@EVERY
@pytest.mark.parametrize(
    "answer",
    [
        CLOSE,
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        b"\x00\x01 not HTTP\r\n\r\n",
    ],
    ids=["closed", "head cut", "body cut", "chunks cut", "garbage"],
)
async def test_half_an_answer_is_none_and_the_write_may_have_been_applied(
    recorder: Recorder, make: Make, answer: bytes
) -> None:
    recorder.recite, recorder.closes = [answer], True
    async with opened(make) as transport:
        with pytest.raises(Unavailable, match="no answer") as caught:
            await ask(transport, recorder, "PUT", body=b"1")
    assert caught.value.maybe_applied is True
    assert str(caught.value).isprintable()


@EVERY
async def test_a_kept_connection_that_breaks_may_have_carried_the_write(make: Make) -> None:
    """Also when the store is gone by the time that a library tries a second connection."""
    recorder = Recorder(recite=[OK, CLOSE])
    async with listening(recorder) as server, opened(make) as transport:
        await ask(transport, recorder)
        recorder.on_request = server.close
        with pytest.raises(Unavailable) as caught:
            await ask(transport, recorder, "PUT", body=b"1")
    assert len(recorder.heads) == 2
    assert caught.value.maybe_applied is True


@EVERY
@pytest.mark.parametrize("limit", ["total of the request", "total", "silence"])
async def test_a_silent_server_is_not_waited_for_and_may_have_applied_the_write(
    recorder: Recorder, make: Make, limit: str
) -> None:
    recorder.hold = asyncio.Event()
    # Long enough for a busy machine to send the request.
    settings = TransportSettings(
        read_s=1 if limit == "silence" else 30, total_s=1 if limit == "total" else 30
    )
    total_s = 1.0 if limit == "total of the request" else None
    async with opened(make, settings) as transport:
        with pytest.raises(Unavailable) as caught:
            await ask(transport, recorder, "PUT", body=b"1", total_s=total_s)
    assert caught.value.maybe_applied is True


@EVERY
async def test_a_header_that_cannot_be_sent_is_our_error(recorder: Recorder, make: Make) -> None:
    async with opened(make) as transport:
        with pytest.raises(Unavailable) as caught:
            await ask(transport, recorder, headers=(("x-amz-meta-a", "line\r\nx-evil: 1"),))
    assert caught.value.maybe_applied is False
    assert recorder.heads == []


@pytest.mark.parametrize("make", [AiohttpTransport, RoutedTransport])
@pytest.mark.parametrize("honoured", [True, False])
async def test_proxies_of_the_environment_are_a_setting(
    recorder: Recorder, make: Make, honoured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", recorder.base)
    settings = TransportSettings(use_environment_proxies=honoured, total_s=60)
    async with opened(make, settings) as transport:
        if honoured:
            store = Recorder("http://no-such-host.invalid:9000")
            assert (await ask(transport, store, "PUT", "/b/a%20b//c")).body == b"ok"
            assert recorder.target == "http://no-such-host.invalid:9000/b/a%20b//c"
        else:
            async with listening(store := Recorder()):
                assert (await ask(transport, store)).body == b"ok"
            assert recorder.heads == []


async def test_a_base_that_needs_no_proxy_is_reached_directly(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://no-such-proxy.invalid:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with opened(RoutedTransport) as transport:
        assert (await ask(transport, recorder)).body == b"ok"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> list[Authority]:
    return [authority(tmp_path_factory.mktemp("tls")) for _ in range(2)]


@EVERY
async def test_every_root_of_the_bundle_is_trusted(
    authorities: list[Authority], make: Make, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join(each.root.read_bytes() for each in authorities))
    async with opened(make, TransportSettings(ca_file=bundle, total_s=60)) as transport:
        for each in authorities:
            async with listening(recorder := Recorder(), each.server_context()):
                assert (await ask(transport, recorder, "PUT", body=b"1")).body == b"ok"


@EVERY
async def test_a_stranger_is_not_trusted(authorities: list[Authority], make: Make) -> None:
    settings = TransportSettings(ca_file=authorities[0].root, total_s=60)
    recorder = Recorder()
    async with (
        listening(recorder, authorities[1].server_context()),
        opened(make, settings) as transport,
    ):
        with pytest.raises(Unavailable) as caught:
            await ask(transport, recorder, "PUT", body=b"1")
    assert caught.value.maybe_applied is False
    assert recorder.heads == []
