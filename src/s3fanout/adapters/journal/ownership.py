"""One daemon per ledger file, held by a lock that the kernel drops with the process."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from s3fanout.model.errors import AlreadyRunning, LedgerUnavailable

if TYPE_CHECKING:
    from pathlib import Path


class Ownership:
    """Holds ``<ledger>.lock`` from construction to ``release``, or to the death of the process.

    The file stays behind: removing it would let two processes lock two files of one name. It
    holds the owner's process id, for people and for the message of ``AlreadyRunning``.

    Raises:
        AlreadyRunning: Another process, or another journal of this one, holds it.
        LedgerUnavailable: The lock file cannot be written.
    """

    def __init__(self, ledger: Path) -> None:
        path = ledger.with_name(f"{ledger.name}.lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LedgerUnavailable(f"cannot open {path}: {error.strerror}") from error
        try:
            self._lock(ledger)
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self, ledger: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyRunning(f"process {owner} holds the ledger {ledger}") from error
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise LedgerUnavailable(f"cannot write the lock file: {error.strerror}") from error

    def release(self) -> None:
        """Let another process own the ledger. Call once."""
        os.close(self._file)


def owner_pid(ledger: Path) -> int | None:
    """The process that owns the ledger now; ``None`` if nobody does, 0 if it cannot be told."""
    path = ledger.with_name(f"{ledger.name}.lock")
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # A shared lock is refused while the owner holds its exclusive one.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(file, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0
    else:
        return None
    finally:
        os.close(file)
