"""Reading the live topic once, a partition at a time, up to a position of the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from projections.live import CURSOR_KEY, LIVE_TOPIC, is_state_key, unpack_cursor
from replay.rebuild import LivePartition

_POLL_MS = 200


class NotReached(Exception):
    """The live state did not get as far as was asked, in the time that was given."""


class LiveTopic:
    """Reads packed states, undecoded, over an aiokafka consumer."""

    def __init__(self, consumer: Any, topic: str = LIVE_TOPIC) -> None:
        self._consumer = consumer
        self._topic = topic

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
        states: dict[bytes, bytes] = {}
        try:
            async with asyncio.timeout(within_seconds):
                while _next_offset(states) < ledger_end:
                    await self._read(tp, states)
                end = (await self._consumer.end_offsets([tp]))[tp]
                while await self._consumer.position(tp) < end:
                    await self._read(tp, states)
        except TimeoutError as error:
            raise NotReached(
                f"partition {number} of the live state is at {_next_offset(states)}, the ledger at {ledger_end}"
            ) from error
        next_offset = _next_offset(states)
        dossiers = {key.decode(): packed for key, packed in states.items() if is_state_key(key)}
        return LivePartition(number, next_offset, dossiers)

    async def _read(self, tp: TopicPartition, states: dict[bytes, bytes]) -> None:
        for record in (await self._consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
            if record.value is None:
                states.pop(record.key, None)
            else:
                states[record.key] = record.value


@asynccontextmanager
async def reading(kafka: str, topic: str = LIVE_TOPIC) -> AsyncIterator[LiveTopic]:
    """A LiveTopic for the length of a `with`."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, client_id="rebuild", group_id=None, enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=8 * 1024 * 1024,
    )  # fmt: skip
    await consumer.start()
    try:
        yield LiveTopic(consumer, topic)
    finally:
        await consumer.stop()


def _next_offset(states: dict[bytes, bytes]) -> int:
    cursor = states.get(CURSOR_KEY)
    return unpack_cursor(cursor).next_offset if cursor else 0
