"""Two listings in step: which rows are of one object, without holding either listing.

Both sides come in the order of their names, in pieces of any length. A *name* is a key without what
its side puts in front of it (a key map's prefixes), so that both sides call an object the same.

| source's next name | replica's next name | pair |
|---|---|---|
| equal | equal | (source, replica) |
| smaller | greater, or the side has ended | (source, nothing) |
| greater, or the side has ended | smaller | (nothing, replica) |
| has none yet, and has not ended | any | nothing can be said yet |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from s3fanout.model.objects import Listed

Pair = tuple[Listed | None, Listed | None]
"""(source, replica); never both ``None``."""


class Join:
    """The merge of two listings.

    Args:
        source_cut, replica_cut: How many characters of a key of each side are not its name.
    """

    def __init__(self, *, source_cut: int = 0, replica_cut: int = 0) -> None:
        self._cuts = (source_cut, replica_cut)
        self._rows: list[Sequence[Listed]] = [(), ()]
        self._at = [0, 0]
        self._ended = [False, False]

    @property
    def wants_source(self) -> bool:
        """No pair can be told before more of the source is known."""
        return self._wants(0)

    @property
    def wants_replica(self) -> bool:
        """No pair can be told before more of the replicas is known."""
        return self._wants(1)

    def _wants(self, side: int) -> bool:
        return not self._ended[side] and self._at[side] >= len(self._rows[side])

    def offer_source(self, rows: Sequence[Listed] | None) -> None:
        """The next piece; ``None`` says that there is no more. Only when it is wanted."""
        self._offer(0, rows)

    def offer_replica(self, rows: Sequence[Listed] | None) -> None:
        """As ``offer_source``."""
        self._offer(1, rows)

    def _offer(self, side: int, rows: Sequence[Listed] | None) -> None:
        self._ended[side] = rows is None
        self._rows[side], self._at[side] = rows or (), 0

    def pairs(self) -> Iterator[Pair]:
        """All pairs that can be told now; to be read to the end before the next piece."""
        (left, right), (i, j) = self._rows, self._at
        left_cut, right_cut = self._cuts
        left_end, right_end = len(left), len(right)
        while i < left_end and j < right_end:
            source, replica = left[i], right[j]
            name, other = source.key[left_cut:], replica.key[right_cut:]
            if name == other:
                i += 1
                j += 1
                yield source, replica
            elif name < other:
                i += 1
                yield source, None
            else:
                j += 1
                yield None, replica
        if self._ended[1]:
            for source in left[i:]:
                yield source, None
            i = left_end
        if self._ended[0]:
            for replica in right[j:]:
                yield None, replica
            j = right_end
        self._at = [i, j]
