"""A log is signed on only from what the ledger itself has signed of it, wherever that is kept; what is none is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from events.entrance import BrokerUnreachable
from processors.checkpoints import Checkpointer, CheckpointPolicy
from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer, read_notes
from replay.leaf import leaf_hash
from replay.log_table import StoredCheckpoint
from replay.merkle import CompactRange
from replay.note_file import NoteFile

KEY = Signer.from_seed("gia-lai", bytes(range(32)))
OLDER = Signer.from_seed("gia-lai", bytes(range(1, 33)))
STRANGER = Signer.from_seed("gia-lai", bytes(range(2, 34)))
ORIGIN = "gia-lai/t"


@dataclass
class Table:
    """What a Checkpointer asks of the table: so many leaves of each partition, and what is stored as signed."""

    stored: list[StoredCheckpoint] = field(default_factory=list)
    edited: set[int] = field(default_factory=set)  # offsets of partition 0
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    added: list[tuple[int, int]] = field(default_factory=list)

    def newest_first(self, partition: int) -> Iterator[StoredCheckpoint]:
        rows = [each for each in self.stored if each.partition == partition]
        yield from sorted(rows, key=lambda each: each.size, reverse=True)

    def leaves(self, partition: int, first: int, end: int) -> Iterator[list[bytes]]:
        self.asked.append((partition, first, end))
        yield [self._leaf(partition, offset) for offset in range(first, end)]

    def _leaf(self, partition: int, offset: int) -> bytes:
        edited = b"!" if partition == 0 and offset in self.edited else b""
        return leaf_hash(b"%d@%d%b" % (partition, offset, edited))

    def keep(self, partition: int, completed: Sequence[Any]) -> None:
        pass

    def add(self, partition: int, grown: CompactRange, note: str) -> None:
        self.added.append((partition, grown.size))
        self.stored.append(StoredCheckpoint(partition, grown.size, grown.root(), tuple(grown.hashes), note))


@dataclass
class Topic:
    """What was announced."""

    notes: list[str] = field(default_factory=list)
    away: bool = False

    def announce(self, origin: str, note: str) -> None:
        assert note.startswith(f"{origin}\n")
        if self.away:
            raise ConnectionError
        self.notes.append(note)

    def announced(self) -> Iterable[str]:
        if self.away:
            raise BrokerUnreachable("nobody there")
        return list(self.notes)


def log_of(size: int, partition: int = 0, table: Table | None = None) -> CompactRange:
    log = CompactRange()
    log.extend(next((table or Table()).leaves(partition, 0, size)))
    return log


def stored(
    size: int,
    *,
    hashes: Sequence[bytes] | None = None,
    root: bytes | None = None,
    signer: Signer = KEY,
    origin: str = f"{ORIGIN}/0",
    log: CompactRange | None = None,
) -> StoredCheckpoint:
    """As it is after so many leaves of partition 0, but for what is said to be other."""
    log = log or log_of(size)
    signed = SignedCheckpoint(Checkpoint(origin, size, root or log.root())).signed_by(signer, 0)
    return StoredCheckpoint(
        0, size, signed.checkpoint.root, tuple(log.hashes if hashes is None else hashes), signed.text
    )


def note(size: int, signer: Signer = KEY) -> str:
    return stored(size, signer=signer).note


def checkpointer(table: Table, topic: Topic | None = None, file: Path | None = None) -> Checkpointer:
    topic, policy = topic or Topic(), CheckpointPolicy(records=1, again=0.0)
    keys = (OLDER.public,)
    return Checkpointer(table, KEY, ORIGIN, topic.announce, topic.announced, file, policy, keys)  # type: ignore[arg-type]  # as far as it is asked


def sizes(notes: Iterable[str]) -> list[int]:
    return [each.checkpoint.size for text in notes for each in read_notes(text)]


def sizes_in(file: Path) -> list[int]:
    return [each.checkpoint.size for each in read_notes(file.read_text(encoding="utf-8"))]


def write(file: Path, *notes: str) -> None:
    file.write_text("".join(f"{each}\n" for each in notes), encoding="utf-8")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints.txt"


@pytest.mark.parametrize("signer", [KEY, OLDER], ids=["own key", "older key"])
def test_a_log_goes_on_where_it_was_signed_last(signer: Signer) -> None:
    table = Table([stored(5, signer=signer)])
    checkpointer(table).sign_due({0: 8, 1: 2})
    assert table.added == [(0, 8), (1, 2)]
    assert table.asked == [(0, 5, 8), (1, 0, 2)]


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (stored(9), "a checkpoint of 9 leaves is stored of partition 0, and 8 are archived"),
        (stored(5)._replace(note="no note"), "of 5 leaves stored of partition 0 (dossier_checkpoints) does not agree"),
        (stored(5, signer=STRANGER), "of 5 leaves stored of partition 0 (dossier_checkpoints) is not the ledger's"),
        (stored(5, signer=STRANGER), "put the .pub of that into the folder keys"),
        (
            stored(5)._replace(note=note(5).replace("— gia-lai", "— gia-lbi")),
            "no known key has signed this, but gia-lbi",
        ),
        (stored(5, root=bytes(32), hashes=[bytes(32)] * 2), "partition 0"),
        (stored(5, origin=f"{ORIGIN}/1"), "it is of gia-lai/t/1, not of gia-lai/t/0"),
        (stored(5, origin="kon-tum/t/0"), "ledger_name"),
    ],
    ids=[
        "longer",
        "no note",
        "foreign key",
        "what to do",
        "foreign name",
        "another log",
        "partition 1",
        "other ledger",
    ],
)
def test_what_is_stored_and_is_none_is_told_and_the_others_are_signed(odd: StoredCheckpoint, why: str) -> None:
    table = Table([odd])
    found = checkpointer(table)
    for _ in range(2):
        found.sign_due({0: 8, 1: 2})
    assert table.added == [(1, 2)]
    assert why in found.refused[0]
    table.stored.remove(odd)
    found.sign_due({0: 8, 1: 2})
    assert table.added == [(1, 2), (0, 8)] or why.startswith("a checkpoint of 9")


def test_a_signature_that_is_not_over_this_log_is_refused() -> None:
    other, table = stored(5, origin=f"{ORIGIN}/1").note, Table()
    forged = log_of(5, table=Table(edited={2}))
    signature = other.rpartition("\n\n")[2]
    text = SignedCheckpoint(Checkpoint(f"{ORIGIN}/0", 5, forged.root())).checkpoint.text
    table.stored = [StoredCheckpoint(0, 5, forged.root(), tuple(forged.hashes), f"{text}\n{signature}")]
    found = checkpointer(table)
    found.sign_due({0: 8})
    assert table.added == []
    assert "is not over this text" in found.refused[0]


def test_a_log_that_was_refused_is_not_computed_at_every_call(file: Path) -> None:
    write(file, note(5))
    table = Table(edited={2})
    found = checkpointer(table, file=file)
    found.policy = CheckpointPolicy(records=1, again=60.0)
    for _ in range(3):
        found.sign_due({0: 8})
    assert table.asked == [(0, 0, 5)]
    assert found.refused


@pytest.mark.parametrize("where", ["file", "topic", "both"])
@pytest.mark.parametrize("left", [[], [3]], ids=["no checkpoint left", "an older one left"])
@pytest.mark.parametrize("edited", [False, True])
def test_a_log_whose_checkpoints_are_gone_is_signed_on_only_if_its_rows_are_what_was_signed(
    file: Path, where: str, left: list[int], *, edited: bool
) -> None:
    topic = Topic()
    if where != "topic":
        write(file, note(3), note(5))
    if where != "file":
        topic.notes = [note(3), note(5)]
    table = Table([stored(each) for each in left], edited={4} if edited else set())
    found = checkpointer(table, topic, file)
    found.sign_due({0: 8, 1: 2})
    if edited:
        assert table.added == [(1, 2)]
        assert "the first 5 rows of partition 0 are not those of the checkpoint" in found.refused[0]
        return
    assert table.added == [(0, 5), (0, 8), (1, 2)]
    assert not found.refused
    assert sorted(sizes_in(file))[-2:] == [5, 8]
    assert max(sizes(topic.notes)) == 8


def test_another_root_of_the_same_size_is_refused(file: Path) -> None:
    write(file, note(5))
    forged = Table(edited={2})
    table = Table([stored(5, log=log_of(5, table=forged))], edited={2})
    found = checkpointer(table, file=file)
    found.sign_due({0: 8})
    assert table.added == []
    assert str(file) in found.refused[0]


@pytest.mark.parametrize("signed", [0, 3], ids=["nothing else is left", "an older one is left"])
def test_of_the_topic_the_newest_note_counts_as_compaction_leaves_no_other(signed: int) -> None:
    replaced = stored(5, log=log_of(5, table=Table(edited={2}))).note
    topic = Topic([replaced, note(5), note(7, STRANGER)])
    table = Table([stored(signed)] if signed else [])
    checkpointer(table, topic).sign_due({0: 8})
    assert table.added == [(0, 5), (0, 8)]


def test_a_checkpoint_of_more_leaves_than_are_archived_is_refused(file: Path) -> None:
    write(file, note(9))
    table = Table([stored(5)])
    found = checkpointer(table, file=file)
    found.sign_due({0: 8})
    assert table.added == []
    assert found.refused[0].endswith("and 8 are archived")
    found.sign_due({0: 10})
    assert table.added == [(0, 9), (0, 10)]


def test_notes_that_prove_nothing_are_passed_over(file: Path) -> None:
    write(file, note(5), note(7, STRANGER), f"{ORIGIN}/0\nhalf")
    topic = Topic(["", "no note", note(7, STRANGER), note(5)])
    table = Table([stored(5)])
    checkpointer(table, topic, file).sign_due({0: 8})
    assert table.added == [(0, 8)]
    assert table.asked == [(0, 5, 8)]


@pytest.mark.parametrize("in_file", [[], [3], [3, 5]])
@pytest.mark.parametrize("on_topic", [[], [3], [5]])
@pytest.mark.parametrize("in_table", [[], [3], [3, 5]])
def test_a_crash_between_the_places_is_healed(
    file: Path, in_table: list[int], in_file: list[int], on_topic: list[int]
) -> None:
    table, topic = Table([stored(each) for each in in_table]), Topic([note(each) for each in on_topic])
    if in_file:
        write(file, *map(note, in_file))
    newest = max([0, *in_table, *in_file, *on_topic])
    found = checkpointer(table, topic, file)
    found.sign_due({0: newest})  # nothing new is to be signed
    assert not found.refused
    if newest:
        assert max(each.size for each in table.stored) == newest
        assert sizes_in(file)[-1] == newest
        assert sizes(topic.notes)[-1] == newest
    found.sign_due({0: 8})
    assert [sizes_in(file)[-1], sizes(topic.notes)[-1], table.stored[-1].size] == [8, 8, 8]
    for places in (sizes_in(file), sizes(topic.notes), [each.size for each in table.stored]):
        assert all(one < other for one, other in pairwise(places)), "none is told twice"


def test_a_topic_that_cannot_be_read_keeps_a_log_from_being_begun_and_is_read_at_the_next_call() -> None:
    table, topic = Table(), Topic()
    found = checkpointer(table, topic)
    found.sign_due({1: 2})
    topic.away = True
    with pytest.raises(ConnectionError):  # what this process has signed before goes on, as far as it can be told
        found.sign_due({0: 8, 1: 3})
    assert table.added == [(1, 2), (1, 3)]
    assert found.refused == {0: "what was signed of partition 0 is not known: nobody there"}
    topic.away = False
    found.sign_due({0: 8, 1: 3})
    assert table.added == [(1, 2), (1, 3), (0, 8)]
    assert not found.refused
    assert sizes(topic.notes) == [2, 8, 3] or sizes(topic.notes) == [2, 3, 8]


@pytest.mark.parametrize(
    "odd",
    [
        stored(5, hashes=[bytes(32)]),
        stored(5, hashes=[bytes(32)] * 2),
        stored(5)._replace(root=bytes(32)),
        stored(5)._replace(size=7),
        stored(5)._replace(note="no note"),
    ],
    ids=["too few hashes", "other hashes", "another root", "another size", "no note"],
)
def test_a_row_whose_columns_are_not_those_of_its_note_is_passed_over(odd: StoredCheckpoint) -> None:
    table = Table([stored(3), odd])
    found = checkpointer(table)
    found.sign_due({0: 8})
    assert table.added[-1] == (0, 8)
    assert not found.refused


def test_the_note_of_a_row_that_was_passed_over_still_counts() -> None:
    table = Table([stored(3), stored(5)._replace(root=bytes(32))], edited={4})
    found = checkpointer(table)
    found.sign_due({0: 8})
    assert table.added == []
    assert "the first 5 rows of partition 0" in found.refused[0]


def test_a_note_that_the_file_does_not_take_is_written_when_it_does(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, topic, append = Table(), Topic(), NoteFile.append
    found = checkpointer(table, topic, file)
    found.sign_due({0: 2})

    def full(_self: NoteFile, _note: str) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(NoteFile, "append", full)
    for end in (3, 4):
        with pytest.raises(OSError, match="no space"):
            found.sign_due({0: end})
    assert sizes(topic.notes) == [2, 3, 4], "signed and announced all the same"
    monkeypatch.setattr(NoteFile, "append", append)
    found.sign_due({0: 4})
    assert sizes_in(file) == [2, 3, 4]


def test_half_a_note_at_the_end_of_the_file_is_cut_off_before_the_next(file: Path) -> None:
    write(file, note(3))
    whole = file.read_bytes()
    for cut in range(1, len(note(5).encode())):
        file.write_bytes(whole + note(5).encode()[:cut])
        checkpointer(Table([stored(3), stored(5)]), file=file).sign_due({0: 5})
        assert sizes_in(file) == [3, 5]
