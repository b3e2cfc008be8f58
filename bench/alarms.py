"""Alarms: what a timer costs, and how long after its instant an alarm can be read.

The delay is measured as a reader sees it: `dossier projector` runs as in production, dossiers fall due at seeded
instants with nothing else arriving, and each breach's append time on the broker is compared with its instant.
"""

from __future__ import annotations

import asyncio
import random
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.load import PARTITIONS, fill
from bench.paced import projecting, quantile
from events.alarms import ALARMS, ALARMS_TOPIC, ClockBreached
from events.catalogue import LegalTime, Received
from events.envelope import encode, make_event, microseconds
from events.ledger import LEDGER_TOPIC
from processors.timers import Timers

PREFIX = "alarms."
SEED = 4
DUE_INSTANTS = 1_000
#: Time for publishing before the first is due; the instants lie within this after it.
HEAD_SECONDS, SPREAD_SECONDS = 6.0, 20.0
PATIENCE_SECONDS = 60.0


class Armed(NamedTuple):
    per_s: float
    bytes_each: float
    due_us_each: float  # what taking one that is due costs among all that are not


def due_at(dossier: str, due: datetime, now: datetime) -> tuple[bytes, bytes]:
    """A record of the ledger: a dossier received at `now` whose time is counted in hours, and due at that instant."""
    fact = Received(
        office="H01", procedure="by-the-hour", channel="direct", promised=due, legal_time=LegalTime(n=1, unit="h")
    )
    event = make_event(fact, id=f"{dossier}-received", source="urn:office:1", subject=dossier, time=now)
    return dossier.encode(), encode(event)


def timers(count: int) -> Armed:
    """Arm `count` timers one by one, then take those of which a thousandth is due."""
    draw = random.Random(SEED)
    keys = [b"GTVT-2026-%07d" % number for number in range(count)]
    instants = [draw.randrange(10**15, 2 * 10**15) for _ in range(count)]
    armed = Timers({})
    started = time.perf_counter()
    for key, instant in zip(keys, instants, strict=True):
        armed.set(key, instant)
    seconds = time.perf_counter() - started
    until = sorted(instants)[count // 1_000]
    started, taken = time.perf_counter(), 0
    while armed.take_due(until) is not None:
        taken += 1
    due_seconds = time.perf_counter() - started
    return Armed(round(count / seconds), _bytes_each(keys, instants), round(due_seconds / taken * 1e6, 2))


def _bytes_each(keys: list[bytes], instants: list[int]) -> float:
    """Memory of a timer, its key (which the state has too) and its instant not counted."""
    tracemalloc.start()
    armed = Timers({})
    for key, instant in zip(keys, instants, strict=True):
        armed.set(key, instant)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(size / len(armed), 1)


def delays(broker: str) -> tuple[float, float]:
    """p50 and p99, in milliseconds, from the instant an alarm belongs to until it stands on its topic."""
    with projecting(broker, PREFIX):
        return asyncio.run(_delays(broker))


async def _delays(broker: str) -> tuple[float, float]:
    now = datetime.now(UTC)
    await fill(broker, PREFIX + LEDGER_TOPIC, list(_due_soon(now)))
    found = sorted(await _read_delays(broker))
    return quantile(found, 0.5), quantile(found, 0.99)


def _due_soon(now: datetime) -> Iterator[tuple[bytes, bytes]]:
    draw = random.Random(SEED)
    for number in range(DUE_INSTANTS):
        due = now + timedelta(seconds=HEAD_SECONDS + draw.random() * SPREAD_SECONDS)
        yield due_at(f"GTVT-2026-{number:06d}", due, now)


async def _read_delays(broker: str) -> list[float]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    found: dict[str, float] = {}
    async with AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(PREFIX + ALARMS_TOPIC, number) for number in range(PARTITIONS)])
        while len(found) < DUE_INSTANTS:
            assert time.monotonic() < deadline, f"{len(found)} of {DUE_INSTANTS} alarms"
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = ALARMS.decode_record(record.key, record.value)
                    if isinstance(event.data, ClockBreached):
                        found.setdefault(event.id, (record.timestamp * 1_000 - microseconds(event.time)) / 1_000)
    return [*found.values()]
