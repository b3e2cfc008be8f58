"""A broker that says nothing is given up, and one that is slow is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from kafka import TopicPartition

from events import quarantine, silence
from events.quarantine import QUARANTINE_TOPIC, LedgerOrigin, QuarantineRecord
from events.silence import Silence
from processors import quarantine as reading
from replay import reconcile
from schemas.cluster import Cluster

KAFKA = Cluster("127.0.0.1:9")


def test_it_lasts_from_the_first_empty_fetch_to_the_next_that_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(silence, "time", SimpleNamespace(monotonic=lambda: now[0]))
    told = Silence(10.0)
    for at, fetched, expected in (
        (100.0, [], False),  # whatever came before it: the reader may have been busy
        (110.0, [], False), (110.5, [], True), (111.0, ["a record"], False), (200.0, [], False), (211.0, [], True),
    ):  # fmt: skip
        now[0] = at
        assert told.is_too_long(fetched) is expected, at


class Consumer:
    """A topic of one partition that gives `records`, one a fetch, and then nothing, though its end is further."""

    def __init__(self, records: list[Any], end: int) -> None:
        self.records, self.end, self.at = records, end, 0

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def assign(self, partitions: list[TopicPartition]) -> None: ...

    async def topics(self) -> set[str]:
        return {QUARANTINE_TOPIC}

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.end)

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Any]]:
        found = self.records[self.at : self.at + 1]
        self.at += len(found)
        return {TopicPartition(QUARANTINE_TOPIC, 0): found} if found else {}


def quarantined(offset: int) -> SimpleNamespace:
    record = QuarantineRecord(
        origin=LedgerOrigin("ledger", 0, offset), reason="no JSON", key=b"D", value=b"{",
        quarantined_at=datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip
    return SimpleNamespace(key=quarantine.key(record), value=quarantine.encode(record))


def opened(monkeypatch: pytest.MonkeyPatch, consumer: Consumer) -> None:
    monkeypatch.setattr(reading, "AIOKafkaConsumer", lambda **_: consumer)


def test_a_quarantine_that_is_not_given_to_its_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(monkeypatch, Consumer([quarantined(1)], end=2))
    monkeypatch.setattr(reading, "Silence", lambda: Silence(0.0))
    with pytest.raises(KafkaTimeoutError, match=QUARANTINE_TOPIC):
        asyncio.run(reading.read_quarantine(KAFKA))


def test_what_somebody_took_out_of_the_quarantine_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_out = SimpleNamespace(key=quarantined(1).key, value=None)
    opened(monkeypatch, Consumer([quarantined(1), quarantined(2), taken_out], end=3))
    assert [*asyncio.run(reading.read_quarantine(KAFKA))] == ["ledger/0@2"]


def test_a_ledger_that_is_not_given_to_its_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "Silence", lambda: Silence(0.0))
    archive: Any = SimpleNamespace(stream_partition=lambda *_, **__: iter(()))
    tp, counts = TopicPartition("ledger", 0), reconcile.Reconciliation()
    comparing = reconcile.compare_partition(Consumer([], end=2), tp, archive, 2, counts, lambda: None)
    with pytest.raises(KafkaTimeoutError, match="ledger/0"):
        asyncio.run(comparing)
