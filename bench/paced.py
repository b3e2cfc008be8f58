"""The paced run: events at an office's rates, and how long until each is part of the durable live state.

A publisher sends what is due every ten milliseconds; `dossier projector` runs as in production; a reader of the
live topic watches the cursors. An event counts as live when the reader has a cursor behind it, that is, when
whoever reads the live topic has its state. One machine, one clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.load import PARTITIONS, headers_of, load, partition_of
from events.ledger import LEDGER_TOPIC
from projections.live import CURSOR_KEY, LIVE_TOPIC, unpack_cursor
from schemas.health import read_health

PREFIX = "paced."
TICK_SECONDS = 0.01
WARM_UP_SECONDS = 2.0
LAST_EVENT_SECONDS = 30.0


class Sent(NamedTuple):
    """A record batch: the offset behind its last event, and the instants its events were handed over."""

    end: int
    at: list[float]


class Latency(NamedTuple):
    """From publish to live state, in milliseconds."""

    p50_ms: float
    p99_ms: float
    events: int


def measure(broker: str, rates: tuple[int, ...], seconds: float) -> dict[int, Latency]:
    """One projector, one rate after the other."""
    with projecting(broker, PREFIX):
        return {rate: asyncio.run(_measure(broker, rate, seconds)) for rate in rates}


@contextlib.contextmanager
def projecting(broker: str, prefix: str) -> Iterator[None]:
    """`dossier projector` as in production, ready, for the length of a `with`."""
    with tempfile.TemporaryDirectory(prefix="dossier-bench-") as folder:
        health = Path(folder) / "projector.health.json"
        environment = {**os.environ, "DOSSIER_HEALTH_FILE": str(health), "DOSSIER_LOG_LEVEL": "error"}
        environment["DOSSIER_PARTITIONS"] = str(PARTITIONS)
        command = [sys.executable, "-m", "cli", "projector", "--kafka", broker, "--prefix", prefix]
        process = subprocess.Popen(command, env=environment)
        try:
            _wait_until_ready(health)
            yield
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_ready(health: Path) -> None:
    deadline = time.monotonic() + 60
    while (report := read_health(health)) is None or report.health != "ok":
        assert time.monotonic() < deadline, "the projector does not become ready"
        time.sleep(0.2)


async def _measure(broker: str, rate: int, seconds: float) -> Latency:
    warm_up = int(rate * WARM_UP_SECONDS)
    total = warm_up + int(rate * seconds)
    loaded = itertools.islice(load((total // 10 + 1) * 10, year=rate), total)
    records = [(key, value, headers_of(key, value)) for key, value in loaded]
    async with _live_reader(broker) as reader:
        cursors: list[list[tuple[int, float]]] = [[] for _ in range(PARTITIONS)]
        watching = asyncio.create_task(_watch(reader, cursors))
        sent = await _publish(broker, records, rate)
        await _until_live(sent, cursors)
        watching.cancel()
    latencies = sorted(itertools.islice(_latencies(sent, cursors), warm_up, None))
    return Latency(quantile(latencies, 0.5), quantile(latencies, 0.99), len(latencies))


@contextlib.asynccontextmanager
async def _live_reader(broker: str) -> AsyncIterator[AIOKafkaConsumer]:
    reader = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, fetch_max_wait_ms=50)
    await reader.start()
    partitions = [TopicPartition(PREFIX + LIVE_TOPIC, partition) for partition in range(PARTITIONS)]
    reader.assign(partitions)
    await reader.seek_to_end(*partitions)
    for partition in partitions:
        await reader.position(partition)
    try:
        yield reader
    finally:
        await reader.stop()


async def _watch(reader: AIOKafkaConsumer, cursors: list[list[tuple[int, float]]]) -> None:
    while True:
        found = await reader.getmany(timeout_ms=100)
        now = time.time()
        for partition, records in found.items():
            for record in records:
                if record.key == CURSOR_KEY:
                    cursors[partition.partition].append((unpack_cursor(record.value).next_offset, now))


async def _publish(
    broker: str, records: list[tuple[bytes, bytes, list[tuple[str, bytes]]]], rate: int
) -> list[list[Sent]]:
    """Send at the rate, a record batch for each partition and tick; the delivery is not waited for."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_batch_size=512 * 1024)
    await producer.start()
    deliveries = []
    started, next_record = time.time(), 0
    while next_record < len(records):
        due = min(len(records), int((time.time() - started) * rate))
        batches: dict[int, tuple[Any, list[float]]] = {}
        for key, value, beside in records[next_record:due]:
            batch, at = batches.setdefault(partition_of(key), (producer.create_batch(), []))
            batch.append(key=key, value=value, timestamp=None, headers=beside)
            at.append(time.time())
        next_record = due
        for partition, (batch, at) in batches.items():
            topic = PREFIX + LEDGER_TOPIC
            deliveries.append((partition, at, await producer.send_batch(batch, topic, partition=partition)))
        await asyncio.sleep(TICK_SECONDS)
    sent: list[list[Sent]] = [[] for _ in range(PARTITIONS)]
    for partition, at, delivery in deliveries:
        sent[partition].append(Sent((await delivery).offset + len(at), at))
    await producer.stop()
    return sent


async def _until_live(sent: list[list[Sent]], cursors: list[list[tuple[int, float]]]) -> None:
    deadline = time.monotonic() + LAST_EVENT_SECONDS
    while any(
        batches and (not seen or seen[-1][0] < batches[-1].end) for batches, seen in zip(sent, cursors, strict=True)
    ):
        assert time.monotonic() < deadline, "the last event did not become live"
        await asyncio.sleep(0.05)


def _latencies(sent: list[list[Sent]], cursors: list[list[tuple[int, float]]]) -> Iterator[float]:
    """Milliseconds for each event, in the order of publishing."""
    found = []
    for batches, seen in zip(sent, cursors, strict=True):
        ends = [end for end, _ in seen]
        for batch in batches:
            live_at = seen[bisect_right(ends, batch.end - 1)][1]
            found += [(at, (live_at - at) * 1000) for at in batch.at]
    return (latency for _, latency in sorted(found))


def quantile(ordered: list[float], share: float) -> float:
    """The value below which that share of the ordered values lies."""
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
