"""One store with real bucket notifications: what is written appears in every destination.

The load test writes 2,000 objects with keys of every kind; the whole 10,000, a command of its own:

    S3FANOUT_E2E_LARGE=1 scripts/test tests/e2e/test_same_store.py -k bulk

Not here: keys with empty segments. This store joins ``a//b`` to ``a/b``, as SeaweedFS does, and no
file has such a name. They arrive in ``test_queue_intake.py``, on a store that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from s3fanout.adapters.store.embedded import WebhookTarget
from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, get, keys, put, small_files, upload_folder
from tests.e2e.installation import TOKEN, Place, until
from tests.servers.minio_frontend import minio_frontend
from tests.servers.server import LOOPBACK, Server, boto3_client, closed_port

pytestmark = pytest.mark.stores

NAMES = ("paris", "tokyo", "lima")
TEN_NAMES = (*NAMES, "oslo", "cairo", "quito", "delhi", "seoul", "accra", "perth")
LOAD_OBJECTS = 10_000 if os.environ.get("S3FANOUT_E2E_LARGE") else 2_000

# No empty or dot segments: this store joins a//b to a/b and refuses "." and "..".
KEYS = (
    "plain.txt",
    "with space/and + plus.txt",
    "percent%2Fslash%20x",
    "emoji/\N{SNOWMAN}\N{PARTY POPPER}.txt",
    "line\nbreak and\ttab",
    "quotes'\"<&>;.xml",
    "long/" + "/".join(("s" * 200,) * 5) + "/" + "e" * 14,
    "=?utf-8?q?looks_encoded?=",
)


LOAD_KEYS = (
    "plain/{:06}.bin",
    "with space/{:06} and more.bin",
    "plus+/{:06}+.bin",
    "percent%2Fslash/{:06}%20.bin",
    "emoji \N{SNOWMAN}\N{PARTY POPPER}/{:06}.bin",
    "line\nbreak/{:06}.bin",
    "long/" + "/".join(("s" * 200,) * 5) + "/" + "e" * 4 + "{:010}",
)


def load_key(number: int) -> str:
    """Keys of every kind in turn."""
    return LOAD_KEYS[number % len(LOAD_KEYS)].format(number)


@contextmanager
def notifying_store(directory: Path, port: int) -> Iterator[Server]:
    """A store that sends its events to the daemon on ``port``; what is missed comes later."""
    target = WebhookTarget(f"http://{LOOPBACK}:{port}/events", TOKEN, keep_events=True)
    with minio_frontend(directory, webhook=target) as server:
        yield server


def notify(place: Place) -> None:
    """Send every creation and removal in the bucket to all targets of the store."""
    with closing(boto3_client(place.server, "s3")) as client:

        def configured() -> bool:
            try:
                client.put_bucket_notification_configuration(
                    Bucket=place.bucket,
                    NotificationConfiguration={
                        "QueueConfigurations": [
                            {
                                "QueueArn": arn,
                                "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                            }
                            for arn in place.server.notification_arns
                        ]
                    },
                )
            except client.exceptions.ClientError as error:
                # Its targets stand a few milliseconds after its first answer.
                if error.response["Error"]["Code"] != "InvalidArgument":
                    raise
                return False
            return True

        until(configured, what="notifications are configured")


def test_any_key_arrives_everywhere(install: Install, new_place: NewPlace, tmp_path: Path) -> None:
    assert max(len(key.encode()) for key in KEYS) == 1024
    port = closed_port()
    with notifying_store(tmp_path / "store", port) as server:
        source = new_place(server, "source")
        destinations = {name: new_place(server, name) for name in NAMES}
        notify(source)
        with install(source=source, destinations=destinations, port=port) as installation:
            installation.start()
            put(
                source,
                {key: key.encode() * 3 for key in KEYS},
                content_type="text/x-e2e",
                metadata={"origin": "e2e"},
            )
            installation.wait_replicated(len(KEYS))
            assert installation.read("failures")["failures"] == []
            assert installation.read("failures", "--malformed")["messages"] == []
        for place in destinations.values():
            assert keys(place) == set(KEYS)
            stored = get(place, KEYS[1])
            assert (stored.content_type, stored.metadata) == ("text/x-e2e", {"origin": "e2e"})
        check_equal(source, *destinations.values())


def test_one_process_is_enough_for_ten_destinations(
    install: Install, new_place: NewPlace, tmp_path: Path
) -> None:
    port = closed_port()
    with notifying_store(tmp_path / "store", port) as server:
        source = new_place(server, "source")
        destinations = {name: new_place(server, name) for name in TEN_NAMES}
        notify(source)
        with install(source=source, destinations=destinations, port=port) as installation:
            installation.start()
            put(source, {f"{index:03}": b"x" * index for index in range(40)})
            rows = installation.wait_replicated(40)
            assert len(rows) == 10
            assert {row["failed"] for row in rows.values()} == {0}
        check_equal(source, *destinations.values())


def test_one_object_that_its_store_cannot_copy_becomes_a_dead_letter_and_delays_no_other(
    install: Install, new_place: NewPlace, tmp_path: Path
) -> None:
    """This store answers CopyObject of a folder mark (``a/``) with 500 InternalError, always."""
    port = closed_port()
    with notifying_store(tmp_path / "store", port) as server:
        source, paris = new_place(server, "source"), new_place(server, "paris")
        notify(source)
        installation = install(
            source=source,
            destinations={"paris": paris},
            port=port,
            settings='limits.attempts_max = 3\nlimits.retry_base = "50ms"\n'
            'limits.retry_cap = "200ms"\n'
            'limits.circuit_failures = 2\nlimits.circuit_cap = "1s"\n',
        )
        installation.start()
        put(source, {"poison/": b""})
        until(
            lambda: installation.api_status()["paris"]["failed"] == 1,
            what="a dead letter",
        )
        (failure,) = installation.read("failures")["failures"]
        assert failure["key"] == "poison/"
        assert "InternalError" in failure["error"]["code"]
        put(source, {"good": b"1"})
        installation.wait_replicated(1)
        assert keys(paris) == {"good"}


@pytest.mark.slow
def test_a_bulk_upload_arrives_while_the_daemon_runs(
    install: Install, new_place: NewPlace, tmp_path: Path
) -> None:
    assert len(load_key(6).encode()) == 1024
    small_files(tmp_path / "files", map(load_key, range(LOAD_OBJECTS)))
    port = closed_port()
    with notifying_store(tmp_path / "store", port) as server:
        source = new_place(server, "source")
        destinations = {name: new_place(server, name) for name in NAMES}
        notify(source)
        with install(source=source, destinations=destinations, port=port) as installation:
            installation.start()
            upload_folder(tmp_path / "files", source)
            rows = installation.wait_replicated(LOAD_OBJECTS)
            assert {row["failed"] for row in rows.values()} == {0}
            assert installation.stop() == 0
        check_equal(source, *destinations.values())
