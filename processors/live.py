"""The live topic as a Faust table: recovered in chunks, written a record batch at a time.

Faust's own table sends one changelog message for each assignment and keeps all partitions in one dictionary. Ours
holds a dictionary for each partition, so that a revoked one is dropped as a whole, and is written by `FlushWriter`:
each state once a flush, the cursor last.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from faust import Table
from faust.stores import memory
from faust.types import TP
from msgspec.structs import replace

from events.envelope import encode, headers
from processors.fold import Flush
from projections.live import CURSOR_KEY, Cursor, pack_cursor


class LiveStore(memory.Store[bytes, bytes]):
    """For each partition: key to value of the live topic's records, and the offset of the last one seen."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.offsets: dict[TP, int] = {}

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Apply chunks of the live topic, in order (recovery)."""
        for event in batch:
            chunk = event.message.value
            partition = self.partitions[chunk.partition]
            for record in chunk.take():
                if record.value is None:
                    partition.pop(record.key, None)
                else:
                    partition[record.key] = record.value
            self.offsets[chunk.tp] = chunk.offset

    def persisted_offset(self, tp: TP) -> int | None:
        """The last offset of the live topic that is in the store: recovery goes on behind it."""
        return self.offsets.get(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self.offsets[tp] = offset

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget the partitions that are somebody else's now."""
        for tp in revoked:
            if tp.topic == self.table.changelog_topic.get_topic_name():
                self.offsets.pop(tp, None)
                self.partitions.pop(tp.partition, None)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Nothing is left to drop: `on_rebalance` did it."""


class LiveTable(Table[bytes, bytes]):
    """The table of live states. Read and changed a partition at a time; made durable by `FlushWriter`."""

    def _new_store(self) -> LiveStore:
        return LiveStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    def partition(self, number: int) -> dict[bytes, bytes]:
        """Key to value of the live records of one partition."""
        return self.store.partitions[number]

    @property
    def store(self) -> LiveStore:
        """The table's store, by its own type."""
        assert isinstance(self.data, LiveStore)  # noqa: S101  # `_new_store` made it
        return self.data


Record = tuple[bytes, bytes | None, list[tuple[str, bytes]]]  # key, value, headers


class FlushWriter:
    """Writes flushes, each in as few record batches as its size allows: the alarms, then states, watches and cursor.

    `require_membership` is asked before each batch, and raises when the partitions may be somebody else's by now.
    """

    def __init__(self, table: LiveTable, alarms: str, require_membership: Callable[[], None]) -> None:
        self._table = table
        self._alarms = alarms
        self._require_membership = require_membership

    async def write(self, partition: int, flush: Flush, now_ms: int) -> Cursor:
        """Return when the broker has confirmed every record of the flush; gives the cursor as written.

        Raises:
            aiokafka.errors.KafkaError: if it has not; some of it may be there.
        """
        cursor = flush.cursor
        if flush.news.alarms:
            alarms = [(event.subject.encode(), encode(event), headers(event)) for event in flush.news.alarms]
            last = await self._send(self._alarms, partition, alarms, now_ms)
            cursor = replace(cursor, alarms_offset=last + 1)
        live = {**flush.states, **flush.news.watches, CURSOR_KEY: pack_cursor(cursor)}
        topic = self._table.changelog_topic_name
        last = await self._send(topic, partition, ((key, value, []) for key, value in live.items()), now_ms)
        self._table.store.set_persisted_offset(TP(topic, partition), last)
        return cursor

    async def _send(self, topic: str, partition: int, records: Iterable[Record], now_ms: int) -> int:
        """Send records, at least one, in order; gives the offset of the last."""
        faust_producer: Any = self._table.app.producer
        producer = faust_producer._ensure_producer()  # aiokafka's, because Faust's knows no batches
        batch, confirmations = producer.create_batch(), []
        for key, value, named in records:
            if batch.append(key=key, value=value, timestamp=now_ms, headers=named) is None:
                self._require_membership()
                confirmations.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=now_ms, headers=named)
        last_count = batch.record_count()
        self._require_membership()
        confirmations.append(await producer.send_batch(batch, topic, partition=partition))
        last_batch: Any = (await asyncio.gather(*confirmations))[-1]
        last_offset: int = last_batch.offset + last_count - 1
        return last_offset
