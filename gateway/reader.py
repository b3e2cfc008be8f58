"""The gateway's reader: follows the live topic and the quarantine into a `LiveView`, and knows the ledger's end.

No consumer group: each gateway reads all partitions from the beginning, because each holds all of the state. A
broker that goes away is waited for. A live topic that was wiped or made anew shows as an offset that goes back;
the partition then starts anew. (A topic made anew that has already grown beyond our position shows no offset going
back. Then states of the old topic stay until the new one's reach us; both were folded from the same ledger.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from events.lean import take_any_header_name
from events.ledger import LEDGER_TOPIC
from events.quarantine import QUARANTINE_TOPIC
from events.rulebook import RULEBOOKS_TOPIC, Published
from events.rulebook_topic import follow_rulebooks
from gateway.live import LiveView
from projections.live import LIVE_TOPIC
from projections.rules import RuleHistory, rule_history
from schemas.clock import REAL, Clock
from schemas.cluster import Cluster
from schemas.rulebook import shipped

#: Records a step: long enough to be fast, short enough that a request waits milliseconds.
_RECORDS_PER_STEP: Final = 500
_POLL_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 1.0
#: Without the broker's answer for so long, the view may be of any age.
_UNKNOWN_SECONDS: Final = 10.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics the gateway reads; tests give them a prefix."""

    live: str = LIVE_TOPIC
    quarantine: str = QUARANTINE_TOPIC
    ledger: str = LEDGER_TOPIC
    rulebooks: str = RULEBOOKS_TOPIC


class NotReached(Exception):
    """The live state has not got as far as was asked, in the time that was given."""


