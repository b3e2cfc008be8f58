"""`dossier prove` and `dossier receipt` give away nothing that does not hold; what is signed is the note, no column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cli.console import EXIT_FOUND, CommandError
from cli.prove import _pack, holding, partition_of
from cli.receipt import receipt_of
from events.catalogue import Received
from events.envelope import encode, make_event
from events.ledger import LEDGER_TOPIC
from replay.archive import ArchiveRow
from replay.checkpoint import CheckpointRefused, Signer
from replay.leaf import leaf_bytes, leaf_hash
from replay.log_table import Missing
from replay.merkle import ProofError, inclusion_proof
from replay.pack import Pack, PackedRecord, packed
from replay.subtrees import StoredSubtrees
from tests.unit.proof.stored import KEY, ORIGIN, StoredLog

DOSSIER, OFFSET = "H21.18-260302-0042", 300
AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
STRANGER = Signer.from_seed("gia-lai", bytes(range(1, 33)))


def row_of(promised: datetime | None = None, partition: int = 0) -> ArchiveRow:
    fact = Received(office="H21.18", procedure="1.002809", channel="direct", promised=promised)
    raw = encode(make_event(fact, id="e1", source="motcua", subject=DOSSIER, time=AT))
    return ArchiveRow(partition, OFFSET, 1_000, AT, DOSSIER.encode(), raw, (), "")


def leaf_of(row: ArchiveRow) -> bytes:
    return leaf_hash(leaf_bytes(LEDGER_TOPIC, 0, row.offset, row.recorded_ms, row.key, row.raw, row.headers))


ROW = row_of()
EDITED = row_of(datetime(2099, 12, 31, 10, tzinfo=UTC))


def log_of(*rows: ArchiveRow) -> StoredLog:
    leaves = [leaf_hash(b"%d" % number) for number in range(1_100)]
    for each in rows:
        leaves[each.offset] = leaf_of(each)
    return StoredLog(leaves)


@dataclass
class Making:
    """A pack of the row as it is now, made as often as it is asked for."""

    log: StoredLog
    row: ArchiveRow = ROW
    times: int = 0

    def __post_init__(self) -> None:
        self.subtrees = StoredSubtrees(self.log, 0)
        self.subtrees.prepare([OFFSET])
        self.subtrees.until(self.log.checkpoint)

    def __call__(self) -> Pack:
        self.times += 1
        proof = inclusion_proof(self.subtrees, OFFSET, self.log.checkpoint.size)
        record = PackedRecord(
            OFFSET, 1_000, packed(self.row.key), packed(self.row.raw), (), tuple(str(packed(each)) for each in proof)
        )
        return Pack(DOSSIER, LEDGER_TOPIC, 0, (record,), self.log.checkpoint.note)


@pytest.mark.parametrize("keys", [[KEY.public], []], ids=["with a key", "without"])
@pytest.mark.parametrize(("altered", "times"), [([], 1), ([0], 2), ([0, 1, 2, 3], 2)])
def test_a_pack_is_made_from_the_leaves_where_stored_nodes_are_wrong(
    altered: list[int], times: int, keys: list[object]
) -> None:
    making = Making(log_of(ROW))
    for number in altered:
        making.log.alter_node(8, number)
    making.__post_init__()
    pack = holding(making, making.subtrees, [KEY.public] if keys else [])
    assert pack.verify([KEY.public])["ok"]
    assert making.times == times


def test_no_pack_is_written_that_would_not_hold() -> None:
    for making, keys, told in (
        (Making(log_of(ROW), EDITED), [KEY.public], "0@300 the proof leads to another root"),
        (Making(log_of(ROW), EDITED), [], "0@300 the proof leads to another root"),
        (Making(log_of(ROW)), [STRANGER.public], "no known key has signed"),
    ):
        with pytest.raises(CommandError, match="dossier verify --all") as refused:
            holding(making, making.subtrees, keys)
        assert (refused.value.exit_code, told in str(refused.value)) == (EXIT_FOUND, True), str(refused.value)


def test_a_pack_has_all_of_its_dossier_that_is_under_its_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were archived and signed while the first ones were read come into it, and no others."""
    signed, beyond = ROW._replace(offset=400), ROW._replace(offset=1_100)
    log = log_of(ROW, signed)
    monkeypatch.setattr(log, "newest_sound", lambda _: log.checkpoint)
    monkeypatch.setattr("replay.log_table.LogTable", lambda *_: log)
    archive: Any = SimpleNamespace(client=None, topic=LEDGER_TOPIC, events_of=lambda _: [ROW, signed, beyond])
    for end, expected in ((1_100, [OFFSET]), (1_099, [OFFSET, 400])):
        pack = _pack(DOSSIER, [ROW], {0: end}, archive, (), None, [KEY.public])
        assert [each.offset for each in pack.records] == expected
        assert pack.verify([KEY.public])["ok"]


def test_a_dossier_in_two_partitions_is_refused_and_they_are_named() -> None:
    assert partition_of(DOSSIER, [row_of(partition=2), row_of(partition=2)]) == 2
    with pytest.raises(CommandError, match="partitions 0, 3") as refused:
        partition_of(DOSSIER, [row_of(partition=3), row_of()])
    assert refused.value.exit_code == EXIT_FOUND


def test_a_receipt_is_of_what_was_signed() -> None:
    log = log_of(ROW)
    log.alter_node(8, 0)
    receipt = receipt_of(DOSSIER, OFFSET, [ROW, ROW], log, log.checkpoint, [KEY.public])
    assert (receipt.origin, receipt.size, receipt.leaf) == (ORIGIN, 1_100, leaf_of(ROW))
    assert receipt.root == log.checkpoint.root


def test_no_receipt_is_signed_of_what_was_not_signed() -> None:
    log = log_of(ROW)
    with pytest.raises(ProofError):
        receipt_of(DOSSIER, OFFSET, [EDITED], log, log.checkpoint, [KEY.public])
    with pytest.raises(Missing, match="different rows"):
        receipt_of(DOSSIER, OFFSET, [ROW, EDITED], log, log.checkpoint, [KEY.public])
    with pytest.raises(Missing, match="no row"):
        receipt_of(DOSSIER, OFFSET, [], log, log.checkpoint, [KEY.public])
    with pytest.raises(CheckpointRefused, match="no known key"):
        receipt_of(DOSSIER, OFFSET, [ROW], log, log.checkpoint, [STRANGER.public])
