"""What one run is like: drawn from its seed, printed before it starts.

Swarm testing: every run has some kinds of faults at full strength and others not at all, because
faults that are always on hide each other's effects.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from s3fanout.decide.plan import Way
from s3fanout.model.limits import Limits
from s3fanout.model.rules import Deletes, Versions


@dataclass(frozen=True, slots=True)
class Place:
    """A destination.

    Attributes:
        lies: Ignores copy and delete conditions without a word (and the engine does not trust it).
        opaque: Its etags are no digests.
        spoils: How often it stores fewer bytes than it was given, without a word.
        versions, version_deletes: As of its rule; ``versions`` is the same for all of a run.
    """

    name: str
    way: Way
    deletes: Deletes
    prefix: str
    lies: bool
    opaque: bool
    spoils: float
    concurrency: int
    versions: Versions = Versions.LATEST
    version_deletes: Deletes = Deletes.IGNORE


@dataclass(frozen=True, slots=True)
class Options:
    """A run. Numbers called after a fault are probabilities per request or message.

    Attributes:
        large: Bytes that objects may have beyond one part; 0 keeps all within one.
        loses: How often a message is lost for good; then the sweep is on.
        sweep_s, grace_s: Of the sweep; 0 leaves it off.
        before: Objects that were there before s3fanout; a backfill fetches them. Where all versions
            count they have a history, begun before their bucket kept versions.
        below: Objects that destinations held before, under keys of replicas.
        purges: How often a change removes a version for good, where all versions count.
    """

    seed: int
    places: tuple[Place, ...]
    keys: int
    writes: int
    pause_s: float
    removes: float
    large: int
    reverts: float
    retags: float
    opaque_source: bool
    hints: bool
    ordered: bool
    shuffle: bool
    # Requests
    latency_s: float
    slow: float
    fails: float
    throttles: float
    lost_before: float
    lost_after: float
    false_412: float
    moves_meanwhile: float
    # Messages
    delay_s: float
    duplicates: float
    garbage: float
    # The process and its ledger
    crashes: int
    stops: int
    ledger_fails: float
    gather_s: float
    clock_jumps: int
    # People and others
    denials: int
    pauses: int
    foreigners: int
    limits: Limits
    # What no message tells of
    loses: float = 0.0
    sweep_s: float = 0.0
    grace_s: float = 0.0
    before: int = 0
    purges: float = 0.0
    below: int = 0

    @property
    def histories(self) -> bool:
        """Whether every version counts."""
        return self.places[0].versions is Versions.ALL


def draw(seed: int) -> Options:
    """The options of a seed."""
    rng = random.Random(seed)

    def maybe(high: float) -> float:
        return round(rng.uniform(0, high), 3) if rng.random() < 0.4 else 0.0

    def some(high: int) -> int:
        return rng.randint(1, high) if rng.random() < 0.4 else 0

    places = tuple(_place(rng, number) for number in range(rng.choice((1, 2, 2, 3))))
    options = Options(
        seed=seed,
        places=places,
        keys=rng.choice((1, 2, 4, 6)),
        writes=rng.randint(3, 16),
        pause_s=rng.choice((0.01, 0.2, 1.0)),
        removes=rng.choice((0.0, 0.2, 0.5)),
        reverts=maybe(0.5),
        retags=maybe(0.5),
        opaque_source=rng.random() < 0.3,
        hints=rng.random() < 0.7,
        ordered=rng.random() < 0.5,
        shuffle=rng.random() < 0.5,
        latency_s=rng.choice((0.001, 0.05, 0.5)),
        slow=maybe(0.1),
        fails=maybe(0.4),
        throttles=maybe(0.3),
        lost_before=maybe(0.3),
        lost_after=maybe(0.3),
        false_412=maybe(0.3),
        moves_meanwhile=maybe(0.3),
        delay_s=rng.choice((0.0, 0.1, 3.0)),
        duplicates=maybe(0.5),
        garbage=maybe(0.3),
        crashes=some(3),
        stops=some(2),
        ledger_fails=maybe(0.2),
        clock_jumps=some(2),
        denials=some(2),
        pauses=some(2),
        foreigners=some(3),
        limits=Limits(
            attempts_max=rng.choice((2, 4, 8)),
            retry_base_s=rng.choice((0.05, 0.5)),
            retry_cap_s=rng.choice((1.0, 8.0)),
            replans_max=rng.choice((2, 4)),
            part_bytes=64,
            part_bytes_min=1,
            copy_bytes_max=64,
            copy_part_bytes=48,
            stream_bytes=rng.choice((1, 10_000, 1 << 20)),
            circuit_failures=rng.choice((2, 5)),
            circuit_base_s=0.5,
            circuit_cap_s=4.0,
            drain_s=rng.choice((0.0, 5.0)),
            unsettled_max=rng.choice((1, 64)),
            deletes_max=rng.choice((1, 2, 1000)),
            deletes_percent_max=rng.choice((25, 100)),
            deletes_window_s=60.0,
        ),
        # New draws come last, so that kept seeds stay what they were.
        gather_s=rng.choice((0.0, 0.01)),
        large=rng.choice((0, 0, 300)),
    )
    # Certain seeds, so that kept ones stay what they were.
    if seed % 8 == 7:
        return _with_histories(options)
    return _with_walks(options) if seed % 4 == 2 else options


def _with_histories(options: Options) -> Options:
    """With versioned buckets, and every version replicated."""
    rng = random.Random(f"histories {options.seed}")
    purges = rng.choice((0.0, 0.2, 0.4))
    follows = Deletes.REPLICATE if purges else rng.choice(tuple(Deletes))
    places = tuple(
        # What a store spoils is seen by other seeds, and would be a version more here.
        replace(place, versions=Versions.ALL, version_deletes=follows, spoils=0.0)
        for place in options.places
    )
    # New draws come from a chance of their own, so that the rest stays what it was.
    old = random.Random(f"before {options.seed}")
    if old.random() < 0.5:
        options = replace(options, before=old.randint(1, 3))
    if old.random() < 0.3:
        options = replace(options, below=old.randint(1, 2))
    if old.random() < 0.3:
        options = replace(
            options,
            loses=old.choice((0.1, 0.5, 1.0)),
            sweep_s=old.choice((5.0, 60.0)),
            grace_s=old.choice((0.0, 3.0, 20.0)),
        )
    return replace(
        options,
        places=places,
        purges=purges,
        writes=options.writes * 2,
        keys=min(options.keys, 2),
        # Equal versions could not be told apart, and somebody else's are a dead letter.
        reverts=0.0,
        retags=0.0,
        foreigners=0,
    )


def _with_walks(options: Options) -> Options:
    """With a sweep, a backfill, or both."""
    rng = random.Random(f"walks {options.seed}")
    if rng.random() < 0.5:
        options = replace(options, before=rng.randint(1, 6))
        if rng.random() < 0.5:
            return options
    return replace(
        options,
        loses=rng.choice((0.0, 0.1, 0.5, 1.0)),
        sweep_s=rng.choice((5.0, 60.0)),
        grace_s=rng.choice((0.0, 3.0, 20.0)),
        # Bytes that were there before, under other attributes: no listing shows that.
        reverts=0.0,
    )


def _place(rng: random.Random, number: int) -> Place:
    lies = rng.random() < 0.3
    opaque = rng.random() < 0.3
    return Place(
        name="abc"[number],
        way=rng.choice((Way.SERVER, Way.STREAM)),
        deletes=rng.choice((Deletes.IGNORE, Deletes.REPLICATE, Deletes.REPLICATE)),
        prefix=rng.choice(("", "copy/")),
        lies=lies,
        opaque=opaque,
        spoils=0.3 if opaque and lies and rng.random() < 0.5 else 0.0,
        concurrency=rng.choice((1, 4)),
    )
