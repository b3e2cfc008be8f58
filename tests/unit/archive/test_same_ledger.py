"""An archive is continued from the ledger it was made from, and from no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition

from processors import same_ledger
from processors.archive_table import Content, content_of
from processors.same_ledger import agrees
from schemas.cluster import Cluster
from tests.unit.archive.records import MARCH_MS, Ledgered, a_record

TP = TopicPartition("ledger", 0)
#: Offset 7 is a transaction's marker.
LEDGER = [a_record(offset) for offset in range(20) if offset != 7]
OTHER = [a_record(offset, MARCH_MS + 1) for offset in range(20)]


class Reader:
    """Of a ledger with these records, which ends at `end`; counts what it is asked for."""

    def __init__(self, records: Sequence[Ledgered], end: int) -> None:
        self.records, self.end = records, end
        self.next, self.asked = 0, 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        assert partitions == [TP]

    def seek(self, _tp: TopicPartition, offset: int) -> None:
        self.next, self.asked = offset, self.asked + 1

    async def position(self, _tp: TopicPartition) -> int:
        return self.next

    async def getmany(self, tp: TopicPartition, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Any]:
        del timeout_ms
        found = [each for each in self.records if each.offset >= self.next][:max_records]
        self.next = found[-1].offset + 1 if found else self.end
        return {tp: found} if found else {}


def asked(monkeypatch: pytest.MonkeyPatch, rows: Mapping[int, Sequence[Content]], end: int = 20) -> tuple[bool, int]:
    """Whether a ledger up to `end` agrees with the rows, and how many records were asked for."""
    reader = Reader([each for each in LEDGER if each.offset < end], end)
    monkeypatch.setattr(same_ledger, "_reader", lambda _brokers: reader)
    return asyncio.run(agrees(Cluster(""), TP, rows)), reader.asked


def rows_of(records: Sequence[Ledgered]) -> dict[int, list[Content]]:
    return {each.offset: [content_of(each)] for each in records}


def test_of_the_same_ledger_one_record_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, rows_of(LEDGER[:10])) == (True, 1)


def test_the_same_events_at_another_time_are_another_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, rows_of(OTHER[:7])) == (False, 7)


@pytest.mark.parametrize(
    "forged",
    [
        replace(LEDGER[9], key=b"another"), replace(LEDGER[9], value=None), replace(LEDGER[9], headers=()),
        a_record(7), a_record(19, MARCH_MS + 1),
    ],
    ids=["key", "value", "headers", "at a marker", "further on"],
)  # fmt: skip
def test_one_true_row_is_enough(monkeypatch: pytest.MonkeyPatch, forged: Ledgered) -> None:
    assert asked(monkeypatch, {**rows_of(LEDGER[:3]), **rows_of([forged])}) == (True, 2)


def test_a_true_row_beside_a_forged_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [content_of(OTHER[3]), content_of(LEDGER[3])]
    assert asked(monkeypatch, {3: two}) == (True, 1)


def test_where_nothing_can_be_compared_the_archiver_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, {}) == (True, 0)
    assert asked(monkeypatch, rows_of([OTHER[7]])) == (True, 1)
    assert asked(monkeypatch, rows_of([OTHER[7]]), end=8) == (True, 1)  # the marker is the last that is there
