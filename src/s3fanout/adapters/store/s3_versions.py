"""The operations of S3 on versions: a key's history, and whether a bucket keeps any."""

from __future__ import annotations

import json

from s3fanout.adapters.store.classify import Operation
from s3fanout.adapters.store.s3_client import S3Client, of_version
from s3fanout.adapters.store.s3_version_xml import (
    parse_deleted_page,
    parse_versioning,
    parse_versions_page,
)
from s3fanout.model.errors import Refused, SourceAbsent
from s3fanout.model.objects import DeletedPage, VersionPage

NOT_LISTED = "VersionsNotListed"
"""``s3_code`` of a history that the store has and does not show."""
_GONE = frozenset({200, 204})


class S3Versions(S3Client):
    """Versions and delete markers."""

    async def delete_version(self, key: str, version_id: str) -> None:
        async with self._neighbours.apart(key):
            await self.send(
                Operation.DELETE_OBJECT, "DELETE", key, query=of_version(version_id), expected=_GONE
            )

    async def list_versions(
        self, key: str, *, token: str | None = None, limit: int = 1000
    ) -> VersionPage:
        query = [
            ("encoding-type", "url"),
            ("max-keys", str(limit)),
            ("prefix", key),
            ("versions", ""),
        ]
        if token is not None:
            query += [("key-marker", key), ("version-id-marker", token)]
        operation = Operation.LIST_VERSIONS
        answer = await self.send(operation, "GET", query=query)
        listed = self._read(answer, lambda body: parse_versions_page(body, key))
        if token is None and listed.versions and not listed.begins_with_latest:
            raise self._broken(operation, key, "the newest version is not the first one")
        if token is None and listed.is_cut and not listed.versions and await self._is_there(key):
            # SeaweedFS 4.48 sorts what it cut: before a key's versions come keys that continue it
            # with what sorts before a dot, "a-1" before "a" (probed).
            raise Refused(
                f"the store does not list the versions of an object that it has key={key!r}",
                operation=operation,
                s3_code=NOT_LISTED,
                hint="too many keys begin with this key: rename it, or exclude it",
            )
        return VersionPage(listed.versions, listed.next_version_id)

    async def list_deleted(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000
    ) -> DeletedPage:
        query = [
            ("encoding-type", "url"),
            ("max-keys", str(limit)),
            ("prefix", prefix),
            ("versions", ""),
        ]
        if token is not None:
            key_marker, version_id_marker = json.loads(token)
            query.append(("key-marker", key_marker))
            if version_id_marker:
                query.append(("version-id-marker", version_id_marker))
        rows, going_on = parse_deleted_page(
            (await self.send(Operation.LIST_VERSIONS, "GET", query=query)).body
        )
        next_token = None if going_on is None else json.dumps(going_on)
        if next_token is not None and next_token == token:
            raise self._broken(Operation.LIST_VERSIONS, prefix, "the listing does not go on")
        return DeletedPage(rows, next_token)

    async def keeps_versions(self) -> bool:
        answer = await self.send(Operation.GET_VERSIONING, "GET", query=[("versioning", "")])
        return self._read(answer, parse_versioning)

    async def _is_there(self, key: str) -> bool:
        try:
            await self.send(Operation.HEAD_OBJECT, "HEAD", key, headers=self._key_headers)
        except SourceAbsent:
            return False
        return True
