from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from replay.archive import ArchiveRow
from replay.reconcile import PartitionMerge, Reconciliation
from tests.unit.archive.records import Ledgered, a_record

LEDGER = [a_record(offset) for offset in range(0, 24, 2)]  # every other offset: a ledger may have gaps


def row_of(record: Ledgered, unreadable: str = "") -> ArchiveRow:
    return ArchiveRow(0, record.offset, record.timestamp, None, record.key, record.value, record.headers, unreadable)


@st.composite
def archives(draw: st.DrawFn) -> tuple[list[ArchiveRow], Counter[str]]:
    """An archive of LEDGER with damage, and what should be found."""
    rows, expected = list[ArchiveRow](), Counter[str]()
    for record in LEDGER:
        match draw(st.sampled_from(("kept", "unreadable", "missing", "twice", "edited", "foreign"))):
            case "kept":
                rows.append(row_of(record))
                expected["archived"] += 1
            case "unreadable":
                rows.append(row_of(record, "not JSON"))
                expected["quarantined"] += 1
            case "missing":
                expected["missing"] += 1
            case "twice":
                rows += [row_of(record), row_of(record)]
                expected.update(archived=1, duplicate=1)
            case "edited":
                edited = draw(st.sampled_from((
                    replace(record, value=b"x"), replace(record, key=None), replace(record, timestamp=7),
                    replace(record, headers=()),
                )))  # fmt: skip
                rows.append(row_of(edited))
                expected.update(archived=1, different=1)
            case _:
                rows += [row_of(record), row_of(replace(record, offset=record.offset + 1))]
                expected.update(archived=1, different=1)
    return rows, expected


@given(archives(), st.lists(st.booleans(), max_size=80), st.integers(1, 7), st.integers(1, 7))
def test_every_kind_of_damage_is_counted_however_the_streams_arrive(
    archive: tuple[list[ArchiveRow], Counter[str]], order: list[bool], records_a_time: int, rows_a_time: int
) -> None:
    rows, expected = archive
    counts = Reconciliation()
    merge = PartitionMerge("t", 0, counts)
    records_left, rows_left = list(LEDGER), list(rows)
    turns = iter(order)
    while merge.wants_records or merge.wants_rows:
        if merge.wants_records and (next(turns, True) or not merge.wants_rows):
            merge.add_records(records_left[:records_a_time])
            del records_left[:records_a_time]
            if not records_left:
                merge.end_ledger()
        elif rows_left:
            merge.add_rows(rows_left[:rows_a_time])
            del rows_left[:rows_a_time]
        else:
            merge.end_archive()
    found = {name: getattr(counts, name) for name in ("archived", "quarantined", "missing", "duplicate", "different")}
    assert found == {name: expected[name] for name in found}
    assert counts.ledger == len(LEDGER) == counts.archived + counts.quarantined + counts.missing
    assert counts.found == len(counts.findings)  # fewer than are named
    assert counts.clean == (not expected.keys() & {"missing", "duplicate", "different"})
