"""The bound on kept malformed messages."""

from __future__ import annotations

from s3fanout.model.errors import LedgerUnavailable
from s3fanout.ports.ledger import MALFORMED_ROWS_MAX


def check_room(*, kept: int, offered: int) -> None:
    """Refuse to keep more messages than ``MALFORMED_ROWS_MAX``.

    Raises:
        LedgerUnavailable: There is no room for all of them.
    """
    if kept + offered > MALFORMED_ROWS_MAX:
        raise LedgerUnavailable(
            f"{kept} malformed messages are kept already, {MALFORMED_ROWS_MAX} at most",
            hint="look at them, correct the sender, then discard them",
        )
