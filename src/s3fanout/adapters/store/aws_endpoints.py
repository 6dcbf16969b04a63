"""The S3 endpoint of an AWS region, for buckets that are configured with a region only."""

from __future__ import annotations

import re

from s3fanout.adapters.store.endpoint import Addressing, Endpoint
from s3fanout.model.errors import Misconfigured

_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]+)+-\d{1,2}")
_DNS_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
)
"""By prefix of the region; everything else is ``amazonaws.com``. Source: the partitions of botocore
1.44, which a unit test compares with, so that a new partition is noticed."""


def aws_endpoint(region: str, *, addressing: Addressing = Addressing.AUTO) -> Endpoint:
    """``https://s3.<region>.<suffix of the region's partition>``.

    Raises:
        Misconfigured: Not the name of a region.
    """
    if not _REGION.fullmatch(region):
        raise Misconfigured(
            f"not the name of an AWS region region={region!r}",
            hint="write it as us-east-1, or set an endpoint for a store that is not AWS",
        )
    return Endpoint("https", f"s3.{region}.{dns_suffix(region)}", 443, region, addressing)


def dns_suffix(region: str) -> str:
    """What host names of the region's partition end with."""
    return next(
        (suffix for prefix, suffix in _DNS_SUFFIXES if region.startswith(prefix)), "amazonaws.com"
    )
