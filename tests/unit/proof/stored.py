"""A log as it is stored, in memory: leaves, kept nodes and checkpoints that a test may alter one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from events.ledger import LEDGER_TOPIC
from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer
from replay.log_table import KEPT_LEVELS, LogTable, StoredCheckpoint
from replay.merkle import CompactRange
from replay.nodes import Nodes

KEY = Signer.from_seed("gia-lai", bytes(range(32)))
ORIGIN = f"gia-lai/{LEDGER_TOPIC}/0"


class StoredLog(LogTable):
    """Of partition 0. `nodes_stored`: the rows of dossier_log_nodes, of which there may be several for one subtree."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        super().__init__(None)
        self.stored_leaves = list(leaves)
        self.nodes_stored: list[tuple[tuple[int, int], bytes]] = []
        log = CompactRange()
        for each in log.extend(leaves):
            if each.level in KEPT_LEVELS:
                self.nodes_stored += [((each.level, n), found) for n, found in enumerate(each.hashes, each.first)]
        note = SignedCheckpoint(Checkpoint(ORIGIN, log.size, log.root())).signed_by(KEY, 0)
        self.checkpoint = StoredCheckpoint(0, log.size, log.root(), tuple(log.hashes), note.text)

    def alter_node(self, level: int, number: int) -> None:
        self.nodes_stored = [(at, bytes(32) if at == (level, number) else each) for at, each in self.nodes_stored]

    def leaves(self, partition: int, first: int, end: int) -> Iterator[list[bytes]]:
        assert partition == 0
        yield self.stored_leaves[first:end]

    def nodes(self, partition: int, ranges: Sequence[tuple[int, int, int]]) -> Nodes:
        assert partition == 0
        wanted = {(level, number) for level, first, end in ranges for number in range(first, end)}
        return {at: found for at, found in self.nodes_stored if at in wanted}

    def around(self, partition: int, tiles: Sequence[int], ranges: Sequence[tuple[int, int, int]]) -> Nodes:
        near = {
            (0, offset): leaf
            for tile in tiles
            for offset, leaf in enumerate(self.stored_leaves[tile << 8 : (tile + 1) << 8], tile << 8)
        }
        return self.nodes(partition, ranges) | near

    def every_node(self, partition: int, level: int, end: int) -> Iterator[tuple[int, bytes]]:
        assert partition == 0
        yield from ((number, found) for (each, number), found in self.nodes_stored if each == level and number < end)
