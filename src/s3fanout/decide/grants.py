"""The ACL of a replica, from that of its source object.

| of the source object's ACL | the replica gets |
|---|---|
| what some canned ACL grants, or nothing | that canned one: its owner is who owns the replica |
| grants to groups | as they are: a group's URI means the same everywhere |
| grants to accounts, where ids are the destination's too | as they are |
| grants to accounts, elsewhere, and what no header can say | nothing: a difference |
| full control of the owner | full control of the owner of the destination's bucket |
| the same, where that is another account with ids of the same store | of both |

Explicit grants take the place of all that a store would grant by itself, so the owner's has to be
among them. An account whose objects are copied into the bucket of another one keeps its own
permission, as with S3 Replication, because it may be the one that writes: an object's owner cannot
read it without a grant if the bucket is another account's (Amazon S3 user guide, "How Amazon S3
authorizes a request for an object operation", 2026-11).
"""

from __future__ import annotations

import re

from s3fanout.model.acls import CANNED, FULL_CONTROL, Acl, AclGrant

_SENDABLE = re.compile(r"[!#-+\--~]+")
"""Printable ASCII without what separates grantees in a header."""
_CANNED_BY_GRANTS = {grants: name for name, grants in CANNED.items()}


def kept_grants(acl: Acl, *, same_accounts: bool) -> tuple[AclGrant, ...]:
    """The grants that mean the same at the destination and can be sent."""
    return tuple(
        grant
        for grant in acl.grants
        if (same_accounts or grant.is_of_group) and _SENDABLE.fullmatch(grant.grantee)
    )


def canned_of(grants: tuple[AclGrant, ...]) -> str | None:
    """The canned ACL that grants the same to others than the owner; ``None`` if there is none."""
    return _CANNED_BY_GRANTS.get(grants)


def with_owner(
    grants: tuple[AclGrant, ...], acl: Acl, *, bucket_owner: str, same_accounts: bool
) -> tuple[AclGrant, ...]:
    """``grants`` with what the owner has by itself, sorted."""
    owners = {bucket_owner, acl.owner} if same_accounts else {bucket_owner}
    own = {AclGrant(owner, FULL_CONTROL) for owner in owners if owner}
    return tuple(sorted({*grants, *own}))


def grants_other(wanted: tuple[AclGrant, ...], found: Acl) -> bool:
    """Whether an object with ``found`` grants anything else than ``wanted``."""
    return {*wanted} - {AclGrant(found.owner, FULL_CONTROL)} != {*found.grants}


def grants_less(wanted: tuple[AclGrant, ...], found: Acl) -> bool:
    """Whether an object with ``found`` grants less than ``wanted``."""
    return not {*wanted} <= {*found.grants, AclGrant(found.owner, FULL_CONTROL)}
