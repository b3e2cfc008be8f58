"""Alarms that are on their topic already: what a projector reads before it says anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from events.alarms import ALARMS, AlarmEvent
from events.envelope import Unreadable
from events.lean import take_any_header_name
from schemas.cluster import Cluster

_WAIT_MS: Final = 200
_FETCH_BYTES: Final = 8 * 1024 * 1024

log = structlog.get_logger(__name__)


class Told(NamedTuple):
    """The alarms of a partition, in order, and the offset behind the last record that was read."""

    events: list[AlarmEvent]
    end: int


async def read_alarms(brokers: Cluster, topic: str, offsets: Mapping[int, int]) -> dict[int, Told]:
    """For each partition the alarms from that offset on, up to the end of the partition as it is now.

    Raises:
        aiokafka.errors.KafkaError: the topic cannot be read.
    """
    found: dict[int, list[AlarmEvent]] = {partition: [] for partition in offsets}
    take_any_header_name()
    consumer = AIOKafkaConsumer(
        **brokers.client,
        client_id="dossier-projector-alarms",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, partition) for partition in offsets])
        wanted = [tp for tp, end in ends.items() if offsets[tp.partition] < end]
        consumer.assign(wanted)
        for tp in wanted:
            consumer.seek(tp, offsets[tp.partition])
        while any([await consumer.position(tp) < ends[tp] for tp in wanted]):
            for tp, records in (await consumer.getmany(timeout_ms=_WAIT_MS)).items():
                found[tp.partition] += _readable(topic, records)
    finally:
        await consumer.stop()
    return {tp.partition: Told(found[tp.partition], end) for tp, end in ends.items()}


def _readable(topic: str, records: list[Any]) -> list[AlarmEvent]:
    events = []
    for record in records:
        try:
            events.append(ALARMS.decode_record(record.key, record.value))
        except Unreadable as refusal:  # a stranger's; it says nothing about what we have said
            log.warning("not an alarm", topic=topic, offset=record.offset, reason=str(refusal))
    return events
