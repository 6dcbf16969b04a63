"""A job survives its way through a queue, and what is no job message never raises anything else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.intake.job_message import (
    is_job_message,
    job_message,
    read_continued,
    read_job_message,
)
from s3fanout.model.errors import MalformedEvent
from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import NewJob
from s3fanout.model.uploads import Continued, ReplicaUpload

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    st.builds(
        NewJob,
        destination=TEXT,
        key=TEXT,
        kind=st.sampled_from(ChangeKind),
        event_at_ms=st.integers(0, 2**50),
        order=st.none() | st.builds(OrderPoint, TEXT, TEXT, st.booleans()),
        etag=st.none() | TEXT,
        size_bytes=st.none() | st.integers(0, 2**60),
        version_id=st.none() | TEXT,
    )
)
def test_a_job_survives_its_message(job: NewJob) -> None:
    body = job_message(job)
    assert body.isascii()
    assert is_job_message(body)
    assert read_job_message(body) == job


def test_a_continued_copy_survives_its_message() -> None:
    job = NewJob("a", "k", ChangeKind.CREATED, 1)
    continued = Continued("source", ReplicaUpload("a", "k", "to/k", "u", "f", 7), 3)
    assert read_continued(job_message(job, continued)) == (job, continued)
    assert read_continued(job_message(job)) == (job, None)


def test_a_copy_that_stands_still_is_not_handed_on() -> None:
    upload = ReplicaUpload("a", "k", "k", "u", "f", 7)
    before, same, more = (Continued("s", upload, parts) for parts in (3, 3, 4))
    other = Continued("s", replace(upload, upload_id="v"), 0)
    assert before.is_ahead_of(None)
    assert [each.is_ahead_of(before) for each in (same, more, other)] == [False, True, True]


GOOD = json.loads(job_message(NewJob("a", "k", ChangeKind.CREATED, 1)))


@pytest.mark.parametrize(
    "document",
    [
        GOOD | {"s3fanout": 2},
        GOOD | {"job": None},
        GOOD | {"job": {}},
        GOOD | {"job": GOOD["job"] | {"key": ""}},
        GOOD | {"job": GOOD["job"] | {"key": 5}},
        GOOD | {"job": GOOD["job"] | {"kind": "eaten"}},
        GOOD | {"job": GOOD["job"] | {"order": {"scheme": "a"}}},
        GOOD | {"job": GOOD["job"] | {"size_bytes": "many"}},
        GOOD | {"job": GOOD["job"] | {"size_bytes": -1}},
        GOOD | {"job": GOOD["job"] | {"size_bytes": True}},
        GOOD | {"job": GOOD["job"] | {"event_at_ms": float("inf")}},
        GOOD | {"job": GOOD["job"] | {"event_at_ms": 10**400}},
        GOOD | {"continued": {"upload_id": "u"}},
        GOOD | {"continued": "u"},
        [],
    ],
)
def test_a_message_that_is_no_job_is_malformed(document: object) -> None:
    with pytest.raises(MalformedEvent):
        read_job_message(json.dumps(document))


def test_what_is_added_later_is_ignored() -> None:
    later = GOOD | {"more": 1, "job": GOOD["job"] | {"more": 1}}
    assert read_job_message(json.dumps(later)).key == "k"
