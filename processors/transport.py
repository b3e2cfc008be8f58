"""Faust's Kafka transport, delivering chunks: all records of a partition that one poll brought, as one message.

Faust's cost is per message (about 80 µs: queues, sensors, acknowledgements), not per byte; an event costs a fifth
of that to decode and fold. So a message here is a chunk. Three things follow, and each overrides one place:

- Faust takes the offsets inside a chunk for gaps that somebody else may have acknowledged; the offset to commit
  is therefore the one the projector says is durable, and Faust's own gap arithmetic is off.
- Where to read from is told by the cursor in the live topic, not by the group's commit.
- At low rates a poll would bring single records; polls keep a small distance so that a chunk is worth its cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from events.lean import make_records_lean
from schemas.cluster import Cluster

#: Distance between polls when caught up: half of what a flush waits, so that a flush carries about two polls.
PACE_SECONDS: Final = 0.01
#: How long an idle poll waits. Each that ends tells up to when a partition has been heard.
IDLE_SECONDS: Final = 0.05
#: After this long without a record of a partition, there are none before its end.
SILENT_SECONDS: Final = 1.0
#: A broker answers a fetch after this long even without news. A fetch on its way keeps other partitions of the
#: same broker from being asked for, so this bounds how long a quiet partition can delay another.
FETCH_WAIT_MS: Final = 50
#: The same where nothing has come for SILENT_SECONDS, since asking again is most of what an idle broker does. A fetch
#: then asks for all partitions, so news comes at once; only what follows it in the same partition may wait so long,
#: until a poll has shortened the next fetch's wait. Below the grace that an alarm has.
QUIET_FETCH_WAIT_MS: Final = 150


class Chunk:
    """Consecutive records of one partition, shaped like the single record that Faust makes a message of.

    Its offset and times are those of its last record. `after` is the offset that followed the chunk before it, or
    the one the consumer was sent to: a chunk whose `after` is not where the fold stands means that one went missing.
    """

    __slots__ = ("_records", "after", "offset", "timestamp", "timestamp_type", "tp")

    topic = property(lambda self: self.tp.topic)
    partition = property(lambda self: self.tp.partition)
    value = property(lambda self: self)
    key = checksum = None
    headers = ()
    serialized_key_size = serialized_value_size = 0

    def __init__(self, tp: TP, records: Sequence[Any], after: int) -> None:
        self.tp = tp
        self.after = after
        self._records = records
        last = records[-1]
        self.offset, self.timestamp, self.timestamp_type = last.offset, last.timestamp, last.timestamp_type

    def take(self) -> Sequence[Any]:
        """The records, once: a chunk that only waits to be acknowledged holds none."""
        records, self._records = self._records, ()
        return records


class Positions(Protocol):
    """What the transport asks the projector, and tells it."""

    def positions(self) -> Mapping[int, int]:
        """For each ledger partition that is ready, the next offset to read."""

    def durable(self) -> Mapping[int, int]:
        """For each ledger partition that is ready, the next offset of the newest cursor the broker has confirmed."""

    def now(self) -> int:
        """The present instant, by the projector's clock."""

    def heard(self, asked: int, ends: Mapping[int, int]) -> None:
        """A poll that began at the instant `asked` has ended: where each ledger partition ends, as far as is known."""


class ChunkScheduler(DefaultSchedulingStrategy):
    """Hands chunks on as they are: one for each partition a poll touched."""

    def iterate(self, records: Mapping[TP, Any]) -> Iterator[tuple[TP, Any]]:
        return iter(records.items())


class PromptConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with a fetch that does not wait Faust's 1.5 s for news."""

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> aiokafka.AIOKafkaConsumer:
        make_records_lean()
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # Faust has no setting for it
        return consumer

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust looks for messages that its streams never got. Chunks are no messages to it, and the live topic has no
        stream, so it finds some everywhere; what stands still is found by the projector's own watchdog."""

    def let_fetches_wait(self, wait_ms: int) -> None:
        """From the next fetch on."""
        if self._consumer is not None and self._consumer._fetcher is not None:
            self._consumer._fetcher._fetch_max_wait_ms = wait_ms


