"""Rows that an archive has lost, has twice, or whose columns do not say what their records say, written again.

    spans (1) ──▶ the same records of the ledger (2) ──▶ batches under new tokens (3) ──▶ counted (4)

ClickHouse knows the tokens of the batches that were lost and would pass them over: each repair writes with tokens of
its own. A row whose record differs from the ledger's is evidence, and stays, and so does a true one beside it. Columns
are none, they follow from the record: where all rows of an offset have the ledger's record they are taken out, and one
is written as it should be. Whoever dies between the two leaves a gap, which the next repair finds.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from events.envelope import Decode
from events.lean import take_any_header_name
from events.ledger import BROKER_WAIT_MS, LedgerRecord
from events.silence import SILENCE_SECONDS, Silence
from processors.archive_table import ArchiveTable, Count, content_of, joined, runs
from processors.batches import MAX_BYTES, MAX_ROWS, cut, make_batch, weight
from schemas.cluster import Cluster

_FETCH_WAIT_MS: Final = 500
#: So many records between two spans are read along: a fetch brings as many.
_READ_THROUGH: Final = 5_000
#: So many offsets are counted together, and looked at closely where the count is not theirs.
_TILE: Final = 1 << 16
_BETWEEN: Final = (
    "FROM dossier_events WHERE topic = {topic:String} AND partition = {partition:UInt32} "
    "AND offset >= {first:UInt64} AND offset < {end:UInt64}"
)


class Span(NamedTuple):
    """Offsets of a partition, from `first` to `last`."""

    partition: int
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


def find_gaps(client: Any, topic: str, ends: Mapping[int, int]) -> list[Span]:
    """Where rows are missing before `ends`, by partition; of those alone. Memory: a tile's offsets, and what is found.

    Raises:
        clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
    """
    return _found(_gaps, client, topic, ends)


def find_doubled(client: Any, topic: str, ends: Mapping[int, int]) -> list[Span]:
    """Where offsets before `ends` have more rows than one, by partition; otherwise as `find_gaps`."""
    return _found(_doubled, client, topic, ends)


def spans(partition: int, offsets: Iterable[int]) -> list[Span]:
    """Ascending offsets as spans without a gap."""
    return [Span(partition, first, last) for first, last in runs(offsets)]


def together(found: Iterable[Span]) -> list[Span]:
    """The same offsets in ascending spans, each once."""
    return [
        Span(partition, first, last)
        for partition, some in groupby(sorted(found), attrgetter("partition"))
        for first, last in joined((span.first, span.last) for span in some)
    ]


class _Tile(NamedTuple):
    """Of `_TILE` offsets from a multiple of it on: where they begin, how many rows, and how many offsets, are there."""

    first: int
    rows: int
    offsets: int


#: Asks for rows of one partition: SQL, first offset, and the one behind the last.
_Ask = Callable[[str, int, int], list[tuple[Any, ...]]]


def _found(
    look: Callable[[_Ask, int], Iterator[tuple[int, int]]], client: Any, topic: str, ends: Mapping[int, int]
) -> list[Span]:
    found = []
    for partition, end in sorted(ends.items()):

        def ask(sql: str, first: int, stop: int, partition: int = partition) -> list[tuple[Any, ...]]:
            named = {"topic": topic, "partition": partition, "first": first, "end": stop}
            rows: list[tuple[Any, ...]] = client.query(sql, named).result_rows
            return rows

        found += [Span(partition, first, last) for first, last in joined(look(ask, end))]
    return found


def _gaps(ask: _Ask, end: int) -> Iterator[tuple[int, int]]:
    expected = 0
    for tile in _tiles(ask, end):
        if tile.first > expected:
            yield expected, tile.first - 1
        expected = min(tile.first + _TILE, end)
        if tile.offsets < expected - tile.first:
            there = {int(offset) for (offset,) in ask(f"SELECT DISTINCT offset {_BETWEEN}", tile.first, expected)}
            yield from runs(each for each in range(tile.first, expected) if each not in there)
    if expected < end:
        yield expected, end - 1


def _doubled(ask: _Ask, end: int) -> Iterator[tuple[int, int]]:
    sql = f"SELECT offset {_BETWEEN} GROUP BY offset HAVING count() > 1 ORDER BY offset"
    for tile in _tiles(ask, end):
        if tile.rows > tile.offsets:
            yield from runs(int(offset) for (offset,) in ask(sql, tile.first, min(tile.first + _TILE, end)))


def _tiles(ask: _Ask, end: int) -> list[_Tile]:
    """Those that have any rows, in order: eight kilobytes each in the server while it counts."""
    sql = f"SELECT intDiv(offset, {_TILE}) * {_TILE} AS begins, count(), groupBitmap(offset) {_BETWEEN} GROUP BY begins"
    return sorted(_Tile(*map(int, row)) for row in ask(sql, 0, end))


class Repair:
    """Writes rows of one topic again. `writer` is new for each repair; `progress` is told the rows that are there.

    `failures` says what could not be repaired, and is not counted; the rest was.
    """

    def __init__(
        self,
        brokers: Cluster,
        topic: str,
        table: ArchiveTable,
        writer: UUID,
        decode: Decode,
        progress: Callable[[int], None],
    ) -> None:
        self.failures: list[str] = []
        self._brokers = brokers
        self._topic = topic
        self._table = table
        self._writer = writer
        self._decode = decode
        self._progress = progress

    async def fill(self, gaps: Sequence[Span]) -> int:
        """Write what is missing, in order; gives how many rows. Memory: a batch.

        Raises:
            aiokafka.errors.KafkaError: the ledger cannot be read.
            clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
        """
        return await self._each_batch(gaps, self._write)

    async def rewrite(self, spans: Sequence[Span]) -> int:
        """Write one row anew for each of these offsets of which all rows have the ledger's record; gives how many.

        Raises as `fill`.
        """
        return await self._each_batch(spans, self._replace)

    async def _each_batch(self, spans: Sequence[Span], do: Callable[[int, Sequence[LedgerRecord]], int]) -> int:
        take_any_header_name()
        consumer = AIOKafkaConsumer(
            **self._brokers.client, client_id="dossier-repair", enable_auto_commit=False,
            auto_offset_reset="none", fetch_max_wait_ms=BROKER_WAIT_MS,
        )  # fmt: skip
        await consumer.start()
        done = 0
        try:
            for partition, some in groupby(spans, attrgetter("partition")):
                async for records in self._batches(consumer, partition, list(some)):
                    done += await asyncio.to_thread(do, partition, records)
        finally:
            await consumer.stop()
        return done

    async def _batches(self, consumer: Any, partition: int, spans: list[Span]) -> AsyncIterator[list[LedgerRecord]]:
        """The records of the spans of a partition; many short ones come together."""
        pending, size = list[LedgerRecord](), 0
        for near in _near(await self._there(consumer, partition, spans)):
            async for records in self._records(consumer, partition, near):
                pending += records
                size += weight(records)
                if len(pending) >= MAX_ROWS or size >= MAX_BYTES:
                    yield pending
                    pending, size = [], 0
        if pending:
            yield pending

    async def _there(self, consumer: Any, partition: int, spans: Sequence[Span]) -> list[Span]:
        """What of them the ledger has."""
        tp = TopicPartition(self._topic, partition)
        begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        clipped = [Span(partition, max(span.first, begin), min(span.last, end - 1)) for span in spans]
        there = [span for span in clipped if span.rows > 0]
        if beyond := sum(span.rows for span in spans) - sum(span.rows for span in there):
            has = f"the ledger has {tp.topic}/{tp.partition}@{begin}-{end - 1}"
            self.failures.append(f"{has}: {beyond} rows before or behind that cannot be written again")
        return there

    async def _records(self, consumer: Any, partition: int, near: Sequence[Span]) -> AsyncIterator[list[LedgerRecord]]:
        tp, firsts = TopicPartition(self._topic, partition), [span.first for span in near]
        consumer.assign([tp])
        consumer.seek(tp, firsts[0])
        silence = Silence()
        while (position := await consumer.position(tp)) <= near[-1].last:
            fetched = (await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=MAX_ROWS)).get(tp, [])
            if silence.is_too_long(fetched):
                raise KafkaTimeoutError(
                    f"the ledger has not given {tp.topic}/{tp.partition}@{position} for {SILENCE_SECONDS:g} seconds"
                )
            yield [each for each in fetched if _is_in(each.offset, near, firsts)]

    def _replace(self, partition: int, records: Sequence[LedgerRecord]) -> int:
        there = self._table.records(partition, [each.offset for each in records])
        same = [each for each in records if there.get(each.offset) == [content_of(each)]]
        return sum(self._replace_block(partition, some) for some in cut(same))

    def _replace_block(self, partition: int, records: Sequence[LedgerRecord]) -> int:
        self._table.remove(partition, [each.offset for each in records])
        return self._write_block(partition, records)

    def _write(self, partition: int, records: Sequence[LedgerRecord]) -> int:
        return sum(self._write_block(partition, some) for some in cut(records))

    def _write_block(self, partition: int, records: Sequence[LedgerRecord]) -> int:
        batch = make_batch(self._topic, partition, records, self._writer, f":{self._writer}", self._decode)
        self._table.insert(batch)
        found = self._table.count_of(partition, [each.offset for each in records])
        if found != Count(batch.rows, batch.rows):  # somebody else has written or taken out rows at the same time
            place = f"{self._topic}/{partition}, {batch.rows} rows of {batch.first}-{batch.last}"
            self.failures.append(f"{place}: {found.rows} are there after they were written again")
            return 0
        self._progress(batch.rows)
        return batch.rows


def _near(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Ascending spans in groups, of which what lies between is sooner read than passed over."""
    group = list[Span]()
    for span in spans:
        if group and span.first - group[-1].last > _READ_THROUGH:
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _is_in(offset: int, ascending: Sequence[Span], firsts: Sequence[int]) -> bool:
    place = bisect_right(firsts, offset) - 1
    return place >= 0 and offset <= ascending[place].last
