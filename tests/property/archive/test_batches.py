from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from processors.batches import cut, make_batch, weight
from tests.unit.archive.records import Ledgered, a_record

JANUARY_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
TIMES = st.integers(JANUARY_MS, JANUARY_MS + 120 * 86_400_000)
VALUES = st.none() | st.binary(max_size=300)


@st.composite
def ledgers(draw: st.DrawFn) -> list[Ledgered]:
    drawn = draw(st.lists(st.tuples(TIMES, VALUES, VALUES), max_size=60))
    return [Ledgered(offset, *fields) for offset, fields in enumerate(drawn)]


@given(ledgers(), st.integers(1, 20), st.integers(1, 2_000))
def test_batches_hold_every_record_once_in_order_and_within_bounds(
    records: list[Ledgered], max_rows: int, max_bytes: int
) -> None:
    batches = list(cut(records, max_rows, max_bytes))
    assert [record for batch in batches for record in batch] == records
    for batch in batches:
        months = {datetime.fromtimestamp(record.timestamp / 1000, UTC).strftime("%Y-%m") for record in batch}
        assert len(months) == 1
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or weight(batch) <= max_bytes


@given(st.integers(1, 40), st.sets(st.integers(1, 39)))
def test_any_chunking_carries_the_same_records(rows: int, cuts: set[int]) -> None:
    records = [a_record(n) for n in range(rows)]
    bounds = [0, *sorted(each for each in cuts if each < rows), rows]
    chunks = [records[begin:end] for begin, end in pairwise(bounds)]
    batches = [make_batch("t", 0, chunk, UUID(int=1)) for chunk in chunks]
    assert [record for batch in batches for record in batch.records] == records
    assert [(batch.first, batch.last) for batch in batches] == [(chunk[0].offset, chunk[-1].offset) for chunk in chunks]
    assert len({batch.token for batch in batches}) == len(batches)
