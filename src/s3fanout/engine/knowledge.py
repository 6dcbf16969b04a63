"""What is known of one bucket's store: its kind's table, and what it showed.

Kept in the ledger, so that a restart asks nothing again, and so that ``check`` and the daemon know
the same. A ledger that cannot be read or written costs only that: nothing waits for it or fails.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from s3fanout.decide.abilities import is_current, trusts_conditions
from s3fanout.model.abilities import NO, Ability, AbilityRecord
from s3fanout.model.errors import LedgerUnavailable, StoreError
from s3fanout.model.vendors import Vendor
from s3fanout.ports.abilities import Abilities
from s3fanout.ports.system import Clock

LOG = logging.getLogger(__name__)


class StoreKnowledge:
    """What is known of one bucket's store."""

    def __init__(
        self,
        store: str,
        *,
        program: str,
        vendor: Callable[[], Awaitable[Vendor]],
        book: Abilities | None,
        clock: Clock,
    ) -> None:
        """Nothing is read yet.

        Args:
            store: Endpoint and bucket.
            program: Version of s3fanout.
            vendor: Says which kind of store it is.
            book: Where what it showed is kept, if anywhere.
            clock: Time.
        """
        self.store = store
        self._program = program
        self._vendor = vendor
        self._book = book
        self._clock = clock
        self._records: dict[Ability, AbilityRecord] = {}
        self._server: str | None = None

    async def read(self) -> None:
        """Take in what the ledger knows now; what it does not say stays as it was."""
        if self._book is None:
            return
        try:
            found = await self._book.abilities()
        except LedgerUnavailable as error:
            LOG.info("what stores showed cannot be read: %s", error)
            return
        self._records |= {each.ability: each for each in found if each.store == self.store}

    def met(self, server: str) -> None:
        """The store answered, and called itself so."""
        self._server = server

    def has(self, ability: Ability) -> str | None:
        """A current answer; ``None``: not known, no longer, or of another program than it is."""
        record = self._records.get(ability)
        now_ms = self._clock.now_ms()
        if record is None or not is_current(record, program=self._program, now_ms=now_ms):
            return None
        if self._server not in {None, record.server}:
            return None
        return record.value

    def honours_conditions(self) -> bool:
        """Whether a copy that the store made is of the pinned state, whatever etag it answers."""
        return trusts_conditions(
            self._records.get(Ability.CONDITIONS),
            server=self._server,
            program=self._program,
            now_ms=self._clock.now_ms(),
        )

    async def is_unordered(self) -> bool:
        """Whether it is known to list in another order than that of bytes.

        Not more than one request, if its kind must be asked.
        """
        await self.read()
        shown = self.has(Ability.ORDER)
        if shown is not None:
            return shown == NO
        try:
            return (await self._vendor()).byte_order is False
        except StoreError:
            return False  # The listing will say what is wrong.

    async def seen_unordered(self) -> None:
        """A listing of it was in another order."""
        await self.keep({Ability.ORDER: NO}, by="sweep")

    async def keep(self, found: Mapping[Ability, str], *, by: str) -> bool:
        """Remember what it showed just now. Returns whether the ledger does too."""
        now_ms = self._clock.now_ms()
        records = [
            AbilityRecord(self.store, ability, value, now_ms, by, self._program, self._server or "")
            for ability, value in found.items()
        ]
        self._records |= {each.ability: each for each in records}
        if self._book is None:
            return False
        try:
            await self._book.keep_abilities(records)
        except LedgerUnavailable as error:
            LOG.info("what %s showed is not kept: %s", self.store, error)
            return False
        return True
