"""Two daemons that replicate into each other come to rest, and nothing is lost on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.e2e.conftest import NewPlace
from tests.e2e.evidence import get, put
from tests.e2e.installation import TOKEN, Installation, Place, until
from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import LOOPBACK, boto3_client, closed_port

pytestmark = pytest.mark.stores


@pytest.fixture
def places(
    tmp_path: Path, new_place: NewPlace
) -> Iterator[tuple[tuple[Place, int], tuple[Place, int]]]:
    """A bucket in each of two SeaweedFS, and the port that its writes are told to."""
    with ExitStack() as running:
        made = []
        for name in ("here", "there"):
            port = closed_port()
            home = tmp_path / f"weed-{name}"
            home.mkdir()
            url = f"http://seaweedfs:{TOKEN}@{LOOPBACK}:{port}/events"
            server = running.enter_context(seaweedfs(home, webhook_url=url))
            made.append((new_place(server, name, credentials=name.upper()), port))
        yield made[0], made[1]


def rests(installation: Installation, left_alone: str) -> bool:
    """Both keys are settled, one as it was found equal, and nothing is to be done."""
    (row,) = installation.api_status().values()
    if (row["replicated"], row["backlog_jobs"]) != (2, 0):
        return False
    (found,) = installation.read("explain", left_alone)["destinations"]
    return "the replica is equal already" in found["verdict"]


def settled_at(installation: Installation, key: str) -> str:
    """When the job of a key was settled last."""
    (found,) = installation.read("explain", key)["destinations"]
    return str(found["record"]["settled_at"])


def writes(installation: Installation) -> int:
    """Replicas that it wrote."""
    text = installation.get("/metrics", token=TOKEN).body.decode()
    found = re.search(r"^s3fanout_replicated_objects_total\{.*\} ([\d.e+]+)$", text, re.MULTILINE)
    assert found is not None, text
    return int(float(found[1]))


def change_class(place: Place, key: str) -> None:
    """Write it again as it is, but for this: the etag stays."""
    stored = get(place, key)
    with closing(boto3_client(place.server, "s3")) as client:
        client.put_object(
            Bucket=place.bucket,
            Key=key,
            Body=stored.content,
            ContentType=stored.content_type,
            Metadata=stored.metadata,
            Tagging=urlencode(stored.tags),
            StorageClass="STANDARD_IA",
        )


def class_of(place: Place, key: str) -> str | None:
    with closing(boto3_client(place.server, "s3")) as client:
        return client.head_object(Bucket=place.bucket, Key=key).get("StorageClass")


@pytest.mark.parametrize(("guarded", "hops"), [(True, 1), (False, 2)])
def test_two_daemons_that_replicate_into_each_other_stop(
    tmp_path: Path,
    places: tuple[tuple[Place, int], tuple[Place, int]],
    guarded: bool,
    hops: int,
) -> None:
    """With the guard a change makes one hop. Without it the other daemon writes it back once, and
    then the first one sees that nothing is new."""
    (a, a_port), (b, b_port) = places
    guard = {"loop_guard": "true"} if guarded else {}
    with (
        Installation(
            tmp_path / "one",
            source=a,
            destinations={"there": replace(b, settings=guard)},
            port=a_port,
        ) as one,
        Installation(
            tmp_path / "two",
            source=b,
            destinations={"here": replace(a, settings=guard)},
            port=b_port,
        ) as two,
    ):
        one.start()
        two.start()
        put(a, {"from-a": b"written in a"}, metadata={"who": "a"}, tagging="t=1")
        put(b, {"from-b": b"written in b"}, metadata={"who": "b"})
        # With the guard it is the other side's key; without it what it wrote comes back.
        of_one, of_two = ("from-b", "from-a") if guarded else ("from-a", "from-b")
        until(lambda: rests(one, of_one) and rests(two, of_two), what="both daemons rest")
        # What rests wrote nothing, so there is no event that could go on.
        assert [writes(one), writes(two)] == [hops, hops]
        # Another storage class, and the bytes are as they were: it makes one hop, too.
        before = settled_at(two, "from-a")
        change_class(a, "from-a")
        until(lambda: class_of(b, "from-a") == "STANDARD_IA", what="the class is carried over")
        until(
            lambda: settled_at(two, "from-a") != before and rests(two, "from-a"),
            what="the other daemon has seen it, and rests",
        )
        assert class_of(a, "from-a") == "STANDARD_IA"
        assert [writes(one), writes(two)] == [hops + 1, hops]
    for place in (a, b):
        stored = get(place, "from-a")
        assert (stored.content, stored.metadata) == (b"written in a", {"who": "a"})
        assert stored.tags == {"t": "1"}
        assert get(place, "from-b").metadata == {"who": "b"}
