"""Reading the live topic once, a partition at a time, up to a position of the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.lean import make_records_lean
from events.ledger import LEDGER_TOPIC
from projections.live import CURSOR_KEY, LIVE_TOPIC, Cursor, is_state_key, new_cursor, unpack_cursor, watched_key
from replay.rebuild import LivePartition

_POLL_MS = 200


class NotReached(Exception):
    """The live state did not get as far as was asked, in the time that was given."""


class LiveTopic:
    """Reads packed states, undecoded, over an aiokafka consumer."""

    def __init__(self, consumer: Any, topic: str = LIVE_TOPIC, ledger: str = LEDGER_TOPIC) -> None:
        self._consumer = consumer
        self._topic = topic
        self._ledger = ledger

    async def ledger_end(self, number: int) -> int:
        """The offset behind the last record of a partition of the ledger.

        Raises:
            aiokafka.errors.KafkaError: the broker does not answer.
        """
        tp = TopicPartition(self._ledger, number)
        return int((await self._consumer.end_offsets([tp]))[tp])

    async def partition(self, number: int, ledger_end: int, within_seconds: float) -> LivePartition:
        """The states of a partition, once they include all of the ledger before `ledger_end`.

        Read to the end of the topic as it is when the cursor has got there, because compaction may have left the
        newest state of a dossier only behind that cursor.

        Raises:
            NotReached: they do not, in that time.
            aiokafka.errors.KafkaError: the broker does not answer.
        """
        tp = TopicPartition(self._topic, number)
        self._consumer.assign([tp])
        await self._consumer.seek_to_beginning(tp)
        found: dict[bytes, Any] = {}
        try:
            async with asyncio.timeout(within_seconds):
                while _cursor(found, number).next_offset < ledger_end:
                    await self._read(tp, found)
                end = (await self._consumer.end_offsets([tp]))[tp]
                while await self._consumer.position(tp) < end:
                    await self._read(tp, found)
        except TimeoutError as error:
            raise NotReached(
                f"partition {number} of the live state is at {_cursor(found, number).next_offset}, "
                f"the ledger at {ledger_end}"
            ) from error
        return _partition(found, number)

    async def _read(self, tp: TopicPartition, found: dict[bytes, Any]) -> None:
        for record in (await self._consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = record


@asynccontextmanager
async def reading(kafka: str, topic: str = LIVE_TOPIC, ledger: str = LEDGER_TOPIC) -> AsyncIterator[LiveTopic]:
    """A LiveTopic for the length of a `with`."""
    make_records_lean()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, client_id="rebuild", group_id=None, enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=8 * 1024 * 1024,
    )  # fmt: skip
    await consumer.start()
    try:
        yield LiveTopic(consumer, topic, ledger)
    finally:
        await consumer.stop()


def _partition(found: dict[bytes, Any], number: int) -> LivePartition:
    states, watches, written_ms = dict[str, bytes](), dict[str, bytes](), dict[str, int]()
    for key, record in found.items():
        watched = watched_key(key)
        if watched is None and not is_state_key(key):
            continue
        dossier_id = (key if watched is None else watched).decode(errors="replace")
        (states if watched is None else watches)[dossier_id] = record.value
        written_ms[dossier_id] = max(written_ms.get(dossier_id, 0), record.timestamp)
    return LivePartition(_cursor(found, number), states, watches, written_ms)


def _cursor(found: dict[bytes, Any], number: int) -> Cursor:
    record = found.get(CURSOR_KEY)
    return new_cursor(number) if record is None else unpack_cursor(record.value)
