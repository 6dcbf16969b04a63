"""An event loop whose time is virtual and whose order of ready callbacks comes from a seed.

It has no selector and no threads: when nothing is ready, time jumps to the next timer. When nothing
is ready and no timer is set, nobody could ever wake anybody: that is reported as a deadlock.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import base_events
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

START_MS = 1_800_000_000_000
TURNS_MAX = 400_000
ENDINGS_MAX = 10


class Violation(AssertionError):
    """An auditor found something that must not be."""


class Stuck(AssertionError):
    """Everybody waits for somebody else, or the loop turns for ever."""


class _NoSelector:
    """What ``BaseEventLoop`` asks for input: it only lets time pass."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set")
        self._loop.now_s += timeout
        return []


class SimLoop(base_events.BaseEventLoop):
    """The loop. ``tasks`` has every task ever made on it, in order of creation."""

    def __init__(self, *, shuffle: random.Random | None) -> None:
        super().__init__()
        self.set_exception_handler(lambda _loop, _context: None)
        self.now_s = 0.0
        self.turns = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self._shuffle = shuffle
        self._violation = ""
        self._selector = _NoSelector(self)
        self.set_task_factory(self._make_task)

    def fail(self, violation: str) -> NoReturn:
        """End the run, whoever is at work, with the first violation."""
        self._violation = self._violation or violation
        raise Violation(violation)

    def time(self) -> float:
        return self.now_s

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""

    def _run_once(self) -> None:
        if self._violation:
            violation, self._violation = self._violation, ""
            raise Violation(violation)
        self.turns += 1
        if self.turns > TURNS_MAX:
            raise Stuck(f"the loop turned {TURNS_MAX} times")
        ready: Any = self._ready  # type: ignore[attr-defined]
        if self._shuffle is not None and len(ready) > 1:
            handles = list(ready)
            self._shuffle.shuffle(handles)
            ready.clear()
            ready.extend(handles)
        super()._run_once()  # type: ignore[misc]

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        self.tasks.append(task)
        return task

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` to its end, then end whatever is left."""
        try:
            return self.run_until_complete(main)
        finally:
            # A violation leaves the loop in the middle of a turn: its stop may come only now. And
            # who is cancelled may begin new tasks, or meet another violation.
            for _ in range(ENDINGS_MAX):
                left = [task for task in self.tasks if not task.done()]
                if not left:
                    break
                for task in left:
                    task.cancel()
                with suppress(RuntimeError, Violation):
                    self.run_until_complete(asyncio.wait(left))
            self.close()


class SimClock:
    """``Clock`` on a ``SimLoop``; the wall clock may jump, the other one never does."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.jumped_ms = 0

    def now_ms(self) -> int:
        return START_MS + self.jumped_ms + round(self._loop.now_s * 1000)

    def monotonic_s(self) -> float:
        return self._loop.now_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
