"""Rows that an archive has lost, read again from the ledger and written again.

    gaps (1) ──▶ the same records of the ledger (2) ──▶ batches under new tokens (3) ──▶ counted (4)

ClickHouse knows the tokens of the batches that were lost and would pass them over: each repair writes with tokens of
its own. What is there is never touched: a row that differs from the ledger is evidence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.ledger import LedgerRecord
from processors.archive_table import ArchiveTable, Count
from processors.batches import MAX_ROWS, Decode, cut, make_batch

_FETCH_WAIT_MS: Final = 500
#: The ledger answers within this, or the repair gives up.
_ANSWER_SECONDS: Final = 60.0


class Gap(NamedTuple):
    """Offsets that have no row, from `first` to `last`."""

    partition: int
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


class RepairFailed(Exception):
    """It could not be repaired; the message says what is wrong. What was written stays, and is right."""


def find_gaps(client: Any, topic: str, ends: dict[int, int]) -> list[Gap]:
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
        Gap(partition, int(first), int(last))
        for partition, end in sorted(ends.items())
        for first, last in client.query(sql, {"topic": topic, "partition": partition, "end": end}).result_rows
    ]


class Repair:
    """Writes gaps of one topic again. `writer` is new for each repair; `progress` is told the rows that are there."""

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

    async def run(self, gaps: Sequence[Gap]) -> int:
        """Gives how many rows were written. Memory: a batch.

        Raises:
            RepairFailed: the ledger no longer has these records, or rows do not stay in the table.
            aiokafka.errors.KafkaError: the ledger cannot be read.
            clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers.split(","), client_id="dossier-repair", enable_auto_commit=False,
            auto_offset_reset="none",
        )  # fmt: skip
        await consumer.start()
        try:
            return sum([await self._fill(consumer, gap) for gap in gaps])
        finally:
            await consumer.stop()

    async def _fill(self, consumer: Any, gap: Gap) -> int:
        written, pending = 0, list[LedgerRecord]()
        async for records in self._records(consumer, gap):
            pending += records
            if len(pending) >= MAX_ROWS:
                written += await asyncio.to_thread(self._write, gap.partition, pending)
                pending = []
        return written + await asyncio.to_thread(self._write, gap.partition, pending)

    async def _records(self, consumer: Any, gap: Gap) -> AsyncIterator[list[LedgerRecord]]:
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
