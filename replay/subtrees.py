"""A stored log as the proofs read it: a few hundred hashes of a log of millions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from replay.checkpoint import Checkpoint
from replay.log_table import KEPT_LEVELS, LogTable, Missing, StoredCheckpoint
from replay.merkle import (
    ProofError,
    consistency_proof,
    inclusion_proof,
    node_hash,
    perfect_levels,
    verify_consistency,
    verify_inclusion,
)
from replay.nodes import LOWEST, of_leaves

_TILES_A_QUESTION: Final = 100


class StoredSubtrees:
    """A partition's log up to a checkpoint. Nothing is asked for twice.

    What lies right of a leaf's own perfect subtree is in the checkpoint, so the two can be asked for side by side.
    """

    def __init__(self, table: LogTable, partition: int) -> None:
        self._table = table
        self._partition = partition
        self._size = 0
        self._known: dict[tuple[int, int], bytes] = {}
        self._asked: set[tuple[int, int]] = set()
        self._recomputed = False

    def prepare(self, leaves: Sequence[int]) -> None:
        """Ask at once for all that proofs of these leaves read within their perfect subtrees: groups of 256."""
        groups = [(level, each) for level in KEPT_LEVELS for each in sorted({leaf >> level >> 8 for leaf in leaves})]
        ranges = [(level, each << 8, (each + 1) << 8) for level, each in groups]
        tiles = sorted({each >> 8 for each in leaves})
        for start in range(0, len(tiles), _TILES_A_QUESTION):
            some = tiles[start : start + _TILES_A_QUESTION]
            self._known |= self._table.around(self._partition, some, ranges)
            self._asked |= {*((level, first) for level, first, _ in ranges), *((0, tile << 8) for tile in some)}

    def until(self, checkpoint: StoredCheckpoint) -> None:
        """From now on the log is as large as at this checkpoint, whose hashes are those of its perfect subtrees."""
        self._size, begin = checkpoint.size, 0
        for level, found in zip(perfect_levels(checkpoint.size), checkpoint.hashes, strict=True):
            self._known[level, begin >> level] = found
            begin += 1 << level

    def recompute(self) -> None:
        """From now on all follows from the leaves, whatever nodes are stored: they are read once, from the first on.

        Raises:
            Missing: a leaf is not there.
        """
        computed, _ = of_leaves(self._table, self._partition, self._size)
        self._known, self._asked, self._recomputed = computed.nodes, set(), True

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
        if self._recomputed and level > LOWEST:
            return  # they are all there
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


def require_leaf(table: LogTable, signed: StoredCheckpoint, index: int, leaf: bytes) -> None:
    """Check that this is the leaf at `index` of the log that was signed.

    Raises:
        ProofError: it is not.
        Missing: a leaf beside it is not there.
    """
    subtrees = StoredSubtrees(table, signed.partition)
    subtrees.prepare([index])
    subtrees.until(signed)
    try:
        verify_inclusion(leaf, index, signed.size, inclusion_proof(subtrees, index, signed.size), signed.root)
    except ProofError:  # a stored node may be wrong where all leaves are right
        subtrees.recompute()
        verify_inclusion(leaf, index, signed.size, inclusion_proof(subtrees, index, signed.size), signed.root)


def continuation(subtrees: StoredSubtrees, old: Checkpoint, new: StoredCheckpoint) -> list[bytes]:
    """The proof that the new log continues the old one; where it does not, what is shown is that.

    Raises:
        Missing: a leaf is not there.
    """
    proof = consistency_proof(subtrees, old.size, new.size)
    try:
        verify_consistency(old.size, new.size, proof, old.root, new.root)
    except ProofError:  # as above
        subtrees.recompute()
        return consistency_proof(subtrees, old.size, new.size)
    return proof
