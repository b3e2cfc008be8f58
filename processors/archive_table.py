"""The archiver's side of the table `dossier_events`: blocks in, counts out, and rows that are there twice taken out.

Methods block; the archiver calls them in a thread. All of them raise ClickHouseError (from clickhouse-connect) or
OSError when ClickHouse does not answer or refuses.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

from events.ledger import Header, LedgerRecord
from processors.batches import COLUMNS, FORMAT, Batch

#: A batch is one block of one table partition; where that is not so, refuse it rather than write half of it.
_SETTINGS: Final = {
    "async_insert": "0",
    "insert_deduplicate": "1",
    "max_partitions_per_insert_block": "1",
    "throw_on_max_partitions_per_insert_block": "1",
    "min_insert_block_size_rows": "1000000",
    "min_insert_block_size_bytes": "1000000000",
}
_RANGE: Final = (
    "FROM dossier_events WHERE topic = {topic:String} AND partition = {partition:UInt32} "
    "AND offset BETWEEN {first:UInt64} AND {last:UInt64}"
)
_NAMED: Final = f"{_RANGE} AND offset IN {{offsets:Array(UInt64)}}"
_WITHIN: Final = (
    f"{_RANGE} AND arrayExists((begin, end) -> offset BETWEEN begin AND end, "
    "{begins:Array(UInt64)}, {ends:Array(UInt64)})"
)
#: So many offsets are named in a question; and so many runs of them in a command, which has its parameters in the URL.
_MAX_ASKED: Final = 5_000
_MAX_RUNS: Final = 250
#: How many different rows an offset has, whoever wrote them; said without null, which uniqExact would pass over.
#: Columns count: they follow from the record, but a forged row may have others, and one of an earlier release may too.
_DIFFERENT: Final = (
    "uniqExact(recorded_at, ifNull(key, ''), isNull(key), ifNull(raw, ''), isNull(raw), toString(headers), leaf, "
    "unreadable != '', occurred_at, ifNull(promised, 0), isNull(promised), dossier_id, toString(event))"
)


class Count(NamedTuple):
    """What a range of offsets holds: `rows` in the table, and how many different `offsets` they have."""

    rows: int
    offsets: int


#: What a row holds of its record: the broker's append time in milliseconds, key, value, headers.
Content = tuple[int, bytes | None, bytes | None, tuple[Header, ...]]


def content_of(record: LedgerRecord) -> Content:
    """What a row of this record must hold."""
    return record.timestamp, record.key, record.value, tuple(record.headers)


class ArchiveTable:
    """The rows of one ledger topic.

    `connect` gives a clickhouse-connect client. It is called when one is needed first, and again until it succeeds:
    the client asks the server at once, which may be away.
    """

    def __init__(self, connect: Callable[[], Any], topic: str) -> None:
        self._connect = connect
        self._connecting = threading.Lock()
        self._connected: Any = None
        self._topic = topic

    def close(self) -> None:
        if self._connected is not None:
            self._connected.close()

    @property
    def _client(self) -> Any:
        with self._connecting:
            if self._connected is None:
                self._connected = self._connect()
            return self._connected

    def require_deduplication(self) -> None:
        """Raise LookupError unless the table is there and knows the tokens of its last blocks."""
        sql = (
            "SELECT create_table_query FROM system.tables "
            "WHERE database = currentDatabase() AND name = 'dossier_events'"
        )
        rows = self._client.query(sql).result_rows
        if not rows:
            raise LookupError("the table dossier_events is not there: run `dossier migrate`")
        if not re.search(r"deduplication_window = [1-9]", rows[0][0]) and "Replicated" not in rows[0][0]:
            raise LookupError("the table dossier_events does not deduplicate: recreate it with `dossier migrate`")

    def cursor(self, partition: int) -> int:
        """The first offset that is not archived."""
        sql = (
            "SELECT count(), max(offset) FROM dossier_events "
            "WHERE topic = {topic:String} AND partition = {partition:UInt32}"
        )
        parameters = {"topic": self._topic, "partition": partition}
        ((rows, last),) = self._client.query(sql, parameters).result_rows
        return int(last) + 1 if rows else 0

    def insert(self, batch: Batch) -> None:
        """Send one batch; sending it again is nothing.

        The client would send bytes again by itself when the connection breaks. A view of them it sends once, and
        the decision stays with the archiver, which asks first whether the partition is still its own.
        """
        settings = _SETTINGS | {"insert_deduplication_token": batch.token}
        self._client.raw_insert("dossier_events", COLUMNS, batch.body, fmt=FORMAT, settings=settings)

    def count(self, partition: int, first: int, last: int) -> Count:
        sql = f"SELECT count(), groupBitmap(offset) {_RANGE}"  # as exact as uniqExact, for less
        ((rows, offsets),) = self._client.query(sql, self._range(partition, first, last)).result_rows
        return Count(int(rows), int(offsets))

    def offsets(self, partition: int, first: int, last: int) -> set[int]:
        sql = f"SELECT offset {_RANGE}"
        return {int(offset) for (offset,) in self._client.query(sql, self._range(partition, first, last)).result_rows}

    def records(self, partition: int, offsets: Collection[int]) -> dict[int, list[Content]]:
        """By offset what its rows hold of the record: of rows that differ two are given, of the same ones one."""
        record = "toUnixTimestamp64Milli(recorded_at), key, raw, headers.name, headers.value"
        sql = f"SELECT DISTINCT offset, {record} {_NAMED} LIMIT 2 BY offset"
        found: dict[int, list[Content]] = defaultdict(list)
        for some in self._named(partition, offsets):
            rows = self._client.query(sql, some, query_formats={"String": "bytes"}).result_rows
            for offset, at, key, raw, names, values in rows:
                headers = tuple(
                    (name.decode(errors="surrogateescape"), value)  # no archiver writes one that needs it
                    for name, value in zip(names, values, strict=True)
                )
                found[int(offset)].append((at, key, raw, headers))
        return found

    def newest(self, partition: int, count: int) -> dict[int, list[Content]]:
        """`records` of the last offsets that are archived, at most so many."""
        sql = (
            "SELECT offset FROM dossier_events WHERE topic = {topic:String} AND partition = {partition:UInt32} "
            "ORDER BY offset DESC LIMIT 1 BY offset LIMIT {count:UInt32}"
        )
        parameters = {"topic": self._topic, "partition": partition, "count": count}
        return self.records(partition, [int(offset) for (offset,) in self._client.query(sql, parameters).result_rows])

    def count_of(self, partition: int, offsets: Collection[int]) -> Count:
        """`count`, of scattered offsets."""
        rows, found = 0, 0
        for some in self._named(partition, offsets):
            ((more, different),) = self._client.query(f"SELECT count(), groupBitmap(offset) {_NAMED}", some).result_rows
            rows, found = rows + int(more), found + int(different)
        return Count(rows, found)

    def remove(self, partition: int, offsets: Collection[int]) -> None:
        """Take out all rows of these offsets."""
        for some in self._within(partition, offsets):
            self._client.command(f"DELETE {_WITHIN}", some)

    def remove_doubled(self, partition: int, first: int, last: int) -> int:
        """Where two runs wrote one record, keep the row of the smaller writer; gives of how many offsets rows went.

        Both runs may do this at once: they take out the same rows, and the smallest writer's row is never among them.
        Rows that differ stay: one of them is no archiver's, and the writer that it names is its forger's choice.
        """
        sql = (
            f"SELECT offset, min(toString(writer)) {_RANGE} GROUP BY offset "
            f"HAVING uniqExact(writer) > 1 AND {_DIFFERENT} = 1"
        )
        kept: dict[str, list[int]] = defaultdict(list)
        for offset, writer in self._client.query(sql, self._range(partition, first, last)).result_rows:
            kept[writer].append(int(offset))
        for writer, offsets in kept.items():
            for some in self._within(partition, offsets):
                sql = f"DELETE {_WITHIN} AND toString(writer) > {{kept:String}}"
                self._client.command(sql, some | {"kept": writer})
        return sum(map(len, kept.values()))

    def disputed(self, partition: int, first: int, last: int) -> list[int]:
        """The offsets of which rows differ, or one run has two: `remove_doubled` does not choose between those."""
        sql = (
            f"SELECT offset {_RANGE} GROUP BY offset "
            f"HAVING count() > 1 AND ({_DIFFERENT} > 1 OR uniqExact(writer) < count()) ORDER BY offset"
        )
        return [int(offset) for (offset,) in self._client.query(sql, self._range(partition, first, last)).result_rows]

    def _named(self, partition: int, offsets: Collection[int]) -> Iterator[dict[str, object]]:
        ordered = sorted(offsets)
        for start in range(0, len(ordered), _MAX_ASKED):
            some = ordered[start : start + _MAX_ASKED]
            yield self._range(partition, some[0], some[-1]) | {"offsets": some}

    def _within(self, partition: int, offsets: Collection[int]) -> Iterator[dict[str, object]]:
        found = list(runs(sorted(offsets)))
        for start in range(0, len(found), _MAX_RUNS):
            begins, ends = map(list, zip(*found[start : start + _MAX_RUNS], strict=True))
            yield self._range(partition, begins[0], ends[-1]) | {"begins": begins, "ends": ends}

    def _range(self, partition: int, first: int, last: int) -> dict[str, object]:
        return {"topic": self._topic, "partition": partition, "first": first, "last": last}


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as runs without a gap: first and last of each."""
    return joined((each, each) for each in numbers)


def joined(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ascending ranges, first and last of each; those that touch or overlap as one."""
    held: tuple[int, int] | None = None
    for first, last in ranges:
        if held is not None and first <= held[1] + 1:
            held = held[0], max(held[1], last)
            continue
        if held is not None:
            yield held
        held = first, last
    if held is not None:
        yield held