class LiveReader:
    """Keeps `view` up to date while `run` runs; `version` grows with every change of it.

    `clock` shows the instant that deadlines are held against.
    """

    def __init__(self, kafka: Cluster, topics: Topics | None = None, clock: Clock = REAL) -> None:
        self.clock = clock
        self.rules: RuleHistory = rule_history(shipped())
        self.view = LiveView(self.rules, clock.now_us())
        self.version = 0
        self.caught_up = False
        self.ends_known_at = 0.0  # of time.monotonic
        self.closing = False
        self._kafka = kafka
        self._topics = topics or Topics()
        self._consumer: Any = None
        self._partitions: list[TopicPartition] = []
        self._next: dict[TopicPartition, int] = {}
        self._changed = asyncio.Condition()
        self._closed: asyncio.Task[None] | None = None

    @property
    def is_live(self) -> bool:
        """Has it read its topics to the end once, and does the broker say how far the ledger has got since?"""
        return self.caught_up and time.monotonic() - self.ends_known_at < _UNKNOWN_SECONDS

    async def run(self) -> None:
        """Read until cancelled; starts again from the beginning after what it cannot wait out."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_on())
            tasks.create_task(self._let_time_pass())
            tasks.create_task(follow_rulebooks(self._kafka, self._use, topic=self._topics.rulebooks))

    async def settle(self) -> None:
        """Bring the deadlines to this instant and to the newest rulebook, in slices."""
        view = self.view
        changed = view.settle(self.clock.now_us(), _RECORDS_PER_STEP)
        while not view.settled:
            await asyncio.sleep(0)
            view.settle(self.clock.now_us(), _RECORDS_PER_STEP)
        if changed:
            await self.tell()

    async def _read_on(self) -> None:
        while True:
            try:
                await self._read()
            except* (KafkaError, OSError) as error:
                log.warning("live topic not readable, trying again", error=error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def changed_since(self, version: int) -> int:
        """Wait until the view has changed since `version`, or the gateway closes; gives the version there is then."""
        await self._until(lambda: self.version > version or self.closing)
        return self.version

    def close(self) -> None:
        """Let go of all who wait for a change: the gateway stops."""
        self.closing = True
        self._closed = asyncio.create_task(self.tell())

    async def reach_ledger_end(self, within_seconds: float) -> None:
        """Wait until the view includes all that is on the ledger now: so a caller reads its own writes.

        What is in quarantine counts too: it is written before the cursor that says it was read.

        Raises:
            NotReached: in that time it did not, or the broker did not answer.
        """
        try:
            async with asyncio.timeout(within_seconds):
                ends = await self._ends_at_last(self._topics.ledger)
                self.view.ledger_ends = wanted = {tp.partition: end for tp, end in ends.items()}
                await self._until(lambda: self.view.has_reached(wanted))
                ends = await self._ends_at_last(self._topics.quarantine)
                await self._until(lambda: self._has_read(ends))
        except TimeoutError as error:
            raise NotReached(f"the live state did not reach the end of the ledger in {within_seconds:g} s") from error

    async def _let_time_pass(self) -> None:
        """Deadlines come with nothing arriving."""
        while True:
            await self.settle()
            await asyncio.sleep(_POLL_SECONDS)

    def _use(self, published: tuple[Published, ...]) -> None:
        rules = rule_history(shipped(), published)
        if len(rules.published) == len(self.rules.published) == 1:  # the shipped one, as we began
            return
        log.info("rulebooks", published=len(published), newest=rules.newest.version)
        self.rules = rules
        self.view.use(rules)

    async def _read(self) -> None:
        self.view, self._next, self.caught_up = LiveView(self.rules, self.clock.now_us()), {}, False
        async with self._consuming() as consumer, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_ends())
            while True:
                await self._step(consumer)

    async def _step(self, consumer: Any) -> None:
        before = self._next.copy()
        batches = await consumer.getmany(timeout_ms=_POLL_SECONDS * 1000, max_records=_RECORDS_PER_STEP)
        for tp, records in batches.items():
            self._take(tp, records)
        for tp in consumer.assignment():  # compaction leaves gaps: only the consumer knows it is past one
            self._move(tp, await consumer.position(tp))
        if self._next != before:
            await self.tell()

    def _take(self, tp: TopicPartition, records: list[Any]) -> None:
        for record in records:
            self._move(tp, record.offset + 1)
            if tp.topic == self._topics.live:
                self.view.apply(tp.partition, record.key, record.value)
            else:
                self.view.apply_quarantine(record.key or b"", record.value)

    def _move(self, tp: TopicPartition, to: int) -> None:
        if to < self._next.get(tp, 0):
            log.warning("the topic was made anew: starting from its beginning", topic=tp.topic, partition=tp.partition)
            if tp.topic == self._topics.live:
                self.view.forget(tp.partition)
            else:
                self.view.quarantined.clear()
        self._next[tp] = to

    async def _watch_ends(self) -> None:
        """Ask the broker twice a second where the topics end: the ledger for the lag, ours for being caught up."""
        while True:
            try:
                ends = await self._ledger_ends()
                own = await self._ends_of(self._topics.live) | await self._ends_of(self._topics.quarantine)
                self.caught_up = self.caught_up or self._has_read(own)
                self.ends_known_at = time.monotonic()
            except KafkaError as error:
                log.warning("the broker does not say where the ledger ends", error=error)
                ends = {}
            if ends != self.view.ledger_ends:
                self.view.ledger_ends = ends
                await self.tell()
            await asyncio.sleep(_POLL_SECONDS)

    async def _ledger_ends(self) -> dict[int, int]:
        return {tp.partition: end for tp, end in (await self._ends_of(self._topics.ledger)).items()}

    async def _ends_at_last(self, topic: str) -> dict[TopicPartition, int]:
        """As `_ends_of`, once the broker is there (again)."""
        while True:
            try:
                return await self._ends_of(topic)
            except KafkaError:
                await asyncio.sleep(_POLL_SECONDS)

    async def _ends_of(self, topic: str) -> dict[TopicPartition, int]:
        if self._consumer is None:
            raise KafkaConnectionError("not connected")
        partitions = [tp for tp in self._partitions if tp.topic == topic]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return ends

    def _has_read(self, ends: dict[TopicPartition, int]) -> bool:
        return all(self._next.get(tp, 0) >= end for tp, end in ends.items())

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    async def tell(self) -> None:
        """The view has changed: wake those who wait for it."""
        async with self._changed:
            self.version += 1
            self._changed.notify_all()

    @asynccontextmanager
    async def _consuming(self) -> AsyncIterator[Any]:
        take_any_header_name()
        consumer = AIOKafkaConsumer(
            **self._kafka.client,
            client_id="gateway",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 * 1024 * 1024,
            fetch_max_wait_ms=100,
            request_timeout_ms=10_000,
        )
        await consumer.start()
        try:
            self._partitions = await self._find_partitions(consumer)
            consumer.assign([tp for tp in self._partitions if tp.topic != self._topics.ledger])
            self._consumer = consumer
            yield consumer
        finally:
            self._consumer = None
            await consumer.stop()

    async def _find_partitions(self, consumer: Any) -> list[TopicPartition]:
        names = (self._topics.live, self._topics.quarantine, self._topics.ledger)
        while missing := sorted(set(names) - await consumer.topics()):
            log.info("waiting for topics: they are not there, or not for us to see", topics=missing)
            await asyncio.sleep(_RETRY_SECONDS)
        await consumer.end_offsets([TopicPartition(name, 0) for name in names])  # makes the client learn of them
        return [
            TopicPartition(name, number) for name in names for number in sorted(consumer.partitions_for_topic(name))
        ]
