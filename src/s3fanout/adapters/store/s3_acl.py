"""The document that tells an object's or a bucket's ACL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.adapters.store.s3_xml import root_of, text_of
from s3fanout.model.acls import FULL_CONTROL, Acl, AclGrant
from s3fanout.model.errors import Unavailable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def parse_acl(body: bytes) -> Acl:
    """The answer of ``GetObjectAcl`` or ``GetBucketAcl``.

    Raises:
        Unavailable: Not such a document.
    """
    root = root_of(body)
    if root.tag != "AccessControlPolicy":
        raise Unavailable(f"broken answer: unexpected document root={root.tag[:40]!r}")
    owner = _id_in(root, "Owner")
    grants = {
        AclGrant(_id_in(grant, "Grantee"), text_of(grant, "Permission"))
        for grant in root.iter("Grant")
    }
    return Acl(owner, tuple(sorted(grants - {AclGrant(owner, FULL_CONTROL)})))


def _id_in(row: Element, name: str) -> str:
    found = row.find(name)
    return "" if found is None else text_of(found, "URI") or text_of(found, "ID")
