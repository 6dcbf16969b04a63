"""Talks to AWS's control plane for commands: boto3 clients, and its errors as ours.

Commands are short: credentials are read once, when the session is made.

| what AWS or botocore says | error | hint |
|---|---|---|
| no credentials, broken profile | AccessDenied | where they are looked for |
| expired token | AccessDenied | renew it |
| unknown key, wrong signature, wrong clock | AccessDenied | which credentials are meant |
| not authorized | AccessDenied | the action that is missing |
| throttled, 5xx, no answer | Unavailable | – |
| anything else | StoreError | – |
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from s3fanout.adapters.store.credentials import Credentials
from s3fanout.config.settings import Settings
from s3fanout.model.errors import (
    AccessDenied,
    Misconfigured,
    S3FanoutError,
    StoreError,
    Throttled,
    Unavailable,
)
from s3fanout.wiring import Stores, system_clock

if TYPE_CHECKING:
    import boto3

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken"}
    | {"SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"}
    | {"IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException"}
)
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
    | {"AuthorizationErrorException", "Forbidden", "403"}
)
_THROTTLED = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown")
_ACTION = re.compile(r"not authorized to perform:? ([A-Za-z0-9-]+:[A-Za-z0-9*]+)")
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class AwsSession:
    """Clients of one identity.

    Attributes:
        session: Of boto3.
        identity: Whose credentials the session has.
        region: The source's; where the deployment is.
        endpoint: Of an emulator; ``None`` is AWS.
    """

    session: boto3.Session
    identity: Credentials
    region: str
    endpoint: str | None

    def client(self, service: str, *, region: str | None = None) -> Any:
        """A client of ``service``, in the deployment's Region unless another one is named."""
        from botocore.config import Config  # noqa: PLC0415 - as boto3

        config = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 5},
            # Bucket names may hold dots, and an emulator has one host name only.
            s3={"addressing_style": "auto" if self.endpoint is None else "path"},
            proxies={} if self.endpoint is not None else None,
        )
        make: Any = self.session.client
        return make(
            service, region_name=region or self.region, endpoint_url=self.endpoint, config=config
        )

    def account(self) -> str:
        """The account that the credentials belong to; one request."""
        with asking("who the credentials belong to"):
            return str(self.client("sts").get_caller_identity()["Account"])


def open_session(settings: Settings, env: Mapping[str, str]) -> AwsSession:
    """A session with the source's credentials.

    Raises:
        Misconfigured: There is no ``[aws]`` section.
        AccessDenied: There are no credentials.
    """
    import boto3  # noqa: PLC0415 - a third of a command's start

    if settings.aws is None:
        raise Misconfigured(
            "the configuration has no [aws] section", hint="s3fanout init --aws writes one"
        )
    stores = Stores(settings, env, clock=system_clock())
    source = stores.credentials(settings.source.credentials, settings.source.region)
    found = asyncio.run(source.current())
    session = boto3.Session(
        aws_access_key_id=found.access_key,
        aws_secret_access_key=found.secret_key,
        aws_session_token=found.token,
        region_name=settings.source.region,
    )
    return AwsSession(session, found, settings.source.region, settings.aws.endpoint)


def at_endpoint(settings: Settings) -> Settings:
    """The settings for S3 clients: an emulator's endpoint is that of every bucket."""
    endpoint = None if settings.aws is None else settings.aws.endpoint
    if endpoint is None:
        return settings
    credentials = settings.source.credentials
    return settings.model_copy(
        update={
            "source": settings.source.model_copy(update={"endpoint": endpoint}),
            "destinations": {
                name: to.model_copy(update={"endpoint": endpoint, "credentials": credentials})
                for name, to in settings.destinations.items()
            },
        }
    )


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the SDK's errors into ours; ``what`` was asked for, in words for a person.

    Raises:
        AccessDenied, Unavailable, Throttled, StoreError: See the module.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise translated(error, what) from error


def translated(error: ClientError | BotoCoreError, what: str) -> S3FanoutError:
    """Our error for one of the SDK; see the module's table."""
    if isinstance(error, NoCredentialsError):
        return AccessDenied(
            f"no credentials, asked for {what}",
            hint="set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name "
            "credentials in the configuration",
        )
    if not isinstance(error, ClientError):
        return Unavailable(f"AWS did not answer, asked for {what}: {error}")
    code = error_code(error)
    response: Any = error.response
    said = str(response.get("Error", {}).get("Message") or code)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"{error.operation_name} was refused, asked for {what}: {said}"
    known: dict[str, Any] = {"operation": error.operation_name, "status": status, "s3_code": code}
    if code in _EXPIRED:
        return AccessDenied(message, hint="the token has expired: sign in again", **known)
    if code in _UNKNOWN:
        return AccessDenied(
            message,
            hint="AWS does not know these credentials: is it the right profile, the right clock?",
            **known,
        )
    if code in _DENIED:
        return AccessDenied(message, hint=_missing(error, said), **known)
    if code.startswith(_THROTTLED):
        return Throttled(message, hint="try again in a moment", **known)
    if status >= _SERVER_ERROR:
        return Unavailable(message, **known)
    return StoreError(message, **known)


def error_code(error: ClientError) -> str:
    """The service's code, without the prefixes and suffixes that query APIs add."""
    response: Any = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    return code.rpartition("#")[2] or code


def _missing(error: ClientError, said: str) -> str:
    found = _ACTION.search(said)
    action = found[1] if found else f"the action of {error.operation_name}"
    return f"the user or role that runs this command lacks {action}"
