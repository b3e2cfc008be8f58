"""Reading the live topic once, a partition at a time, up to a position of the ledger.

Of each state only what its reader asks for is kept (`keep`): a whole one is a kilobyte, and there are many.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from events.lean import make_records_lean
from events.ledger import BROKER_WAIT_MS, LEDGER_TOPIC
from projections.live import CURSOR_KEY, LIVE_TOPIC, Cursor, is_state_key, new_cursor, unpack_cursor, watched_key
from projections.watch import BLANK, Watch, unpack_watch
from schemas.cluster import Cluster

_POLL_MS = 200

S = TypeVar("S")


class LivePartition(msgspec.Struct, Generic[S]):
    """What the live topic says of a ledger partition: its cursor; by dossier what is kept of its state, and its watch.

    `written_ms`: when the newest record of each dossier was written, in milliseconds since 1970 UTC.
    """

    cursor: Cursor
    states: dict[str, S] = {}
    watches: dict[str, bytes] = {}
    written_ms: dict[str, int] = {}

    @property
    def next_offset(self) -> int:
        return self.cursor.next_offset

    def watch(self, dossier_id: str) -> Watch:
        packed = self.watches.get(dossier_id)
        try:
            return BLANK if packed is None else unpack_watch(packed)
        except msgspec.DecodeError:
            return BLANK  # it remembers nothing that can be read, so what it should have said will be missing

    def take(self, record: Any, keep: Callable[[bytes], S]) -> None:
        """Read the next record of the partition."""
        key, value = record.key, record.value
        if is_state_key(key):
            dossier_id = key.decode(errors="replace")
            _put(self.states, dossier_id, None if value is None else keep(value))
        elif key == CURSOR_KEY:
            self.cursor = _cursor(self.cursor.partition, value)
            return
        elif (watched := watched_key(key)) is not None:
            dossier_id = watched.decode(errors="replace")
            _put(self.watches, dossier_id, value)
        else:
            return
        self.written_ms[dossier_id] = record.timestamp


def _cursor(partition: int, value: bytes | None) -> Cursor:
    """That of another release speaks for states of another release: nothing is known of the partition yet."""
    try:
        return new_cursor(partition) if value is None else unpack_cursor(value)
    except msgspec.DecodeError:
        return new_cursor(partition)


def _put(found: dict[str, S], dossier_id: str, kept: S | None) -> None:
    if kept is None:
        found.pop(dossier_id, None)
    else:
        found[dossier_id] = kept


class NotReached(Exception):
    """The live state did not get as far as was asked, in the time that was given."""


class LiveTopic(Generic[S]):
    """Reads packed states over an aiokafka consumer, and keeps of each what `keep` makes of it.

    The consumer is assigned every partition that will be asked for, paused.
    """

    def __init__(
        self, consumer: Any, keep: Callable[[bytes], S], topic: str = LIVE_TOPIC, ledger: str = LEDGER_TOPIC
    ) -> None:
        self._consumer = consumer
        self._keep = keep
        self._topic = topic
        self._ledger = ledger

    async def ledger_end(self, number: int) -> int:
        """The offset behind the last record of a partition of the ledger.

        Raises:
            aiokafka.errors.KafkaError: the broker does not answer.
        """
        tp = TopicPartition(self._ledger, number)
        return int((await self._consumer.end_offsets([tp]))[tp])

    async def partition(self, number: int, ledger_end: int, within_seconds: float) -> LivePartition[S]:
        """The states of a partition, once they include all of the ledger before `ledger_end`.

        Read to the end of the topic as it is when the cursor has got there, because compaction may have left the
        newest state of a dossier only behind that cursor.

        Raises:
            NotReached: they do not, in that time.
            aiokafka.errors.KafkaError: the broker does not answer.
        """
        tp = TopicPartition(self._topic, number)
        await self._consumer.seek_to_beginning(tp)
        self._consumer.resume(tp)
        found: LivePartition[S] = LivePartition(new_cursor(number))
        try:
            async with asyncio.timeout(within_seconds):
                while found.next_offset < ledger_end:
                    await self._read(tp, found)
                end = (await self._consumer.end_offsets([tp]))[tp]
                while await self._consumer.position(tp) < end:
                    await self._read(tp, found)
        except TimeoutError as error:
            raise NotReached(
                f"partition {number} of the live state is at {found.next_offset}, the ledger at {ledger_end}"
            ) from error
        finally:
            self._consumer.pause(tp)  # or it goes on asking for more, beside all that is done with these
        return found

    async def _read(self, tp: TopicPartition, found: LivePartition[S]) -> None:
        for record in (await self._consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
            found.take(record, self._keep)


@asynccontextmanager
async def reading(
    kafka: Cluster,
    partitions: Iterable[int],
    keep: Callable[[bytes], S],
    topic: str = LIVE_TOPIC,
    ledger: str = LEDGER_TOPIC,
) -> AsyncIterator[LiveTopic[S]]:
    """A LiveTopic for the length of a `with`, to read these partitions."""
    make_records_lean()
    consumer = AIOKafkaConsumer(
        **kafka.client, client_id="rebuild", group_id=None, enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=8 * 1024 * 1024, fetch_max_wait_ms=BROKER_WAIT_MS,
    )  # fmt: skip
    await consumer.start()
    try:
        # Once and for all: a consumer that is assigned something else and then stopped may never get there, because
        # its fetcher takes the one cancellation for the other (aiokafka 0.14).
        tps = [TopicPartition(topic, number) for number in partitions]
        consumer.assign(tps)
        consumer.pause(*tps)
        yield LiveTopic(consumer, keep, topic, ledger)
    finally:
        await consumer.stop()
