"""The settler alone, on a virtual clock."""

from __future__ import annotations

from collections.abc import Sequence

from s3fanout.adapters.journal.memory import MemoryJournal
from s3fanout.engine.settler import Settler
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job, JobState, NewJob, Settlement
from tests.functional.clock import START_MS, VirtualClock, quiet


class CountedJournal(MemoryJournal):
    """Remembers how many settlements came in each call."""

    def __init__(self, *, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.calls: list[int] = []

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        self.calls.append(len(settlements))
        return await super().settle(settlements)


def settled(job: Job) -> Settlement:
    return Settlement(job, JobState.SETTLED, START_MS, "copied", attempts=0)


async def test_outcomes_that_come_close_together_are_written_together() -> None:
    clock = VirtualClock()
    journal = CountedJournal(clock=clock)
    settler = Settler(queue=journal, ledger=journal, clock=clock, unsettled_max=4096, gather_s=0.01)
    settler.start()
    new = [NewJob("a", str(n), ChangeKind.CREATED, START_MS) for n in range(1000)]
    await journal.accept(new, now_ms=START_MS)
    jobs = await journal.claim("a", 1000, now_ms=START_MS)
    for job in jobs[:2]:
        await settler.put(settled(job))
        await clock.advance(0.004)
    await quiet()
    assert journal.calls == []  # The first waits for 10 ms, and no more.
    await clock.advance(0.002)
    assert journal.calls == [2]

    for job in jobs[2:]:  # Enough for a batch wait for nothing.
        await settler.put(settled(job))
    await quiet()
    assert journal.calls == [2, 512]
    await clock.advance(0.01)
    assert journal.calls == [2, 512, 486]
    assert await settler.stop(timeout_s=1) == 0
    (summary,) = await journal.summaries()
    assert summary.settled == 1000
