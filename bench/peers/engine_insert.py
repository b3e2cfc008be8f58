"""ClickHouse's own insert of the bytes the archiver sends: ready made, one batch after the other, nothing else."""

from __future__ import annotations

import asyncio
import uuid

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bench.load import PARTITIONS
from bench.peers import Run
from bench.peers.archive import table
from processors.batches import Batch, cut, make_batch

TOPIC = "engine"  # keeps its rows apart from the archiver's, and its tokens from theirs


def main() -> None:
    run = Run.from_arguments()
    batches = [each for partition in range(PARTITIONS) for each in _batches(run, partition)]
    archive = table(TOPIC)
    run.begin()
    for batch in batches:
        archive.insert(batch)
    run.count(sum(batch.rows for batch in batches))
    run.finish()


def _batches(run: Run, partition: int) -> list[Batch]:
    records = asyncio.run(_read(run, partition))
    writer = uuid.uuid4()
    return [make_batch(TOPIC, partition, each, writer) for each in cut(records)]


async def _read(run: Run, partition: int) -> list[ConsumerRecord]:
    tp = TopicPartition(run.topic, partition)
    records: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(bootstrap_servers=run.broker, auto_offset_reset="earliest") as consumer:
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            records += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
    return records


main()
