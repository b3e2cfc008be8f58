"""Rows that an archive has lost, or whose columns do not say what their records say, written again from the ledger.

    spans (1) ──▶ the same records of the ledger (2) ──▶ batches under new tokens (3) ──▶ counted (4)

ClickHouse knows the tokens of the batches that were lost and would pass them over: each repair writes with tokens of
its own. A row whose record differs from the ledger's is evidence, and stays. Columns are none, they follow from the
record: a row whose record is the ledger's is taken out, and written as it should be. Whoever dies between the two
leaves a gap, which the next repair finds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.envelope import Decode
from events.ledger import BROKER_WAIT_MS, LedgerRecord
from processors.archive_table import ArchiveTable, Count, content_of, runs
from processors.batches import MAX_BYTES, MAX_ROWS, cut, make_batch, weight

_FETCH_WAIT_MS: Final = 500
#: The ledger answers within this, or the repair gives up.
_ANSWER_SECONDS: Final = 60.0


class Span(NamedTuple):
    """Offsets of a partition, from `first` to `last`."""

    partition: int
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


class RepairFailed(Exception):
    """It could not be repaired; the message says what is wrong. What was written stays, and is right."""


def find_gaps(client: Any, topic: str, ends: dict[int, int]) -> list[Span]:
    """Where rows are missing before `ends`, by partition; of those alone.

    Raises:
        clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
    """
    sql = (
        "SELECT before + 1, offset - 1 FROM (SELECT toInt64(offset) AS offset, "
        "lagInFrame(toInt64(offset), 1, toInt64(-1)) OVER (ORDER BY offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) "
        "AS before FROM (SELECT DISTINCT offset FROM dossier_events WHERE topic = {topic:String} AND "
        "partition = {partition:UInt32} AND offset < {end:UInt64} UNION DISTINCT SELECT {end:UInt64})) "
        "WHERE offset > before + 1 ORDER BY offset"
    )
    return [
        Span(partition, int(first), int(last))
        for partition, end in sorted(ends.items())
        for first, last in client.query(sql, {"topic": topic, "partition": partition, "end": end}).result_rows
    ]


def spans(partition: int, offsets: Iterable[int]) -> list[Span]:
    """Ascending offsets as spans without a gap."""
    return [Span(partition, first, last) for first, last in runs(offsets)]


class Repair:
    """Writes rows of one topic again. `writer` is new for each repair; `progress` is told the rows that are there."""

    def __init__(
        self,
        brokers: str,
        topic: str,
        table: ArchiveTable,
        writer: UUID,
        decode: Decode,
        progress: Callable[[int], None],
    ) -> None:
        self._brokers = brokers
        self._topic = topic
        self._table = table
        self._writer = writer
        self._decode = decode
        self._progress = progress

    async def fill(self, gaps: Sequence[Span]) -> int:
        """Write what is missing; gives how many rows. Memory: a batch.

        Raises:
            RepairFailed: the ledger no longer has these records, or rows do not stay in the table.
            aiokafka.errors.KafkaError: the ledger cannot be read.
            clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
        """
        return await self._each_batch(gaps, self._write)

    async def rewrite(self, spans: Sequence[Span]) -> int:
        """Write the rows of these offsets anew where they are there once, with the ledger's record; gives how many.

        Raises as `fill`.
        """
        return await self._each_batch(spans, self._replace)

    async def _each_batch(self, spans: Sequence[Span], do: Callable[[int, Sequence[LedgerRecord]], int]) -> int:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers.split(","), client_id="dossier-repair", enable_auto_commit=False,
            auto_offset_reset="none", fetch_max_wait_ms=BROKER_WAIT_MS,
        )  # fmt: skip
        await consumer.start()
        done = 0
        try:
            for span in spans:
                pending = list[LedgerRecord]()
                async for records in self._records(consumer, span):
                    pending += records
                    if len(pending) >= MAX_ROWS or weight(pending) >= MAX_BYTES:
                        done += await asyncio.to_thread(do, span.partition, pending)
                        pending = []
                done += await asyncio.to_thread(do, span.partition, pending)
        finally:
            await consumer.stop()
        return done

    async def _records(self, consumer: Any, gap: Span) -> AsyncIterator[list[LedgerRecord]]:
        tp = TopicPartition(self._topic, gap.partition)
        begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        if not begin <= gap.first <= gap.last < end:
            raise RepairFailed(
                f"the ledger has {tp.topic}/{tp.partition}@{begin}-{end - 1}, and not all of {gap.first}-{gap.last}"
            )
        consumer.assign([tp])
        consumer.seek(tp, gap.first)
        silent_since = time.monotonic()
        while await consumer.position(tp) <= gap.last:
            fetched = (await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=MAX_ROWS)).get(tp, [])
            if fetched:
                silent_since = time.monotonic()
                yield [record for record in fetched if record.offset <= gap.last]
            elif time.monotonic() - silent_since > _ANSWER_SECONDS:
                raise RepairFailed(f"the ledger has not given {tp.topic}/{tp.partition}@{gap.first} for a minute")

    def _replace(self, partition: int, records: Sequence[LedgerRecord]) -> int:
        if not records:
            return 0
        there = self._table.records(partition, records[0].offset, records[-1].offset)
        same = {each.offset: each for each in records if there.get(each.offset) == [content_of(each)]}
        for first, last in runs(sorted(same)):
            self._table.remove(partition, first, last)
            self._write(partition, [same[offset] for offset in range(first, last + 1)])
        return len(same)

    def _write(self, partition: int, records: Sequence[LedgerRecord]) -> int:
        for some in cut(records):
            batch = make_batch(self._topic, partition, some, self._writer, f":{self._writer}", self._decode)
            self._table.insert(batch)
            found = self._table.count(partition, batch.first, batch.last)
            if found != Count(batch.rows, batch.rows):
                place = f"{self._topic}/{partition}@{batch.first}-{batch.last}"
                raise RepairFailed(f"{place}: {batch.rows} rows were written, {found.rows} are there")
            self._progress(batch.rows)
        return len(records)
