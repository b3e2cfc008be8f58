"""The rulebooks on a broker: publish one, read all, follow what is published.

Commands read once, with kafka-python; processes follow for as long as they run, with aiokafka.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError as AsyncKafkaError
from kafka import KafkaProducer
from kafka.errors import KafkaError

from events.entrance import require_entry
from events.envelope import encode, headers
from events.lean import take_any_header_name
from events.publisher import words
from events.rulebook import MAX_RECORD_BYTES, RULEBOOKS_TOPIC, Published, Shelf, make_rulebook_event
from events.whole_topic import records_until_now
from schemas.cluster import Cluster
from schemas.rulebook import Rulebook

_POLL_MS: Final = 500
_RETRY_SECONDS: Final = 1.0

log = structlog.get_logger()


def read_rulebooks(kafka: Cluster, *, topic: str = RULEBOOKS_TOPIC, timeout_seconds: float = 10.0) -> Shelf:
    """All rulebooks on the ledger as of now.

    Raises:
        BrokerUnreachable: nothing answers at `kafka`, it has no such topic, or nothing came for so long.
    """
    require_entry(kafka, timeout_seconds)
    shelf = Shelf()
    shelf.take(records_until_now(kafka, topic, silence_seconds=timeout_seconds, fetch_bytes=2 * MAX_RECORD_BYTES))
    return shelf


def publish_rulebook(
    kafka: Cluster,
    rulebook: Rulebook,
    *,
    id: str,  # noqa: A002  # CloudEvents' own word
    time: datetime,
    topic: str = RULEBOOKS_TOPIC,
    timeout_seconds: float = 30.0,
) -> Published | None:
    """Publish a rulebook, unless it is the newest already; then nothing is done and the answer is None.

    Raises:
        BrokerUnreachable: as `read_rulebooks`; nothing was published.
        ConnectionError: no answer; publishing once more is safe.
        Unreadable: it is too large.
    """
    event = make_rulebook_event(rulebook, id=id, time=time)
    if read_rulebooks(kafka, topic=topic, timeout_seconds=timeout_seconds).newest_version == rulebook.version:
        return None
    try:
        producer = KafkaProducer(
            **kafka.client, client_id="rulebooks", acks="all", enable_idempotence=True,
            max_request_size=2 * MAX_RECORD_BYTES, delivery_timeout_ms=int(timeout_seconds * 1000),
            request_timeout_ms=int(timeout_seconds * 500),
        )  # fmt: skip
        with contextlib.closing(producer):
            sent = producer.send(topic, encode(event), event.subject.encode(), headers(event))
            at = sent.get(timeout_seconds + 10.0)
    except KafkaError as error:
        raise ConnectionError(f"whether it was published is not known: {words(error)}; publish it again") from error
    return Published(at.timestamp * 1000, rulebook.version, rulebook)


async def follow_rulebooks(
    kafka: Cluster, heard: Callable[[tuple[Published, ...]], None], *, topic: str = RULEBOOKS_TOPIC
) -> None:
    """Read the rulebooks until cancelled. `heard` is given all of them: once when those that are there now have been
    read, even if there are none, and again after each change. A broker that goes away is waited for.
    """
    told: tuple[Published, ...] | None = None
    tp = TopicPartition(topic, 0)
    while True:
        shelf, caught_up = Shelf(), False
        try:
            async with _consuming(kafka, tp) as consumer:
                end = (await consumer.end_offsets([tp]))[tp]
                while True:
                    caught_up = caught_up or await consumer.position(tp) >= end
                    if caught_up and shelf.published != told:
                        told = shelf.published
                        heard(told)
                    known_bad = len(shelf.unreadable)
                    shelf.take((await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()))
                    for bad in shelf.unreadable[known_bad:]:
                        log.error("no rulebook: it does not hold", topic=topic, offset=bad.offset, reason=bad.reason)
        except (AsyncKafkaError, OSError) as error:
            log.warning("rulebooks not readable, trying again", error=words(error))
            await asyncio.sleep(_RETRY_SECONDS)


@contextlib.asynccontextmanager
async def _consuming(kafka: Cluster, tp: TopicPartition) -> AsyncIterator[Any]:
    take_any_header_name()
    consumer = AIOKafkaConsumer(
        **kafka.client, client_id="rulebooks", group_id=None, enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=2 * MAX_RECORD_BYTES, request_timeout_ms=10_000,
    )  # fmt: skip
    await consumer.start()
    try:
        while tp.topic not in await consumer.topics():
            log.info("waiting for the topic", topic=tp.topic)
            await asyncio.sleep(_RETRY_SECONDS)
        consumer.assign([tp])
        yield consumer
    finally:
        await consumer.stop()
