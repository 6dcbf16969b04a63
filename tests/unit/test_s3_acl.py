"""Access control lists as stores write them."""

from __future__ import annotations

import pytest

from s3fanout.adapters.store.s3_acl import parse_acl
from s3fanout.adapters.store.s3_headers import headers_of_extras
from s3fanout.model.acls import FULL_CONTROL, Acl, AclGrant
from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import Extras

GROUPS = "http://acs.amazonaws.com/groups/global/"
OWNER = ("<ID>me</ID>", FULL_CONTROL)


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
        ([OWNER], []),
        ([], []),
        ([OWNER, group("AllUsers", "READ")], [AclGrant(f"{GROUPS}AllUsers", "READ")]),
        (
            [group("AllUsers", "WRITE"), OWNER, group("AllUsers", "READ")],
            [AclGrant(f"{GROUPS}AllUsers", "READ"), AclGrant(f"{GROUPS}AllUsers", "WRITE")],
        ),
        ([("<ID>you</ID>", FULL_CONTROL), OWNER], [AclGrant("you", FULL_CONTROL)]),
        ([("<ID>me</ID>", "READ")], [AclGrant("me", "READ")]),
        ([OWNER, ("<EmailAddress>a@b</EmailAddress>", "READ")], [AclGrant("", "READ")]),
    ],
)
def test_grants_are_read_sorted_without_what_the_owner_has_anyway(
    grants: list[tuple[str, str]], expected: list[AclGrant]
) -> None:
    assert parse_acl(policy(*grants)) == Acl("me", tuple(expected))


def test_another_document_says_nothing_about_grants() -> None:
    with pytest.raises(Unavailable):
        parse_acl(b"<Tagging/>")


def test_grants_are_sent_with_one_header_for_each_permission() -> None:
    grants = (
        AclGrant("friend", "READ"),
        AclGrant("me", FULL_CONTROL),
        AclGrant(f"{GROUPS}AllUsers", "READ"),
        AclGrant("friend", "READ_ACP"),
    )
    assert headers_of_extras(Extras(grants=grants)) == {
        "x-amz-grant-read": f'id="friend", uri="{GROUPS}AllUsers"',
        "x-amz-grant-full-control": 'id="me"',
        "x-amz-grant-read-acp": 'id="friend"',
    }
