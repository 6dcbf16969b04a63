"""Where requests go: endpoint URLs, addressing, and the endpoints of AWS's own regions."""

from __future__ import annotations

import botocore.loaders
import pytest

from s3fanout.adapters.store.aws_endpoints import aws_endpoint
from s3fanout.adapters.store.endpoint import Addressing, BucketAddress, Endpoint
from s3fanout.model.errors import Misconfigured


def parse(url: str, addressing: Addressing = Addressing.AUTO) -> Endpoint:
    return Endpoint.parse(url, region="us-east-1", addressing=addressing)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://s3.example.com", ("https://s3.example.com", "s3.example.com", "/b")),
        ("https://S3.Example.COM/", ("https://s3.example.com", "s3.example.com", "/b")),
        ("https://h:443", ("https://h", "h", "/b")),
        ("http://h:80", ("http://h", "h", "/b")),
        ("https://h:80", ("https://h:80", "h:80", "/b")),
        ("HTTP://127.0.0.1:9000", ("http://127.0.0.1:9000", "127.0.0.1:9000", "/b")),
        ("http://[::1]:9000", ("http://[::1]:9000", "[::1]:9000", "/b")),
        ("https://[2001:DB8:0::1]", ("https://[2001:db8::1]", "[2001:db8::1]", "/b")),
        ("https://h/s3/v1.0/", ("https://h", "h", "/s3/v1.0/b")),
        ("https://under_score.local", ("https://under_score.local", "under_score.local", "/b")),
    ],
)
def test_a_url_becomes_the_beginning_of_requests(url: str, address: tuple[str, str, str]) -> None:
    assert parse(url).address("b") == BucketAddress(*address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3.example.com",
        "s3.example.com:9000",
        "ftp://s3.example.com",
        "s3://bucket",
        "https://",
        "https://:9000",
        "https://h:port",
        "https://h:99999",
        "https://h:0",
        "https://user@h",
        "https://user:hunter2@h",
        "https://h?x=hunter2",
        "https://h#hunter2",
        "https://h/a//b",
        "https://h/..",
        "https://h/a/./b",
        "https://h/a%2Fb",
        "https://h/é",
        "https://ho st",
        "https://ho\nst",
        "https://münchen.example",
        "https://h.",
        "https://-h",
        "https://[::1",
        "https://[zz]",
        "https://[fe80::1%25eth0]",
    ],
)
def test_what_is_not_an_endpoint_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="endpoint") as caught:
        parse(url)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


AWS = "https://s3.eu-west-1.amazonaws.com"
OWN = "http://store.local:9000"
CHINA = "https://s3.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("url", "addressing", "bucket", "host", "path_prefix"),
    [
        (AWS, "auto", "bucket-1", "bucket-1.s3.eu-west-1.amazonaws.com", ""),
        (CHINA, "auto", "bucket-1", "bucket-1.s3.cn-north-1.amazonaws.com.cn", ""),
        (AWS, "auto", "with.dots", "s3.eu-west-1.amazonaws.com", "/with.dots"),
        (AWS, "auto", "Upper", "s3.eu-west-1.amazonaws.com", "/Upper"),
        (AWS, "auto", "under_score", "s3.eu-west-1.amazonaws.com", "/under_score"),
        (AWS, "auto", "x" * 64, "s3.eu-west-1.amazonaws.com", "/" + "x" * 64),
        (AWS, "path", "bucket-1", "s3.eu-west-1.amazonaws.com", "/bucket-1"),
        (AWS, "virtual-host", "with.dots", "with.dots.s3.eu-west-1.amazonaws.com", ""),
        (OWN, "auto", "bucket-1", "store.local:9000", "/bucket-1"),
        (OWN, "virtual-host", "bucket-1", "bucket-1.store.local:9000", ""),
        (OWN + "/base", "virtual-host", "b", "b.store.local:9000", "/base"),
        (
            "https://s3.amazonaws.com.evil.example",
            "auto",
            "b",
            "s3.amazonaws.com.evil.example",
            "/b",
        ),
    ],
)
def test_the_bucket_goes_where_the_addressing_says(
    url: str, addressing: str, bucket: str, host: str, path_prefix: str
) -> None:
    address = parse(url, Addressing(addressing)).address(bucket)
    assert (address.host, address.path_prefix) == (host, path_prefix)
    assert address.base == url.partition("://")[0] + "://" + host


def regions_of_the_sdk() -> list[tuple[str, str]]:
    """Every region that the SDK lists by name, with the DNS suffix of its partition."""
    partitions = botocore.loaders.create_loader().load_data("partitions")["partitions"]
    return [
        (region, partition["outputs"]["dnsSuffix"])
        for partition in partitions
        for region in partition["regions"]
        if not region.endswith("-global")
    ]


def test_every_region_of_the_sdk_has_its_endpoint() -> None:
    regions = regions_of_the_sdk()
    assert len({suffix for _, suffix in regions}) >= 7
    assert [
        (region, aws_endpoint(region))
        for region, suffix in regions
        if aws_endpoint(region) != Endpoint("https", f"s3.{region}.{suffix}", 443, region)
    ] == []


@pytest.mark.parametrize(
    "region", ["", "auto", "us-east", "US-EAST-1", "us-east-1.evil", "aws-global"]
)
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(Misconfigured, match="not the name of an AWS region"):
        aws_endpoint(region)


def test_addressing_is_passed_on() -> None:
    assert aws_endpoint("us-east-1", addressing=Addressing.PATH).address("b").path_prefix == "/b"
