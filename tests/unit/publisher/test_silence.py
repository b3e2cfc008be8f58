"""A producer that never answers again: what is on its way is unknown at once, and another one goes on."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

import events.publisher
from events.catalogue import StepCompleted
from events.envelope import Event, make_event
from events.publisher import Outcome, Publisher
from schemas.cluster import Cluster


class Silent:
    """A future whose answer never comes."""

    is_done = False

    def get(self, timeout: float) -> Any:
        threading.Event().wait(timeout)
        raise KafkaTimeoutError("in vain")


@dataclass
class Answered:
    """A future whose answer is there."""

    partition: int = 0
    offset: int = 7
    timestamp: int = 1_700_000_000_000
    is_done: bool = True

    def get(self, timeout: float) -> Answered:
        assert timeout >= 0
        return self


@dataclass
class Producer:
    """What the publisher uses of a producer."""

    answer: type[Silent] | type[Answered]
    sent: list[bytes] = field(default_factory=list)
    closed: bool = False

    def send(self, _topic: str, value: bytes, _key: bytes, _headers: object) -> Silent | Answered:
        self.sent.append(value)
        return self.answer()

    def close(self, _timeout: float | None) -> None:
        self.closed = True


def make(number: int) -> Event:
    return make_event(
        StepCompleted(office="so", step="s"),
        id=f"{number}",
        source="t",
        subject="d",
        time=datetime(2020, 1, 2, tzinfo=UTC),
    )


def test_a_silent_producer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    silent, speaking = Producer(Silent), Producer(Answered)
    producers = iter((silent, speaking))
    monkeypatch.setattr(events.publisher, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(Publisher, "_connect", lambda _: next(producers))
    monkeypatch.setattr(events.publisher, "require_entry", lambda *_: None)
    publisher = Publisher(Cluster("kafka:9092"), delivery_timeout_seconds=0.2)
    began = time.monotonic()
    lost = list(publisher.publish_many(map(make, range(50))))
    assert time.monotonic() - began < 10, "one wait for all of them, not one for each"
    assert {each.outcome for each in lost} == {Outcome.UNKNOWN}
    again = list(publisher.publish_many(each.event for each in lost))
    assert {each.outcome for each in again} == {Outcome.CONFIRMED}
    assert (len(silent.sent), silent.closed, len(speaking.sent), speaking.closed) == (50, True, 50, False)
    publisher.close()
    assert speaking.closed
