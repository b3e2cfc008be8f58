"""The consumer's books: chunks that follow each other, commits of what is durable, seeks to where folds stand."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from processors.transport import Chunk, ChunkConsumer, ChunkScheduler, fetch_wait_ms
from processors.watching import GRACE_US
from tests.unit.projector.test_partition_fold import Record

LEDGER = "dossier.events.v1"
ONE, TWO, LIVE = TP(LEDGER, 1), TP(LEDGER, 2), TP("dossier.live.v1", 1)


class At:
    """A projector that stands somewhere."""

    def __init__(self, positions: Mapping[int, int], durable: Mapping[int, int]) -> None:
        self._positions, self._durable = positions, durable

    def positions(self) -> Mapping[int, int]:
        return self._positions

    def durable(self) -> Mapping[int, int]:
        return self._durable

    def now(self) -> int:
        return 0

    def heard(self, asked: int, ends: Mapping[int, int]) -> None:
        self.ends = ends


class Consumer(ChunkConsumer):
    """Without Faust's services and without a broker."""

    def __init__(self, projector: At) -> None:
        self.ledger, self.projector = LEDGER, projector
        self.ends, self._fetched, self._silent_since = {}, {}, {}
        self._acked, self._acked_index = defaultdict(list), defaultdict(set)
        self.sought: dict[TP, int] = {}

    def assignment(self) -> set[TP]:
        return {ONE, TWO, LIVE}

    def highwater(self, tp: TP) -> int:
        return 100

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.sought.update(partitions)


def records(first: int, last: int) -> list[Any]:
    return [Record(offset, b"D1", b"{}", 1_000 + offset) for offset in range(first, last + 1)]


def test_a_chunk_is_named_by_its_last_record_and_knows_what_came_before() -> None:
    consumer = Consumer(At({}, {}))
    first = consumer._chunk(ONE, records(0, 4))
    second = consumer._chunk(ONE, records(7, 9))  # 5 and 6 are a transaction's markers
    other = consumer._chunk(TWO, records(0, 1))
    assert [(each.after, each.offset, each.timestamp) for each in (first, second, other)] == [
        (0, 4, 1_004),
        (5, 9, 1_009),
        (0, 1, 1_001),
    ]
    assert consumer.ends == {ONE: 100, TWO: 100}


def test_a_chunk_gives_its_records_once_and_is_still_named_by_the_last_of_them() -> None:
    chunk = Chunk(ONE, records(0, 4), 0)
    assert [record.offset for record in chunk.take()] == [0, 1, 2, 3, 4]
    assert (list(chunk.take()), chunk.offset) == ([], 4)


def test_a_seek_goes_to_where_the_fold_stands_and_only_for_partitions_that_are_ready() -> None:
    consumer = Consumer(At({1: 42}, {}))
    consumer._chunk(ONE, records(50, 60))  # fetched, then dropped
    asyncio.run(consumer.perform_seek())
    assert consumer.sought == {ONE: 42}
    assert consumer._chunk(ONE, records(42, 60)).after == 42


def test_only_what_is_durable_is_committed_whatever_faust_has_acknowledged() -> None:
    consumer = Consumer(At({1: 42, 2: 10}, {1: 40}))
    for tp in (ONE, TWO, LIVE):
        consumer._acked[tp].append(41)
        consumer._acked_index[tp].add(41)
    assert [consumer._new_offset(tp) for tp in (ONE, TWO, LIVE)] == [40, None, None]
    assert not any(consumer._acked.values())
    assert not any(consumer._acked_index.values())


def test_the_offsets_inside_a_chunk_are_no_gaps() -> None:
    consumer = Consumer(At({}, {}))
    asyncio.run(consumer._add_gap(ONE, 1, 99))  # would fail: there is nothing to note a gap in
    assert "_gap" not in vars(consumer)


def test_a_broker_is_asked_less_often_while_nothing_comes_but_within_the_grace_of_an_alarm() -> None:
    assert fetch_wait_ms(0.0) < fetch_wait_ms(2.0) < GRACE_US / 1_000


def test_each_partition_of_a_poll_is_one_message() -> None:
    chunks = {ONE: Chunk(ONE, records(0, 4), 0), TWO: Chunk(TWO, records(0, 1), 0)}
    scheduler: Any = ChunkScheduler  # abstract in Faust's types, not in fact
    assert list(scheduler().iterate(chunks)) == list(chunks.items())
