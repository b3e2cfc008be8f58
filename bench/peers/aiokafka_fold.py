"""aiokafka and the fold, nothing stored: what reading the broker from Python costs at the least."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.load import PARTITIONS
from bench.peers import Run, folded
from projections.dossier import Dossier


async def main() -> None:
    run = Run.from_arguments()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=run.broker, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_bytes=50 << 20
    )
    await consumer.start()
    consumer.assign([TopicPartition(run.topic, partition) for partition in range(PARTITIONS)])
    states: dict[bytes, Dossier] = {}
    while True:
        for records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
            run.begin()
            for record in records:
                states[record.key] = folded(states.get(record.key), record.key, record.value, record.offset)
            if run.count(len(records)):
                run.finish()


asyncio.run(main())
