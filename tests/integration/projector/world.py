"""A ledger, its live topic, and projectors as processes of their own: started, stopped, killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from kafka import KafkaAdminClient

from bench.load import partition_of
from deploy import topics
from events.alarms import ALARMS, ALARMS_TOPIC, AlarmEvent
from events.envelope import Unreadable, decode_record
from events.ledger import LEDGER_TOPIC
from events.quarantine import QUARANTINE_TOPIC, QuarantineRecord, decode
from processors.projector import GROUP
from projections.dossier import Dossier, admit, new_dossier, pack
from projections.live import CURSOR_KEY, LIVE_TOPIC, Cursor, is_state_key, unpack_cursor
from schemas.cluster import Cluster
from schemas.health import HealthReport, read_health

PARTITIONS = 4
DEADLINE_SECONDS = 90.0

Raw = tuple[bytes | None, bytes | None]  # key and value


@dataclass
class World:
    """One set of our topics under a prefix, on a real broker."""

    broker: str
    prefix: str
    folder: Path

    @property
    def group(self) -> str:
        return self.prefix + GROUP

    # The ledger

    def publish(self, records: Iterable[Raw]) -> None:
        """Write raw records, confirmed, each key to its partition and a record without a key to the first."""
        asyncio.run(_write(self.broker, self.prefix + LEDGER_TOPIC, records))

    def ends(self) -> list[int]:
        """Where each partition of the ledger ends."""
        return asyncio.run(_ends(self.broker, self.prefix + LEDGER_TOPIC))

    def folded(self) -> dict[bytes, bytes]:
        """The state of every dossier by the plainest fold of the whole ledger."""
        states: dict[bytes, Dossier] = {}
        for record in asyncio.run(_read_all(self.broker, self.prefix + LEDGER_TOPIC)):
            with contextlib.suppress(Unreadable):
                event = decode_record(record.key, record.value)
                before = states.get(record.key) or new_dossier(event.subject)
                states[record.key] = admit(before, event, offset=record.offset, recorded=record.timestamp * 1000)
        return {key: pack(state) for key, state in states.items()}

    # The live topic

    def live(self) -> tuple[dict[bytes, bytes], dict[int, Cursor]]:
        """The newest record of every key: states by dossier, cursors by partition."""
        states: dict[bytes, bytes] = {}
        cursors: dict[int, Cursor] = {}
        for record in self.live_records():
            if record.key == CURSOR_KEY:
                cursors[record.partition] = unpack_cursor(record.value)
            elif is_state_key(record.key):
                states[record.key] = record.value
        return states, cursors

    def is_live(self) -> bool:
        """Do the cursors say that the whole ledger is in the live state?"""
        _, cursors = self.live()
        return [cursors[n].next_offset if n in cursors else 0 for n in range(PARTITIONS)] == self.ends()

    def live_records(self) -> list[ConsumerRecord]:
        """Every record of the live topic."""
        return asyncio.run(_read_all(self.broker, self.prefix + LIVE_TOPIC))

    def empty_the_live_topic(self) -> None:
        self._empty(self.prefix + LIVE_TOPIC)

    def empty_the_ledger(self) -> None:
        self._empty(self.prefix + LEDGER_TOPIC)

    def _empty(self, topic: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        admin.delete_topics([topic])
        wait_until(lambda: topic not in admin.list_topics(), "the topic is gone")
        admin.close()
        topics.apply(Cluster(self.broker), topics.load_topics(PARTITIONS, 1, self.prefix))

    # The alarms

    def alarms(self) -> list[tuple[AlarmEvent, int]]:
        """Every alarm that was ever written, with its append time in microseconds, in the order of the partitions."""
        records = asyncio.run(_read_all(self.broker, self.prefix + ALARMS_TOPIC))
        return [(ALARMS.decode_record(record.key, record.value), record.timestamp * 1_000) for record in records]

    def quarantined(self) -> list[QuarantineRecord]:
        """Every record ever written to quarantine."""
        records = asyncio.run(_read_all(self.broker, self.prefix + QUARANTINE_TOPIC, 1))
        return [decode(record.value) for record in records]

    def commit(self, offsets: Sequence[int]) -> None:
        """Set the group's commit while no projector runs."""
        asyncio.run(_commit(self.broker, self.group, self.prefix + LEDGER_TOPIC, offsets))

    def committed(self) -> list[int | None]:
        return asyncio.run(_committed(self.broker, self.group, self.prefix + LEDGER_TOPIC))

    # Projectors

    @contextlib.contextmanager
    def projector(self, name: str = "a") -> Iterator[Member]:
        """`dossier projector` in a process of its own; killed at the end if it still runs."""
        health = self.folder / f"{name}.health.json"
        health.unlink(missing_ok=True)
        environment = {**os.environ, "DOSSIER_HEALTH_FILE": str(health), "DOSSIER_PARTITIONS": str(PARTITIONS)}
        command = [sys.executable, "-m", "cli", "projector", "--kafka", self.broker, "--prefix", self.prefix]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield Member(process, health, self.folder / f"{name}.log")
        finally:
            process.kill()
            process.wait()


@dataclass
class Member:
    """A running projector."""

    process: subprocess.Popen[bytes]
    health: Path
    log: Path

    def report(self) -> HealthReport | None:
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.tail()}"
        return read_health(self.health)

    def has_partitions(self, number: int) -> bool:
        report = self.report()
        return report is not None and report.health in ("ok", "behind") and len(report.position) == number

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def has_ended(self) -> bool:
        """Did it give up (and would be started again by whoever supervises it)?"""
        return self.process.poll() is not None

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Poll with a deadline.

    Raises:
        AssertionError: it did not come true.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
        time.sleep(0.1)


async def _write(broker: str, topic: str, records: Iterable[Raw]) -> None:
    """By record batch, because `send` refuses what a stranger may well send: neither key nor value."""
    async with AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=64 * 1024, acks="all") as producer:
        sent = []
        batches = [producer.create_batch() for _ in range(PARTITIONS)]
        for key, value in records:
            partition = partition_of(key) if key else 0
            if batches[partition].append(key=key, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batches[partition], topic, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(key=key, value=value, timestamp=None)
        for partition, batch in enumerate(batches):
            if batch.record_count():
                sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)


async def _read_all(broker: str, topic: str, count: int = PARTITIONS) -> list[ConsumerRecord]:
    async with _consumer(broker) as consumer:
        partitions = [TopicPartition(topic, partition) for partition in range(count)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: dict[TopicPartition, list[ConsumerRecord]] = {each: [] for each in partitions}
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for partition, found in (await consumer.getmany(timeout_ms=200)).items():
                records[partition] += found
        return [record for found in records.values() for record in found]


async def _ends(broker: str, topic: str) -> list[int]:
    async with _consumer(broker) as consumer:
        found = await consumer.end_offsets([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        return [found[each] for each in sorted(found)]


async def _commit(broker: str, group: str, topic: str, offsets: Sequence[int]) -> None:
    async with _consumer(broker, group) as consumer:
        wanted = {TopicPartition(topic, partition): offset for partition, offset in enumerate(offsets)}
        consumer.assign(list(wanted))
        await consumer.commit(wanted)


async def _committed(broker: str, group: str, topic: str) -> list[int | None]:
    async with _consumer(broker, group) as consumer:
        return [await consumer.committed(TopicPartition(topic, partition)) for partition in range(PARTITIONS)]


def _consumer(broker: str, group: str | None = None) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=broker, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
