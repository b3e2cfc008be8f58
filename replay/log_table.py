"""The Merkle logs as they are kept in ClickHouse: leaves beside the rows, subtrees of 256 and 65,536, checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from events.ledger import LEDGER_TOPIC
from replay.merkle import CompactRange, Completed

CHECKPOINTS_TOPIC: Final = "dossier.checkpoints.v1"
#: Levels of the subtrees that are kept: a proof needs fewer than 256 hashes of each.
KEPT_LEVELS: Final = (8, 16)
#: Leaves of one question: two megabytes.
_LEAVES: Final = 1 << 16
_CHECKPOINTS: Final = 100


class Missing(Exception):
    """The table does not have the one row that it should have; `offset` says of which is the first."""

    def __init__(self, partition: int, offset: int, found: str = "no row") -> None:
        super().__init__(f"{found} for offset {offset} of partition {partition}")
        self.offset = offset


class StoredCheckpoint(NamedTuple):
    """A row of dossier_checkpoints."""

    partition: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    note: str


class LogTable:
    """The logs of one ledger, over a clickhouse-connect client that stays the caller's.

    Every method raises clickhouse_connect.driver.exceptions.ClickHouseError when ClickHouse does not answer.
    """

    def __init__(self, client: Any, topic: str = LEDGER_TOPIC) -> None:
        self._client = client
        self.topic = topic

    def leaves(self, partition: int, first: int, end: int) -> Iterator[list[bytes]]:
        """The leaf hashes from `first` to before `end`, in order, some at a time.

        Raises:
            Missing: there is no row for one of these offsets, or two that differ: whoever signed would choose.
        """
        sql = (
            "SELECT offset, leaf FROM dossier_events WHERE topic = {topic:String} AND partition = {partition:UInt32} "
            "AND offset >= {first:UInt64} AND offset < {end:UInt64} ORDER BY topic, partition, offset "
            "LIMIT 1 BY offset, leaf"
        )
        for start in range(first, end, _LEAVES):
            stop = min(end, start + _LEAVES)
            rows = self._rows(sql, {"partition": partition, "first": start, "end": stop})
            for expected, (offset, _) in enumerate(rows, start):
                if offset != expected:
                    raise Missing(partition, min(offset, expected), "no row" if offset > expected else "different rows")
            if len(rows) < stop - start:
                raise Missing(partition, start + len(rows))
            yield [bytes(leaf) for _, leaf in rows]

    def keep(self, partition: int, subtrees: Iterable[Completed]) -> None:
        """Store those of the subtrees that proofs are made from."""
        rows = [
            [self.topic, partition, each.level, index, found]
            for each in subtrees
            if each.level in KEPT_LEVELS
            for index, found in enumerate(each.hashes, each.first)
        ]
        if rows:
            names = ["topic", "partition", "level", "number", "hash"]
            self._client.insert("dossier_log_nodes", rows, column_names=names)

    def nodes(self, partition: int, ranges: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int], bytes]:
        """The kept subtrees of these ranges (level, first, end), by level and index; those that are there."""
        return self._hashes(_nodes_sql(len(ranges)), partition, _node_bounds(ranges))

    def around(
        self, partition: int, tiles: Sequence[int], ranges: Sequence[tuple[int, int, int]]
    ) -> dict[tuple[int, int], bytes]:
        """`nodes`, and as level 0 the leaves of these groups of 256; in one question.

        Raises:
            Missing: of an offset there are two rows that differ.
        """
        bounds = {f"tile{n}": tile << 8 for n, tile in enumerate(tiles)}
        sql = f"{_nodes_sql(len(ranges))} UNION ALL {_tiles_sql(len(tiles))}"
        return self._hashes(sql, partition, {**_node_bounds(ranges), **bounds})

    def _hashes(self, sql: str, partition: int, bounds: Mapping[str, int]) -> dict[tuple[int, int], bytes]:
        found: dict[tuple[int, int], bytes] = {}
        for level, index, node in self._rows(sql, {"partition": partition, **bounds}):
            if found.setdefault((int(level), int(index)), bytes(node)) != bytes(node):
                raise Missing(partition, int(index), "different rows")
        return found

    def add(self, partition: int, log: CompactRange, note: str) -> None:
        """Store a checkpoint of the log as it is now."""
        row = [self.topic, partition, log.size, log.root(), log.hashes, note]
        names = ["topic", "partition", "size", "root", "hashes", "note"]
        self._client.insert("dossier_checkpoints", [row], column_names=names)

    def newest(self, partition: int) -> StoredCheckpoint | None:
        """The checkpoint of the most leaves."""
        found = self._checkpoints("AND partition = {partition:UInt32} ORDER BY size DESC LIMIT 1", partition)
        return found[0] if found else None

    def newest_first(self, partition: int) -> Iterator[StoredCheckpoint]:
        """All checkpoints of a partition, the one of the most leaves first; some at a time, as few are wanted."""
        for start in count(0, _CHECKPOINTS):
            some = f"ORDER BY size DESC, note LIMIT {_CHECKPOINTS} OFFSET {start}"
            found = self._checkpoints(f"AND partition = {{partition:UInt32}} {some}", partition)
            yield from found
            if len(found) < _CHECKPOINTS:
                return

    def checkpoints(self, partition: int) -> list[StoredCheckpoint]:
        """All checkpoints of a partition, the smallest first."""
        return self._checkpoints("AND partition = {partition:UInt32} ORDER BY size", partition)

    def partitions(self) -> list[int]:
        """Those that have a checkpoint."""
        sql = "SELECT DISTINCT partition FROM dossier_checkpoints WHERE topic = {topic:String} ORDER BY partition"
        return [int(partition) for (partition,) in self._rows(sql, {})]

    def _checkpoints(self, rest: str, partition: int) -> list[StoredCheckpoint]:
        sql = (
            f"SELECT partition, size, root, hashes, note FROM dossier_checkpoints WHERE topic = {{topic:String}} {rest}"  # noqa: S608  # our own words; values are parameters
        )
        return [
            StoredCheckpoint(int(number), int(size), bytes(root), tuple(map(bytes, hashes)), str(note))
            for number, size, root, hashes, note in self._rows(sql, {"partition": partition})
        ]

    def _rows(self, sql: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = self._client.query(sql, {"topic": self.topic, **parameters}).result_rows
        return rows


def _nodes_sql(ranges: int) -> str:
    wanted = " OR ".join(
        f"(level = {{level{n}:UInt8}} AND number >= {{first{n}:UInt64}} AND number < {{end{n}:UInt64}})"
        for n in range(ranges)
    )
    return (
        "SELECT level, number, any(hash) FROM dossier_log_nodes WHERE topic = {topic:String} "  # noqa: S608  # numbered parameters
        f"AND partition = {{partition:UInt32}} AND ({wanted}) GROUP BY level, number"
    )


def _node_bounds(ranges: Sequence[tuple[int, int, int]]) -> dict[str, int]:
    return {
        f"{name}{n}": value
        for n, each in enumerate(ranges)
        for name, value in zip(("level", "first", "end"), each, strict=True)
    }


def _tiles_sql(tiles: int) -> str:
    wanted = " OR ".join(f"offset BETWEEN {{tile{n}:UInt64}} AND {{tile{n}:UInt64}} + 255" for n in range(tiles))
    return (
        "SELECT toUInt8(0), offset, leaf FROM dossier_events WHERE topic = {topic:String} "  # noqa: S608  # numbered parameters
        f"AND partition = {{partition:UInt32}} AND ({wanted}) LIMIT 1 BY offset, leaf"
    )
