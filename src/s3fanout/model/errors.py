"""Every error that s3fanout raises. A class exists only where somebody acts differently.

```
S3FanoutError
├── Misconfigured          a setting is wrong                        exit 5, nothing was started
├── AlreadyRunning         another process holds this ledger         exit 7
├── LedgerUnavailable      the ledger cannot be written now          intake answers 503, try again
├── NotificationsChanged   somebody wrote them at the same time      run the command again
├── StackBusy              CloudFormation is at work on it           wait, run the command again
├── StackFailed            CloudFormation went back                  correct the cause
├── CheckpointMismatch     a checkpoint is of something else         start over, or as it was
├── InventoryBroken        an input file is missing or damaged      nothing was queued of it
├── MalformedEvent         a message cannot be understood            kept with its payload
└── StoreError             an object store said no
    ├── Unavailable        no answer, or 5xx: try again              back-off, counts as an attempt
    │   └── OutOfFiles     no file descriptor left for a connection  likewise
    ├── Throttled          slow down: 503 SlowDown, 429              slower, never counts
    ├── SourceChanged      412 on a pinned read                      read again and plan again
    ├── SourceAbsent       the source object was *confirmed* gone    settle: nothing to copy
    ├── AccessDenied       403                                       the store may be to blame
    ├── NoSuchBucket       404 for the bucket                        the store is to blame
    ├── UploadGone         a multipart upload is not there any more  begin another one
    ├── Refused            any other 4xx: never works as it is       dead letter
    │   └── NotExact       the replica would lack something, strict  dead letter
    ├── ListingUnordered   keys do not come in byte order        list again and sort
    └── ReplicaMismatch    what was written is not what was read     try again, never settle
```
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the command line; ``docs/cli.md`` has the same table."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DIFFERENT = 4
    CONFIGURATION = 5
    ACCESS_DENIED = 6
    ALREADY_RUNNING = 7
    INTERRUPTED = 130


class S3FanoutError(Exception):
    """Base of all our errors.

    Attributes:
        code: Stable slug, safe for scripts and metrics.
        exit_code: What a command ends with when this error ends it.
        hint: What to do now, in one sentence.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint


class Misconfigured(S3FanoutError):
    """One or more settings are wrong."""

    code = "misconfigured"
    exit_code = ExitCode.CONFIGURATION


class AlreadyRunning(S3FanoutError):
    """Another daemon holds the ledger."""

    code = "already-running"
    exit_code = ExitCode.ALREADY_RUNNING
    default_hint = "stop the other daemon, or give this one a ledger of its own"


class LedgerUnavailable(S3FanoutError):
    """The ledger could not be read or written; what was not confirmed is not accepted."""

    code = "ledger-unavailable"
    default_hint = "check free space and permissions of the ledger's directory"


class NotificationsChanged(S3FanoutError):
    """Somebody else wrote the bucket's notifications at the same time."""

    code = "notifications-changed"
    default_hint = "run the same command again: it reads them anew"


class StackBusy(S3FanoutError):
    """CloudFormation is changing the stack now."""

    code = "stack-busy"
    default_hint = "wait until CloudFormation has finished, then run the same command again"


class StackFailed(S3FanoutError):
    """CloudFormation could not make it so, and went back to what was before."""

    code = "stack-failed"
    default_hint = "correct the cause and run the same command again"


class CheckpointMismatch(S3FanoutError):
    """A walk cannot go on from a checkpoint that another configuration or input made."""

    code = "checkpoint-mismatch"
    exit_code = ExitCode.CONFIGURATION
    default_hint = "finish it as it was begun, or begin anew with --restart"


class InventoryBroken(S3FanoutError):
    """A file that names objects is missing, damaged, or not understood."""

    code = "inventory-broken"
    exit_code = ExitCode.CONFIGURATION
    default_hint = "download the inventory again; nothing was queued from a file that is damaged"


class MalformedEvent(S3FanoutError):
    """A message could not be understood.

    Attributes:
        reason: Stable slug, see ``Malformed.reason``.
    """

    code = "malformed-event"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreError(S3FanoutError):
    """An object store did not do what was asked.

    Attributes:
        operation: S3 operation name (``CopyObject``).
        status: HTTP status, 0 when there was no answer.
        s3_code: Code of the store's error document, ``""`` without one.
        request_id: The store's request id, ``""`` without one.
        maybe_applied: A write may have taken effect although it failed.
        retry_after_s: What the store asked for; ``None`` if nothing.
        of_source: It is the source that could not be read: no destination is to blame.
    """

    code = "store-error"

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        status: int = 0,
        s3_code: str = "",
        request_id: str = "",
        maybe_applied: bool = False,
        retry_after_s: float | None = None,
        of_source: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation
        self.status = status
        self.s3_code = s3_code
        self.request_id = request_id
        self.maybe_applied = maybe_applied
        self.retry_after_s = retry_after_s
        self.of_source = of_source


class Unavailable(StoreError):
    """No answer, a broken one, or a 5xx: trying again may help."""

    code = "unavailable"
    default_hint = "is the endpoint up and reachable?"


class OutOfFiles(Unavailable):
    """This process may open no more files or connections."""

    code = "out-of-files"
    default_hint = (
        "raise the limit of open files (ulimit -n, LimitNOFILE=) or lower limits.concurrency"
    )


class Throttled(StoreError):
    """The store asked for fewer requests. Never counts as an attempt."""

    code = "throttled"
    default_hint = "the rate was lowered; nothing to do"


class SourceChanged(StoreError):
    """A read pinned to an etag met another object: read the facts again."""

    code = "source-changed"


class SourceAbsent(StoreError):
    """The store confirmed that the source object does not exist."""

    code = "source-absent"


class AccessDenied(StoreError):
    """The credentials are wrong or may not do this."""

    code = "access-denied"
    exit_code = ExitCode.ACCESS_DENIED
    default_hint = "check the credentials and their permissions (s3fanout check)"


class NoSuchBucket(StoreError):
    """The bucket does not exist."""

    code = "no-such-bucket"
    exit_code = ExitCode.CONFIGURATION
    default_hint = "create the bucket or correct its name"


class UploadGone(StoreError):
    """The store knows no such multipart upload: aborted, expired, or completed before."""

    code = "upload-gone"
    default_hint = "do others, or a lifecycle rule of the bucket, abort uploads early?"


class Refused(StoreError):
    """The store will never do this as it was asked (a 4xx that is not one of the above)."""

    code = "refused"
    default_hint = "see the store's message; correct the cause, then: s3fanout redrive"


class NotExact(Refused):
    """The destination does not hold all that the object carries, and is strict."""

    code = "not-exact"
    default_hint = (
        "exclude such objects, change the destination's settings, or set strict = false to keep "
        "replicas with differences; then: s3fanout redrive"
    )


class ReplicaMismatch(StoreError):
    """The replica is not what was read from the source. It is never settled."""

    code = "replica-mismatch"
    default_hint = "if it stays, the destination alters objects"


class ListingUnordered(StoreError):
    """A listing does not come in the order of the keys' bytes; whoever needs it sorts it."""

    code = "listing-unordered"
    default_hint = "nothing to do: the listing is read again and sorted"
