"""aiokafka and the fold, nothing stored: what reading the broker from Python costs at the least."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.load import PARTITIONS
from bench.peers import Run, fold_batch
from projections.dossier import Dossier


async def main() -> None:
    run = Run.from_arguments()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=run.broker, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_bytes=50 << 20
    )
    await consumer.start()
    consumer.assign([TopicPartition(run.topic, partition) for partition in range(PARTITIONS)])
    states: dict[bytes | None, Dossier] = {}
    while True:
        for records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
            run.begin()
            keys, values = [each.key for each in records], [each.value for each in records]
            fold_batch(states, keys, values, (each.offset for each in records))
            if run.count(len(records)):
                run.finish()


asyncio.run(main())
