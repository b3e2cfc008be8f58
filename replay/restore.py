"""A ledger made anew from its archive: the same records at the same positions, with the same times.

The topic is made with times that the writer gives (CreateTime), each record is written with the append time it was
archived with, and only then the topic goes over to the broker's own times (LogAppendTime), which keeps what is there.
So a restored record is the old one to the last bit: every leaf of the Merkle log, and every checkpoint that was ever
signed, holds for it. A time kept in a header would make each record another one, and the log another log.

What was interrupted goes on: a partition has a first part of the archive's records, or it is somebody else's.

A record that was sent compressed may be far larger than the topic lets a batch be. So large ones are written compressed
too, and meanwhile the topic takes what the largest needs.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from events.lean import take_any_header_name
from replay.archive import Archive, ArchiveRow
from replay.reconcile import Reconciliation, compare_partition
from schemas.cluster import Cluster

#: Of a record batch; a larger record is a batch of its own.
_BATCH_BYTES: Final = 512 * 1024
_MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024
#: What Kafka takes in one request, if nobody has set socket.request.max.bytes, less the request's own words.
LARGEST_BYTES: Final = 100 * 1024 * 1024 - 64 * 1024
#: A batch of one record beside its key, value and headers; what cannot be compressed grows a little by trying.
_BESIDE_BYTES: Final = 1024
_GROWS: Final = 1.001
#: What `_bytes_of` counts.
_BYTES_SQL: Final = (
    "length(ifNull(key, '')) + length(ifNull(raw, '')) "
    "+ arraySum(each -> length(each.name) + length(ifNull(each.value, '')) + 16, headers)"
)


class RestoreRefused(Exception):
    """The topic cannot be restored; the message says why. What was there is as it was."""


def room_for(archive: Archive) -> int:
    """How large a batch must be let be for every record of the archive.

    Raises:
        RestoreRefused: no broker would take one of them, compressed or not.
        clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
    """
    named = {"topic": archive.topic, "least": LARGEST_BYTES}
    of_topic = "FROM dossier_events WHERE topic = {topic:String}"
    ((largest,),) = archive.client.query(f"SELECT max({_BYTES_SQL}) {of_topic}", named).result_rows
    if largest <= LARGEST_BYTES:
        return min(int(largest * _GROWS) + _BESIDE_BYTES, LARGEST_BYTES)
    sql = f"SELECT partition, offset {of_topic} AND {_BYTES_SQL} > {{least:UInt64}} ORDER BY partition, offset"
    for partition, offset in archive.client.query(sql, named).result_rows:
        for rows in archive.stream_partition(partition, offset, offset + 1):
            for row in rows:
                _require_small(archive.topic, row)
    return LARGEST_BYTES


def _require_small(topic: str, row: ArchiveRow) -> None:
    compressed = len(gzip.compress(row.raw or b"")) + _bytes_of(row) - len(row.raw or b"")
    if compressed > LARGEST_BYTES:
        raise RestoreRefused(
            f"{topic}/{row.partition}@{row.offset} has {compressed} bytes when compressed, and Kafka takes "
            f"{LARGEST_BYTES} at once: it cannot be written"
        )


class Restoring:
    """Writes the archive of one topic to a broker. `progress` is told how many records were written."""

    def __init__(self, brokers: Cluster, archive: Archive, progress: Callable[[int], None]) -> None:
        self._brokers = brokers
        self._archive = archive
        self._progress = progress

    async def require_ours(self, ends: dict[int, int]) -> None:
        """Look at the records that are on the broker already: `ends` has, by partition, how many.

        Raises:
            RestoreRefused: something else than the archive's is there, or not so many partitions.
            aiokafka.errors.KafkaError: the broker does not answer.
        """
        topic, cursors = self._archive.topic, self._archive.cursors()
        if missing := sorted(cursors.keys() - ends.keys()):
            raise RestoreRefused(f"{topic} has {len(ends)} partitions there, the archive knows of number {missing[-1]}")
        if not any(ends.values()):
            return
        take_any_header_name()
        consumer = AIOKafkaConsumer(
            **self._brokers.client, client_id="dossier-restore", enable_auto_commit=False,
            auto_offset_reset="earliest",
        )  # fmt: skip
        await consumer.start()
        try:
            for partition, end in ends.items():
                await self._require_ours(consumer, TopicPartition(topic, partition), end, cursors.get(partition, 0))
        finally:
            await consumer.stop()

    async def _require_ours(self, consumer: Any, tp: TopicPartition, end: int, archived: int) -> None:
        counts = Reconciliation()
        if end:
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            await compare_partition(consumer, tp, self._archive, end, counts, lambda: None)
        if end > archived or not counts.clean:
            where = counts.findings[0].position if counts.findings else f"{tp.topic}/{tp.partition}@{archived}"
            raise RestoreRefused(f"the broker has other records than the archive, from {where} on: it is left as it is")

    async def write(self, ends: dict[int, int]) -> int:
        """Write what is not there yet; gives how many records. `ends` as for `require_ours`.

        Raises:
            RestoreRefused: somebody else writes there too.
            aiokafka.errors.KafkaError: the broker does not answer.
        """
        async with AsyncExitStack() as stack:
            plain, packing = [await stack.enter_async_context(self._producer(each)) for each in (None, "gzip")]
            parts = (self._partition(plain, packing, partition, first) for partition, first in ends.items())
            return sum(await asyncio.gather(*parts))

    def _producer(self, compression: str | None) -> Any:
        return AIOKafkaProducer(
            **self._brokers.client, client_id="dossier-restore", acks="all", compression_type=compression,
            enable_idempotence=True, max_batch_size=_MAX_REQUEST_BYTES, max_request_size=_MAX_REQUEST_BYTES,
        )  # fmt: skip

    async def _partition(self, plain: Any, packing: Any, partition: int, first: int) -> int:
        """Only what is large is packed: that takes longer than all the rest."""
        blocks = self._archive.stream_partition(partition, first)
        written = 0
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            for rows in _batches(block):
                await self._batch(packing if _bytes_of(rows[0]) > _BATCH_BYTES else plain, rows)
                written += len(rows)
                self._progress(len(rows))
        return written

    async def _batch(self, producer: Any, rows: Sequence[ArchiveRow]) -> None:
        topic, partition, offset = self._archive.topic, rows[0].partition, rows[0].offset
        batch = producer.create_batch()
        for row in rows:
            _require_names(topic, row)
            if batch.append(key=row.key, value=row.raw, timestamp=row.recorded_ms, headers=list(row.headers)) is None:
                raise RestoreRefused(f"{topic}/{partition}@{row.offset} does not go into a batch with those before it")
        try:
            told = await (await producer.send_batch(batch, topic, partition=partition))
        except MessageSizeTooLargeError as error:
            raise RestoreRefused(
                f"{topic}/{partition}@{offset} is too large for the broker, though the topic has room for it"
            ) from error
        if told.offset != offset:
            raise RestoreRefused(
                f"{topic}/{partition}@{offset} came to stand at {told.offset}: somebody else writes there"
            )


def _require_names(topic: str, row: ArchiveRow) -> None:
    """The client writes text alone as the name of a header."""
    try:
        "".join(name for name, _ in row.headers).encode()
    except UnicodeEncodeError as error:
        position = f"{topic}/{row.partition}@{row.offset}"
        raise RestoreRefused(f"{position} has a header whose name is no UTF-8, which cannot be written") from error


def _batches(rows: Sequence[ArchiveRow]) -> Iterator[list[ArchiveRow]]:
    """Rows that follow each other, at most so many bytes of them in one batch."""
    batch: list[ArchiveRow] = []
    size = 0
    for row in rows:
        bytes_ = _bytes_of(row)
        if batch and size + bytes_ > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += bytes_ + 64
    if batch:
        yield batch


def _bytes_of(row: ArchiveRow) -> int:
    headers = sum(len(name) + len(value or b"") + 16 for name, value in row.headers)
    return len(row.key or b"") + len(row.raw or b"") + headers
