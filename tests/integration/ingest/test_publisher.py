"""The publisher against a real broker: where events are, and what is said when the broker is gone."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from deploy import topics
from events import quarantine
from events.catalogue import CollectedByPost, StepCompleted
from events.entrance import BrokerUnreachable
from events.envelope import MAX_EVENT_BYTES, Event, decode_record, encode, headers, make_event
from events.publisher import Outcome, Publisher
from schemas.cluster import Cluster

pytestmark = pytest.mark.integration
START = datetime(2020, 3, 2, 1, tzinfo=UTC)


def make(number: int, dossier: str = "HS-1") -> Event:
    fact = StepCompleted(office="so", step=f"step {number}")
    return make_event(fact, id=f"e{number:06d}", source="test", subject=dossier, time=START + timedelta(seconds=number))


def too_large() -> Event:
    """An event that `make_event` would refuse to make."""
    fact = CollectedByPost(office="so", item_code="E1", checklist=("ấ" * 4_000,) * 100)
    small = make_event(
        CollectedByPost(office="so", item_code="E1"), id="big", source="test", subject="HS-1", time=START
    )
    return msgspec.structs.replace(small, data=fact)


def records(broker: str, topic: str, count: int) -> dict[tuple[int, int], tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    """The first `count` records of a topic by position."""
    consumer = KafkaConsumer(bootstrap_servers=[broker], enable_auto_commit=False, auto_offset_reset="earliest")
    with contextlib.closing(consumer):
        consumer.assign([TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)])
        found: dict[tuple[int, int], tuple[bytes, bytes, list[tuple[str, bytes]]]] = {}
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        while len(found) < count and datetime.now(UTC) < deadline:
            for batch in consumer.poll(timeout_ms=200).values():
                found |= {(each.partition, each.offset): (each.key, each.value, each.headers) for each in batch}
        return found


@pytest.fixture
def ledger(make_topics: Callable[..., str]) -> str:
    return f"{make_topics()}dossier.events.v1"


@pytest.fixture
def publisher(broker: str, ledger: str) -> Iterator[Publisher]:
    prefix = ledger.removesuffix("dossier.events.v1")
    with Publisher(
        Cluster(broker), topic=ledger, quarantine_topic=f"{prefix}{quarantine.QUARANTINE_TOPIC}"
    ) as publisher:
        yield publisher


def test_a_confirmed_event_is_where_the_report_says(broker: str, ledger: str, publisher: Publisher) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    deliveries = list(publisher.publish_many(make(number, f"HS-{number % 7}") for number in range(6_000)))
    assert [each.event.id for each in deliveries] == [f"e{number:06d}" for number in range(6_000)], "in their order"
    assert {each.outcome for each in deliveries} == {Outcome.CONFIRMED}
    there = records(broker, ledger, 6_000)
    for each in deliveries:
        assert each.partition is not None
        assert each.offset is not None
        key, value, ce = there[each.partition, each.offset]
        assert (key, value, ce) == (each.event.subject.encode(), encode(each.event), headers(each.event))
        assert decode_record(key, value) == each.event
        assert each.recorded_at is not None
        assert before <= each.recorded_at <= datetime.now(UTC) + timedelta(seconds=1)
    assert len(there) == 6_000, "nothing twice"


def test_an_event_that_is_too_large_is_refused_and_the_others_go_on(publisher: Publisher) -> None:
    outcomes = [each.outcome for each in publisher.publish_many((make(1), too_large(), make(2)))]
    assert outcomes == [Outcome.CONFIRMED, Outcome.REFUSED, Outcome.CONFIRMED]
    refused = publisher.publish(too_large())
    assert refused.reason is not None
    assert str(MAX_EVENT_BYTES) in refused.reason


def test_a_ledger_that_is_not_there_is_told_with_what_to_do(broker: str) -> None:
    with pytest.raises(BrokerUnreachable, match="dossier topics apply"):
        Publisher(Cluster(broker), topic="no-such-ledger", connect_timeout_seconds=2.0)


def test_each_outcome_is_given_before_the_next_event_must_come(publisher: Publisher) -> None:
    """A paced source must not wait for its outcomes until thousands are on their way."""
    deliveries = publisher.publish_many(_watched := iter([make(1), make(2)]))
    assert next(deliveries).outcome is Outcome.CONFIRMED
    assert [each.event.id for each in deliveries] == ["e000002"]
    assert next(_watched, None) is None


def test_quarantined_lines_are_there_once_an_origin(broker: str, ledger: str, publisher: Publisher) -> None:
    line = quarantine.from_file(
        file="a/log.csv", line=3, value=b"\xff\x00" * 400_000, reason="not utf-8", quarantined_at=START
    )
    publisher.hold([line, line])
    topic = f"{ledger.removesuffix('dossier.events.v1')}{quarantine.QUARANTINE_TOPIC}"
    held = records(broker, topic, 2)
    assert {key for key, _, _ in held.values()} == {quarantine.key(line)}, "compaction leaves one"
    assert quarantine.decode(next(iter(held.values()))[1]) == line


def test_without_an_answer_the_outcome_is_unknown_and_a_retry_with_the_same_id_is_safe(
    start_broker: Callable[[], contextlib.AbstractContextManager[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "kafka")  # captured records would keep the errors, and these the sockets
    with start_broker() as address:
        topics.apply(Cluster(address), topics.load_topics(1, 1))
        publisher = Publisher(Cluster(address), delivery_timeout_seconds=4.0)
        assert publisher.publish(make(1)).outcome is Outcome.CONFIRMED
    lost = list(publisher.publish_many((make(2), make(3))))
    assert [each.outcome for each in lost] == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert all(each.reason for each in lost)
    publisher.close(20.0)
    del publisher
    gc.collect()  # kafka-python 3.0.12 leaves sockets that found no broker to the collector
    with start_broker() as address:
        with Publisher(Cluster(address)) as again:
            assert {each.outcome for each in again.publish_many(each.event for each in lost)} == {Outcome.CONFIRMED}
        found = [decode_record(key, value).id for key, value, _ in records(address, "dossier.events.v1", 3).values()]
    assert sorted(set(found)) == ["e000001", "e000002", "e000003"]
