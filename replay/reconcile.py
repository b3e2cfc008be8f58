"""Is the archive the ledger? Both are read in order and compared position by position, bytes included.

    ledger = archived + quarantined + missing

and `missing`, `duplicate` and `different` are 0 where law 5 holds. Memory stays bounded: two ordered streams are
merged, a partition at a time. Then each row's columns are compared with its record (`replay.columns`): `altered`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from events.envelope import Decode
from events.lean import take_any_header_name
from events.ledger import BROKER_WAIT_MS, LedgerRecord
from events.quarantine import position_text
from events.silence import SILENCE_SECONDS, Silence
from replay.archive import Archive, ArchiveRow
from replay.columns import altered
from schemas.cluster import Cluster

#: How many findings are named; all are counted.
NAMED_FINDINGS: Final = 20
_FETCH_BYTES: Final = 8 * 1024 * 1024
_FETCH_RECORDS: Final = 5_000
_FETCH_WAIT_MS: Final = 500

What = Literal["missing", "duplicate", "different", "altered"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One position that is not as it should be. `different` is also a row that the ledger does not have.

    `columns`: of an altered row, those that do not say what its record says.
    """

    position: str
    what: What
    columns: tuple[str, ...] = ()


@dataclass(slots=True)
class Reconciliation:
    """The counts, and the first findings. `found`: how many findings there are, those that are not named included."""

    ledger: int = 0
    archived: int = 0
    quarantined: int = 0
    missing: int = 0
    duplicate: int = 0
    different: int = 0
    altered: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.missing or self.duplicate or self.different or self.altered)

    def find(self, position: str, what: What, count: int = 1, columns: tuple[str, ...] = ()) -> None:
        setattr(self, what, getattr(self, what) + count)
        self.found += 1
        if len(self.findings) < NAMED_FINDINGS:
            self.findings.append(Finding(position, what, columns))


class PartitionMerge:
    """Merges one partition's records and rows, both in the order of their offsets, into the counts."""

    def __init__(self, topic: str, partition: int, counts: Reconciliation) -> None:
        self._topic = topic
        self._partition = partition
        self._counts = counts
        self._records: deque[LedgerRecord] = deque()
        self._rows: deque[ArchiveRow] = deque()
        self._ledger_ended = self._archive_ended = False

    @property
    def wants_records(self) -> bool:
        return not self._records and not self._ledger_ended

    @property
    def wants_rows(self) -> bool:
        if self._archive_ended:
            return False
        return not self._has_all_rows_of(self._records[0].offset) if self._records else not self._rows

    def add_records(self, records: Iterable[LedgerRecord]) -> None:
        self._records.extend(records)
        self._merge()

    def add_rows(self, rows: Iterable[ArchiveRow]) -> None:
        self._rows.extend(rows)
        self._merge()

    def end_ledger(self) -> None:
        self._ledger_ended = True
        self._merge()

    def end_archive(self) -> None:
        self._archive_ended = True
        self._merge()

    def _merge(self) -> None:
        while self._records and self._has_all_rows_of(self._records[0].offset):
            self._compare(self._records.popleft())
        if self._ledger_ended and not self._records:
            while self._rows:
                self._foreign(self._rows.popleft())

    def _has_all_rows_of(self, offset: int) -> bool:
        """A row behind an offset says that no more of that offset will come."""
        return self._archive_ended or (bool(self._rows) and self._rows[-1].offset > offset)

    def _compare(self, record: LedgerRecord) -> None:
        while self._rows and self._rows[0].offset < record.offset:
            self._foreign(self._rows.popleft())
        rows = []
        while self._rows and self._rows[0].offset == record.offset:
            rows.append(self._rows.popleft())
        self._count(record, rows)

    def _count(self, record: LedgerRecord, rows: Sequence[ArchiveRow]) -> None:
        counts = self._counts
        counts.ledger += 1
        if not rows:
            counts.find(self._position(record.offset), "missing")
            return
        if rows[0].unreadable:
            counts.quarantined += 1
        else:
            counts.archived += 1
        if len(rows) > 1:
            counts.find(self._position(record.offset), "duplicate", len(rows) - 1)
        if not all(_is_same(record, row) for row in rows):
            counts.find(self._position(record.offset), "different")

    def _foreign(self, row: ArchiveRow) -> None:
        self._counts.find(self._position(row.offset), "different")

    def _position(self, offset: int) -> str:
        return position_text(self._topic, self._partition, offset)


