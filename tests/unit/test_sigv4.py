"""Our signature is the SDK's, byte for byte, whatever S3 lets a key, header or query be."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3fanout.adapters.store.sigv4 import (
    EMPTY_SHA256_HEX,
    Signer,
    SigningDate,
    canonical_query,
    canonical_value,
)

AT = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000) + 999
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQ=="

KEYS = [
    "plain",
    "",
    "a//b",
    "/lead",
    "tail/",
    ".",
    "..",
    "a/../b/./c",
    "a+b c",
    "100%",
    "%2F",
    "q?x#y&z=1",
    "~-_.!*'()",
    ';:@$,[]{}|^`"<>\\',
    "line\nbreak\x01\x7f",
    "é漢字\N{ROCKET}",
    "x" * 1024,
]
HEADERS: list[dict[str, str]] = [
    {},
    {"x-amz-copy-source": "/src/a%20b", "x-amz-copy-source-if-match": '"d41d8cd9-2"'},
    {"x-amz-meta-a": "", "x-amz-meta-b": "two  spaces\tand a tab", "x-amz-meta-a2": " trimmed "},
    {"content-type": "text/plain; charset=utf-8", "x-amz-meta-name": "café 漢字"},
    {"x-amz-tagging": "k=v&k2=a%20b", "x-amz-storage-class": "STANDARD_IA"},
    {"range": "bytes=0-1", "if-match": '"e"', "x-amz-acl": "private", "x-amz-meta-z.y": "1"},
]
QUERIES: list[list[tuple[str, str]]] = [
    [],
    [("tagging", "")],
    [("list-type", "2"), ("prefix", "a b/+~%é"), ("encoding-type", "url"), ("max-keys", "1000")],
    [("continuation-token", "1/a+b=="), ("list-type", "2"), ("start-after", "*'()&=")],
    [("b", "2"), ("b", "1"), ("a", "3"), ("a-b", "4"), ("a.b", "5")],
]


@pytest.fixture(autouse=True)
def _sdk_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: AT)


def signed_by_sdk(
    method: str,
    host: str,
    raw_path: str,
    query: str = "",
    *,
    headers: dict[str, str],
    body: bytes = b"",
    token: str | None,
    region: str,
) -> str:
    url = f"https://{host}{raw_path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=headers, data=body)
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, token)
    botocore.auth.S3SigV4Auth(credentials, "s3", region).add_auth(request)
    return str(request.headers["Authorization"])


def signed_by_us(
    method: str,
    host: str,
    raw_path: str,
    query: str = "",
    *,
    headers: dict[str, str],
    body: bytes = b"",
    token: str | None,
    region: str,
) -> str:
    payload = sha256(body).hexdigest()
    date = SigningDate.of_ms(AT_MS)
    sent = headers | {"host": host, "x-amz-date": date.amz_date, "x-amz-content-sha256": payload}
    if token:
        sent["x-amz-security-token"] = token
    return Signer(region).authorization(
        method=method,
        raw_path=raw_path,
        query=query,
        headers=[(name, canonical_value(sent[name])) for name in sorted(sent)],
        payload_sha256_hex=payload,
        date=date,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
    )


@pytest.mark.parametrize("token", [None, TOKEN], ids=["permanent", "session"])
@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key[:24]))
def test_every_key_is_signed_as_the_sdk_signs_it(key: str, token: str | None) -> None:
    path = "/bucket/" + quote(key, safe="/~-._")
    for method in ("GET", "PUT", "HEAD", "DELETE"):
        ours, theirs = (
            sign(method, "s3.example.com", path, headers={}, token=token, region="eu-west-1")
            for sign in (signed_by_us, signed_by_sdk)
        )
        assert ours == theirs


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: ",".join(headers) or "none")
@pytest.mark.parametrize("host", ["bucket.s3.example.com", "127.0.0.1:9000", "[::1]:9000"])
@pytest.mark.parametrize("body", [b"", b"content"])
def test_headers_hosts_and_bodies_are_signed_as_the_sdk_signs_them(
    headers: dict[str, str], host: str, body: bytes
) -> None:
    ours, theirs = (
        sign("PUT", host, "/b/key", headers=headers, body=body, token=TOKEN, region="us-east-1")
        for sign in (signed_by_us, signed_by_sdk)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    "pairs", QUERIES, ids=lambda pairs: ",".join(n for n, _ in pairs) or "none"
)
def test_queries_are_signed_as_the_sdk_signs_them(pairs: list[tuple[str, str]]) -> None:
    query = canonical_query(pairs)
    ours, theirs = (
        sign("GET", "s3.example.com", "/b", query, headers={}, token=None, region="auto")
        for sign in (signed_by_us, signed_by_sdk)
    )
    assert ours == theirs


def test_a_query_is_sorted_and_encoded_once() -> None:
    pairs = [("prefix", "a b/+%2F"), ("list-type", "2"), ("delimiter", "")]
    assert canonical_query(pairs) == "delimiter=&list-type=2&prefix=a%20b%2F%2B%252F"


def test_the_examples_of_the_documentation() -> None:
    """ "GET Object" of "Examples: Signature Calculations" in the Amazon S3 API reference."""
    date = SigningDate("20130524T000000Z", "20130524")
    authorization = Signer("us-east-1").authorization(
        method="GET",
        raw_path="/test.txt",
        query="",
        headers=[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY_SHA256_HEX),
            ("x-amz-date", date.amz_date),
        ],
        payload_sha256_hex=EMPTY_SHA256_HEX,
        date=date,
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    assert authorization == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_a_second_is_a_second_whatever_the_local_time_zone() -> None:
    assert SigningDate.of_ms(AT_MS) == SigningDate("20261123T010203Z", "20261123")
    assert SigningDate.of_ms(0) == SigningDate("19700101T000000Z", "19700101")


def test_kept_keys_never_mix_days_secrets_or_regions() -> None:
    """One signer that signs for many gives each what a fresh one gives, also after it forgot."""

    def sign(signer: Signer, day: int, secret: str) -> str:
        return signer.authorization(
            method="GET",
            raw_path="/",
            query="",
            headers=[("host", "h")],
            payload_sha256_hex=EMPTY_SHA256_HEX,
            date=SigningDate.of_ms(day * 86_400_000),
            access_key="AK",
            secret_key=secret,
        )

    kept = Signer("us-east-1")
    cases = [(day, secret) for day in range(40) for secret in ("one", "two")] * 2
    assert [sign(kept, *case) for case in cases] == [
        sign(Signer("us-east-1"), *case) for case in cases
    ]
    assert len({sign(kept, *case) for case in cases}) == 80
    assert sign(Signer("us-east-1"), 1, "one") != sign(Signer("us-east-2"), 1, "one")
