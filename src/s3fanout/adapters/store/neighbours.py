"""Keeps the writes and deletes of ``x`` and ``x/y`` in one bucket apart.

SeaweedFS keeps keys as paths: the first write below ``x`` makes a folder of it. If ``x`` is written
or deleted in the same moment, it may answer 200 to both and lose one, or keep what was deleted
(4.48, 2026-11: ``benchmarks/neighbours.py``). One after the other both do what they should.
"""

from __future__ import annotations

from asyncio import Event


class Neighbours:
    """The changes of one bucket that are under way or wait, in the order in which they came.

    A change waits for the earlier ones of the same path, of the folders above it and of what is
    below it. So nobody waits in a circle, and a stream of keys below ``x`` keeps no ``x`` waiting.
    """

    def __init__(self) -> None:
        self._at: dict[str, set[Event]] = {}
        self._below: dict[str, set[Event]] = {}

    def apart(self, key: str) -> _Change:
        """While it is held, no other change is under way that ``key`` must not meet."""
        return _Change(key, self._at, self._below)


class _Change:
    """One change. A class and no generator: it is part of every write, and costs a third."""

    __slots__ = ("_at", "_below", "_ended", "_folders", "_path")

    def __init__(self, key: str, at: dict[str, set[Event]], below: dict[str, set[Event]]) -> None:
        self._at, self._below = at, below
        self._path = path = key.removesuffix("/")  # ``x/`` is the folder itself.
        self._folders: list[str] = []
        end = path.find("/")
        while end >= 0:
            self._folders.append(path[:end])
            end = path.find("/", end + 1)
        self._ended = Event()

    async def __aenter__(self) -> None:
        earlier = [*self._at.get(self._path, ()), *self._below.get(self._path, ())]
        self._at.setdefault(self._path, set()).add(self._ended)
        for folder in self._folders:
            earlier += self._at.get(folder, ())
            self._below.setdefault(folder, set()).add(self._ended)
        try:
            for other in earlier:
                await other.wait()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._ended.set()
        _take_out(self._at, self._path, self._ended)
        for folder in self._folders:
            _take_out(self._below, folder, self._ended)


def _take_out(events: dict[str, set[Event]], place: str, event: Event) -> None:
    events[place].discard(event)
    if not events[place]:
        del events[place]
