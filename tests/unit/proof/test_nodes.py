"""Stored nodes and checkpoints that are not those of the leaves are found, and no proof is made from them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cli.against import altered_nodes, unlike_their_notes
from events.ledger import LEDGER_TOPIC
from replay.checkpoint import CheckpointRefused, parse
from replay.leaf import leaf_hash
from replay.log_table import LogTable, StoredCheckpoint
from replay.merkle import ProofError, verify_consistency
from replay.nodes import ComputedNodes, altered, leaves_of, of_leaves
from replay.subtrees import StoredSubtrees, continuation, require_leaf
from replay.verify import Signed, verify_rows
from tests.archived import PARTITION, as_read, row
from tests.unit.proof.stored import StoredLog

LEAVES = [leaf_hash(b"%d" % number) for number in range(1_100)]


def test_a_node_of_which_another_hash_is_stored_is_named_with_what_it_should_be() -> None:
    log = StoredLog(LEAVES)
    assert altered(log, log.checkpoint) == {}
    true = dict(log.nodes_stored)
    log.alter_node(8, 2)
    assert altered(log, log.checkpoint) == {(8, 2): true[8, 2]}
    log.nodes_stored += [((8, 0), bytes(32)), ((8, 4), bytes(32))]  # a second row; and one of leaves yet to come
    assert altered(log, log.checkpoint).keys() == {(8, 0), (8, 2)}
    assert [each.position for each in altered_nodes(3, [(8, 2)])] == ["3@512-767"]


def test_a_node_that_is_not_stored_is_none_that_differs() -> None:
    log = StoredLog(LEAVES)
    del log.nodes_stored[1]
    assert altered(log, log.checkpoint) == {}


def test_where_leaves_are_not_those_that_were_signed_no_node_is_blamed() -> None:
    log = StoredLog(LEAVES)
    log.stored_leaves[300] = bytes(32)
    assert altered(log, log.checkpoint) == {}


@pytest.mark.parametrize("edited", [None, 700, 300])
def test_a_verifier_computes_the_nodes_and_knows_up_to_where_they_are_those_signed(edited: int | None) -> None:
    rows = [row(offset) for offset in range(1_100)]
    checkpoints = []
    for size in (600, 1_100):
        _, root = of_leaves(StoredLog([each[5] for each in rows]), 0, size)
        checkpoints.append(Signed(size, root, "file"))
    if edited is not None:
        rows[edited] = row(edited, b"!")
    computed = ComputedNodes()
    verified = verify_rows(PARTITION, [as_read(rows)], checkpoints, computed.add)
    assert verified.agreed == {None: 1_100, 700: 600, 300: 0}[edited]
    log = StoredLog([each[5] for each in map(row, range(1_100))])
    assert computed.differing(log, 0, verified.agreed) == {}, "the stored nodes are right"
    log.alter_node(8, 1)
    assert computed.differing(log, 0, verified.agreed).keys() == ({(8, 1)} if verified.agreed else set())


def test_a_leaf_is_proved_from_the_leaves_where_a_node_is_wrong() -> None:
    log = StoredLog(LEAVES)
    for number in range(4):
        log.alter_node(8, number)
    for index in (0, 5, 511, 1_099):
        require_leaf(log, log.checkpoint, index, LEAVES[index])
        with pytest.raises(ProofError):
            require_leaf(log, log.checkpoint, index, bytes(32))
    assert leaves_of(8, 3) == "768-1023"


def test_that_a_log_continues_another_is_proved_from_the_leaves_where_a_node_is_wrong() -> None:
    log, old = StoredLog(LEAVES), parse(StoredLog(LEAVES[:700]).checkpoint.note).checkpoint
    for number in range(4):
        log.alter_node(8, number)
    subtrees = StoredSubtrees(log, 0)
    subtrees.until(log.checkpoint)
    proof = continuation(subtrees, old, log.checkpoint)
    verify_consistency(old.size, log.checkpoint.size, proof, old.root, log.checkpoint.root)


def odd_rows() -> list[StoredCheckpoint]:
    true = StoredLog(LEAVES).checkpoint
    other = StoredLog(LEAVES[:1_000]).checkpoint
    return [
        true._replace(size=true.size + 1_000_000),
        true._replace(root=bytes(32)),
        true._replace(hashes=tuple(bytes(32) for _ in true.hashes)),
        true._replace(hashes=()),
        true._replace(partition=1),
        other._replace(note=true.note),
        other._replace(root=true.root, hashes=true.hashes, size=true.size),
    ]


def test_a_row_of_checkpoints_that_is_not_its_note_is_named() -> None:
    true, odd = StoredLog(LEAVES).checkpoint, odd_rows()
    assert not any(each.is_sound(LEDGER_TOPIC) for each in odd)
    assert true.is_sound(LEDGER_TOPIC)
    found = list(unlike_their_notes([true, *odd], LEDGER_TOPIC))
    assert [each.position for each in found] == [f"{each.partition}@{each.size}" for each in odd]
    assert {each.kind for each in found} == {"checkpoint"}


def test_a_note_that_is_none_is_told_of_by_its_signature_alone() -> None:
    none = StoredLog(LEAVES).checkpoint._replace(note="no note")
    assert not none.is_sound(LEDGER_TOPIC)
    assert list(unlike_their_notes([none], LEDGER_TOPIC)) == []
    with pytest.raises(CheckpointRefused):
        none.disagreement(LEDGER_TOPIC)


class Answers:
    """A ClickHouse that has these rows of checkpoints, the largest first."""

    def __init__(self, rows: list[StoredCheckpoint]) -> None:
        self.rows = rows

    def query(self, sql: str, _parameters: dict[str, Any]) -> Any:
        limit, offset = map(int, re.findall(r"LIMIT (\d+) OFFSET (\d+)", sql)[0])
        return type("Result", (), {"result_rows": self.rows[offset : offset + limit]})


@pytest.mark.parametrize("forged", [0, 1, 15, 16, 40])
def test_the_newest_checkpoint_is_the_newest_that_is_what_its_note_says(forged: int) -> None:
    true = StoredLog(LEAVES).checkpoint
    rows = [true._replace(size=true.size + 1_000_000)] * forged
    assert LogTable(Answers([*rows, true])).newest_sound(0) == true
    assert LogTable(Answers(rows)).newest_sound(0) is None
