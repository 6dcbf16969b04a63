"""Which store it is, and which keys it holds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from s3fanout.adapters.store.s3_probe import VENDOR_AGE_S, StoreVendor
from s3fanout.decide.keys import why_not_held
from s3fanout.model.errors import AccessDenied, Unavailable
from s3fanout.model.vendors import (
    OTHER,
    VENDORS,
    KeyLimits,
    VendorName,
    vendor_named,
    vendor_of_headers,
    vendor_of_host,
)
from tests.functional.clock import VirtualClock

PATHS = KeyLimits(
    bytes_max=None,
    segment_bytes_max=255,
    empty_segments=False,
    dot_segments=False,
    backslashes=False,
    folder_bytes=False,
)


@pytest.mark.parametrize(
    ("key", "size_bytes", "why"),
    [
        ("a/b", 1, None),
        ("a//b", 1, "the store folds slashes"),
        ("/a", 1, "the store folds slashes"),
        ("a//", 0, "the store folds slashes"),
        ("a/../b", 1, "a segment . or .. is a directory there"),
        ("./a", 1, "a segment . or .. is a directory there"),
        ("a..b/.c", 1, None),
        ("a\\b", 1, "the store takes a backslash for a slash"),
        ("a/", 0, None),
        ("a/", None, None),
        ("a/", 1, "a directory has no bytes"),
        ("\N{SNOWMAN}" * 85, 1, None),
        ("\N{SNOWMAN}" * 86, 1, "a segment is longer than 255 bytes"),
    ],
)
def test_keys_of_a_store_whose_keys_are_paths(
    key: str, size_bytes: int | None, why: str | None
) -> None:
    assert why_not_held(key, PATHS, size_bytes) == why


@pytest.mark.parametrize(
    ("name", "key", "why"),
    [
        (VendorName.GCS, "a\nb", r"the store takes no '\n'"),
        (VendorName.GCS, "a\rb", r"the store takes no '\r'"),
        (VendorName.GCS, "a\tb", None),
        (VendorName.GCS, "..", "the store refuses '..' as a key"),
        (VendorName.GCS, ".", "the store refuses '.' as a key"),
        (VendorName.GCS, "a/../b", None),
        (
            VendorName.GCS,
            ".well-known/acme-challenge/x",
            "the store refuses keys that begin with '.well-known/acme-challenge/'",
        ),
        (VendorName.GCS, "x/.well-known/acme-challenge/x", None),
        (VendorName.B2, "a\tb", r"the store takes no '\t'"),
        (VendorName.B2, "a\x7fb", r"the store takes no '\x7f'"),
        (VendorName.B2, "a\x80b", None),
        (VendorName.B2, "a\\b//", None),
        (VendorName.WASABI, "\N{PILE OF POO}", "the store takes no character of four bytes"),
        (VendorName.WASABI, "\N{SNOWMAN}", None),
        (VendorName.R2, "caf\u00e9", None),
        (VendorName.R2, "cafe\u0301", r"'caf\xe9' is the same key there, composed (NFC)"),
        (VendorName.R2, "\u212b", r"'\xc5' is the same key there, composed (NFC)"),
        (VendorName.R2, "\N{PILE OF POO}", None),
    ],
)
def test_keys_that_a_service_refuses_are_named(name: VendorName, key: str, why: str | None) -> None:
    assert why_not_held(key, vendor_named(name).keys, 1) == why


def test_other_stores_hold_every_key_up_to_a_length() -> None:
    for key in ("a//b", "/a", "..", "a\\b", "a/", "k" * 1024):
        assert why_not_held(key, KeyLimits(), 1) is None
    assert why_not_held("k" * 1025, KeyLimits(), 1) == "it is longer than 1024 bytes"
    assert why_not_held("k" * 1025, OTHER.keys, 1) is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("s3.eu-west-1.amazonaws.com", VendorName.AWS),
        ("0123.r2.cloudflarestorage.com", VendorName.R2),
        ("s3.us-west-004.backblazeb2.com", VendorName.B2),
        ("storage.googleapis.com", VendorName.GCS),
        ("s3.eu-central-1.wasabisys.com", VendorName.WASABI),
        ("notamazonaws.com", None),
        ("localhost", None),
    ],
)
def test_services_are_known_by_their_host(host: str, name: VendorName | None) -> None:
    found = vendor_of_host(host)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"server": "SeaweedFS 30GB 4.48"}, VendorName.SEAWEEDFS),
        ({"server": "MinIO"}, VendorName.MINIO),
        ({"x-rgw-object-count": "0"}, VendorName.CEPH),
        ({"server": "AmazonS3"}, VendorName.AWS),
        ({"server": "nginx"}, VendorName.OTHER),
        ({}, VendorName.OTHER),
    ],
)
def test_programs_are_known_by_how_they_answer(headers: dict[str, str], name: VendorName) -> None:
    assert vendor_of_headers(headers).name == name


def test_every_name_is_a_vendor_with_a_source() -> None:
    for name in set(VendorName) - {VendorName.AUTO, VendorName.OTHER}:
        assert vendor_named(name).name == name
    assert all(vendor.source for vendor in VENDORS)
    assert vendor_named(VendorName.OTHER) is OTHER


class Asked:
    """A store that answers with headers, or an error, and counts."""

    def __init__(self, answer: dict[str, str] | Exception) -> None:
        self.answer = answer
        self.count = 0

    async def send(self, *_: object) -> Any:
        self.count += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self

    @property
    def headers(self) -> object:
        return self.answer


async def test_a_store_is_asked_once_by_all_and_again_when_the_answer_is_old() -> None:
    clock, store = VirtualClock(), Asked({"server": "MinIO"})
    ask = StoreVendor(store, clock=clock)  # type: ignore[arg-type]
    found = await asyncio.gather(ask(), ask(), ask())
    assert [vendor.name for vendor in found] == [VendorName.MINIO] * 3
    assert store.count == 1
    ask._asked_at_s -= VENDOR_AGE_S + 1
    await ask()
    assert store.count == 2


async def test_a_store_that_does_not_answer_fails_the_attempt_and_is_asked_again() -> None:
    store = Asked(Unavailable("no answer"))
    ask = StoreVendor(store, clock=VirtualClock())  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Unavailable):
            await ask()
    assert store.count == 2
    store.answer = {"server": "SeaweedFS"}
    assert (await ask()).name == VendorName.SEAWEEDFS


async def test_a_store_that_does_not_let_us_ask_is_not_known() -> None:
    store = Asked(AccessDenied("no"))
    ask = StoreVendor(store, clock=VirtualClock())  # type: ignore[arg-type]
    assert await ask() is OTHER
    assert await ask() is OTHER
    assert store.count == 1
