"""The sweep of an installed daemon on a real store."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.conftest import Install
from tests.e2e.evidence import check_equal, put
from tests.e2e.installation import TOKEN, Place, until
from tests.e2e.notices import write_and_tell

pytestmark = pytest.mark.stores

BUSY_S = 180.0
"""What is not the sweep's: it passes while 3,000 copies are made, on whatever machine, and while a
request that the store never answers is given up and made again."""
ThreeDestinations = tuple[Place, dict[str, Place]]


def test_without_any_event_the_sweep_is_the_intake(
    three: ThreeDestinations, install: Install
) -> None:
    source, destinations = three
    put(source, {f"k{number}": b"%d" % number for number in range(30)})
    installation = install(
        source=source,
        destinations=destinations,
        settings='intake.sweep = { interval = "1s", grace = "0s", recent = "1s", rate = 5000 }\n',
    )
    installation.start()
    installation.wait_replicated(30)
    put(source, {"k1": b"another", "late": b"new"})
    installation.wait_replicated(31)

    def all_are_looked_at() -> bool:
        sweep = installation.get("/api/v1/status", token=TOKEN).json["sweep"]
        return bool(sweep["recent"]["last_keys"] == 31 and sweep["healed_total"] == 3 * 32)

    until(all_are_looked_at, what="a pass over what is recent has seen all keys")
    ended = installation.command("reconcile", "--yes", "--json")
    assert [row["left_foreign"] for row in ended.json["destinations"]] == [0, 0, 0]
    installation.stop()
    assert installation.read("status")["sweep"]["healed_total"] == 3 * 32
    assert installation.command("verify").code == 0
    check_equal(source, *destinations.values())


def test_a_thousand_events_that_were_thrown_away_heal_in_time_and_are_counted(
    three: ThreeDestinations, install: Install
) -> None:
    source, destinations = three
    installation = install(
        source=source,
        destinations=destinations,
        settings='intake.sweep = { interval = "1s", grace = "2s" }\n',
    )
    installation.start()
    for number in range(20):
        write_and_tell(installation, source, f"told/{number}")
    installation.wait_replicated(20)
    put(source, {f"lost/{number:04}": b"%d" % number for number in range(980)})
    put(source, {f"told/{number}": b"changed, and nobody told" for number in range(20)})
    written_at_s = time.monotonic()

    def healed() -> dict[str, Any] | None:
        document: dict[str, Any] = installation.get("/api/v1/status", token=TOKEN).json
        counts = {row["sweep"]["healed_total"] for row in document["destinations"] if row["sweep"]}
        return document if counts == {1000} else None

    document = until(healed, what="a thousand are healed in each destination")
    took_s = time.monotonic() - written_at_s
    stated_s = document["sweep"]["worst_lag_s"]
    assert stated_s is not None
    assert took_s < stated_s + BUSY_S
    installation.wait_replicated(1000)
    installation.stop()
    check_equal(source, *destinations.values())
    assert installation.command("verify").code == 0
    after = installation.read("status")
    assert after["sweep"]["healed_total"] == 3000
    assert {row["replicated"] for row in after["destinations"]} == {1000}
