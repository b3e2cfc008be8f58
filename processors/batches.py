"""From ledger records to the blocks that ClickHouse takes whole or not at all. No I/O, no clock.

A batch is consecutive records of one ledger partition that fall into one table partition (a month) and one block,
so that its insert is one part: either all of it is there or nothing. Its token names exactly what it holds, so that
sending it again changes nothing, whoever sends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import pyarrow as pa

from events.catalogue import Received
from events.envelope import LEDGER, Decode, Unreadable, microseconds
from events.ledger import Header, LedgerRecord, header_name_bytes

#: One block: ClickHouse joins what comes in one insert up to 1 M rows and 256 MB. Twice as many rows bring no more
#: rows a second, and a quarter of a second's work is lost at most when an archiver dies.
MAX_ROWS: Final = 50_000
MAX_BYTES: Final = 32 * 1024 * 1024
#: What a record takes beside its bytes, roughly: bounds a batch of very many empty ones.
_ROW_BYTES: Final = 64
#: The columns of a batch's body, and the ClickHouse format it is in. Columns made by Arrow cost Python and the engine a
#: microsecond a row each, less than half of what rows in MsgPack do; Native costs the engine as little, Python more.
FORMAT: Final = "ArrowStream"
_WORD: Final = pa.dictionary(pa.int8(), pa.string())  # the same in every row, or nearly
_HEADERS: Final = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
_HEADERS_IN_BYTES: Final = pa.list_(pa.struct([("name", pa.binary()), ("value", pa.binary())]))
_SCHEMA: Final = pa.schema(
    [
        ("topic", _WORD),
        ("partition", pa.uint32()),
        ("offset", pa.uint64()),
        ("recorded_at", pa.timestamp("ms", "UTC")),
        ("key", pa.binary()),
        ("raw", pa.binary()),
        ("headers", _HEADERS),
        ("unreadable", pa.string()),
        ("occurred_at", pa.timestamp("us", "UTC")),
        ("promised", pa.timestamp("us", "UTC")),
        ("writer", _WORD),
    ]
)
COLUMNS: Final = tuple(_SCHEMA.names)
#: The columns that a batch's token is made from: the record, and nothing of who archived it.
_RECORD: Final = ["offset", "recorded_at", "key", "raw", "headers"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Batch:
    """One insert: `body` holds the rows in FORMAT. `unreadable`: offset → why the record is no event."""

    topic: str
    partition: int
    first: int
    last: int
    token: str
    body: memoryview
    records: Sequence[LedgerRecord]
    unreadable: dict[int, str]

    @property
    def rows(self) -> int:
        return len(self.records)


def weight(records: Sequence[LedgerRecord]) -> int:
    """Bytes the records take in a batch, roughly."""
    keys, values = (filter(None, map(attrgetter(name), records)) for name in ("key", "value"))
    return _ROW_BYTES * len(records) + sum(map(len, keys)) + sum(map(len, values))


def cut(
    records: Sequence[LedgerRecord], max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES, weighed: int | None = None
) -> Iterator[Sequence[LedgerRecord]]:
    """Cut consecutive records of one partition into batches: one month, `max_rows` and about `max_bytes` at most.

    `weighed` is the weight of all of them, if it is known.
    """
    all_fit = weighed is not None and weighed <= max_bytes
    while records:
        batch = records[:max_rows]
        if not (_is_one_month(batch) and (all_fit or len(batch) == 1 or weight(batch) <= max_bytes)):
            batch = batch[: _end_of_batch(batch, max_bytes)]
        yield batch
        records = records[len(batch) :]


def _is_one_month(records: Sequence[LedgerRecord]) -> bool:
    """The usual case, known at the speed of C."""
    times = [record.timestamp for record in records]
    return _month(min(times)) == _month(max(times))


def _end_of_batch(records: Sequence[LedgerRecord], max_bytes: int) -> int:
    """How many of the first records fit: at least one."""
    begin, end = _month(records[0].timestamp)
    size = 0
    for index, record in enumerate(records):
        size += weight((record,))
        if index and (size > max_bytes or not begin <= record.timestamp < end):
            return index
    return len(records)


def make_batch(
    topic: str,
    partition: int,
    records: Sequence[LedgerRecord],
    writer: UUID,
    salt: str = "",
    decode: Decode = LEDGER.decode_records,
) -> Batch:
    """Encode what `cut` gave. `writer` is this run of the archiver, `decode` tells what is an event of the topic.

    `salt` sets a repair apart from the batch it repairs: ClickHouse would take it for the same and drop it.
    """
    keys, values = [record.key for record in records], [record.value for record in records]
    offsets, recorded = [record.offset for record in records], [record.timestamp for record in records]
    headers = [record.headers for record in records]
    unreadable: dict[int, str] = {}
    occurred: list[datetime] = []
    promised: list[datetime | None] = []
    for offset, event in zip(offsets, decode(keys, values), strict=True):
        if type(event) is Unreadable:
            unreadable[offset] = str(event)
            occurred.append(_EPOCH)
            promised.append(None)
        else:
            occurred.append(event.time)
            promised.append(event.data.promised if type(event.data) is Received else None)
    count = len(records)
    told = [unreadable.get(offset, "") for offset in offsets] if unreadable else pa.repeat("", count)
    columns = (
        _word(topic, count), pa.repeat(pa.scalar(partition, pa.uint32()), count), offsets, recorded, keys, values,
        _headers(headers), told, occurred, promised, _word(str(writer), count),
    )  # fmt: skip
    rows, first, last = _rows(columns), offsets[0], offsets[-1]
    digest = hashlib.sha256(rows.select(_RECORD).serialize()).hexdigest()
    return Batch(
        topic, partition, first, last, f"{topic}:{partition}:{first}:{last}:{digest}{salt}", _body(rows), records,
        unreadable,
    )  # fmt: skip


def _headers(of_records: Sequence[Sequence[Header]]) -> pa.Array[Any]:
    try:
        return pa.array(of_records, _HEADERS)
    except UnicodeEncodeError:  # some name is no UTF-8: ClickHouse keeps its bytes, which Arrow would not call a string
        names = [[(header_name_bytes(name), value) for name, value in headers] for headers in of_records]
        return pa.array(names, _HEADERS_IN_BYTES).cast(_HEADERS, safe=False)


def _word(word: str, count: int) -> pa.Array[Any]:
    """The same in every row."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), count), [word])


def _rows(columns: Iterable[Any]) -> pa.RecordBatch:
    arrays = [
        each if isinstance(each, pa.Array) else pa.array(each, kind.type)
        for each, kind in zip(columns, _SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _body(rows: pa.RecordBatch) -> memoryview:
    """An Arrow stream of one batch."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _SCHEMA) as stream:
        stream.write_batch(rows)
    return memoryview(sink.getvalue())


def _month(timestamp_ms: int) -> tuple[int, int]:
    """Begin and end (exclusive) of the UTC month, in milliseconds since 1970."""
    begin = (_EPOCH + timedelta(milliseconds=timestamp_ms)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (begin + timedelta(days=32)).replace(day=1)
    return microseconds(begin) // 1000, microseconds(end) // 1000
