"""A stored log as the proofs read it: a few hundred hashes of a log of millions."""

from __future__ import annotations

from replay.log_table import KEPT_LEVELS, LogTable, Missing
from replay.merkle import node_hash


class StoredSubtrees:
    """The first `size` leaves of a partition's log. Nothing is asked for twice."""

    def __init__(self, table: LogTable, partition: int, size: int) -> None:
        self._table = table
        self._partition = partition
        self._size = size
        self._known: dict[tuple[int, int], bytes] = {}
        self._asked: set[tuple[int, int]] = set()

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
            nodes = self._table.nodes(self._partition, below, first, end)
            self._known |= {(below, number): found for number, found in nodes.items()}
        else:
            for leaves in self._table.leaves(self._partition, first, end):
                self._known |= {(0, first + number): leaf for number, leaf in enumerate(leaves)}
