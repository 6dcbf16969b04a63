"""What a workload costs: the arithmetic, against numbers made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from s3fanout.cli.main import root
from s3fanout.decide.cost import Design, Estimate, Load, Workload, copy_requests, estimates
from s3fanout.decide.cost import unlisted as regions_not_listed
from s3fanout.deploy.prices import shipped_prices

PRICES = shipped_prices()
# 730 / 24 days a month: 24 objects a day are 730 a month.
ROUND = Workload(
    loads=[Load(24_000_000 / 730, 2**20)], source="us-east-1", destinations=["us-east-1"]
)


def by_design(workload: Workload) -> dict[Design, Estimate]:
    return {each.design: each for each in estimates(workload, PRICES)}


def dollars(estimate: Estimate, name: str) -> float:
    return sum(item.dollars for item in estimate.items if item.name == name)


def test_a_million_objects_to_one_bucket_of_the_region() -> None:
    assert ROUND.objects_per_month == pytest.approx(1_000_000)
    durable = by_design(ROUND)[Design.DURABLE]
    assert dollars(durable, "replica writes") == pytest.approx(5.0)
    assert dollars(durable, "transfer between Regions") == 0
    assert dollars(durable, "SNS publishes") == pytest.approx(0.5)
    assert dollars(durable, "SQS sends") == pytest.approx(0.4)
    assert dollars(durable, "SQS receives and deletes") == pytest.approx(0.8)
    assert dollars(durable, "Lambda requests") == pytest.approx(0.2)
    # 1,000,000 × 0.15 s × 0.5 GB
    assert dollars(durable, "Lambda time") == pytest.approx(75_000 * 0.0000133334)
    assert dollars(durable, "DynamoDB writes") == pytest.approx(0.625)
    assert dollars(durable, "alarms") == pytest.approx(0.5)
    assert durable.dollars_per_month == pytest.approx(sum(i.dollars for i in durable.items))
    assert durable.dollars_per_million_objects == pytest.approx(durable.dollars_per_month)


def test_classic_has_no_queue_and_no_ledger() -> None:
    names = {item.name for item in by_design(ROUND)[Design.CLASSIC].items}
    assert not any(name.startswith(("SQS", "DynamoDB", "ledger")) for name in names)
    assert "Lambda requests" in names


def test_replication_pays_for_writes_and_transfer_and_with_rtc_for_bytes_and_metrics() -> None:
    designs = by_design(replace(ROUND, destinations=["us-west-2", "us-east-2"]))
    plain, timed = designs[Design.REPLICATION], designs[Design.REPLICATION_RTC]
    gib = 1_000_000 * 2**20 / 2**30
    assert dollars(plain, "transfer between Regions") == pytest.approx(gib * (0.02 + 0.01))
    assert plain.overhead_per_month == 0
    assert timed.overhead_per_month == pytest.approx(2 * gib * 0.015 + 6 * 0.3)


def test_batches_make_fewer_invocations_and_requests() -> None:
    one, ten = (
        by_design(replace(ROUND, messages_per_invocation=messages))[Design.DURABLE]
        for messages in (1.0, 10.0)
    )
    assert dollars(ten, "Lambda time") == pytest.approx(dollars(one, "Lambda time") / 10)
    assert dollars(ten, "SQS sends") == dollars(one, "SQS sends")


def test_an_idle_queue_is_polled_all_the_same() -> None:
    idle = by_design(replace(ROUND, loads=[Load(1, 1)]))[Design.DURABLE]
    # Five pollers that ask every 20 s.
    assert dollars(idle, "SQS empty receives") == pytest.approx(657_000 * 0.4e-6, rel=0.001)


@pytest.mark.parametrize(
    ("size_bytes", "requests"), [(0, 1), (5 * 2**30, 1), (5 * 2**30 + 1, 23), (6 * 2**30, 26)]
)
def test_a_large_object_is_copied_in_parts(size_bytes: int, requests: int) -> None:
    assert copy_requests(size_bytes) == requests


def test_eventbridge_instead_of_sns() -> None:
    durable = by_design(replace(ROUND, event_route="eventbridge"))[Design.DURABLE]
    assert dollars(durable, "EventBridge events") == pytest.approx(1.0)
    assert dollars(durable, "SNS publishes") == 0


def test_a_region_without_prices_is_priced_as_another_and_named() -> None:
    workload = replace(ROUND, destinations=["mars-north-1"])
    assert regions_not_listed(workload, PRICES) == ["mars-north-1"]
    assert dollars(by_design(workload)[Design.CLASSIC], "replica writes") == pytest.approx(5.0)


def test_every_price_says_where_it_is_published() -> None:
    assert set(PRICES.unconfirmed) < set(PRICES.flat) | {
        "s3_put_per_thousand",
        "transfer_out_per_gb",
    }
    assert set(PRICES.put_per_thousand) == set(PRICES.transfer_out_per_gb)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--load", "many:1KiB"], "OBJECTS:SIZE"),
        (["--load", f"{'9' * 400}:1KiB"], "OBJECTS:SIZE"),
        (["--load", f"{'9' * 5000}:1KiB"], "OBJECTS:SIZE"),
        (["--load", "10:1"], "a size such as"),
        (["--from", "us-east-1"], "--from and --to go together"),
    ],
)
def test_a_wrong_workload_is_refused(arguments: list[str], said: str) -> None:
    answer = CliRunner().invoke(root, ["cost", *arguments])
    assert answer.exit_code == 2
    assert said in answer.output


def test_the_table_has_a_column_for_each_design() -> None:
    answer = CliRunner().invoke(root, ["cost", "--from", "us-east-1", "--to", "eu-west-1"])
    assert answer.exit_code == 0
    for title in ("s3fanout, durable", "s3fanout, classic", "S3 Replication, RTC"):
        assert title in answer.output
    assert "per million objects" in answer.output
