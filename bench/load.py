"""The load: ten events for each dossier, in time order, so that a batch touches different dossiers as in an office.

All first events come first, then all second ones, and so on; every peer reads the same records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from events.catalogue import (
    Actor,
    AnyFact,
    DeliveredByPost,
    HandedToPost,
    HandoffConfirmed,
    Processed,
    Received,
    Routed,
    StepCompleted,
    StepStarted,
)
from events.envelope import decode_record, encode, headers, make_event

PREFIX = "bench."
LEDGER = PREFIX + "dossier.events.v1"
PARTITIONS = 4
EVENTS_A_DOSSIER = 10
_ZONE = timezone(timedelta(hours=7))
_START = datetime(2020, 3, 2, 8, tzinfo=_ZONE)
_PROMISE = datetime(2020, 3, 20, 17, tzinfo=_ZONE)


def load(events: int, year: int = 2020) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record; `events` is a multiple of ten. Another year has other dossiers."""
    dossiers = events // EVENTS_A_DOSSIER
    for turn in range(EVENTS_A_DOSSIER):
        for number in range(dossiers):
            event = make_event(
                _fact(turn, f"GL-{number % 17}", Actor(id=f"cb{number % 50}")),
                id=f"{turn * dossiers + number:032x}",
                source=f"urn:office:gl:{number % 17}",
                subject=f"GTVT-{year}-{number:06d}",
                time=_START + timedelta(days=turn, minutes=number % 60),
            )
            yield event.subject.encode(), encode(event)


def _fact(turn: int, office: str, actor: Actor) -> AnyFact:
    facts: tuple[AnyFact, ...] = (
        Received(office=office, actor=actor, procedure="GPLX", channel="direct", promised=_PROMISE, room="mot-cua"),
        Routed(office=office, actor=actor, to="van-tai", step="tham-dinh"),
        HandoffConfirmed(office=office, actor=actor, room="van-tai"),
        StepStarted(office=office, actor=actor, step="tham-dinh"),
        StepCompleted(office=office, actor=actor, step="tham-dinh"),
        Routed(office=office, actor=actor, to="lanh-dao", step="trinh-ky"),
        HandoffConfirmed(office=office, actor=actor, room="lanh-dao"),
        Processed(office=office, actor=actor, outcome="issued"),
        HandedToPost(office=office, actor=actor, item_code="EI1VN"),
        DeliveredByPost(office=office, actor=actor, item_code="EI1VN"),
    )
    return facts[turn]


def headers_of(key: bytes, value: bytes) -> list[tuple[str, bytes]]:
    """What `events.publisher` puts beside an event: every reader has to parse it."""
    return headers(decode_record(key, value))


async def fill(broker: str, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
    """Write the records in order, in large batches, by Kafka's own partitioner."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=512 * 1024, acks="all")
    await producer.start()
    open_batches = [producer.create_batch() for _ in range(PARTITIONS)]
    for key, value in records:
        partition, beside = partition_of(key), headers_of(key, value)
        if open_batches[partition].append(key=key, value=value, timestamp=None, headers=beside) is None:
            await producer.send_batch(open_batches[partition], topic, partition=partition)
            open_batches[partition] = producer.create_batch()
            open_batches[partition].append(key=key, value=value, timestamp=None, headers=beside)
    for partition, batch in enumerate(open_batches):
        if batch.record_count():
            await producer.send_batch(batch, topic, partition=partition)
    await producer.flush()
    await producer.stop()


_EVERYWHERE = list(range(PARTITIONS))
_choose = DefaultPartitioner()


def partition_of(key: bytes) -> int:
    """The partition every Kafka client puts this key on."""
    chosen: int = _choose(key, _EVERYWHERE, _EVERYWHERE)
    return chosen
