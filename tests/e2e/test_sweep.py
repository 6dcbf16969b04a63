"""The sweep of an installed daemon on a real store."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Install
from tests.e2e.evidence import check_equal, put
from tests.e2e.installation import Place

pytestmark = pytest.mark.stores

ThreeDestinations = tuple[Place, dict[str, Place]]


def test_without_any_event_the_sweep_is_the_intake(
    three: ThreeDestinations, install: Install
) -> None:
    source, destinations = three
    put(source, {f"k{number}": b"%d" % number for number in range(30)})
    installation = install(
        source=source,
        destinations=destinations,
        settings='intake.sweep = { interval = "1s", grace = "0s" }\n',
    )
    installation.start()
    installation.wait_replicated(30)
    put(source, {"k1": b"another", "late": b"new"})
    installation.wait_replicated(31)
    ended = installation.command("reconcile", "--yes", "--json")
    assert [row["left_foreign"] for row in ended.json["destinations"]] == [0, 0, 0]
    installation.stop()
    assert installation.command("verify").code == 0
    check_equal(source, *destinations.values())
