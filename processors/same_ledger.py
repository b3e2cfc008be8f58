"""Is an archive of this ledger? What its newest rows hold is compared with the records at their offsets.

One row that agrees is enough. A row may have been changed since, and whoever can change one must not be able to keep
the archiver from its work; of another ledger no row agrees, since each holds the broker's time in milliseconds. A
restored ledger has the records of its archive with their times, and agrees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from events.lean import take_any_header_name
from events.ledger import BROKER_WAIT_MS, LedgerRecord
from processors.archive_table import Content, content_of
from schemas.cluster import Cluster

#: One record is wanted; of record batches that are larger the broker hands out one.
_FETCH_BYTES: Final = 4096
_FETCH_WAIT_MS: Final = 500
#: The ledger answers within this, or it is asked anew.
_ANSWER_SECONDS: Final = 30.0


async def agrees(brokers: Cluster, tp: TopicPartition, rows: Mapping[int, Sequence[Content]]) -> bool:
    """Has the ledger what one of these rows, given by offset, says? Also true where none of them can be compared.

    The newest are looked at first, and mostly one: a ledger that was restored from a copy and went on by itself has
    the old records.

    Raises:
        aiokafka.errors.KafkaError: the ledger cannot be read.
    """
    reader = _reader(brokers)
    try:
        await reader.start()
        reader.assign([tp])
        differs = False
        for offset in sorted(rows, reverse=True):
            record = await _record_at(reader, tp, offset)
            if record is not None and content_of(record) in rows[offset]:
                return True
            differs = differs or record is not None
        return not differs
    finally:
        await reader.stop()


async def _record_at(reader: Any, tp: TopicPartition, offset: int) -> LedgerRecord | None:
    """None: the ledger has none there, but a transaction's marker; or it begins behind."""
    reader.seek(tp, offset)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while await reader.position(tp) <= offset:
                for record in (await reader.getmany(tp, timeout_ms=_FETCH_WAIT_MS, max_records=1)).get(tp, ()):
                    found: LedgerRecord = record
                    return found if found.offset == offset else None
    except TimeoutError as error:
        raise KafkaTimeoutError(f"the ledger has not given {tp.topic}/{tp.partition}@{offset}") from error
    return None


def _reader(brokers: Cluster) -> Any:
    """Of its own, in no group: the archiver's is on its way to where its group stands, and would have to wait first."""
    take_any_header_name()
    return AIOKafkaConsumer(
        **brokers.client, client_id="dossier-archiver", enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES, fetch_max_wait_ms=BROKER_WAIT_MS,
    )  # fmt: skip
