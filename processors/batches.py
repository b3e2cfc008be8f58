"""From ledger records to the blocks that ClickHouse takes whole or not at all. No I/O, no clock.

A batch is consecutive records of one ledger partition that fall into one table partition (a month) and one block,
so that its insert is one part: either all of it is there or nothing. Its token names exactly what it holds, so that
sending it again changes nothing, whoever sends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final
from uuid import UUID

from events.catalogue import Received
from events.envelope import Event, Unreadable, decode_record, microseconds
from events.ledger import LedgerRecord
from processors import native

#: One block: ClickHouse joins what comes in one insert up to 1 M rows and 256 MB. Twice as many rows bring no more
#: rows a second, and a quarter of a second's work is lost at most when an archiver dies.
MAX_ROWS: Final = 50_000
MAX_BYTES: Final = 32 * 1024 * 1024
#: What a record takes beside its bytes, roughly: bounds a batch of very many empty ones.
_ROW_BYTES: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Batch:
    """One insert: `body` is a block in Native format. `unreadable`: offset → why the record is no event."""

    topic: str
    partition: int
    first: int
    last: int
    token: str
    body: bytes
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


def make_batch(topic: str, partition: int, records: Sequence[LedgerRecord], writer: UUID, salt: str = "") -> Batch:
    """Encode what `cut` gave. `writer` is this run of the archiver.

    `salt` sets a repair apart from the batch it repairs: ClickHouse would take it for the same and drop it.
    """
    rows, unreadable = len(records), dict[int, str]()
    events = [_event(record, unreadable) for record in records]
    columns = [
        native.texts("topic", [topic] * rows),
        native.constant("partition", "UInt32", partition.to_bytes(4, "little"), rows),
        native.integers("offset", "UInt64", [record.offset for record in records]),
        native.integers("recorded_at", "DateTime64(3, 'UTC')", [record.timestamp for record in records]),
        native.nullable_strings("key", [record.key for record in records]),
        native.nullable_strings("raw", [record.value for record in records]),
        native.headers("headers", [record.headers for record in records]),
        native.texts("unreadable", [unreadable.get(record.offset, "") for record in records]),
        native.integers(
            "occurred_at", "DateTime64(6, 'UTC')", [microseconds(each.time) if each else 0 for each in events]
        ),
        native.nullable_integers("promised", "DateTime64(6, 'UTC')", [_promised(each) for each in events]),
    ]
    first, last = records[0].offset, records[-1].offset
    digest = hashlib.sha256(b"".join(each.values for each in columns))
    columns.append(native.constant("writer", "UUID", _uuid(writer), rows))
    return Batch(
        topic, partition, first, last,
        f"{topic}:{partition}:{first}:{last}:{digest.hexdigest()}{salt}",
        native.block(columns, rows), records, unreadable,
    )  # fmt: skip


def _event(record: LedgerRecord, unreadable: dict[int, str]) -> Event | None:
    try:
        return decode_record(record.key, record.value)
    except Unreadable as reason:
        unreadable[record.offset] = str(reason)
        return None


def _promised(event: Event | None) -> int | None:
    if event is None or not isinstance(event.data, Received) or event.data.promised is None:
        return None
    return microseconds(event.data.promised)


def _month(timestamp_ms: int) -> tuple[int, int]:
    """Begin and end (exclusive) of the UTC month, in milliseconds since 1970."""
    begin = (_EPOCH + timedelta(milliseconds=timestamp_ms)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (begin + timedelta(days=32)).replace(day=1)
    return microseconds(begin) // 1000, microseconds(end) // 1000


def _uuid(value: UUID) -> bytes:
    """ClickHouse keeps a UUID as two little-endian halves."""
    return value.bytes[7::-1] + value.bytes[:7:-1]
