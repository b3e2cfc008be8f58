from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from processors.batches import cut, make_batch, weight
from tests.unit.archive.records import MARCH_MS, Ledgered, a_record

ONE, TWO = UUID(int=1), UUID(int=2)
DAY_MS = 86_400_000


def offsets(batches: object) -> list[list[int]]:
    assert hasattr(batches, "__iter__")
    return [[record.offset for record in batch] for batch in batches]


def test_a_batch_has_at_most_so_many_rows() -> None:
    assert offsets(cut([Ledgered(n) for n in range(5)], max_rows=2)) == [[0, 1], [2, 3], [4]]


def test_a_batch_has_at_most_so_many_bytes_but_always_one_record() -> None:
    small, large = Ledgered(0, value=b"x"), Ledgered(1, value=b"x" * 1000)
    limit = 2 * weight([small])
    assert offsets(cut([small, large, replace(small, offset=2), replace(small, offset=3)], max_bytes=limit)) == [
        [0], [1], [2, 3],
    ]  # fmt: skip


def test_a_batch_stays_within_one_month_of_utc() -> None:
    last_of_march = 1_774_999_999_999  # 2026-03-31T23:33:19.999Z
    april = 1_775_001_600_000  # 2026-04-01T00:00:00Z
    records = [Ledgered(0, last_of_march), Ledgered(1, april - 1), Ledgered(2, april), Ledgered(3, april + DAY_MS)]
    assert offsets(cut(records)) == [[0, 1], [2, 3]]


def test_a_clock_that_steps_back_over_a_month_only_makes_more_batches() -> None:
    april = 1_775_001_600_000
    assert offsets(cut([Ledgered(0, april), Ledgered(1, april - 1), Ledgered(2, april)])) == [[0], [1], [2]]


def test_the_token_is_that_of_the_records_whoever_writes_them() -> None:
    records = [a_record(n) for n in range(10)]
    mine, other = make_batch("t", 3, records, ONE), make_batch("t", 3, records, TWO)
    assert mine.token == other.token
    assert mine.token.startswith("t:3:0:9:")
    assert mine.body != other.body


def test_any_other_byte_or_bound_is_another_token() -> None:
    records = [a_record(n) for n in range(4)]
    tokens = {
        make_batch("t", 3, changed, ONE).token
        for changed in (
            records,
            records[:-1],
            [*records[:-1], replace(records[-1], value=b"{}")],
            [*records[:-1], replace(records[-1], key=b"")],
            [*records[:-1], replace(records[-1], timestamp=MARCH_MS + 1)],
            [*records[:-1], replace(records[-1], headers=())],
        )
    }
    assert len(tokens) == 6


def test_null_and_empty_are_not_the_same() -> None:
    null, empty = Ledgered(0, key=b"D", value=None), Ledgered(0, key=b"D", value=b"")
    assert make_batch("t", 0, [null], ONE).token != make_batch("t", 0, [empty], ONE).token


def test_a_repair_is_set_apart_from_what_it_repairs() -> None:
    records = [a_record(1)]
    assert make_batch("t", 0, records, ONE, ":again").token != make_batch("t", 0, records, ONE).token


def test_what_cannot_be_read_is_in_the_batch_with_its_reason() -> None:
    batch = make_batch("t", 0, [a_record(0), Ledgered(1, key=b"D", value=b"hello"), Ledgered(2)], ONE)
    assert batch.rows == 3
    assert set(batch.unreadable) == {1, 2}
    assert batch.unreadable[2] == "null value"
