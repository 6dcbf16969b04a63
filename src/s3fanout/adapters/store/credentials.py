"""Credentials by reference: who signs requests, read when needed and renewed before they expire.

botocore finds profiles, roles and the standard chain; it is imported only when one of these is
asked for, because its import costs more than a cold start may.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from s3fanout.model.errors import AccessDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3fanout.ports.system import Clock

REREAD_S = 10.0
"""How long credentials of botocore or a file are used before they are looked at again. botocore
renews temporary ones itself 15 minutes before they expire, when it is asked."""

_IN_HEADER = re.compile(r"[ -~]*")
_TEXT = re.compile(r"[^\ud800-\udfff]*")
"""A secret only signs: any text will do, as stores other than AWS let their users choose it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One identity. The secrets are not part of its text form."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def _sendable(found: Credentials, place: str) -> Credentials:
    """``found``, of which a request can carry what it has to.

    Raises:
        AccessDenied: It cannot; the text names the part, never its value.
    """
    for name, value, allowed in (
        ("access key", found.access_key, _IN_HEADER),
        ("secret key", found.secret_key, _TEXT),
        ("session token", found.token or "", _IN_HEADER),
    ):
        if not allowed.fullmatch(value):
            raise AccessDenied(
                f"credentials cannot be used {place} reason='the {name} holds a character that no "
                f"request can carry'",
                hint="look for a line break or a typographic character that was copied with it",
            )
    return found


class CredentialSource(Protocol):
    """Gives current credentials; cheap when nothing changed."""

    async def current(self) -> Credentials:
        """The credentials to sign with now.

        Raises:
            AccessDenied: There are none; the hint says where they were looked for.
        """
        ...


class StaticCredentials:
    """Credentials that never change."""

    def __init__(self, access_key: str, secret_key: str, token: str | None = None) -> None:
        self._credentials = Credentials(access_key, secret_key, token)

    async def current(self) -> Credentials:
        return self._credentials


def from_environment(prefix: str, env: Mapping[str, str]) -> StaticCredentials:
    """``<prefix>_ACCESS_KEY_ID``, ``<prefix>_SECRET_ACCESS_KEY``, ``<prefix>_SESSION_TOKEN``.

    Raises:
        AccessDenied: One of the first two is missing (the hint names it), or no request can carry
            them.
    """
    names = (f"{prefix}_ACCESS_KEY_ID", f"{prefix}_SECRET_ACCESS_KEY")
    missing = [name for name in names if not env.get(name, "").strip()]
    if missing:
        raise AccessDenied(
            f"no credentials in the environment missing={','.join(missing)}",
            hint=f"export {missing[0]}=…",
        )
    found = Credentials(
        env[names[0]].strip(),
        env[names[1]].strip(),
        env.get(f"{prefix}_SESSION_TOKEN", "").strip() or None,
    )
    _sendable(found, f"variables={prefix}_…")
    return StaticCredentials(found.access_key, found.secret_key, found.token)


class FileCredentials:
    """A JSON file with ``AccessKeyId``, ``SecretAccessKey`` and, if any, ``SessionToken``.

    The file is read again when it changed, so that a secret can be rotated in place.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._held: Credentials | None = None
        self._stamp: tuple[int, int] | None = None
        self._looked_at_s = float("-inf")

    async def current(self) -> Credentials:
        now_s = self._clock.monotonic_s()
        if self._held is None or now_s - self._looked_at_s >= REREAD_S:
            self._held = await asyncio.to_thread(self._read)
            self._looked_at_s = now_s
        return self._held

    def _read(self) -> Credentials:
        hint = 'write {"AccessKeyId": "…", "SecretAccessKey": "…"} into it, readable by this user'
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if self._held is not None and stamp == self._stamp:
                return self._held
            found = json.loads(self._path.read_bytes())
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise AccessDenied(
                f"credentials file cannot be read file={self._path} reason={reason!r}", hint=hint
            ) from error
        except (RecursionError, ValueError) as error:
            # Not chained into the text: the parser quotes what it saw.
            raise AccessDenied(
                f"credentials file is not JSON file={self._path}", hint=hint
            ) from error
        if not isinstance(found, dict) or not all(
            isinstance(found.get(name), str) and found[name]
            for name in ("AccessKeyId", "SecretAccessKey")
        ):
            raise AccessDenied(
                f"credentials file lacks AccessKeyId or SecretAccessKey file={self._path}",
                hint=hint,
            )
        token = found.get("SessionToken") or None
        if token is not None and not isinstance(token, str):
            raise AccessDenied(
                f"credentials file has a SessionToken that is no text file={self._path}", hint=hint
            )
        read = Credentials(found["AccessKeyId"], found["SecretAccessKey"], token)
        _sendable(read, f"file={self._path}")
        self._stamp = stamp
        return read


class BotocoreCredentials:
    """The standard AWS chain, a profile of the shared files, or a role."""

    def __init__(
        self,
        *,
        clock: Clock,
        profile: str | None = None,
        role: str | None = None,
        external_id: str | None = None,
        region: str | None = None,
    ) -> None:
        """Bind to one identity.

        Args:
            clock: Times when botocore is asked again.
            profile: Of the shared files; ``None`` is the standard chain.
            role: ARN to assume with what ``profile`` gives.
            external_id: Beside ``role``.
            region: Where STS is asked.
        """
        self._clock = clock
        self._profile = profile
        self._role = role
        self._external_id = external_id
        self._region = region
        self._provider: Any = None
        self._held: Credentials | None = None
        self._asked_at_s = float("-inf")
        self._asking = asyncio.Lock()

    async def current(self) -> Credentials:
        if self._held is not None and self._clock.monotonic_s() - self._asked_at_s < REREAD_S:
            return self._held
        async with self._asking:
            if self._held is None or self._clock.monotonic_s() - self._asked_at_s >= REREAD_S:
                self._held = await asyncio.to_thread(self._ask)
                self._asked_at_s = self._clock.monotonic_s()
            return self._held

    def _ask(self) -> Credentials:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see module

        wanted = self._role or self._profile or "the standard AWS chain"
        try:
            if self._provider is None:
                self._provider = self._find()
            frozen = None if self._provider is None else self._provider.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError) as error:
            # RuntimeError: renewed credentials that are expired already (botocore).
            raise AccessDenied(
                f"no credentials from={wanted} reason={str(error)!r}",
                hint="check the profile, the role's trust policy and the AWS configuration files",
            ) from error
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise AccessDenied(
                f"no credentials from={wanted}",
                hint="set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name "
                "credentials in the configuration",
            )
        found = Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)
        return _sendable(found, f"from={wanted}")

    def _find(self) -> Any:
        from botocore.credentials import (  # noqa: PLC0415 - see module
            AssumeRoleCredentialFetcher,
            DeferredRefreshableCredentials,
        )
        from botocore.session import Session  # noqa: PLC0415 - see module

        session = Session(profile=self._profile)
        if self._region is not None:
            session.set_config_variable("region", self._region)
        base = session.get_credentials()
        if self._role is None or base is None:
            return base
        extra = {"RoleSessionName": "s3fanout"}
        if self._external_id is not None:
            extra["ExternalId"] = self._external_id
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=session.create_client,
            source_credentials=base,
            role_arn=self._role,
            extra_args=extra,
        )
        return DeferredRefreshableCredentials(
            method="assume-role", refresh_using=fetcher.fetch_credentials
        )