class ChunkConsumer(driver.Consumer):
    """Polls at a distance, makes chunks, seeks to cursors, commits what is durable."""

    ledger: str
    projector: Positions
    _thread: PromptConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends: dict[TP, int] = {}  # where each partition ended when it was last read
        self._fetched: dict[TP, int] = {}
        self._silent_since: dict[TP, float] = {}
        self._polled_at = self._brought_at = 0.0
        self._poll_was_full = False

    def _new_consumer_thread(self) -> PromptConsumerThread:
        return PromptConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109  # Faust's signature
        await self._pace()
        asked = self.projector.now()
        records, active = await super()._wait_next_records(min(timeout, IDLE_SECONDS))
        self._polled_at = time.monotonic()
        size = sum(map(len, records.values())) if records else 0
        self._poll_was_full = size * 2 >= self.app.conf.broker_max_poll_records
        self._brought_at = self._polled_at if size else self._brought_at
        self._thread.let_fetches_wait(fetch_wait_ms(self._polled_at - self._brought_at))
        chunks = {tp: self._chunk(tp, found) for tp, found in (records or {}).items() if found}
        self.projector.heard(asked, self._known_ends(chunks))
        return chunks, active

    def _known_ends(self, brought: Collection[TP]) -> dict[int, int]:
        """Where each ledger partition ends. Behind its last record there may be a transaction's marker, which nobody
        is ever given: where polls have brought nothing for a while, it ends with what was brought.
        """
        ends: dict[int, int] = {}
        now = time.monotonic()
        for tp in (tp for tp in self.assignment() if tp.topic == self.ledger):
            if tp in brought or self._poll_was_full:
                self._silent_since[tp] = now
            end: int | None = self.highwater(tp)
            if end is not None:
                silent = now - self._silent_since.setdefault(tp, now) > SILENT_SECONDS
                ends[tp.partition] = min(end, self._fetched.get(tp, end)) if silent else end
        return ends

    async def _pace(self) -> None:
        while self.flow_active and not self.should_stop and not self._get_active_partitions():  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # all buffers are full and Faust tells nobody when one is not; it sleeps 1 s
        wait = PACE_SECONDS - (time.monotonic() - self._polled_at)
        if wait > 0 and not self._poll_was_full:
            await asyncio.sleep(wait)

    def _chunk(self, tp: TP, records: Sequence[Any]) -> Chunk:
        after = self._fetched.get(tp, 0)
        self._fetched[tp] = records[-1].offset + 1
        self.ends[tp] = self.highwater(tp) or 0
        return Chunk(tp, records, after)

    async def perform_seek(self) -> None:
        """Go to where the fold stands. Faust calls this when recovery is done, and when it dropped a poll."""
        positions = self.projector.positions()
        targets = {
            tp: positions[tp.partition]
            for tp in self.assignment()
            if tp.topic == self.ledger and tp.partition in positions
        }
        await self.seek_wait(targets)
        self._fetched.update(targets)
        self._silent_since.clear()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """The offsets inside a chunk are no gap."""

    def _new_offset(self, tp: TP) -> int | None:
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self.projector.durable().get(tp.partition) if tp.topic == self.ledger else None


def fetch_wait_ms(quiet_seconds: float) -> int:
    """How long a broker may keep back its answer when nothing has come for so long."""
    return QUIET_FETCH_WAIT_MS if quiet_seconds > SILENT_SECONDS else FETCH_WAIT_MS


class ChunkTransport(driver.Transport):
    """Faust's Kafka transport with our consumer: `ledger` in chunks, positioned by `projector`."""

    Consumer = ChunkConsumer

    def __init__(self, app: Any, ledger: str, projector: Positions) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self._ledger = ledger
        self._projector = projector

    def create_consumer(self, callback: Any, **kwargs: Any) -> Any:
        consumer: Any = super().create_consumer(callback, **kwargs)
        consumer.ledger, consumer.projector = self._ledger, self._projector
        return consumer


async def partitions_of(brokers: Cluster, topics: Sequence[str]) -> dict[str, int]:
    """How many partitions each topic has; 0: there is no such topic.

    Raises:
        KafkaError: if the brokers do not answer.
    """
    admin = AIOKafkaAdminClient(**brokers.client)
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    return {each["topic"]: len(each["partitions"]) for each in described}
