"""Tags of objects that a store tells no count of: silence is not taken for "none" without evidence.

See ``decide.tags`` for what is evidence. Where a store is known to tell those who may read tags, it
costs one request an hour; where that is not known, one for each silent object until a count is
heard.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from s3fanout.decide.keeping import NO_TAGS_CODES
from s3fanout.decide.tags import Heard, Silence, meaning_of_silence
from s3fanout.model.errors import AccessDenied, StoreError
from s3fanout.model.objects import Present
from s3fanout.model.vendors import Vendor
from s3fanout.ports.object_store import ObjectStore
from s3fanout.ports.system import Clock

LOG = logging.getLogger(__name__)

_OF_THE_OBJECT = frozenset({"", "AccessDenied"})
"""Codes of a refusal that is about the permission, and not about the credentials."""


@dataclass(slots=True)
class _View:
    """What is heard in one way of looking."""

    heard: Heard = field(default_factory=Heard)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Tags:
    """What one bucket's store tells of tags."""

    def __init__(
        self, store: ObjectStore, *, vendor: Callable[[], Awaitable[Vendor]], clock: Clock
    ) -> None:
        """Bind to a bucket; ``vendor`` says which kind of store it is in, and remembers."""
        self._store = store
        self._vendor = vendor
        self._clock = clock
        self._views: defaultdict[tuple[bool, bool], _View] = defaultdict(_View)
        """By whether it was a probe or a read, and of a version: each has a permission of its own,
        and a store may tell in one and not in the other."""

    async def known(
        self, facts: Present, *, version_id: str | None = None, is_large: bool = False
    ) -> Present:
        """``facts`` with the object's tags; ``tags`` is ``None`` if they may not be read.

        Args:
            facts: As read just now, with tags if they came along.
            version_id: Of the object, if it is not the current one.
            is_large: One request more does not matter.

        Raises:
            StoreError: They could not be read for another reason.
        """
        is_probe = facts.attributes.tags is None
        view = self._views[is_probe, version_id is not None]
        if facts.tag_count:
            view.heard.told(self._clock.monotonic_s())
            if not is_probe:
                return facts
            return _with(facts, dict(await self._store.get_tags(facts.key, version_id=version_id)))
        meaning = await self._meaning(view, is_large=is_large)
        if meaning is Silence.ASK_ONCE:
            async with view.asking:
                # Others may have waited for this answer.
                meaning = await self._meaning(view)
                if meaning in {Silence.ASK, Silence.ASK_ONCE}:
                    return await self._asked(view, facts, version_id)
        if meaning is Silence.ASK:
            return await self._asked(view, facts, version_id)
        return _with(facts, {} if meaning is Silence.NONE else None)

    async def _meaning(self, view: _View, *, is_large: bool = False) -> Silence:
        vendor, now_s = await self._vendor(), self._clock.monotonic_s()
        return meaning_of_silence(vendor, view.heard, now_s=now_s, is_large=is_large)

    async def _asked(self, view: _View, facts: Present, version_id: str | None) -> Present:
        heard, key = view.heard, facts.key
        try:
            tags = dict(await self._store.get_tags(key, version_id=version_id))
        except AccessDenied as error:
            if error.s3_code not in _OF_THE_OBJECT:
                raise
            if heard.denied_s is None:
                LOG.warning("tags may not be read, replicas may lack them: %s", error)
            heard.denied_s = self._clock.monotonic_s()
            return _with(facts, None)
        except StoreError as error:
            if error.s3_code not in NO_TAGS_CODES:
                raise
            heard.unknown_s = self._clock.monotonic_s()
            tags = {}
        else:
            heard.read(self._clock.monotonic_s(), any_found=bool(tags))
        return _with(facts, tags)


def _with(facts: Present, tags: dict[str, str] | None) -> Present:
    if facts.attributes.tags == tags:
        return facts
    return replace(facts, attributes=replace(facts.attributes, tags=tags))
