"""An object's ACL as the canned one that it is equal to.

Grants name accounts by ids that mean nothing in another store, and who writes an object with grants
of its own takes the owner's away. What canned ACLs grant to groups means the same everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.adapters.store.s3_xml import root_of, text_of
from s3fanout.model.errors import Unavailable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
_AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
_CANNED = {
    frozenset(): "",
    frozenset({(_EVERYBODY, "READ")}): "public-read",
    frozenset({(_EVERYBODY, "READ"), (_EVERYBODY, "WRITE")}): "public-read-write",
    frozenset({(_AUTHENTICATED, "READ")}): "authenticated-read",
}
"""Amazon S3 user guide, "Access control list (ACL) overview", canned ACLs, 2026-11."""


def parse_canned_acl(body: bytes) -> str | None:
    """The canned ACL of a ``GetObjectAcl`` answer; ``None`` if it is none.

    Raises:
        Unavailable: Not such a document.
    """
    root = root_of(body)
    if root.tag != "AccessControlPolicy":
        raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")
    owner = _id_in(root, "Owner")
    grants = {
        (_id_in(grant, "Grantee"), text_of(grant, "Permission")) for grant in root.iter("Grant")
    }
    others = frozenset(grant for grant in grants if grant != (owner, "FULL_CONTROL"))
    return _CANNED.get(others)


def _id_in(row: Element, name: str) -> str:
    found = row.find(name)
    return "" if found is None else text_of(found, "URI") or text_of(found, "ID")