def _is_same(record: LedgerRecord, row: ArchiveRow) -> bool:
    return (
        record.value == row.raw
        and record.key == row.key
        and record.timestamp == row.recorded_ms
        and tuple(record.headers) == row.headers
    )


async def reconcile(
    brokers: Cluster, archive: Archive, decode: Decode, wait_seconds: float, progress: Progress
) -> Reconciliation:
    """Compare the ledger as it ends now with the archive, after waiting for the archiver to get that far.

    Args:
        decode: of the topic's codec.
        progress: called with how many records and rows have been looked at, and how many there are.

    Raises:
        aiokafka.errors.KafkaError: the ledger cannot be read.
        clickhouse_connect.driver.exceptions.ClickHouseError: the archive cannot be read.
    """
    counts = Reconciliation()
    consumer = _consumer(brokers, archive.topic)
    await consumer.start()
    try:
        numbers = sorted(consumer.partitions_for_topic(archive.topic) or ())
        partitions = [TopicPartition(archive.topic, number) for number in numbers]
        begins, ends = await _bounds(consumer, partitions)
        total = 2 * (sum(ends.values()) - sum(begins.values()))
        progress(0, total)
        await asyncio.to_thread(archive.wait_until_archived, ends, wait_seconds)  # what is not there is missing
        consumer.unsubscribe()
        for tp in partitions:
            consumer.assign([tp])
            consumer.seek(tp, begins[tp.partition])
            await compare_partition(
                consumer, tp, archive, ends[tp.partition], counts, lambda: progress(counts.ledger, total)
            )
        await _find_beyond(consumer, partitions, archive, counts)
    finally:
        await consumer.stop()
    await asyncio.to_thread(
        _find_altered, archive, ends, decode, counts, lambda rows: progress(counts.ledger + rows, total)
    )
    return counts


def _find_altered(
    archive: Archive, ends: Mapping[int, int], decode: Decode, counts: Reconciliation, advanced: Callable[[int], None]
) -> None:
    """Tells how many rows were looked at so far."""
    looked = 0
    for partition, end in ends.items():
        for block in archive.with_columns(partition, end):
            for row in altered(block, decode):
                counts.find(position_text(archive.topic, partition, row.offset), "altered", columns=row.columns)
            looked += len(block[0])
            advanced(looked)


async def compare_partition(
    consumer: Any, tp: TopicPartition, archive: Archive, end: int, counts: Reconciliation, advanced: Callable[[], None]
) -> None:
    """Add what differs before `end` to the counts; the consumer has the partition and stands at its beginning."""
    merge = PartitionMerge(tp.topic, tp.partition, counts)
    rows, silence = archive.stream_partition(tp.partition, end=end), Silence()
    if await consumer.position(tp) >= end:
        merge.end_ledger()
    while merge.wants_records or merge.wants_rows:
        if merge.wants_rows:
            block = await asyncio.to_thread(next, rows, None)
            merge.end_archive() if block is None else merge.add_rows(block)
        if merge.wants_records:
            fetched = await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=_FETCH_RECORDS)
            if silence.is_too_long(fetched) and await consumer.position(tp) < end:
                raise KafkaTimeoutError(f"nothing came of {tp.topic}/{tp.partition} for {SILENCE_SECONDS:g} seconds")
            merge.add_records(record for record in fetched.get(tp, ()) if record.offset < end)
            if await consumer.position(tp) >= end:
                merge.end_ledger()
        advanced()


async def _find_beyond(
    consumer: Any, partitions: Sequence[TopicPartition], archive: Archive, counts: Reconciliation
) -> None:
    """Rows behind the ledger's end, or of a partition it does not have. The archive is asked first: it follows."""
    cursors = await asyncio.to_thread(archive.cursors)
    _, ends = await _bounds(consumer, partitions)
    for partition, cursor in cursors.items():
        end = ends.get(partition, 0)
        if cursor <= end:
            continue
        blocks = archive.stream_partition(partition, end)
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            for row in block:
                counts.find(position_text(archive.topic, partition, row.offset), "different")


async def _bounds(consumer: Any, partitions: Sequence[TopicPartition]) -> tuple[dict[int, int], dict[int, int]]:
    """First and end offset of each partition."""
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    return {tp.partition: begins[tp] for tp in partitions}, {tp.partition: ends[tp] for tp in partitions}


def _consumer(brokers: Cluster, topic: str) -> Any:
    take_any_header_name()
    return AIOKafkaConsumer(
        topic,
        **brokers.client,
        client_id="dossier-reconcile",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_wait_ms=BROKER_WAIT_MS,
        request_timeout_ms=30_000,
    )
