"""``kill -9`` at any moment loses nothing that was acknowledged, and writes nothing wrong."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, keys
from tests.e2e.installation import PATIENCE_S, Installation, Place
from tests.e2e.notices import deliver, message, put_event
from tests.servers.server import Server, boto3_client

pytestmark = [pytest.mark.stores, pytest.mark.slow]

KILLS = 20
SEED = 20_261_123
SENDERS = 3
KEYS_PER_SENDER = 40
ROUNDS_MIN = 100
UP_MAX_S = 0.3


def send(
    installation: Installation, source: Place, sender: int, enough: threading.Event
) -> dict[str, bytes]:
    """Write and overwrite this sender's keys and post each event until it is acknowledged.

    Returns what each key holds in the end. A key has one sender, so its events are in order.
    """
    chance = random.Random(SEED + sender)
    written: dict[str, bytes] = {}
    rounds = 0
    with closing(boto3_client(source.server, "s3")) as client:
        while not enough.is_set() or rounds < ROUNDS_MIN:
            key = f"sender {sender}/{chance.randrange(KEYS_PER_SENDER):03}"
            content = f"{key} {rounds} ".encode() * chance.randrange(1, 200)
            etag = client.put_object(Bucket=source.bucket, Key=key, Body=content)["ETag"].strip('"')
            event = put_event(source.bucket, key, etag=etag, size_bytes=len(content))
            answer = deliver(installation, message(event))
            assert answer.status == 200, answer.body
            written[key] = content
            rounds += 1
    return written


def kill_again_and_again(installation: Installation, chance: random.Random) -> None:
    """Kill and start ``KILLS`` times, each time at another moment after readiness or before."""
    for _ in range(KILLS):
        early = chance.random() < 0.25
        installation.start(ready=not early)
        time.sleep(chance.uniform(0.0, 1.0 if early else UP_MAX_S))  # the moment is the input
        installation.kill()


def test_twenty_kills_under_load_lose_nothing(
    install: Install,
    three: tuple[Place, dict[str, Place]],
    minio_frontend: Server,
    new_place: NewPlace,
) -> None:
    source, same_store = three
    destinations = {**same_store, "elsewhere": new_place(minio_frontend, "elsewhere")}
    installation = install(source=source, destinations=destinations)
    enough = threading.Event()
    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [
            pool.submit(send, installation, source, index, enough) for index in range(SENDERS)
        ]
        try:
            kill_again_and_again(installation, random.Random(SEED))
            installation.start()
        finally:
            enough.set()
        written: dict[str, bytes] = {}
        for sender in senders:
            written |= sender.result(timeout=PATIENCE_S)
    rows = installation.wait_replicated(len(written))
    assert {name: row["failed"] for name, row in rows.items()} == dict.fromkeys(destinations, 0)
    assert installation.read("failures", "--malformed")["messages"] == []
    for place in (source, *destinations.values()):
        assert keys(place) == set(written)
    check_equal(source, *destinations.values())
    assert "defect" not in installation.log
    assert "Traceback" not in installation.log
