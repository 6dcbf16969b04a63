"""What of a source object's ACL a replica gets."""

from __future__ import annotations

import pytest

from s3fanout.decide.grants import canned_of, grants_less, kept_grants, with_owner
from s3fanout.model.acls import CANNED, FULL_CONTROL, Acl, AclGrant

GROUPS = "http://acs.amazonaws.com/groups/global/"
ALL, KNOWN = AclGrant(f"{GROUPS}AllUsers", "READ"), AclGrant(f"{GROUPS}LogDelivery", "READ")
FRIEND = AclGrant("friend", "READ")
OURS = AclGrant("bucket's", FULL_CONTROL)


@pytest.mark.parametrize(
    ("grants", "same_accounts", "kept"),
    [
        ((), False, ()),
        ((FRIEND, ALL), True, (FRIEND, ALL)),
        ((FRIEND, ALL), False, (ALL,)),
        ((AclGrant("", "READ"), FRIEND), True, (FRIEND,)),  # by e-mail address
        ((AclGrant('a", id="b', "READ"),), True, ()),
        ((AclGrant("a,b", "READ"),), True, ()),
        ((AclGrant("tenant$user-1", "READ_ACP"),), True, (AclGrant("tenant$user-1", "READ_ACP"),)),
        ((AclGrant(f"{GROUPS}AllUsers\r\nx: y", "READ"),), True, ()),
    ],
)
def test_grants_are_kept_where_they_mean_the_same(
    grants: tuple[AclGrant, ...], same_accounts: bool, kept: tuple[AclGrant, ...]
) -> None:
    assert kept_grants(Acl("me", grants), same_accounts=same_accounts) == kept


@pytest.mark.parametrize("name", sorted(CANNED))
def test_what_a_canned_acl_grants_is_that_one(name: str) -> None:
    assert canned_of(CANNED[name]) == name
    assert tuple(sorted(CANNED[name])) == CANNED[name], "stores are compared with it sorted"


def test_other_grants_are_no_canned_acl() -> None:
    assert canned_of((FRIEND,)) is None
    assert canned_of((ALL, KNOWN)) is None


@pytest.mark.parametrize(
    ("owner", "same_accounts", "expected"),
    [
        ("bucket's", True, (OURS, FRIEND)),
        ("another", True, (AclGrant("another", FULL_CONTROL), OURS, FRIEND)),
        ("another", False, (OURS, FRIEND)),
        ("", True, (OURS, FRIEND)),
    ],
)
def test_the_owner_of_the_bucket_and_who_writes_keep_full_control(
    owner: str, same_accounts: bool, expected: tuple[AclGrant, ...]
) -> None:
    acl = Acl(owner, (FRIEND,))
    found = with_owner((FRIEND,), acl, bucket_owner="bucket's", same_accounts=same_accounts)
    assert found == expected


def test_an_object_grants_less_if_any_grant_is_not_there() -> None:
    assert not grants_less((FRIEND, OURS), Acl("bucket's", (FRIEND,)))
    assert not grants_less((FRIEND,), Acl("", (FRIEND, ALL)))
    assert grants_less((FRIEND, ALL), Acl("bucket's", (FRIEND,)))
    assert grants_less((AclGrant("friend", "READ_ACP"),), Acl("bucket's", (FRIEND,)))
