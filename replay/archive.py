"""The archive as a reader sees it: records in the order of the ledger, a dossier's history, what is there already.

Nothing here writes. Bytes come back as they stand on the ledger, and null is not empty.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final, NamedTuple

from events.envelope import LEDGER, Event, Unreadable
from events.ledger import LEDGER_TOPIC
from replay.columns import ROW_SQL
from replay.leaf import LEAF_SQL

_COLUMNS: Final = (
    "partition, offset, toUnixTimestamp64Milli(recorded_at), toUnixTimestamp64Micro(occurred_at), key, raw, "
    "headers.name, headers.value, unreadable"
)
#: Strings come as bytes: the ledger may hold anything.
_AS_BYTES: Final = {"String": "bytes"}
#: The columns of `Records`. What is null is no event, as what is empty is none.
_RECORDS: Final = ("offset", "toUnixTimestamp64Milli(recorded_at) * 1000", "ifNull(raw, '')")
_BESIDE: Final = ("offset", "ifNull(raw, '')")
#: A row a dossier: its key, whether something of it is doubtful, the records of the ledger, those of the topic beside.
_HISTORY: Final = ", ".join(
    ["ifNull(key, '') AS history", "max(unreadable != '')"]
    + [f"groupArrayIf({column}, topic = {{topic:String}})" for column in _RECORDS]
    + [f"groupArrayIf({column}, topic != {{topic:String}})" for column in _BESIDE]
)
#: The server puts on disk what takes more than this; what it hands out at once is a 256th of the partition.
_GROUPED: Final = {"max_bytes_before_external_group_by": str(512 * 1024 * 1024)}
_MAX_IDS_A_QUERY: Final = 5_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_POLL_SECONDS: Final = 0.1


class Records(NamedTuple):
    """Archived records as the fold reads them, a sequence a column: the same place in each is the same record.

    `recorded` is the append time in microseconds since 1970 UTC.
    """

    offsets: Sequence[int]
    recorded: Sequence[int]
    values: Sequence[bytes]


NO_RECORDS: Final = Records((), (), ())


class History(NamedTuple):
    """What is archived under one key, empty where a record has none: of the ledger, and of the topic beside it.

    `beside` has values alone, in order. `doubtful`: some of all these were no events when they were archived.
    """

    key: bytes
    records: Records
    beside: Sequence[bytes]
    doubtful: bool


#: Rows, a column at a time.
_Columns = Sequence[Sequence[Any]]


class ArchiveRow(NamedTuple):
    """One record of the ledger as archived.

    `occurred_at` is the event's own time; None where the record is unreadable, in which case `unreadable` says why.
    """

    partition: int
    offset: int
    recorded_ms: int
    occurred_at: datetime | None
    key: bytes | None
    raw: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    unreadable: str

    @property
    def recorded_at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.recorded_ms)


class Archive:
    """Reads the table `dossier_events` of one ledger over a clickhouse-connect client, which stays the caller's.

    Every method raises clickhouse_connect.driver.exceptions.ClickHouseError when ClickHouse does not answer.
    """

    def __init__(self, client: Any, topic: str = LEDGER_TOPIC) -> None:
        self.client = client
        self.topic = topic

    def events_of(self, dossier_id: str) -> list[ArchiveRow]:
        """The readable records of one dossier in ledger order, each once though its row may be there twice.

        Readable now: an event of a version that was too new for the archiver is one for whoever knows that version.
        """
        sql = (
            f"SELECT {_COLUMNS} FROM dossier_events "  # noqa: S608  # our own column names; values are parameters
            "WHERE topic = {topic:String} AND dossier_id IN ({dossier:String}, '') AND key = {dossier:String}"
        )
        rows = [row for block in self._blocks(sql, {"dossier": dossier_id}) for row in block if _is_readable(row)]
        once = {(row.partition, row.offset, row.recorded_ms, row.key, row.raw, row.headers): row for row in rows}
        return sorted(
            once.values(), key=lambda row: (row.partition, row.offset)
        )  # the server would sort what it has yet to read

    def stream_partition(self, partition: int, first: int = 0, end: int | None = None) -> Iterator[list[ArchiveRow]]:
        """The records of a partition with `first` ≤ offset < `end`, in order, a block at a time.

        ClickHouse sends blocks of about a mebibyte, so memory stays bounded however large the archive is.
        """
        sql = (
            f"SELECT {_COLUMNS} FROM dossier_events "  # noqa: S608  # our own column names; values are parameters
            "WHERE topic = {topic:String} AND partition = {partition:UInt32} "
            "AND offset BETWEEN {first:UInt64} AND {last:UInt64} ORDER BY topic, partition, offset"
        )
        if end != 0:
            yield from self._blocks(sql, {"partition": partition, "first": first, "last": _last_before(end)})

    def by_dossier(
        self, partition: int, end: int, beside: tuple[str, int] = ("", 0), dossiers: Collection[str] | None = None
    ) -> Iterator[History]:
        """The records before `end` of a partition for the fold, a dossier at a time, the dossiers in any order.

        The server puts them together, on disk where it must, a 256th of them at a time: so much of the partition is in
        memory at once, there and here.

        Args:
            beside: another topic of the same table, and up to where.
            dossiers: of these alone.
        """
        sql = (
            f"SELECT {_HISTORY} FROM dossier_events "  # noqa: S608  # our own column names; values are parameters
            "WHERE partition = {partition:UInt32} AND (topic = {topic:String} AND offset < {end:UInt64} "
            "OR topic = {beside:String} AND offset < {beside_end:UInt64})"
        )
        parameters = {"partition": partition, "end": end, "beside": beside[0], "beside_end": beside[1]}
        if dossiers is None:
            yield from histories(self._columns(f"{sql} GROUP BY history", parameters, _GROUPED))
            return
        wanted = sorted(dossiers)
        for start in range(0, len(wanted), _MAX_IDS_A_QUERY):
            some = {"dossiers": wanted[start : start + _MAX_IDS_A_QUERY]}
            # What is in no index is looked for where something unreadable is.
            named = " AND dossier_id IN arrayPushBack({dossiers:Array(String)}, '') AND key IN {dossiers:Array(String)}"
            yield from histories(self._columns(f"{sql}{named} GROUP BY history", {**parameters, **some}, _GROUPED))

    def scattered(self, most: int) -> list[tuple[str, list[int]]]:
        """Dossiers of which events are in more partitions than one, and which those are; the first of them."""
        sql = (
            "SELECT key, groupUniqArray(100)(partition) FROM dossier_events WHERE topic = {topic:String} "
            "AND unreadable = '' AND isNotNull(key) GROUP BY key HAVING min(partition) < max(partition) "
            "ORDER BY key LIMIT {most:UInt32}"
        )
        blocks = self._columns(sql, {"most": most}, _GROUPED)
        return [
            (_text(key), sorted(map(int, partitions)))
            for keys, places in blocks
            for key, partitions in zip(keys, places, strict=True)
        ]

    def leaves(self, partition: int) -> Iterator[list[Any]]:
        """All rows of a partition as `replay.verify.StoredRow`, a block at a time, in ledger order."""
        sql = (
            f"SELECT offset, {LEAF_SQL}, leaf FROM dossier_events WHERE topic = {{topic:String}} "  # noqa: S608  # our own words; values are parameters
            "AND partition = {partition:UInt32} ORDER BY topic, partition, offset"
        )
        for columns in self._columns(sql, {"partition": partition}):
            yield list(zip(*columns, strict=True))

    def with_columns(self, partition: int, end: int) -> Iterator[Sequence[Sequence[Any]]]:
        """The rows before `end` of a partition as `replay.columns.ROW_SQL` has them, a block at a time."""
        sql = (
            f"SELECT {ROW_SQL} FROM dossier_events WHERE topic = {{topic:String}} "  # noqa: S608  # our own words; values are parameters
            "AND partition = {partition:UInt32} AND offset < {end:UInt64} ORDER BY topic, partition, offset"
        )
        yield from self._columns(sql, {"partition": partition, "end": end})

    def dossiers_since(self, partition: int, since: datetime) -> set[str]:
        """The dossiers of a partition of which something was recorded at that time or later."""
        sql = (
            "SELECT DISTINCT dossier_id FROM dossier_events WHERE topic = {topic:String} "
            "AND partition = {partition:UInt32} AND recorded_at >= {since:DateTime64(3, 'UTC')} AND unreadable = ''"
        )
        return {str(dossier) for (dossier,) in self._rows(sql, {"partition": partition, "since": since})}

    def cursors(self) -> dict[int, int]:
        """For each partition that has records, the first offset that is not archived."""
        sql = (
            "SELECT partition, max(offset) FROM dossier_events WHERE topic = {topic:String} "
            "GROUP BY partition ORDER BY partition"
        )
        return {int(partition): int(last) + 1 for partition, last in self._rows(sql, {})}

    def reached(self) -> dict[int, tuple[int, int]]:
        """For each partition that has records: the first offset that is not archived, the newest append time in ms."""
        sql = (
            "SELECT partition, max(offset), toUnixTimestamp64Milli(max(recorded_at)) FROM dossier_events "
            "WHERE topic = {topic:String} GROUP BY partition ORDER BY partition"
        )
        return {
            int(partition): (int(last) + 1, int(recorded_ms)) for partition, last, recorded_ms in self._rows(sql, {})
        }

    def known_ids(self, source: str, ids: Collection[str]) -> set[str]:
        """Which of these ids of `source` the archive holds as events."""
        sql = (
            "SELECT DISTINCT event.id FROM dossier_events WHERE topic = {topic:String} AND unreadable = '' "
            "AND event.source = {source:String} AND event.id IN {ids:Array(String)}"
        )
        wanted, known = list(ids), set[str]()
        for start in range(0, len(wanted), _MAX_IDS_A_QUERY):
            some = wanted[start : start + _MAX_IDS_A_QUERY]
            known.update(str(found) for (found,) in self._rows(sql, {"source": source, "ids": some}))
        return known

    def known_events(self, source: str, ids: Collection[str]) -> dict[str, list[Event]]:
        """Those of these ids of `source` that the archive holds, each with the events under it, without repeats."""
        sql = (
            "SELECT DISTINCT event.id, raw FROM dossier_events WHERE topic = {topic:String} AND unreadable = '' "
            "AND event.source = {source:String} AND event.id IN {ids:Array(String)}"
        )
        wanted, known = list(ids), dict[str, list[Event]]()
        for start in range(0, len(wanted), _MAX_IDS_A_QUERY):
            some = wanted[start : start + _MAX_IDS_A_QUERY]
            for id_, raw in chain.from_iterable(
                zip(*block, strict=True) for block in self._columns(sql, {"source": source, "ids": some})
            ):
                events = known.setdefault(_text(id_), [])
                events += (each for each in LEDGER.decode_all_again([raw]) if type(each) is not Unreadable)
        return known

    def wait_until_archived(self, ends: Mapping[int, int], timeout_seconds: float) -> bool:
        """Wait until every record before `ends` (partition → end offset of the ledger) is archived; False: in vain."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            cursors = self.cursors()
            if all(cursors.get(partition, 0) >= end for partition, end in ends.items()):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)

    def _rows(self, sql: str, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.client.query(sql, {"topic": self.topic} | parameters).result_rows
        return rows

    def _columns(
        self, sql: str, parameters: Mapping[str, object], settings: Mapping[str, str] | None = None
    ) -> Iterator[_Columns]:
        stream = self.client.query_column_block_stream(
            sql, {"topic": self.topic, **parameters}, dict(settings or {}), query_formats=_AS_BYTES
        )
        with stream as blocks:
            yield from blocks

    def _blocks(self, sql: str, parameters: Mapping[str, object]) -> Iterator[list[ArchiveRow]]:
        stream = self.client.query_row_block_stream(sql, {"topic": self.topic, **parameters}, query_formats=_AS_BYTES)
        with stream as blocks:
            for block in blocks:
                yield [_row(*each) for each in block]


def _last_before(end: int | None) -> int:
    """The last offset before `end`: whatever the column can hold, since a forger chooses what stands in it."""
    return 2**64 - 1 if end is None else end - 1


def _is_readable(row: ArchiveRow) -> bool:
    try:
        return not row.unreadable or LEDGER.decode_record(row.key, row.raw) is not None
    except Unreadable:
        return False


def histories(blocks: Iterable[_Columns]) -> Iterator[History]:
    """The histories in blocks of `_HISTORY`."""
    for keys, doubtful, *columns in blocks:
        own, beside = (zip(*some, strict=True) for some in (columns[: len(_RECORDS)], columns[len(_RECORDS) :]))
        for key, doubt, records, others in zip(keys, doubtful, own, beside, strict=True):
            yield History(key, Records(*_by_offset(*records)), _by_offset(*others)[1], bool(doubt))


def _by_offset(offsets: Sequence[int], *columns: Sequence[Any]) -> tuple[Sequence[Any], ...]:
    """The columns of some records ordered by offset, and that one first: the server may have read them in another."""
    ordered = sorted(offsets)
    if ordered == offsets:
        return offsets, *columns
    places = sorted(range(len(offsets)), key=offsets.__getitem__)
    return ordered, *([each[place] for place in places] for each in columns)


def _row(
    partition: int,
    offset: int,
    recorded_ms: int,
    occurred_us: int,
    key: bytes | None,
    raw: bytes | None,
    names: list[bytes],
    values: list[bytes | None],
    unreadable: bytes,
) -> ArchiveRow:
    return ArchiveRow(
        partition,
        offset,
        recorded_ms,
        None if unreadable else _EPOCH + timedelta(microseconds=occurred_us),
        key,
        raw,
        tuple((_text(name), value) for name, value in zip(names, values, strict=True)),
        _text(unreadable),
    )


def _text(stored: bytes) -> str:
    """A text of the table, which holds any bytes: what no archiver writes is read too, and is like nothing else."""
    return stored.decode(errors="surrogateescape")
