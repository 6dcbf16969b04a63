"""SIGTERM finishes what is in hand and ends with 0; what is left is done after the next start."""

from __future__ import annotations

import signal
import socket
import threading
import time

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal, put
from tests.e2e.installation import PATIENCE_S, Place, until
from tests.e2e.notices import deliver, message, put_event, write_and_tell
from tests.servers.server import LOOPBACK, Server

pytestmark = pytest.mark.stores

ThreeDestinations = tuple[Place, dict[str, Place]]
OBJECTS = 120
LONG_DRAIN = 'limits.drain = "1h"\n'
SOON_S = 30.0
"""Longer than a busy machine takes, and less than what is set for anything to be waited for."""


def test_an_idle_daemon_stops_at_once(three: ThreeDestinations, install: Install) -> None:
    source, destinations = three
    installation = install(source=source, destinations=destinations, settings=LONG_DRAIN)
    installation.start()
    began_s = time.monotonic()
    assert installation.stop() == 0
    assert time.monotonic() - began_s < SOON_S


def test_senders_with_open_connections_do_not_hold_it(
    three: ThreeDestinations, install: Install
) -> None:
    source, destinations = three
    installation = install(source=source, destinations=destinations, settings=LONG_DRAIN)
    installation.start()
    with installation.open_connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        began_s = time.monotonic()
        assert installation.stop() == 0
        assert time.monotonic() - began_s < SOON_S


def test_what_is_acknowledged_before_the_stop_is_done_before_it_or_after_the_restart(
    three: ThreeDestinations, install: Install
) -> None:
    source, destinations = three
    installation = install(source=source, destinations=destinations)
    installation.start()
    write_and_tell(installation, source, *(f"k{index:04}" for index in range(OBJECTS)))
    assert installation.stop() == 0
    installation.start()
    rows = installation.wait_replicated(OBJECTS)
    assert {row["failed"] for row in rows.values()} == {0}
    check_equal(source, *destinations.values())


def test_a_stop_while_events_pour_in_loses_none(three: ThreeDestinations, install: Install) -> None:
    source, destinations = three
    installation = install(source=source, destinations=destinations)
    contents = {f"k{index:04}": f"content {index}".encode() for index in range(OBJECTS)}
    etags = put(source, contents)
    delivered = threading.Event()

    def send() -> None:
        for index, (key, content) in enumerate(contents.items()):
            event = put_event(source.bucket, key, etag=etags[key], size_bytes=len(content))
            assert deliver(installation, message(event)).status == 200
            if index == OBJECTS // 3:
                delivered.set()

    installation.start()
    sender = threading.Thread(target=send)
    sender.start()
    assert delivered.wait(PATIENCE_S)
    assert installation.stop() == 0
    replicated = [row["replicated"] for row in installation.read("status")["destinations"]]
    assert min(replicated) > 0
    installation.start()
    sender.join(PATIENCE_S)
    assert not sender.is_alive()
    installation.wait_replicated(OBJECTS)
    check_equal(source, *destinations.values())
    assert "Traceback" not in installation.log


def test_a_second_signal_does_not_wait_for_the_drain(
    install: Install, new_place: NewPlace, seaweedfs: Server
) -> None:
    """The destination takes connections and never answers: a drain would last an hour."""
    source = new_place(seaweedfs, "source")
    with socket.create_server((LOOPBACK, 0)) as mute:
        endpoint = f"http://{LOOPBACK}:{mute.getsockname()[1]}"
        silent = Place(Server("silent", endpoint, "key", "secret-key"), "bucket")
        installation = install(
            source=source,
            destinations={"silent": silent},
            settings=LONG_DRAIN + 'limits.request_timeout = "1h"\n',
        )
        process = installation.start()
        write_and_tell(installation, source, "k")
        until(lambda: installation.api_status()["silent"]["in_flight"], what="it is in flight")
        installation.signal(signal.SIGTERM)
        until(lambda: installation.ready_status() != 200, what="it is stopping")
        assert process.exit_status is None
        installation.signal(signal.SIGTERM)
        assert until(lambda: process.exit_status is not None, what="it ended")
        assert process.exit_status == 130
