"""Schedules of the projector: the real `Projector` with its folds, watches, timers and flushes, without Faust.

In Faust's place a consumer hands on chunks, and a producer writes to topics in memory. After the faults everything is
healed; then the live topic must hold the fold of the ledger, quarantine what is unreadable and nothing else, and the
alarms topic the alarms that the whole ledger gives at once, each said once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast
from unittest.mock import patch

from aiokafka.errors import KafkaTimeoutError, RequestTimedOutError
from faust.types import TP

from events.alarms import ALARMS, AlarmEvent, ClockWarned, standing_breaches
from events.catalogue import (
    AnyFact,
    Processed,
    Received,
    Rescheduled,
    Routed,
    StepStarted,
    Submitted,
    SupplementReceived,
    SupplementRequested,
    Withdrawn,
)
from events.envelope import Unreadable, decode_record, encode, make_event
from events.ledger import LedgerRecord
from events.quarantine import LedgerOrigin
from processors.flush import FlushPolicy
from processors.live import FlushWriter, LiveTable
from processors.projector import Projector, ProjectorFailed, ProjectorOptions
from processors.said import Told
from processors.transport import Chunk
from projections.dossier import Dossier, admit, new_dossier, pack
from projections.live import CURSOR_KEY, is_state_key, unpack_cursor
from schemas.cluster import Cluster
from tests.fault.simulation.kafka import Broker, Member, Record
from tests.fault.simulation.world import Process, Time, Violation, World
from tests.property.alarms.test_said import (
    HISTORIES,
    PROCEDURES,
    START,
    START_US,
    assert_nothing_is_said_twice,
    told_by_the_clocks,
)
from tests.property.alarms.test_said import Record as Said

LEDGER: Final = "ledger"
LIVE: Final = "live"
ALARMED: Final = "alarms"
PARTITIONS: Final = 2
#: By dossier its partition.
DOSSIERS: Final = {"D1": 0, "D2": 1, "D3": 0}
SESSION_SECONDS: Final = 10.0
FAULTY_SECONDS: Final = 20.0
HEALING_SECONDS: Final = 30.0
#: A second of the schedule is this much of the clock that alarms go by: faults last seconds, clocks run for days.
SPEED: Final = 20_000
DAY_SECONDS: Final = 86_400
_PRODUCED_SECONDS: Final = 0.03
_WRITTEN_AT_ONCE: Final = 2  # records of a batch: a flush is several


class Written(NamedTuple):
    key: bytes
    value: bytes | None


class Projecting:
    """One schedule."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.rng = self.world.rng
        self.broker = Broker(self.world, LEDGER, PARTITIONS, SESSION_SECONDS)
        self.topics: dict[tuple[str, int], list[Written]] = defaultdict(list)
        self.quarantined: set[tuple[int, int]] = set()
        self.rules = HISTORIES[0]
        self.failures: list[str] = []
        self.projectors: dict[str, OnFakes] = {}
        self._started = 0
        self._wanted = 1
        self._published: list[tuple[str, bytes]] = []  # dossier and event, to be published again

    def run(self) -> str:
        """Gives the hash of the trace; raises Violation."""
        with simulated_projector(self):
            self._plan()
            self.world.run_until(FAULTY_SECONDS)
            self._heal()
            self.world.run_until(self.world.now + HEALING_SECONDS)
            self.world.wall_offset_seconds += 60 * DAY_SECONDS  # every clock passes its due
            self.world.run_until(self.world.now + 12)
            until = self._heard_until()
            for process in list(self.world.processes):
                process.kill()
        self._check(until)
        return self.world.trace_hash()

    def now(self) -> int:
        return START_US + int((self.world.now * SPEED + self.world.wall_offset_seconds) * 1_000_000)

    # The schedule -------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        for _ in range(self.rng.randint(4, 14)):
            self.world.at(self.rng.uniform(0, FAULTY_SECONDS), self._publish)
        faults = (self._kill, self._kill, self._freeze, self._freeze, self._scale, self._wipe, self._turn_clock)
        for _ in range(self.rng.randint(1, 6)):
            fault = self.rng.choice((*faults, self._change_rules))
            if self.rng.random() < 0.7:
                self.world.at_point[self.rng.randint(1, 300)] = fault
            else:
                self.world.at_step[self.rng.randint(1, 1_200)] = fault
        self._start()

    def _publish(self) -> None:
        for _ in range(self.rng.choice((1, 1, 1, 3))):
            self._publish_about(self.rng.choice(list(DOSSIERS)))

    def _publish_about(self, dossier: str) -> None:
        """A new event, one that was published before, or what is no event."""
        draw, value = self.rng.random(), b"{"
        if draw < 0.1 and self._published:
            dossier, value = self.rng.choice(self._published)
        elif draw < 0.9:
            value = self._event(dossier)
            self._published.append((dossier, value))
        self._append(dossier, value)

    def _append(self, dossier: str, value: bytes) -> None:
        partition, key = DOSSIERS[dossier], dossier.encode()
        offset = self.broker.ends[partition] + self.rng.choice((0, 0, 0, 1))
        self.broker.append(partition, Record(LEDGER, partition, offset, self.now() // 1_000, key, value))

    def _event(self, dossier: str) -> bytes:
        late_seconds = self.rng.choice((0, 0, 0, 3_600, 2 * DAY_SECONDS))
        seconds = (self.now() - START_US) // 1_000_000 - late_seconds
        number = len(self._published)
        happened = START + timedelta(seconds=seconds)
        return encode(make_event(self._fact(), id=f"e{number}", source="s", subject=dossier, time=happened))

    def _fact(self) -> AnyFact:
        procedure = self.rng.choice(PROCEDURES)
        due = START + timedelta(days=self.rng.randint(0, 8), hours=9)
        office: dict[str, Any] = {"office": "H01"}
        return self.rng.choice((
            Submitted(procedure=procedure, channel="online", **office),
            Received(procedure=procedure, channel="direct", promised=due, **office),
            Received(procedure=procedure, channel="direct", promised=due, **office),
            Routed(to="van-tai", step="tham-dinh", step_due=due, **office),
            StepStarted(step="tham-dinh", step_due=due, **office),
            SupplementRequested(stage="processing", reason="r", items=("a",), **office),
            SupplementReceived(complete=True, items=("a",), **office),
            Rescheduled(reason="r", apology_no="1", new_due=due + timedelta(days=3), **office),
            Processed(outcome="issued", **office),
            Withdrawn(**office),
        ))  # fmt: skip

    def _start(self) -> None:
        self._started += 1
        process = Process(self.world, f"projector-{self._started}")
        policy = FlushPolicy(soon_seconds=self.rng.choice((0.02, 0.3)), max_dirty=self.rng.choice((1, 50)))
        options = ProjectorOptions(
            Cluster(""), PARTITIONS, "", LEDGER, LIVE, ALARMED, session_timeout_seconds=SESSION_SECONDS, policy=policy
        )
        projector = process.within(lambda: OnFakes(self, process, options))
        self.projectors[process.name] = projector
        process.start(self._main(process, projector))

    async def _main(self, process: Process, projector: Projector) -> None:
        projector.use_rules(self.rules)
        ticking = asyncio.create_task(self._tick(projector))
        try:
            await projector.run(asyncio.Event())
        except ProjectorFailed as error:
            self.world.note(process.name, "ends", str(error))
            self.failures.append(f"{process.name}: {error}")
        except Exception as error:  # a supervisor starts it again
            self.world.note(process.name, "ends", type(error).__name__)
        ticking.cancel()
        self.world.after(0, lambda: self._end(process))

    async def _tick(self, projector: Projector) -> None:
        while True:
            projector.tick()
            await asyncio.sleep(2 if self.world.healed else 1)

    def _heard_until(self) -> int:
        folds = [fold for name in self._running() for fold in self.projectors[name]._folds.values()]
        if len(folds) != PARTITIONS:
            raise Violation(f"partitions without a projector; {self.failures}")
        return min(fold.watch.horizon.until for fold in folds)

    def _running(self) -> list[str]:
        return [process.name for process in self.world.processes]

    # The faults ---------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        if self.world.processes:
            self._end(self.rng.choice(self.world.processes))

    def _end(self, process: Process) -> None:
        if process.alive:
            process.kill()
            self.world.after(self.rng.uniform(0.1, 3), self._start_if_wanted)

    def _start_if_wanted(self) -> None:
        if len(self.world.processes) < self._wanted:
            self._start()

    def _freeze(self) -> None:
        if self.world.processes:
            self.rng.choice(self.world.processes).freeze(self.rng.choice((0.5, 4, 9, 12, 16)))

    def _scale(self) -> None:
        """1 → 2 → 1."""
        self._wanted = 3 - self._wanted
        if self._wanted == 2:
            self._start_if_wanted()
        elif self.world.processes:
            self._end(self.rng.choice(self.world.processes))

    def _wipe(self) -> None:
        """The live topic is deleted and made anew, while nobody runs."""
        wanted, self._wanted = self._wanted, 0
        for process in list(self.world.processes):
            self._end(process)

        def wipe() -> None:
            if not self.world.processes:
                self.world.note("wiped")
                for partition in range(PARTITIONS):
                    self.topics[LIVE, partition].clear()
            self._wanted = max(self._wanted, wanted)
            self._start_if_wanted()

        self.world.after(5 * _PRODUCED_SECONDS, wipe)

    def _turn_clock(self) -> None:
        self.world.wall_offset_seconds += self.rng.choice((-3_600, DAY_SECONDS))

    def _change_rules(self) -> None:
        self.rules = HISTORIES[min(len(self.rules.published), len(HISTORIES) - 1)]
        for process in self.world.processes:
            process.within(lambda name=process.name: self.projectors[name].use_rules(self.rules))  # type: ignore[misc]  # mypy does not see the default's type

    def _heal(self) -> None:
        self.world.note("healed")
        self.world.healed = True
        self.world.at_point.clear()
        self.world.at_step.clear()
        self._wanted = max(self._wanted, 1)
        self._start_if_wanted()
        for dossier in DOSSIERS:  # a chunk that went missing shows with the next one
            self._append(dossier, self._event(dossier))

    # What must hold -----------------------------------------------------------------------------------------------

    def _check(self, until: int) -> None:
        records = [record for log in self.broker.logs for record in log]
        good = [record for record in records if _is_readable(record)]
        unreadable = {(record.partition, record.offset) for record in records} - {
            (record.partition, record.offset) for record in good
        }
        if self.quarantined != unreadable:
            raise Violation(f"in quarantine {sorted(self.quarantined)}, unreadable {sorted(unreadable)}")
        self._check_live(_folded(good))
        self._check_alarms(good, until)

    def _check_live(self, states: Mapping[bytes, bytes]) -> None:
        live: dict[bytes, bytes] = {}
        for partition in range(PARTITIONS):
            held = {each.key: each.value for each in self.topics[LIVE, partition]}
            cursor = unpack_cursor(held[CURSOR_KEY] or b"") if CURSOR_KEY in held else None
            end = self.broker.ends[partition]
            if end and (cursor is None or cursor.next_offset != end):
                raise Violation(f"no progress: partition {partition} ends at {end}, its cursor is {cursor}")
            live |= {key: value for key, value in held.items() if value is not None and is_state_key(key)}
        if live != states:
            differing = sorted(key for key in live.keys() | states.keys() if live.get(key) != states.get(key))
            raise Violation(f"live state is not the fold of the ledger: {differing}")

    def _check_alarms(self, good: Sequence[Record], until: int) -> None:
        ledger = [(0, Said(each.offset, each.key or b"", each.value or b"", each.timestamp)) for each in good]
        breaches, warnings = told_by_the_clocks(ledger, self.rules, until)
        for partition in range(PARTITIONS):
            try:
                assert_nothing_is_said_twice(self.alarms(partition, 0))
            except AssertionError as twice:
                raise Violation(f"an alarm is said twice: {twice}") from twice
        events = [event for partition in range(PARTITIONS) for event in self.alarms(partition, 0)]
        if (standing := set(standing_breaches(events))) != breaches:
            raise Violation(f"breaches missing {breaches - standing}, extra {standing - breaches}")
        if missing := warnings - {event.id for event in events if isinstance(event.data, ClockWarned)}:
            raise Violation(f"warnings missing {missing}")

    def alarms(self, partition: int, offset: int) -> list[AlarmEvent]:
        return [ALARMS.decode_record(each.key, each.value) for each in self.topics[ALARMED, partition][offset:]]


def _is_readable(record: Record) -> bool:
    try:
        decode_record(record.key, record.value)
    except Unreadable:
        return False
    return True


def _folded(records: Sequence[Record]) -> dict[bytes, bytes]:
    states: dict[str, Dossier] = {}
    for record in records:
        event = decode_record(record.key, record.value)
        before = states.get(event.subject) or new_dossier(event.subject)
        states[event.subject] = admit(before, event, offset=record.offset, recorded=record.timestamp * 1_000)
    return {key.encode(): pack(state) for key, state in states.items()}


class OnFakes(Projector):
    """The projector, built on what stands for Faust here."""

    def __init__(self, schedule: Projecting, process: Process, options: ProjectorOptions) -> None:
        self.fakes = Fakes(schedule, process, self)
        super().__init__(options, self.fakes.quarantine, schedule.now)

    def _build(self) -> None:
        self.app: Any = self.fakes
        self.table = cast("LiveTable", self.fakes)
        self._writer = FlushWriter(self.table, self.options.alarms, self._require_membership)


class Fakes:
    """What the projector uses of the Faust app, its consumer, its table and its producer; one of each process."""

    changelog_topic_name = LIVE
    crashed = False

    def __init__(self, schedule: Projecting, process: Process, projector: OnFakes) -> None:
        self.app = self.producer = self.consumer = self.store = self.flow_control = self
        self.offsets: dict[TP, int] = {}
        self.ends: dict[TP, int] = {}
        self._schedule = schedule
        self._process = process
        self._projector = projector
        self._held: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self._member = Member(schedule.broker, process, self)
        self._read_to: dict[int, int] = {}
        self._chunks: list[Chunk] = []
        self._arrived: dict[tuple[str, int], float] = {}
        self._broken = False

    # The app ------------------------------------------------------------------------------------------------------

    def finalize(self) -> None:
        """Nothing to do."""

    async def start(self) -> None:
        asyncio.create_task(self._member.coordinate())  # noqa: RUF006  # the loop of the process keeps it
        asyncio.create_task(self._projector._read(self))  # noqa: RUF006  # the loop of the process keeps it

    async def on_partitions_revoked(self, revoked: Sequence[Any]) -> None:
        await self._projector._on_revoked(self, set(revoked))
        self._held.clear()
        self._read_to, self._chunks, self.ends = {}, [], {}

    async def on_partitions_assigned(self, assigned: Sequence[Any]) -> None:
        for tp in assigned:
            written = await self._read_topic(LIVE, tp.partition, 0)
            for key, value in written:
                if value is None:
                    self._held[tp.partition].pop(key, None)
                else:
                    self._held[tp.partition][key] = value
        await self._projector._on_recovered()
        self._read_to = dict(self._projector.positions())

    async def read_alarms(self, offsets: Mapping[int, int]) -> dict[int, Told]:
        found = {}
        for partition, offset in offsets.items():
            written = await self._read_topic(ALARMED, partition, offset)
            events = [ALARMS.decode_record(each.key, each.value) for each in written]
            found[partition] = Told(events, offset + len(written))
        return found

    async def _read_topic(self, topic: str, partition: int, offset: int) -> list[Written]:
        """A client asks again until it is answered."""
        while True:
            try:
                found = await self._member.ask(lambda: list(self._schedule.topics[topic, partition][offset:]))
            except RequestTimedOutError:
                continue
            return list(found)

    # The table ----------------------------------------------------------------------------------------------------

    def partition(self, number: int) -> dict[bytes, bytes]:
        return self._held[number]

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self.offsets[tp] = offset

    # The consumer -------------------------------------------------------------------------------------------------

    def assignment(self) -> set[TP]:
        return {TP(LEDGER, tp.partition) for tp in self._member.assigned}

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        ends = list(self._schedule.broker.ends)
        await asyncio.sleep(0.01)
        return {tp: ends[tp.partition] for tp in tps}

    async def position(self, tp: TP) -> int | None:
        return self._read_to.get(tp.partition)

    def events(self) -> Fakes:
        return self

    def __aiter__(self) -> Fakes:
        return self

    async def __anext__(self) -> Any:
        while not self._chunks:
            await self._poll()
        return SimpleNamespace(value=self._chunks.pop(0), ack=lambda: None)

    async def _poll(self) -> None:
        """Read on, in pieces of any size; now and then a piece comes twice, or one goes missing."""
        rng, broker = self._schedule.rng, self._schedule.broker
        asked, positions = self._schedule.now(), dict(self._read_to)
        if not any(broker.ends[partition] > offset for partition, offset in positions.items()):
            future: asyncio.Future[None] = self._process.loop.create_future()
            broker.wake(self._process, future)
            await asyncio.wait({future}, timeout=3.0 if self._schedule.world.healed else 1.0)
        try:
            logs, ends = await self._member.ask(lambda: ([list(log) for log in broker.logs], list(broker.ends)))
        except RequestTimedOutError:
            return
        if positions != self._read_to:
            return  # a rebalance came between
        for partition, offset in positions.items():
            records = [each for each in logs[partition] if each.offset >= offset][: rng.randint(1, 5)]
            self.ends[TP(LEDGER, partition)] = ends[partition]
            if records:
                self._hand_on(partition, offset, records)
        self._projector.heard(asked, {partition: ends[partition] for partition in positions})

    def _hand_on(self, partition: int, offset: int, records: list[Record]) -> None:
        rng, tp = self._schedule.rng, TP(LEDGER, partition)
        self._read_to[partition] = records[-1].offset + 1
        fate = 1.0 if self._schedule.world.healed else rng.random()
        if fate > 0.01:
            self._chunks += [Chunk(tp, records, offset) for _ in range(2 if fate < 0.08 else 1)]

    # The producer -------------------------------------------------------------------------------------------------

    def _ensure_producer(self) -> Fakes:
        return self

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """Batches of a partition arrive in the order they are sent; one that fails fails those behind it."""
        world, process, schedule = self._schedule.world, self._process, self._schedule
        future: asyncio.Future[Any] = process.loop.create_future()
        fate = 1.0 if world.healed else world.rng.random()
        arrival = max(world.now + world.rng.uniform(0, _PRODUCED_SECONDS), self._arrived.get((topic, partition), 0.0))
        self._arrived[topic, partition] = arrival = arrival + 1e-6
        self._broken = self._broken or fate < 0.01
        world.point(process.name, "produces", topic, partition, len(batch.records))
        back = world.rng.uniform(0, _PRODUCED_SECONDS)

        def arrive() -> None:
            log = schedule.topics[topic, partition]
            offset = len(log)
            log += batch.records
            world.point(process.name, "written", topic, partition, offset)
            if fate < 0.02:
                world.after(back, lambda: process.answer(future, error=KafkaTimeoutError()))
            else:
                world.after(back, lambda: process.answer(future, result=SimpleNamespace(offset=offset)))

        if self._broken:
            world.after(back, lambda: process.answer(future, error=KafkaTimeoutError()))
        else:
            world.at(arrival, arrive)
        return future

    async def quarantine(self, origin: LedgerOrigin, _record: LedgerRecord, reason: str) -> None:
        assert reason
        where = origin.partition, origin.offset
        await self._member.ask(lambda: self._schedule.quarantined.add(where))


class Batch:
    """A batch of the producer, that is soon full."""

    def __init__(self) -> None:
        self.records: list[Written] = []

    def append(self, *, key: bytes, value: bytes | None, timestamp: int, headers: object) -> object:
        if len(self.records) >= _WRITTEN_AT_ONCE:
            return None
        self.records.append(Written(key, value))
        return True

    def record_count(self) -> int:
        return len(self.records)


@contextmanager
def simulated_projector(schedule: Projecting) -> Iterator[None]:
    """While the schedule runs, the projector's clock and clients are those of the world."""

    async def read_alarms(brokers: str, topic: str, offsets: Mapping[int, int]) -> dict[int, Told]:
        process = schedule.world.running
        assert process is not None
        return await schedule.projectors[process.name].fakes.read_alarms(offsets)

    async def partitions_of(brokers: str, topics: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(topics, PARTITIONS)

    named = {
        "time": Time(schedule.world, START.timestamp()),
        "read_alarms": read_alarms,
        "partitions_of": partitions_of,
        "_LOOK_SECONDS": 1.0,  # as often as clocks can say something new here
    }
    with ExitStack() as patches:
        for name, instead in named.items():
            patches.enter_context(patch(f"processors.projector.{name}", instead))
        yield
