"""Archivers as processes of their own: started, stopped, paused, killed; and what they left in the table."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.fetcher import PartitionRecords

from deploy.clickhouse.client import connect
from deploy.embedded.leash import leashed
from events.lean import METHOD
from events.ledger import LEDGER_TOPIC
from processors.archive_table import ArchiveTable
from processors.archiver import ARCHIVED, GROUP, Archiver, ArchiverOptions
from replay.archive import Archive, ArchiveRow
from replay.reconcile import Reconciliation, reconcile
from schemas.cluster import Cluster
from schemas.health import HealthReport, read_health
from tests.unit.archive.records import Ledgered, a_record

DEADLINE_SECONDS = 120.0
#: As short as the broker allows: a dead archiver's partitions are another's after this.
SESSION_SECONDS = 6.0


def client_of(url: str) -> Any:
    return connect(url, user="archiver", password="writes", database="default")


def eventually(happens: Callable[[], bool], what: str, within_seconds: float = DEADLINE_SECONDS) -> None:
    """Poll until it happens.

    Raises:
        AssertionError: it did not.
    """
    deadline = time.monotonic() + within_seconds
    while not happens():
        assert time.monotonic() < deadline, f"in vain for {within_seconds} s: {what}"
        time.sleep(0.05)  # a poll with a deadline


@dataclass
class Process:
    """One `dossier archiver`."""

    popen: subprocess.Popen[bytes]
    health_file: Path
    log: Path

    @property
    def health(self) -> HealthReport | None:
        return read_health(self.health_file)

    @property
    def partitions(self) -> set[str]:
        return set(self.health.position) if self.health else set()

    def says(self, words: str) -> bool:
        return words in self.log.read_text(encoding="utf-8", errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> int:
        self.popen.terminate()
        return self.popen.wait(30)


@dataclass
class Archiving:
    """One ledger under a prefix, and the processes that archive it."""

    broker: str
    prefix: str
    clickhouse: str
    client: Any
    folder: Path
    processes: list[Process] = field(default_factory=list)

    @property
    def topic(self) -> str:
        return self.prefix + LEDGER_TOPIC

    @property
    def archive(self) -> Archive:
        return Archive(self.client, self.topic)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self.processes:
            if each.popen.poll() is None:
                each.kill()

    def start(self, clickhouse: str | None = None, **settings: str) -> Process:
        """Start one more archiver; `settings`: environment variables of its own."""
        number = len(self.processes)
        health_file, log = self.folder / f"{number}.health.json", self.folder / f"{number}.log"
        environment = {
            **os.environ,
            "DOSSIER_DATA_DIR": str(self.folder / "none"),
            "DOSSIER_KAFKA": self.broker,
            "DOSSIER_CLICKHOUSE": clickhouse or self.clickhouse,
            "DOSSIER_CLICKHOUSE_PASSWORD": "writes",
            "DOSSIER_HEALTH_FILE": str(health_file),
            **settings,
        }
        command = (
            sys.executable, "-P", "-m", "cli", "archiver",
            "--prefix", self.prefix, "--session-timeout", str(SESSION_SECONDS),
        )  # fmt: skip
        with log.open("ab") as file:
            popen = subprocess.Popen(leashed(command), stdout=file, stderr=subprocess.STDOUT, env=environment)
        process = Process(popen, health_file, log)
        self.processes.append(process)
        return process

    def archive_here(self, records: int) -> None:
        """Archive so many records by an archiver in this process: to start one takes longer than all that it does."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PartitionRecords, METHOD, getattr(PartitionRecords, METHOD))  # as it was, when this is over
            asyncio.run(self._archive_here(records))

    async def _archive_here(self, records: int) -> None:
        options = ArchiverOptions(Cluster(self.broker), self.topic, self.prefix + GROUP, SESSION_SECONDS)
        table, stop = ArchiveTable(lambda: client_of(self.clickhouse), self.topic), asyncio.Event()
        archiver = Archiver(options, table, uuid4())
        running = asyncio.create_task(archiver.run(stop))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not running.done() and sum(archiver.positions().values()) < records:  # noqa: ASYNC110  # a poll
                    await asyncio.sleep(0.02)
        finally:
            stop.set()
            await running
            table.close()

    def publish(self, records: Iterable[Ledgered], partition: int | None = None) -> None:
        """Write records to the ledger, confirmed; their offsets and times are the broker's to give."""
        asyncio.run(_publish(self.broker, self.topic, list(records), partition))

    def publish_on(self, topic: str, records: Iterable[Ledgered]) -> None:
        """Write records to another topic, confirmed, in this order."""
        for record in records:
            asyncio.run(_publish(self.broker, topic, [record], None))

    def publish_events(self, first: int, end: int) -> None:
        self.publish(a_record(number) for number in range(first, end))

    def records(self) -> list[ArchiveRow]:
        """All that is archived, in the order of (partition, offset)."""
        archive = self.archive
        return [row for each in sorted(archive.cursors()) for block in archive.stream_partition(each) for row in block]

    def rows(self) -> int:
        ((rows,),) = self.client.query(
            "SELECT count() FROM dossier_events WHERE topic = {topic:String}", {"topic": self.topic}
        ).result_rows
        return int(rows)

    def reconcile(self, wait_seconds: float = DEADLINE_SECONDS) -> Reconciliation:
        return self.reconcile_topic(self.topic, wait_seconds)

    def reconcile_topic(self, topic: str, wait_seconds: float = DEADLINE_SECONDS) -> Reconciliation:
        archive = Archive(self.client, topic)
        decode = next(each.decode for each in ARCHIVED if topic.endswith(each.topic))
        return asyncio.run(reconcile(Cluster(self.broker), archive, decode, wait_seconds, lambda _done, _total: None))

    def require_exact(self, records: int) -> None:
        """Law 5: every record of the ledger is archived once, with its bytes."""
        found = self.reconcile()
        assert found.findings == [], f"{found}\n{self.logs()}"
        assert (found.ledger, found.archived + found.quarantined) == (records, records), f"{found}\n{self.logs()}"

    def logs(self) -> str:
        return "\n".join(each.log.read_text(encoding="utf-8", errors="replace")[-3000:] for each in self.processes)


async def _publish(broker: str, topic: str, records: Sequence[Ledgered], partition: int | None) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=broker, acks="all", enable_idempotence=True, linger_ms=5, max_request_size=2_000_000
    )
    await producer.start()
    try:
        sent = [await _send(producer, topic, each, partition) for each in records]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _send(producer: Any, topic: str, record: Ledgered, partition: int | None) -> Any:
    if record.key is None and record.value is None:  # `send` takes that for a slip
        batch = producer.create_batch()
        batch.append(key=None, value=None, timestamp=None)
        return await producer.send_batch(batch, topic, partition=partition or 0)
    return await producer.send(topic, record.value, record.key, partition, headers=list(record.headers))
