"""An object with everything that travels by default, and how tests read one back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.objects import Body, ObjectAttributes, Present

if TYPE_CHECKING:
    from s3fanout.ports.object_store import ObjectStore
    from tests.conformance.object_stores import Subject

MIB = 1024 * 1024
OTHER_ETAG = "0123456789abcdef0123456789abcdef"

HEADERS = {
    "content-type": "text/x-test; charset=utf-8",
    "content-encoding": "gzip",
    "content-disposition": 'attachment; filename="a b.txt"',
    "content-language": "de",
    "cache-control": "max-age=3, must-revalidate",
    "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
}
METADATA = {
    "plain": "value",
    "spaces-inside": "two  words",
    "encoded-word": "=?UTF-8?B?Z3LDvG4=?=",
    "percent": "100%25 + 1&2=3;4",
    "quotes": "\"a\" 'b', c",
}
TAGS = {
    "plain": "value",
    "with space": "a b",
    "empty": "",
    "s+i:g=n/s@_.-": "=+-._:/@",
    "grün": "日本",
}
FULL = ObjectAttributes(headers=HEADERS, metadata=METADATA, tags=TAGS)


async def present(store: ObjectStore, key: str) -> Present:
    facts = await store.head(key)
    assert isinstance(facts, Present)
    return facts


async def read(store: ObjectStore, key: str) -> Body:
    return await store.get(key, if_match=None, size_bytes_max=MIB)


def kept(subject: Subject, headers: dict[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in headers if name not in subject.profile.lost_headers}
