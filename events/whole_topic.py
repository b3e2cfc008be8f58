"""A topic of one partition, small enough to be read from its beginning to its end as it is now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from events.entrance import BrokerUnreachable, no_topic
from events.publisher import words
from events.silence import SILENCE_SECONDS, Silence
from schemas.cluster import Cluster

_FETCH_BYTES: Final = 1024 * 1024
_POLL_MS: Final = 500


def records_until_now(
    kafka: Cluster, topic: str, *, silence_seconds: float = SILENCE_SECONDS, fetch_bytes: int = _FETCH_BYTES
) -> Iterator[Any]:
    """Its records, the oldest first, as kafka-python's consumer gives them.

    Raises:
        NoSuchTopic: the broker does not show it.
        BrokerUnreachable: nothing answers at `kafka`, or it fell silent.
    """
    try:
        consumer = KafkaConsumer(
            **kafka.client, client_id="whole-topic", group_id=None, enable_auto_commit=False,
            auto_offset_reset="earliest", max_partition_fetch_bytes=fetch_bytes,
        )  # fmt: skip
        with contextlib.closing(consumer):
            if not consumer.partitions_for_topic(topic):
                raise no_topic(kafka, topic)
            yield from _until_now(consumer, TopicPartition(topic, 0), silence_seconds)
    except KafkaError as error:
        raise BrokerUnreachable(f"{topic} at {kafka} cannot be read: {words(error)}") from error


def _until_now(consumer: Any, tp: TopicPartition, silence_seconds: float) -> Iterator[Any]:
    consumer.assign([tp])
    end = consumer.end_offsets([tp])[tp]
    silence = Silence(silence_seconds)
    while consumer.position(tp) < end:
        records = consumer.poll(timeout_ms=_POLL_MS).get(tp, ())
        if silence.is_too_long(records):
            raise BrokerUnreachable(f"{tp.topic} cannot be read: nothing came for {silence_seconds:g} seconds")
        yield from records
