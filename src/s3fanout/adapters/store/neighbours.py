"""Keeps the writes and deletes of ``x`` and ``x/y`` in one bucket apart.

SeaweedFS keeps keys as paths: the first write below ``x`` makes a folder of it. If ``x`` is written
or deleted in the same moment, it may answer 200 to both and lose one, or keep what was deleted
(4.48, 2026-11: ``benchmarks/neighbours.py``). One after the other both do what they should.
"""

from __future__ import annotations

from asyncio import Event
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager


class Neighbours:
    """The changes of one bucket that are under way or wait, in the order in which they came.

    A change waits for the earlier ones of the same path, of the folders above it and of what is
    below it. So nobody waits in a circle, and a stream of keys below ``x`` keeps no ``x`` waiting.
    """

    def __init__(self) -> None:
        self._at: defaultdict[str, set[Event]] = defaultdict(set)
        self._below: defaultdict[str, set[Event]] = defaultdict(set)

    @asynccontextmanager
    async def apart(self, key: str) -> AsyncIterator[None]:
        """While it is held, no other change is under way that ``key`` must not meet."""
        path = key.removesuffix("/")  # ``x/`` is the folder itself.
        folders = list(_folders(path))
        earlier = set[Event]().union(
            self._at.get(path, ()),
            self._below.get(path, ()),
            *(self._at.get(folder, ()) for folder in folders),
        )
        ended = Event()
        places = [(self._at, path), *((self._below, folder) for folder in folders)]
        for events, place in places:
            events[place].add(ended)
        try:
            for other in earlier:
                await other.wait()
            yield
        finally:
            ended.set()
            for events, place in places:
                events[place].discard(ended)
                if not events[place]:
                    del events[place]


def _folders(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
