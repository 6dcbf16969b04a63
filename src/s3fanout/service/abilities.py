"""Finds out behind replication what the destinations' stores can do, and keeps it in the ledger.

Nothing waits for it, and it fails nothing: what a store does not answer or allow is not known, and
the engine then takes the careful way. It asks by uploads that it aborts, so no object is ever made:
whether a *whole* copy heeds its pin is found out by ``s3fanout check`` only, which may remove what
a store makes of it. Amazon S3 is not asked: its documentation says it all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.s3_abilities import ask_abilities, may_abort
from s3fanout.adapters.store.s3_probe import probe_write, server_of
from s3fanout.config.rules import rule_of
from s3fanout.config.settings import Settings
from s3fanout.decide.match import common_prefix, replica_key
from s3fanout.engine.knowledge import StoreKnowledge
from s3fanout.model.abilities import NO, Ability, AbilityRecord
from s3fanout.model.errors import S3FanoutError
from s3fanout.model.objects import Listed
from s3fanout.ports.abilities import Abilities
from s3fanout.ports.system import Clock
from s3fanout.wiring import Components, store_name

LOG = logging.getLogger(__name__)

CHECK_KEY = ".s3fanout-check"
"""As the destination's rule maps it; no object of this name ever stays."""
DELAY_S = 60.0
"""After the start: the backlog of the time before comes first."""
LOOK_S = 3600.0
"""How often it looks whether the store is still the same program."""
BY = "daemon"


@dataclass(frozen=True, slots=True)
class Asked:
    """A destination's store.

    Attributes:
        store: The bucket.
        knowledge: What is known of it.
        key: What uploads are made of.
        prefix: What all replica keys start with.
        source: The source's bucket, where the store copies from it by itself.
    """

    store: S3Store
    knowledge: StoreKnowledge
    key: str
    prefix: str
    source: S3Store | None


async def ask_for_ever(stores: Sequence[Asked], *, clock: Clock) -> None:
    """Keep what is known of all of them current."""
    await clock.sleep(DELAY_S)
    while True:
        for each in stores:
            try:
                await look(each)
            except S3FanoutError as error:
                LOG.info("what %s can do is not found out now: %s", each.knowledge.store, error)
        await clock.sleep(LOOK_S)


async def look(asked: Asked) -> None:
    """See which program the store is now, and ask what is not known. One request if nothing is.

    Raises:
        StoreError: It does not answer, or nothing can be uploaded.
    """
    known = asked.knowledge
    known.met(await server_of(asked.store))
    await known.read()
    if known.has(Ability.DIGESTS) is None and known.has(Ability.ABORT) != NO:
        if not await may_abort(asked.store, asked.key):
            await known.keep({Ability.ABORT: NO}, by=BY)
            return
        found = (await ask_abilities(asked.store, asked.key)).answers()
        page = await asked.store.list_page(asked.prefix)
        await known.keep({**found, **order_shown(page.objects)}, by=BY)
        if await _ignores_conditions(asked):
            await known.keep({Ability.CONDITIONS: NO}, by=BY)


async def _ignores_conditions(asked: Asked) -> bool:
    if asked.source is None:
        return False
    page = await asked.source.list_page(limit=1)
    if not page.objects:
        return False
    probed = await probe_write(
        asked.store,
        asked.key,
        source_bucket=asked.source.bucket,
        source_key=page.objects[0].key,
    )
    return probed.conditions_honoured is False


def order_shown(rows: Sequence[Listed]) -> dict[Ability, str]:
    """What one page proves of the order of listings: that it is another one, or nothing."""
    keys = [row.key for row in rows]
    return {} if keys == sorted(keys) else {Ability.ORDER: NO}


async def look_at_abilities(
    settings: Settings, ledger: Abilities
) -> dict[str, list[AbilityRecord]]:
    """What the ledger knows of each enabled destination's store."""
    records = await ledger.abilities()
    return {
        name: [each for each in records if each.store == store_name(to)]
        for name, to in settings.enabled.items()
    }


def asked_stores(settings: Settings, components: Components) -> list[Asked]:
    """The destinations' stores that are worth asking."""
    source = components.stores.open(settings.source)
    return [
        Asked(
            store=components.stores.open(to),
            knowledge=components.knowledge[name],
            key=check_key(settings, name),
            prefix=common_prefix(rule_of(name, to).key_map),
            source=source if settings.copies_on_server(name) else None,
        )
        for name, to in settings.enabled.items()
        if to.endpoint is not None
    ]


def check_key(settings: Settings, name: str) -> str:
    """What a destination calls ``CHECK_KEY``."""
    to = settings.destinations[name]
    return replica_key(rule_of(name, to).key_map, to.strip_prefix + CHECK_KEY)
