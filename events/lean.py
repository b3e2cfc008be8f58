"""What aiokafka's fetcher does otherwise for us: lean records, and header names that are no UTF-8.

Of each record it has parsed, aiokafka makes another one that also tells topic, partition and sizes, which takes longer
than reading it did. Who reads hundreds of thousands asks by partition and knows where they are from: a parsed record
is all of a `LedgerRecord`. aiokafka offers no way to say so, hence the method that makes the other one is replaced.

Its parser reads the names of headers as UTF-8. Kafka does not look at them, other clients send what they are given, and
one record with another name would keep its reader from all that is behind it for ever. So a batch that cannot be read
so is read once more, by the same parser in Python, with names as `surrogateescape` has them (PEP 383): their bytes can
be had back.

Tests read through aiokafka's own fetcher, so that a new aiokafka cannot part us.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

#: aiokafka's method that makes what a consumer hands out.
METHOD = "_consumer_record"
#: The name under which its fetcher knows the class that finds the batches in an answer of the broker.
RECORDS = "MemoryRecords"
#: Before each batch: its offset, and how long it is behind these twelve bytes.
_HEAD: Final = struct.Struct(">qi")


def make_records_lean() -> None:
    """From now on every consumer of this process hands out `LedgerRecord`s that know no topic and no partition."""
    setattr(PartitionRecords, METHOD, _as_parsed)
    take_any_header_name()


def take_any_header_name() -> None:
    """From now on every consumer of this process reads records whatever the names of their headers are."""
    setattr(fetcher, RECORDS, _Records)


def _as_parsed(_records: Any, _partition: Any, record: Any) -> Any:
    return record


class _Records:
    """The batches of an answer, each with its bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._begins = 0
        self._records = MemoryRecords(data)
        self.has_next, self.size_in_bytes = self._records.has_next, self._records.size_in_bytes

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        begins = self._begins
        self._begins += _HEAD.size + _HEAD.unpack_from(self._data, begins)[1]
        return _Batch(batch, memoryview(self._data)[begins : self._begins])


class _Batch:
    """A batch as aiokafka's own, but for the names of headers."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._bytes = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            again: Any = _DefaultRecordBatchPy(bytearray(self._bytes))
            iter(again)  # it is unpacked now
            again._buffer = _AnyText(again._buffer)
            return iter(list(again))


class _AnyText(bytearray):
    """Bytes of which every piece can be read as text."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _AnyText(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "surrogateescape")
