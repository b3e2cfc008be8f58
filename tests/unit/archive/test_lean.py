"""A lean record is aiokafka's own in all that a reader of the ledger can see, whatever its headers are called."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from events.lean import ITERATE, METHOD, RECORDS, UNPACK, make_records_lean, take_any_header_name
from events.ledger import header_name_bytes


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


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's own, whatever was replaced in this process before; and what was there, when a test is over."""
    for name in (METHOD, ITERATE, UNPACK):
        monkeypatch.setattr(PartitionRecords, name, getattr(pristine(), name))
    monkeypatch.setattr(fetcher, RECORDS, MemoryRecords)


def test_lean_records_tell_what_aiokafkas_own_do() -> None:
    theirs = fetched(pristine())
    make_records_lean()
    lean = fetched(PartitionRecords)
    assert [each.offset for each in theirs] == [1, 2]
    assert seen(lean) == seen(theirs)
    assert type(lean[0]) is not type(theirs[0])


class Bytes(str):
    """A name that a client of other makings would send."""

    def encode(self, *_: Any, **__: Any) -> bytes:
        return super().encode(errors="surrogateescape")


def batch(first: int, *names: bytes, compression: int = 0) -> bytes:
    """A batch with a record for each name, and one before and behind them."""
    made = _DefaultRecordBatchBuilderPy(
        magic=2, compression_type=compression, is_transactional=0, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=100_000,
    )  # fmt: skip
    all_names = (b"before", *names, b"behind")
    for number, name in enumerate(all_names):
        headers = [(Bytes(name.decode(errors="surrogateescape")), b"content"), ("x", None)]
        made.append(number, 1_000 + number, b"key", b"value %d" % number, headers)
    data = made.build()
    data[:8] = first.to_bytes(8, "big")
    return bytes(data)


@pytest.mark.parametrize("replace", [take_any_header_name, make_records_lean], ids=["full", "lean"])
@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
def test_a_header_whose_name_is_no_utf_8_keeps_no_reader_from_what_is_behind_it(
    compression: int, replace: Callable[[], None]
) -> None:
    odd = [b"\xff\xfe", "tên".encode(), "tên".encode("utf-16"), b"\xed\xa0\x80", b"\xf0\x9f"]
    data = (
        batch(0, compression=compression) + batch(2, *odd, compression=compression) + batch(9, compression=compression)
    )

    def read() -> list[Any]:
        records = getattr(fetcher, RECORDS)(data)
        return list(PartitionRecords(TopicPartition("t", 0), records, None, 0, None, None, True, READ_UNCOMMITTED))

    with pytest.raises(UnicodeDecodeError):
        read()
    replace()
    found = read()
    assert [each.offset for each in found] == list(range(11))
    assert [each.value for each in found] == [b"value %d" % n for n in (0, 1, *range(7), 0, 1)]
    names = [b"before", b"behind", b"before", *odd, b"behind", b"before", b"behind"]
    assert [[(header_name_bytes(name), held) for name, held in each.headers] for each in found] == [
        [(name, b"content"), (b"x", None)] for name in names
    ]
