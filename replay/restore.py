"""A ledger made anew from its archive: the same records at the same positions, with the same times.

The topic is made with times that the writer gives (CreateTime), each record is written with the append time it was
archived with, and only then the topic goes over to the broker's own times (LogAppendTime), which keeps what is there.
So a restored record is the old one to the last bit: every leaf of the Merkle log, and every checkpoint that was ever
signed, holds for it. A time kept in a header would make each record another one, and the log another log.

What was interrupted goes on: a partition has a first part of the archive's records, or it is somebody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from events.lean import take_any_header_name
from replay.archive import Archive, ArchiveRow
from replay.reconcile import Reconciliation, compare_partition
from schemas.cluster import Cluster

#: Of a record batch; a larger record is a batch of its own.
_BATCH_BYTES: Final = 512 * 1024
_MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024


class RestoreRefused(Exception):
    """The topic cannot be restored; the message says why. What was there is as it was."""


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
        producer = AIOKafkaProducer(
            **self._brokers.client, client_id="dossier-restore", acks="all",
            enable_idempotence=True, max_batch_size=_MAX_REQUEST_BYTES, max_request_size=_MAX_REQUEST_BYTES,
        )  # fmt: skip
        await producer.start()
        try:
            return sum(await asyncio.gather(*(self._partition(producer, each, first) for each, first in ends.items())))
        finally:
            await producer.stop()

    async def _partition(self, producer: Any, partition: int, first: int) -> int:
        blocks = self._archive.stream_partition(partition, first)
        written = 0
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            for rows in _batches(block):
                batch = producer.create_batch()
                for row in rows:
                    _require_names(self._archive.topic, row)
                    taken = batch.append(
                        key=row.key, value=row.raw, timestamp=row.recorded_ms, headers=list(row.headers)
                    )
                    assert taken is not None, "the batch has room for all of them"  # noqa: S101  # see _batches
                told = await (await producer.send_batch(batch, self._archive.topic, partition=partition))
                if told.offset != rows[0].offset:
                    raise RestoreRefused(
                        f"{self._archive.topic}/{partition}@{rows[0].offset} came to stand at {told.offset}: somebody "
                        "else writes there"
                    )
                written += len(rows)
                self._progress(len(rows))
        return written


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
        bytes_ = (
            len(row.key or b"") + len(row.raw or b"") + sum(len(name) + len(v or b"") + 16 for name, v in row.headers)
        )
        if batch and size + bytes_ > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += bytes_ + 64
    if batch:
        yield batch
