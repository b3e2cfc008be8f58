"""From ledger records to the blocks that ClickHouse takes whole or not at all. No I/O, no clock.

A batch is consecutive records of one ledger partition that fall into one table partition (a month) and one block,
so that its insert is one part: either all of it is there or nothing. Its token names exactly what it holds, so that
sending it again changes nothing, whoever sends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec

from events.catalogue import Received
from events.envelope import Envelope, Unreadable, decode_record, microseconds
from events.ledger import LedgerRecord

#: One block: ClickHouse joins what comes in one insert up to 1 M rows and 256 MB. Twice as many rows bring no more
#: rows a second, and a quarter of a second's work is lost at most when an archiver dies.
MAX_ROWS: Final = 50_000
MAX_BYTES: Final = 32 * 1024 * 1024
#: What a record takes beside its bytes, roughly: bounds a batch of very many empty ones.
_ROW_BYTES: Final = 64
#: The columns of a row in a batch's body, and the ClickHouse format it is in. Of the formats the engine reads, Native
#: costs it least, but Python twice as much as MsgPack, which is one call for a whole batch: the sum decides.
COLUMNS: Final = (
    "topic", "partition", "offset", "recorded_at", "key", "raw", "headers", "unreadable", "occurred_at", "promised",
    "writer",
)  # fmt: skip
FORMAT: Final = "MsgPack"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encoder: Final = msgspec.msgpack.Encoder()


#: From key and value of a record to its event; raises Unreadable.
Decode = Callable[[bytes | None, bytes | None], Envelope]


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
    records: Sequence[LedgerRecord], max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
) -> Iterator[Sequence[LedgerRecord]]:
    """Cut consecutive records of one partition into batches: one month, `max_rows` and about `max_bytes` at most."""
    while records:
        batch = records[:max_rows]
        if not _is_one_batch(batch, max_bytes):
            batch = batch[: _end_of_batch(batch, max_bytes)]
        yield batch
        records = records[len(batch) :]


def _is_one_batch(records: Sequence[LedgerRecord], max_bytes: int) -> bool:
    """The usual case, known at the speed of C."""
    times = [record.timestamp for record in records]
    return _month(min(times)) == _month(max(times)) and (len(records) == 1 or weight(records) <= max_bytes)


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
    decode: Decode = decode_record,
) -> Batch:
    """Encode what `cut` gave. `writer` is this run of the archiver, `decode` tells what is an event of the topic.

    `salt` sets a repair apart from the batch it repairs: ClickHouse would take it for the same and drop it.
    """
    keys, values = [record.key for record in records], [record.value for record in records]
    offsets = [record.offset for record in records]
    unreadable: dict[int, str] = {}
    events = [_event(record, unreadable, decode) for record in records]
    ledger = (
        offsets,
        [record.timestamp for record in records],
        keys,
        values,
        [record.headers for record in records],
    )
    rows = zip(
        repeat(topic),
        repeat(partition),
        *ledger,
        [unreadable.get(offset, "") for offset in offsets] if unreadable else repeat(""),
        [microseconds(event.time) if event else 0 for event in events],
        [_promised(event) for event in events],
        repeat(str(writer)),
        strict=False,  # what is repeated has no end
    )
    first, last = records[0].offset, records[-1].offset
    digest = hashlib.sha256(_encoder.encode(ledger)).hexdigest()
    return Batch(
        topic, partition, first, last, f"{topic}:{partition}:{first}:{last}:{digest}{salt}", _values(rows), records,
        unreadable,
    )  # fmt: skip


def _values(rows: Iterable[Iterable[object]]) -> memoryview:
    """All values one after the other, as the format MsgPack wants them: an array without its head."""
    values = list(chain.from_iterable(rows))
    head = 1 if len(values) < 16 else 3 if len(values) < 1 << 16 else 5
    return memoryview(_encoder.encode(values))[head:]


def _event(record: LedgerRecord, unreadable: dict[int, str], decode: Decode) -> Envelope | None:
    try:
        return decode(record.key, record.value)
    except Unreadable as refusal:
        unreadable[record.offset] = str(refusal)
        return None


def _promised(event: Envelope | None) -> int | None:
    if event is None or not isinstance(event.data, Received) or event.data.promised is None:
        return None
    return microseconds(event.data.promised)


def _month(timestamp_ms: int) -> tuple[int, int]:
    """Begin and end (exclusive) of the UTC month, in milliseconds since 1970."""
    begin = (_EPOCH + timedelta(milliseconds=timestamp_ms)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (begin + timedelta(days=32)).replace(day=1)
    return microseconds(begin) // 1000, microseconds(end) // 1000
