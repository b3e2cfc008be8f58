"""A stored log as the proofs read it: a few hundred hashes of a log of millions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from replay.log_table import KEPT_LEVELS, LogTable, Missing
from replay.merkle import node_hash

_TILES_A_QUESTION: Final = 100


class StoredSubtrees:
    """The first `size` leaves of a partition's log. Nothing is asked for twice."""

    def __init__(self, table: LogTable, partition: int, size: int) -> None:
        self._table = table
        self._partition = partition
        self._size = size
        self._known: dict[tuple[int, int], bytes] = {}
        self._asked: set[tuple[int, int]] = set()

    def prepare(self, leaves: Sequence[int]) -> None:
        """Ask at once for all that proofs of these leaves read: their groups of 256, and what is at the log's end."""
        tiles = sorted({*(each >> 8 for each in leaves), (self._size - 1) >> 8})
        chunks = sorted({tile >> 8 for tile in tiles})
        whole = self._size >> 8
        ranges = [(8, chunk << 8, min((chunk + 1) << 8, whole)) for chunk in chunks]
        self._known |= self._table.nodes(self._partition, [*ranges, (16, 0, min(256, self._size >> 16))])
        self._asked |= {*((level, first) for level, first, _ in ranges), (16, 0)}
        for start in range(0, len(tiles), _TILES_A_QUESTION):
            some = tiles[start : start + _TILES_A_QUESTION]
            found = self._table.tiles(self._partition, some, self._size)
            self._known |= {(0, index): leaf for index, leaf in found.items()}
            self._asked |= {(0, tile << 8) for tile in some}

    def subtree(self, level: int, index: int) -> bytes:
        """See `replay.merkle.Subtrees`.

        Raises:
            Missing: a leaf is not there.
        """
        found = self._known.get((level, index))
        if found is None:
            self._fetch(level, index)
            found = self._known.get((level, index))
        if found is None:
            if level == 0:
                raise Missing(self._partition, index)
            found = node_hash(self.subtree(level - 1, 2 * index), self.subtree(level - 1, 2 * index + 1))
            self._known[level, index] = found
        return found

    def _fetch(self, level: int, index: int) -> None:
        """The kept hashes of the next kept level below, of all that this subtree's neighbourhood may need."""
        below = max((each for each in KEPT_LEVELS if each <= level), default=0)
        span = max(8, level - below)
        first = (index << (level - below)) >> span << span
        end = min(first + (1 << span), self._size >> below)
        if (below, first) in self._asked:
            return
        self._asked.add((below, first))
        if below:
            self._known |= self._table.nodes(self._partition, [(below, first, end)])
        else:
            for leaves in self._table.leaves(self._partition, first, end):
                self._known |= {(0, first + number): leaf for number, leaf in enumerate(leaves)}
