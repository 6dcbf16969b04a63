"""Everything that an object can be: one case per attribute, written by boto3 and read by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from tests.servers.ceph import FRIEND

CUSTOMER_KEY: Mapping[str, Any] = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": bytes(range(32)),
}
"""SSE-C, as boto3 takes it (it encodes the key, and adds its digest)."""


class Kind(StrEnum):
    """What a case needs of its buckets; cases of one kind are written and replicated together."""

    PLAIN = "plain"
    LOCKED = "locked"
    """Object lock."""
    KEYED = "keyed"
    """All objects have the customer's key."""
    GRANTED = "granted"
    """ACLs, which destinations are told to keep."""


@dataclass(frozen=True, slots=True)
class Case:
    """One attribute.

    Attributes:
        name: Stable slug, and what the table calls the row.
        put: What boto3 is given to write it, beside bucket, key and body.
        expects: What boto3 must then read, by field of ``objects.read``.
        algorithm: Of a checksum that is sent with the bytes; ``""`` for none.
        key: The object's key; the name without one.
        beside: A key that is written, and replicated, too.
        read: What boto3 must be given to read it.
        kind: What it needs of the buckets.
    """

    name: str
    put: Mapping[str, Any] = field(default_factory=dict)
    expects: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = ""
    key: str = ""
    beside: str = ""
    read: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = Kind.PLAIN


def _header(name: str, argument: str, value: str) -> Case:
    return Case(name, {argument: value}, {name: value})


def _metadata(name: str, values: Mapping[str, str]) -> Case:
    return Case(name, {"Metadata": values}, {"metadata": values})


def _key(name: str, key: str, *, beside: str = "") -> Case:
    return Case(f"key: {name}", key=key, beside=beside, expects={"listed": True})


def _acl(name: str, shown: Sequence[str], **put: str) -> Case:
    return Case(f"acl: {name}", put, {"acl": shown}, kind=Kind.GRANTED)


_GROUP = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
RETAIN_UNTIL = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)

ATTRIBUTES = (
    _header("content-type", "ContentType", "text/x-matrix; charset=utf-8"),
    _header("content-encoding", "ContentEncoding", "identity"),
    _header("content-disposition", "ContentDisposition", 'attachment; filename="a b.txt"'),
    _header("content-language", "ContentLanguage", "fr-CA"),
    _header("cache-control", "CacheControl", "max-age=61, private"),
    Case(
        "expires",
        {"Expires": datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)},
        {"expires": "Mon, 03 Feb 2031 04:05:06 GMT"},
    ),
    _header("redirect", "WebsiteRedirectLocation", "/elsewhere"),
    _metadata("metadata", {"plain": "a value", "other-name": "A + b=%2F"}),
    # Beyond ASCII as RFC 2047 writes it, which is what S3 itself answers for such values.
    _metadata("metadata beyond ASCII", {"unicode": "=?UTF-8?B?w7zimIM=?="}),
    _metadata("metadata without value", {"empty": ""}),
    Case(
        "tags",
        {"Tagging": "team=blue%2Bgreen%3D1&caf%C3%A9=%C3%A9t%C3%A9%201%2F2"},
        {"tags": {"team": "blue+green=1", "caf\u00e9": "\u00e9t\u00e9 1/2"}},
    ),
    _header("storage-class", "StorageClass", "STANDARD_IA"),
    Case("sse-s3", {"ServerSideEncryption": "AES256"}, {"sse": "AES256"}),
    Case("sse-kms", {"ServerSideEncryption": "aws:kms"}, {"sse": "aws:kms"}),
    Case("sse-c", CUSTOMER_KEY, {"sse-c": "AES256"}, read=CUSTOMER_KEY, kind=Kind.KEYED),
    _acl("canned", ["AllUsers READ"], ACL="public-read"),
    _acl("grant to a group", ["AuthenticatedUsers READ_ACP"], GrantReadACP=f'uri="{_GROUP}"'),
    _acl("grant to an account", [f"{FRIEND} READ"], GrantRead=f'id="{FRIEND}"'),
    *(
        Case(f"checksum {name}", algorithm=name, expects={"checksum": name})
        for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
    ),
    Case(
        "lock: retention",
        {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": RETAIN_UNTIL},
        {"retention": f"GOVERNANCE {RETAIN_UNTIL:%FT%TZ}"},
        kind=Kind.LOCKED,
    ),
    Case(
        "lock: legal hold",
        {"ObjectLockLegalHoldStatus": "ON"},
        {"legal-hold": "ON"},
        kind=Kind.LOCKED,
    ),
)
"""What an object carries beside its bytes."""

KEYS = (
    _key("unicode, space, + and %", "d ir/\u00fc+a b%20&=\u6f22\u5b57~!*().txt"),
    _key("two slashes", "two//slashes"),
    _key("leading slash", "/leading"),
    _key("ends with a slash", "ends/with/"),
    _key("dot-dot segment", "up/../down"),
    _key("newline", "new\nline"),
    _key("segment of 300 bytes", "s" * 300),
    _key("1,024 bytes", "/".join(["k" * 127] * 8) + "z"),
    _key("x/y beside x", "x/y", beside="x"),
)
"""What an object may be called."""

PLAIN = Case("bytes")
"""Nothing set: the bytes, and nothing else, must be there."""


def everything(held: frozenset[str]) -> Case:
    """All attributes at once that a store holds one by one (of encryption and checksums one)."""
    names = held - {"sse-kms"}
    if "sse-s3" not in held:
        names |= held & {"sse-kms"}
    chosen = [case for case in ATTRIBUTES if case.name in names and case.kind is Kind.PLAIN]
    algorithms = [case.algorithm for case in chosen if case.algorithm]
    put: dict[str, Any] = {}
    expects: dict[str, Any] = {}
    for case in chosen:
        if not case.algorithm:
            for name, value in case.put.items():
                put[name] = {**put.get(name, {}), **value} if name == "Metadata" else value
            for name, value in case.expects.items():
                expects[name] = {**expects.get(name, {}), **value} if name == "metadata" else value
    algorithm = "SHA256" if "SHA256" in algorithms else ""
    if algorithm:
        expects["checksum"] = algorithm
    return Case("all of these", put, expects, algorithm=algorithm)
