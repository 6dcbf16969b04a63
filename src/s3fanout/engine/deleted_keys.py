"""Keys whose newest version is a delete marker: their histories, compared with the replicas'.

No listing of objects shows them, so the versions of the source are listed: one request for 1,000 of
them, and what ``Examiner.examine_deleted`` costs for each such key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial

from s3fanout.decide.compare import Standing, Verdict
from s3fanout.decide.match import refusal, replica_key
from s3fanout.engine.examiner import Examiner
from s3fanout.engine.patience import patiently
from s3fanout.model.errors import StoreError
from s3fanout.model.objects import Deleted
from s3fanout.model.rules import Rule
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

Judged = tuple[Deleted, str, Verdict]
"""A deleted key, its replica key, and what is to be said about it."""


class DeletedKeys:
    """Compares those of one destination that gets all versions."""

    def __init__(
        self,
        *,
        rule: Rule,
        source: ObjectStore,
        examiner: Examiner,
        clock: Clock,
        looks: asyncio.Semaphore,
        is_chosen: Callable[[str], bool],
    ) -> None:
        """Prepare.

        Args:
            rule: What the destination wants.
            source: What is listed.
            examiner: Reads histories.
            clock: Times retries.
            looks: So many keys at a time.
            is_chosen: Whether a key is of the sample.
        """
        self._rule = rule
        self._source = source
        self._examiner = examiner
        self._clock = clock
        self._looks = looks
        self._is_chosen = is_chosen

    async def judged(self, prefix: str) -> AsyncGenerator[list[Judged]]:
        """Verdicts on the keys that start with ``prefix``, a page of the listing at a time.

        Raises:
            StoreError: The source's versions cannot be listed.
        """
        token: str | None = None
        while True:
            ask = partial(self._source.list_deleted, prefix, token=token)
            page = await patiently(self._clock, ask)
            wanted = [row for row in page.rows if refusal(self._rule, row.key, None) is None]
            found = await asyncio.gather(
                *(self._judge(row) for row in wanted if self._is_chosen(row.key))
            )
            yield [each for each in found if each is not None]
            token = page.next_token
            if token is None:
                return

    async def _judge(self, row: Deleted) -> Judged | None:
        target = replica_key(self._rule.key_map, row.key)
        verdict: Verdict | None
        try:
            async with self._looks:
                verdict = await self._examiner.examine_deleted(row.key, target)
        except StoreError as error:
            verdict = Verdict(Standing.ERROR, error.code, error.message)
        return None if verdict is None else (row, target, verdict)
