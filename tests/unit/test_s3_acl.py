"""Grants as the canned ACL that they are, or none."""

from __future__ import annotations

import pytest

from s3fanout.adapters.store.s3_acl import parse_canned_acl
from s3fanout.model.errors import Unavailable

GROUPS = "http://acs.amazonaws.com/groups/global/"
OWNER = ("<ID>me</ID>", "FULL_CONTROL")


def policy(*grants: tuple[str, str]) -> bytes:
    rows = "".join(
        f"<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"
        for grantee, permission in grants
    )
    return (
        '<?xml version="1.0"?><AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Owner><ID>me</ID></Owner><AccessControlList>{rows}</AccessControlList>"
        "</AccessControlPolicy>"
    ).encode()


def group(name: str, permission: str) -> tuple[str, str]:
    return f"<URI>{GROUPS}{name}</URI>", permission


@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        ([OWNER], ""),
        ([OWNER, group("AllUsers", "READ")], "public-read"),
        ([OWNER, group("AllUsers", "WRITE"), group("AllUsers", "READ")], "public-read-write"),
        ([OWNER, group("AuthenticatedUsers", "READ")], "authenticated-read"),
        ([OWNER, group("AllUsers", "READ_ACP")], None),
        ([OWNER, ("<ID>you</ID>", "READ")], None),
        ([OWNER, ("<EmailAddress>a@b</EmailAddress>", "READ")], None),
    ],
)
def test_only_grants_that_a_canned_acl_has_are_one(
    grants: list[tuple[str, str]], expected: str | None
) -> None:
    assert parse_canned_acl(policy(*grants)) == expected


def test_another_document_says_nothing_about_grants() -> None:
    with pytest.raises(Unavailable):
        parse_canned_acl(b"<Tagging/>")
