"""What somebody took out of the archive, doubled or altered is put right from the ledger; what is evidence stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from uuid import UUID

import pytest

from processors import archive_table, repair
from processors.archive_table import ArchiveTable, Count
from processors.archiver import ARCHIVED
from processors.batches import Batch, cut, make_batch
from processors.repair import Repair, Span, find_doubled, find_gaps
from schemas.cluster import Cluster
from tests.integration.archive.archiving import Archiving, client_of
from tests.integration.archive.test_reconcile import COLUMNS, change, forge, other
from tests.integration.waiting import records_on

pytestmark = pytest.mark.integration

WRITER = UUID(int=7)
FORGER = UUID(int=1)
ENDS = {0: 100, 1: 100}


@pytest.fixture
def table(archived: Archiving) -> Iterator[ArchiveTable]:
    found = ArchiveTable(lambda: client_of(archived.clickhouse), archived.topic)
    yield found
    found.close()


@pytest.fixture
def repairing(archived: Archiving, table: ArchiveTable) -> Repair:
    return Repair(Cluster(archived.broker), archived.topic, table, WRITER, ARCHIVED[0].decode, lambda _rows: None)


def take_out(archived: Archiving, partition: int, offsets: list[int]) -> None:
    here = "topic = {topic:String} AND partition = {partition:UInt32} AND offset IN {offsets:Array(UInt64)}"
    change(archived, f"DELETE FROM dossier_events WHERE {here}", partition=partition, offsets=offsets)  # noqa: S608  # constants


def double(archived: Archiving, offsets: list[int], raw: str = "raw") -> None:
    """A second row, by the same run of the archiver; `raw`: what it says is the value."""
    here = "topic = {topic:String} AND partition = 1 AND offset IN {offsets:Array(UInt64)}"
    copying = f"SELECT {COLUMNS.replace('raw', raw, 1)} FROM dossier_events WHERE {here}"  # noqa: S608  # constants
    change(archived, f"INSERT INTO dossier_events ({COLUMNS}) {copying}", offsets=offsets)


def test_many_scattered_rows_are_written_in_few_blocks(
    archived: Archiving, repairing: Repair, table: ArchiveTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[Batch] = []
    insert = table.insert

    def counted(batch: Batch) -> None:
        blocks.append(batch)
        insert(batch)

    monkeypatch.setattr(table, "insert", counted)
    gone = [*range(0, 100, 3)]
    for partition in (0, 1):
        take_out(archived, partition, gone)
    gaps = find_gaps(archived.client, archived.topic, ENDS)
    assert gaps == [Span(partition, offset, offset) for partition in (0, 1) for offset in gone]
    assert asyncio.run(repairing.fill(gaps)) == 2 * len(gone)
    assert ([(each.partition, each.rows) for each in blocks], repairing.failures) == ([(0, 34), (1, 34)], [])
    archived.require_exact(200)


def test_what_the_ledger_does_not_have_keeps_nothing_else_from_being_written(
    archived: Archiving, repairing: Repair
) -> None:
    take_out(archived, 0, [3, 98, 99])
    take_out(archived, 1, [99])
    spans = [Span(0, 3, 3), Span(0, 98, 100), Span(0, 200, 200), Span(1, 99, 99)]
    assert asyncio.run(repairing.fill(spans)) == 4
    has = f"the ledger has {archived.topic}/0@0-99"
    assert repairing.failures == [f"{has}: 2 rows before or behind that cannot be written again"]
    archived.require_exact(200)


def test_a_block_that_somebody_else_writes_too_leaves_no_other_one_out(
    archived: Archiving, repairing: Repair, table: ArchiveTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "cut", partial(cut, max_rows=10))
    double(archived, [*range(40)])
    insert, disturbed = table.insert, []

    def with_a_copy(batch: Batch) -> None:
        insert(batch)
        if batch.first == 10:
            disturbed.append(batch)
            insert(make_batch(archived.topic, 1, batch.records[:1], FORGER, ":copy"))

    monkeypatch.setattr(table, "insert", with_a_copy)
    assert asyncio.run(repairing.rewrite([Span(1, 0, 39)])) == 30
    assert repairing.failures == [f"{archived.topic}/1, 10 rows of 10-19: 11 are there after they were written again"]
    assert len(disturbed) == 1
    found = archived.reconcile(wait_seconds=0)
    assert (found.archived, found.missing, found.duplicate) == (200, 0, 1)


def test_more_rows_than_one_statement_names_are_counted_and_taken_out(
    archived: Archiving, table: ArchiveTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_table, "_MAX_RUNS", 7)
    monkeypatch.setattr(archive_table, "_MAX_ASKED", 30)
    double(archived, [*range(60)])
    assert table.count_of(1, [*range(0, 100, 2)]) == Count(rows=80, offsets=50)
    assert {len(each) for each in table.records(1, [*range(100)]).values()} == {1}, "both say the same"
    table.remove(1, [*range(1, 60, 2), *range(70, 100)])
    assert table.count(1, 0, 99) == Count(rows=70, offsets=40)


def test_rows_that_are_there_twice_or_altered_are_made_one_and_evidence_stays(
    archived: Archiving, repairing: Repair
) -> None:
    twice, disputed, altered = [7, 8, 60], 70, 80
    double(archived, twice)
    double(archived, [disputed], raw="concat(raw, ' ')")
    forge(archived, altered, *other("occurred_at"))
    doubled = find_doubled(archived.client, archived.topic, ENDS)
    assert doubled == [Span(1, 7, 8), Span(1, 60, 60), Span(1, disputed, disputed)]
    assert asyncio.run(repairing.rewrite([*doubled, Span(1, altered, altered)])) == len(twice) + 1
    assert repairing.failures == []
    found = archived.reconcile(wait_seconds=0)
    assert (found.missing, found.duplicate, found.different, found.altered) == (0, 1, 1, 0)
    assert {each.position for each in found.findings} == {f"{archived.topic}/1@{disputed}"}


@pytest.mark.parametrize("tile", [1, 7, 16, 100, 128])
def test_gaps_and_doubled_rows_are_found_wherever_the_tiles_end(
    archived: Archiving, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "_TILE", tile)
    take_out(archived, 0, [0, 15, 16, 17, *range(30, 65), 99])
    double(archived, [0, 15, 16, 99])
    assert find_gaps(archived.client, archived.topic, {0: 2**40, 1: 100, 5: 3, 6: 0}) == [
        Span(0, 0, 0), Span(0, 15, 17), Span(0, 30, 64), Span(0, 99, 2**40 - 1), Span(5, 0, 2),
    ]  # fmt: skip
    assert find_gaps(archived.client, archived.topic, {0: 50}) == [Span(0, 0, 0), Span(0, 15, 17), Span(0, 30, 49)]
    assert find_doubled(archived.client, archived.topic, {0: 100, 1: 99}) == [Span(1, 0, 0), Span(1, 15, 16)]


@pytest.mark.parametrize("column", ["occurred_at", "unreadable", "office", "dossier_id", "promised"])
def test_of_two_rows_whose_columns_differ_the_archiver_takes_out_neither(
    archived: Archiving, table: ArchiveTable, column: str
) -> None:
    """The forged one names a smaller run, whose row would be kept if both said the same."""
    (record,) = [
        each for each in records_on(Cluster(archived.broker), archived.topic) if (each.partition, each.offset) == (1, 9)
    ]
    true = make_batch(archived.topic, 1, [record], UUID(int=2**127), ":again")
    forge(archived, 9, *other(column))
    table.insert(true)
    assert (table.remove_doubled(1, 0, 99), table.disputed(1, 0, 99)) == (0, [9])
    take_out(archived, 1, [9])
    for writer, token in ((FORGER, ":one"), (UUID(int=2**127), ":two")):
        table.insert(make_batch(archived.topic, 1, [record], writer, token))
    assert (table.remove_doubled(1, 0, 99), table.disputed(1, 0, 99)) == (1, [])
