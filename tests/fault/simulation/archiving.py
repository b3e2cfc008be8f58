"""Schedules of the archiver: the real `Archiver`, `ArchiveTable` and batches, against a broker and a table in memory.

After the faults everything is healed, and the archive must come to be the ledger: each record once, its bytes the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from clickhouse_connect.driver.exceptions import OperationalError

from events.catalogue import StepCompleted
from events.envelope import Unreadable, decode_record, encode, make_event, microseconds
from processors.archive_table import ArchiveTable
from processors.archiver import Archiver, ArchiverFailed, ArchiverOptions
from schemas.cluster import Cluster
from tests.fault.simulation.clickhouse import Client, Table
from tests.fault.simulation.kafka import Broker, Consumer, Reader, Record
from tests.fault.simulation.world import Process, Time, Violation, World

TOPIC: Final = "ledger"
PARTITIONS: Final = 2
SESSION_SECONDS: Final = 10.0
#: The faults happen in these seconds; then progress is demanded within so many (one may just have been stopped for
#: twenty, and has to join again), and the last rows are watched on.
FAULTY_SECONDS: Final = 30.0
HEALING_SECONDS: Final = 50.0
WATCHING_SECONDS: Final = 110.0
STARTED_AT: Final = datetime(2026, 3, 31, 16, 59, 40, tzinfo=UTC)  # a month ends within the schedule
#: What is published, good and bad; the ledger keeps the headers too.
_VALUES: Final[tuple[bytes | None, ...]] = (
    *(
        encode(
            make_event(StepCompleted(office="GL", step=f"b{n}"), id=f"e{n}", source="s", subject="D", time=STARTED_AT)
        )
        for n in range(8)
    ),
    b"{",
    b"\xff\x00",
    None,
)


class Archiving:
    """One schedule."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.rng = self.world.rng
        self.broker = Broker(self.world, TOPIC, PARTITIONS, SESSION_SECONDS)
        self.table = Table(self.world)
        self._started = 0
        self._wanted = 1  # archivers that should run
        self.failures: list[str] = []

    def run(self) -> str:
        """Gives the hash of the trace; raises Violation."""
        with simulated_archiver(self):
            self._plan()
            self.world.run_until(FAULTY_SECONDS)
            self._heal()
            self.world.run_until(self.world.now + HEALING_SECONDS)
            self._require_progress()
            self.world.run_until(self.world.now + WATCHING_SECONDS)
            for process in list(self.world.processes):
                process.kill()
        self._check()
        return self.world.trace_hash()

    # The schedule -------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        for _ in range(self.rng.randint(6, 24)):
            self.world.at(self.rng.uniform(0, FAULTY_SECONDS) * self.rng.random(), self._publish)
        for _ in range(self.rng.randint(1, 7)):
            fault = self.rng.choice(
                (self._kill, self._kill, self._freeze, self._freeze, self._scale, self._cut_off, self._turn_clock)
            )
            if self.rng.random() < 0.7:
                self.world.at_point[self.rng.randint(1, 250)] = fault
            else:
                self.world.at_step[self.rng.randint(1, 900)] = fault
        self._start()

    def _publish(self) -> None:
        partition = self.rng.randrange(PARTITIONS)
        for _ in range(self.rng.choice((1, 1, 2, 5))):
            gap = self.rng.choice((0, 0, 0, 0, 1))  # a transaction's marker takes an offset
            offset = self.broker.ends[partition] + gap
            at = int((STARTED_AT.timestamp() + self.world.now + self.world.wall_offset_seconds) * 1000)
            headers = (("ce-id", b"x"),) if self.rng.random() < 0.5 else ()
            value = self.rng.choice(_VALUES)
            self.broker.append(partition, Record(TOPIC, partition, offset, at, b"D", value, headers))

    def _start(self) -> None:
        self._started += 1
        process = Process(self.world, f"archiver-{self._started}")
        writer = UUID(int=self.rng.getrandbits(128))
        table = ArchiveTable(self._connect, TOPIC)
        options = ArchiverOptions(
            Cluster(""), TOPIC, session_timeout_seconds=SESSION_SECONDS, max_rows=self.rng.choice((2, 4, 7))
        )
        stop = process.within(asyncio.Event)
        archiver = process.within(lambda: Archiver(options, table, writer))
        process.start(self._main(process, archiver, stop))

    async def _main(self, process: Process, archiver: Archiver, stop: asyncio.Event) -> None:
        try:
            await archiver.run(stop)
        except ArchiverFailed as error:
            self.failures.append(f"{process.name}: {error}")
        except Exception as error:  # a supervisor starts it again
            self.world.note(process.name, "ends", type(error).__name__)
        if process.alive:
            self.world.after(0, lambda: self._end(process))

    def _connect(self) -> Client:
        if not self.world.healed and self.world.rng.random() < 0.05:
            raise OperationalError("nobody there")
        return Client(self.table)

    # The faults ---------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        if self.world.processes:
            self._end(self.rng.choice(self.world.processes))

    def _end(self, process: Process) -> None:
        if process.alive:
            process.kill()
            self.world.after(self.rng.uniform(0.1, 4), self._start_if_wanted)

    def _start_if_wanted(self) -> None:
        if len(self.world.processes) < self._wanted:
            self._start()

    def _freeze(self) -> None:
        if self.world.processes:
            self.rng.choice(self.world.processes).freeze(self.rng.choice((0.5, 4, 9, 12, 20)))

    def _scale(self) -> None:
        """1 → 2 → 1."""
        self._wanted = 3 - self._wanted
        if self._wanted == 2:
            self._start_if_wanted()
        elif self.world.processes:
            self._end(self.rng.choice(self.world.processes))

    def _cut_off(self) -> None:
        self.table.down_until = self.world.now + self.rng.uniform(0.5, 9)

    def _turn_clock(self) -> None:
        self.world.wall_offset_seconds += self.rng.choice((-3600, 86_400))

    def _heal(self) -> None:
        self.world.note("healed")
        self.world.healed = True
        self.table.down_until = 0.0
        self.world.at_point.clear()
        self.world.at_step.clear()
        self._start_if_wanted()
        self._publish()

    # What must hold -----------------------------------------------------------------------------------------------

    def _require_progress(self) -> None:
        for partition, log in enumerate(self.broker.logs):
            missing = {record.offset for record in log} - set(self.table.at_offsets(partition))
            if missing:
                raise Violation(f"no progress: partition {partition} lacks {sorted(missing)}; {self.failures}")

    def _check(self) -> None:
        if self.failures:
            raise Violation(f"gave up: {self.failures}")
        for partition, log in enumerate(self.broker.logs):
            rows = sorted(
                (row for row in self.table.rows if row["partition"] == partition), key=lambda row: row["offset"]
            )
            offsets = [row["offset"] for row in rows]
            if offsets != [record.offset for record in log]:
                raise Violation(
                    f"partition {partition}: archived {offsets}, on the ledger {[each.offset for each in log]}"
                )
            for row, record in zip(rows, log, strict=True):
                self._compare(row, record)

    def _compare(self, row: Any, record: Record) -> None:
        recorded_ms = microseconds(row["recorded_at"]) // 1_000
        headers = tuple((each["name"], each["value"]) for each in row["headers"])
        found = (row["topic"], recorded_ms, row["key"], row["raw"], headers)
        if found != (record.topic, record.timestamp, record.key, record.value, record.headers):
            raise Violation(f"{record} is archived as {found}")
        try:
            decode_record(record.key, record.value)
            good = True
        except Unreadable:
            good = False
        if good != (row["unreadable"] == ""):
            raise Violation(f"{record} is archived as unreadable: {row['unreadable']!r}")


@contextmanager
def simulated_archiver(schedule: Archiving) -> Iterator[None]:
    """While the schedule runs, the archiver's clock and consumers are those of the world."""

    def consumer(options: ArchiverOptions) -> Consumer:
        assert schedule.world.running is not None
        return Consumer(schedule.broker, schedule.world.running)

    with (
        patch("processors.archiver.time", Time(schedule.world, STARTED_AT.timestamp())),
        patch("processors.archiver._consumer", consumer),
        patch("processors.same_ledger._reader", lambda _brokers: Reader(schedule.broker)),
    ):
        yield
