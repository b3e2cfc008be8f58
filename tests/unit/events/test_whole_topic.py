"""A small topic is read to its end as it is now, and a broker that does not give it is not waited for for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from events import whole_topic
from events.entrance import BrokerUnreachable, NoSuchTopic
from events.whole_topic import records_until_now
from schemas.cluster import Cluster

TOPIC = "dossier.checkpoints.v1"
KAFKA = Cluster("127.0.0.1:9")


@dataclass
class Consumer:
    """A topic of five records that are their own offsets, in steps of two; it stops giving them at `silent`."""

    silent: int = 5
    topics: frozenset[str] = frozenset({TOPIC})
    at: int = 0
    closed: bool = False

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0} if topic in self.topics else set()

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [TopicPartition(TOPIC, 0)]

    def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 5)

    def position(self, _: TopicPartition) -> int:
        return self.at

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[int]]:
        assert timeout_ms
        first, self.at = self.at, min(self.at + 2, self.silent)
        return {TopicPartition(TOPIC, 0): list(range(first, self.at))}

    def close(self) -> None:
        self.closed = True


def opening(monkeypatch: pytest.MonkeyPatch, consumer: Consumer) -> Consumer:
    def opened(**settings: Any) -> Consumer:
        assert settings["bootstrap_servers"] == ["127.0.0.1:9"]
        return consumer

    monkeypatch.setattr(whole_topic, "KafkaConsumer", opened)
    return consumer


def test_it_is_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = opening(monkeypatch, Consumer())
    assert list(records_until_now(KAFKA, TOPIC)) == [0, 1, 2, 3, 4]
    assert consumer.closed


def test_a_broker_that_falls_silent_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = opening(monkeypatch, Consumer(silent=3))
    with pytest.raises(BrokerUnreachable, match="nothing came"):
        list(records_until_now(KAFKA, TOPIC, silence_seconds=0.01))
    assert consumer.closed


def test_a_topic_that_is_not_there_is_none_that_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = opening(monkeypatch, Consumer(topics=frozenset()))
    with pytest.raises(NoSuchTopic, match="dossier topics apply"):
        list(records_until_now(KAFKA, TOPIC))
    assert consumer.closed


def test_a_broker_that_does_not_answer_is_told_with_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(**_: Any) -> Consumer:
        raise KafkaTimeoutError("nobody")

    monkeypatch.setattr(whole_topic, "KafkaConsumer", nobody)
    with pytest.raises(BrokerUnreachable, match=f"{TOPIC} at 127.0.0.1:9 cannot be read"):
        list(records_until_now(KAFKA, TOPIC))
