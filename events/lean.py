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
#: And how they are come by: without it there is one call in Python less for each.
ITERATE = "__iter__"
#: The name under which its fetcher knows the class that finds the batches in an answer of the broker.
RECORDS = "MemoryRecords"
#: Its method that reads them; how it was.
UNPACK: Final = "_unpack_records"
_UNPACK: Final = getattr(PartitionRecords, UNPACK)
#: Before each batch: its offset, and how long it is behind these twelve bytes.
_HEAD: Final = struct.Struct(">qi")


def make_records_lean() -> None:
    """From now on every consumer of this process hands out `LedgerRecord`s that know no topic and no partition."""
    setattr(PartitionRecords, METHOD, _as_parsed)
    setattr(PartitionRecords, ITERATE, _iterator)
    take_any_header_name()


def take_any_header_name() -> None:
    """From now on every consumer of this process reads records whatever the names of their headers are."""
    setattr(fetcher, RECORDS, _Records)
    setattr(PartitionRecords, UNPACK, _unpack)


def _as_parsed(_records: Any, _partition: Any, record: Any) -> Any:
    return record


def _iterator(records: Any) -> Any:
    return records._records_iterator


class _Records:
    """The batches of an answer; `last` are the bytes of the one that was given last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._ends = 0
        self._records = MemoryRecords(data)
        self.has_next, self.size_in_bytes = self._records.has_next, self._records.size_in_bytes
        self.last = memoryview(b"")

    def next_batch(self) -> Any:
        begins = self._ends
        self._ends += _HEAD.size + _HEAD.unpack_from(self._data, begins)[1]
        self.last = memoryview(self._data)[begins : self._ends]
        return self._records.next_batch()


def _unpack(records: Any) -> Iterator[Any]:
    """As aiokafka's own, and goes on behind a batch that cannot be read so."""
    while True:
        try:
            yield from _UNPACK(records)
        except UnicodeDecodeError:
            yield from _unpack_last(records)
        else:
            return


def _unpack_last(records: Any) -> Iterator[Any]:
    """The rest of the batch that aiokafka's parser did not get to the end of."""
    batch: Any = _DefaultRecordBatchPy(bytearray(records._records.last))
    iter(batch)  # it is unpacked now
    batch._buffer = _AnyText(batch._buffer)
    for record in batch:
        if record.offset >= records.next_fetch_offset:
            records.next_fetch_offset = record.offset + 1
            yield records._consumer_record(records._tp, record)
    records.next_fetch_offset = batch.next_offset


class _AnyText(bytearray):
    """Bytes of which every piece can be read as text."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _AnyText(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "surrogateescape")
