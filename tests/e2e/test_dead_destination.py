"""A destination that does not answer delays nobody else, and drains by itself when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s3fanout.adapters.store.embedded import EmbeddedStore
from s3fanout.adapters.system import SystemClock
from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal
from tests.e2e.installation import TOKEN, Place, until
from tests.e2e.notices import deliver, message, put_event, write_and_tell
from tests.servers.minio_frontend import ACCESS_KEY, SECRET_KEY
from tests.servers.server import LOOPBACK, Server, closed_port, create_bucket

pytestmark = pytest.mark.stores

BUCKET = "returns"


@contextmanager
def store_at(port: int, directory: Path) -> Iterator[None]:
    """A store on the very port that was dead."""
    store = asyncio.run(
        EmbeddedStore.start(
            directory,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            clock=SystemClock(),
            port=port,
        )
    )
    try:
        yield
    finally:
        store.kill()


def test_others_finish_status_tells_and_the_backlog_drains(
    install: Install, new_place: NewPlace, seaweedfs: Server, tmp_path: Path
) -> None:
    source = new_place(seaweedfs, "source")
    alive = {name: new_place(seaweedfs, name) for name in ("paris", "tokyo")}
    port = closed_port()
    absent = Server(
        name="absent",
        endpoint=f"http://{LOOPBACK}:{port}",
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
    )
    dead = Place(absent, BUCKET)
    installation = install(
        source=source,
        destinations={**alive, "dead": dead},
        settings='limits.circuit_cap = "1s"\nlimits.retry_cap = "1s"\n',
    )
    installation.start()
    written = [f"k{index:03}" for index in range(60)]
    write_and_tell(installation, source, *written)
    installation.wait_replicated(60, "paris", "tokyo")
    check_equal(source, *alive.values())

    until(lambda: installation.api_status()["dead"]["circuit_open"], what="the circuit is open")
    row = until(
        lambda: row if (row := installation.destination("dead"))["last_error"] else None,
        what="the error is in the ledger",
    )
    assert (row["backlog_jobs"], row["replicated"], row["failed"]) == (60, 0, 0)
    assert row["lag_s"] > 0
    assert row["health"] == "failing"
    assert row["last_error"]["code"] == "unavailable"
    assert row["last_error"]["hint"]
    assert installation.destination("paris")["health"] == "ok"

    with store_at(port, tmp_path / "returned"):
        create_bucket(absent, BUCKET)
        rows = installation.wait_replicated(60, "dead")
        assert rows["dead"]["failed"] == 0
        assert rows["dead"]["health"] == "ok"
        assert rows["dead"]["last_error"] is None or rows["dead"]["lag_s"] == 0
        check_equal(source, dead)


def test_a_source_that_does_not_answer_is_named_and_blamed_on_nobody(
    install: Install, new_place: NewPlace, seaweedfs: Server
) -> None:
    absent = Server("absent", f"http://{LOOPBACK}:{closed_port()}", ACCESS_KEY, SECRET_KEY)
    installation = install(
        source=Place(absent, "source"), destinations={"paris": new_place(seaweedfs, "paris")}
    )
    installation.start()
    for number in range(10):
        event = put_event("source", f"k{number}", etag="e" * 32, size_bytes=1)
        assert deliver(installation, message(event)).status == 200

    def look() -> bool:
        status = installation.get("/api/v1/status", token=TOKEN).json
        return bool(status["source"]["circuit_open"])

    until(look, what="the circuit of the source is open")
    row = installation.api_status()["paris"]
    assert (row["circuit_open"], row["failed"], row["health"]) == (False, 0, "failing")
    error = until(lambda: installation.destination("paris")["last_error"], what="it is told")
    assert error["message"].startswith("the source could not be read: no answer")
    assert (
        's3fanout_source_circuit_open{destination="paris"} 1'
        in installation.get("/metrics").body.decode()
    )
