"""Who may do what with an object, as a store's access control list says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

FULL_CONTROL = "FULL_CONTROL"
_EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
_AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


class AclGrant(NamedTuple):
    """One permission of one grantee.

    Attributes:
        grantee: Canonical id of an account, or URI of a group; ``""`` if it is named by neither.
        permission: As on the wire: ``READ``, ``READ_ACP``, ``WRITE_ACP``, ``FULL_CONTROL``, …
    """

    grantee: str
    permission: str

    @property
    def is_of_group(self) -> bool:
        """Whether the grantee means the same in every store."""
        return "://" in self.grantee


@dataclass(frozen=True, slots=True)
class Acl:
    """The access control list of an object.

    Attributes:
        owner: Canonical id of the account that owns the object; ``""`` when the store sent none.
        grants: Sorted, without the full control that every owner has.
    """

    owner: str
    grants: tuple[AclGrant, ...] = ()


CANNED: Mapping[str, tuple[AclGrant, ...]] = {
    "": (),
    "public-read": (AclGrant(_EVERYBODY, "READ"),),
    "public-read-write": (AclGrant(_EVERYBODY, "READ"), AclGrant(_EVERYBODY, "WRITE")),
    "authenticated-read": (AclGrant(_AUTHENTICATED, "READ"),),
}
"""What a canned ACL grants to others than the owner, where that is the same whoever writes; ``""``
is ``private`` (Amazon S3 user guide, "Access control list (ACL) overview", 2026-11)."""
