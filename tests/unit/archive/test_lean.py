"""A lean record is aiokafka's own in all that a reader of the ledger can see."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from events.lean import METHOD, make_records_lean


def fetched(read: Any) -> list[Any]:
    """What a fetcher's PartitionRecords make of the bytes of a batch, whose first record was read before."""
    batch = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=10_000,
    )  # fmt: skip
    batch.append(0, 1_000, b"before", None, [])
    batch.append(1, 1_001, b"key", b"value", [("name", b"content"), ("empty", None)])
    batch.append(2, 1_002, None, None, [])
    records = MemoryRecords(bytes(batch.build()))
    return list(read(TopicPartition("t", 0), records, None, 1, None, None, True, READ_UNCOMMITTED))


def pristine() -> Any:
    """aiokafka's own, whoever has made records lean in this process before."""
    spec = importlib.util.find_spec(PartitionRecords.__module__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    return again.PartitionRecords


def seen(records: list[Any]) -> list[tuple[Any, ...]]:
    return [
        (each.offset, each.timestamp, each.timestamp_type, each.key, each.value, tuple(each.headers))
        for each in records
    ]


def test_lean_records_tell_what_aiokafkas_own_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartitionRecords, METHOD, getattr(PartitionRecords, METHOD))  # as it was, when this is over
    theirs = fetched(pristine())
    make_records_lean()
    lean = fetched(PartitionRecords)
    assert [each.offset for each in theirs] == [1, 2]
    assert seen(lean) == seen(theirs)
    assert type(lean[0]) is not type(theirs[0])
