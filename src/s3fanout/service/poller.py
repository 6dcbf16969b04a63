"""SQS intake: receive, accept durably, delete. In that order, so that nothing is lost."""

from __future__ import annotations

import asyncio
import logging

from s3fanout.adapters.events.sqs import SqsMessage, SqsSource
from s3fanout.engine.receive import Receiver
from s3fanout.model.errors import LedgerUnavailable, S3FanoutError
from s3fanout.ports.system import Clock

LOG = logging.getLogger(__name__)

ERROR_WAIT_S = 5.0


class Poller:
    """Polls one SQS queue with a number of loops until it is stopped."""

    def __init__(self, source: SqsSource, *, receiver: Receiver, clock: Clock, loops: int) -> None:
        self._source = source
        self._receiver = receiver
        self._clock = clock
        self._loops = loops
        self._tasks: list[asyncio.Task[None]] = []
        self.last_error: Exception | None = None
        """Why the newest poll failed; ``None`` while polls work."""

    def start(self) -> None:
        """Begin to poll."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._run(), name=f"sqs poller {index}")
            for index in range(self._loops)
        ]

    async def stop(self) -> None:
        """End polling. A batch in hand is finished or comes again after its visibility timeout."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                messages = await self._source.receive()
                if messages:
                    await self._take(messages)
            except Exception as error:
                # Whatever it is: nobody waits for a loop to end, and events would stop in silence.
                if not isinstance(error, S3FanoutError):
                    LOG.exception("polling failed by a defect of s3fanout, trying again")
                elif self.last_error is None:
                    LOG.warning("polling failed, trying again: %s (%s)", error, error.hint)
                self.last_error = error
                await self._clock.sleep(ERROR_WAIT_S)
            else:
                self.last_error = None

    async def _take(self, messages: list[SqsMessage]) -> None:
        results = await asyncio.gather(
            *(self._receiver.receive(message.body, route="sqs") for message in messages),
            return_exceptions=True,
        )
        accepted: list[SqsMessage] = []
        refused: LedgerUnavailable | None = None
        for message, result in zip(messages, results, strict=True):
            if isinstance(result, LedgerUnavailable):
                refused = result  # not deleted: SQS sends it again
            elif isinstance(result, BaseException):
                raise result
            else:
                accepted.append(message)
        if accepted:
            await self._source.delete(accepted)
        if refused is not None:
            raise refused
