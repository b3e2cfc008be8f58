"""What is stored of a log that is none keeps its partition from being signed, is told, and keeps no other from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from processors.checkpoints import Checkpointer, CheckpointPolicy
from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer
from replay.leaf import leaf_hash
from replay.log_table import StoredCheckpoint
from replay.merkle import CompactRange

KEY = Signer.from_seed("gia-lai", bytes(range(32)))


@dataclass
class Table:
    """What a Checkpointer asks of the table: so many leaves of each partition, and what is stored as signed."""

    stored: dict[int, StoredCheckpoint] = field(default_factory=dict)
    added: list[tuple[int, int]] = field(default_factory=list)

    def newest(self, partition: int) -> StoredCheckpoint | None:
        return self.stored.get(partition)

    def leaves(self, partition: int, first: int, end: int) -> Iterator[list[bytes]]:
        yield [leaf_hash(b"%d@%d" % (partition, offset)) for offset in range(first, end)]

    def keep(self, partition: int, completed: Sequence[Any]) -> None:
        pass

    def add(self, partition: int, grown: CompactRange, note: str) -> None:
        self.added.append((partition, grown.size))


def stored(size: int, *, hashes: Sequence[bytes] | None = None, root: bytes | None = None) -> StoredCheckpoint:
    """As it is after so many leaves of partition 0, but for what is said to be other."""
    log = CompactRange()
    log.extend(next(Table().leaves(0, 0, size)))
    signed = SignedCheckpoint(Checkpoint("gia-lai/t/0", size, root or log.root())).signed_by(KEY, 0)
    return StoredCheckpoint(
        0, size, signed.checkpoint.root, tuple(log.hashes if hashes is None else hashes), signed.text
    )


def checkpointer(table: Table) -> Checkpointer:
    policy = CheckpointPolicy(records=1)
    return Checkpointer(table, KEY, "gia-lai/t", lambda *_: None, policy=policy)  # type: ignore[arg-type]  # as far as it is asked


def test_a_log_goes_on_where_it_was_signed_last() -> None:
    table = Table({0: stored(5)})
    checkpointer(table).sign_due({0: 8, 1: 2})
    assert table.added == [(0, 8), (1, 2)]


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (stored(5, hashes=[bytes(32)]), "1 hashes are no range of 5 leaves"),
        (stored(5, hashes=[bytes(32)] * 2), "not those of what was signed"),
        (stored(5, root=bytes(32)), "not those of what was signed"),
        (stored(9), "a checkpoint of 9 leaves is stored of partition 0, and 8 are archived"),
        (stored(5)._replace(note="no note"), "partition 0"),
    ],
    ids=["too few hashes", "other hashes", "another root", "longer than the archive", "no note"],
)
def test_what_is_stored_and_is_none_is_told_and_the_others_are_signed(odd: StoredCheckpoint, why: str) -> None:
    table = Table({0: odd})
    found = checkpointer(table)
    for _ in range(2):
        found.sign_due({0: 8, 1: 2})
    assert table.added == [(1, 2)]
    assert why in found.refused[0]
    table.stored.clear()
    found.sign_due({0: 8, 1: 2})
    assert table.added == [(1, 2), (0, 8)] or why.startswith("a checkpoint of 9")
