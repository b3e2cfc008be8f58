"""The kept subtrees of a log as they follow from its leaves, to compare those that are stored with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from replay.log_table import KEPT_LEVELS, LogTable, StoredCheckpoint
from replay.merkle import CompactRange, Completed

#: By level and index.
Nodes = dict[tuple[int, int], bytes]

LOWEST: Final = min(KEPT_LEVELS)


class ComputedNodes:
    """Of one log, from its first leaf on. Memory: a 256th of its leaves."""

    def __init__(self) -> None:
        self.nodes: Nodes = {}

    def add(self, completed: Iterable[Completed]) -> None:
        for each in completed:
            if each.level in KEPT_LEVELS:
                self.nodes.update(((each.level, index), found) for index, found in enumerate(each.hashes, each.first))

    def differing(self, table: LogTable, partition: int, size: int) -> Nodes:
        """Those of the first `size` leaves, which were all added, of which another hash is stored than they have."""
        wrong = {
            (level, number)
            for level in KEPT_LEVELS
            for number, stored in table.every_node(partition, level, size >> level)
            if self.nodes[level, number] != stored
        }
        return {each: self.nodes[each] for each in sorted(wrong)}


def of_leaves(table: LogTable, partition: int, size: int) -> tuple[ComputedNodes, bytes]:
    """From the first `size` leaves that are stored, and the root that they have.

    Raises:
        Missing: a leaf is not there, or twice and not the same.
    """
    computed, log = ComputedNodes(), CompactRange()
    for leaves in table.leaves(partition, 0, size):
        computed.add(log.extend(leaves))
    return computed, log.root()


def altered(table: LogTable, signed: StoredCheckpoint) -> Nodes:
    """What the stored nodes of a signed log should be where they are not; {} where the leaves are not those signed.

    Raises:
        Missing: as `of_leaves`.
    """
    computed, root = of_leaves(table, signed.partition, signed.size)
    return computed.differing(table, signed.partition, signed.size) if root == signed.root else {}


def leaves_of(level: int, index: int) -> str:
    """The leaves that a subtree covers, as positions are written."""
    return f"{index << level}-{(index + 1 << level) - 1}"
