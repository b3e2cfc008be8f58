"""The Merkle logs as they are kept in ClickHouse: leaves beside the rows, subtrees of 256 and 65,536, checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from events.ledger import LEDGER_TOPIC
from replay.checkpoint import CheckpointRefused, parse
from replay.merkle import CompactRange, Completed

CHECKPOINTS_TOPIC: Final = "dossier.checkpoints.v1"
#: Levels of the subtrees that are kept: a proof needs fewer than 256 hashes of each.
KEPT_LEVELS: Final = (8, 16)
#: Leaves of one question: two megabytes.
_LEAVES: Final = 1 << 16
#: So many checkpoints of one question, where all but the first are seldom needed; and nodes of one command.
_ROWS: Final = 16
_NODES: Final = 250
#: Which row of dossier_checkpoints: nothing in it is the only one of its kind.
_ROW_ID: Final = "hex(SHA256(toString((size, root, hashes, note))))"


class Missing(Exception):
    """The table does not have the one row that it should have; `offset` says of which is the first."""

    def __init__(self, partition: int, offset: int, found: str = "no row") -> None:
        super().__init__(f"{found} for offset {offset} of partition {partition}")
        self.offset = offset


class StoredCheckpoint(NamedTuple):
    """A row of dossier_checkpoints. What is signed is the note; the columns only repeat it."""

    partition: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    note: str
    row: str = ""  # tells rows of a partition apart

    def disagreement(self, topic: str) -> str | None:
        """What the columns say otherwise than the note.

        Raises:
            CheckpointRefused: the note is none.
        """
        signed = parse(self.note).checkpoint
        if signed.partition_of(topic) != self.partition:
            return f"its note is of {signed.origin}"
        try:
            root = CompactRange(self.size, self.hashes).root()
        except ValueError as error:
            return str(error)
        if (self.size, self.root, root) != (signed.size, signed.root, signed.root):
            return f"size, root or hashes are not those of its note, which is of {signed.size} leaves"
        return None

    def is_sound(self, topic: str) -> bool:
        """The row is what its note says."""
        try:
            return self.disagreement(topic) is None
        except CheckpointRefused:
            return False


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

    def every_node(self, partition: int, level: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Index and hash of each row of a level's first `end` subtrees; of one there may be several."""
        sql = (
            "SELECT number, hash FROM dossier_log_nodes WHERE topic = {topic:String} "
            "AND partition = {partition:UInt32} AND level = {level:UInt8} "
            "AND number >= {first:UInt64} AND number < {end:UInt64}"
        )
        for first in range(0, end, _LEAVES):
            bounds = {"partition": partition, "level": level, "first": first, "end": min(end, first + _LEAVES)}
            for number, found in self._rows(sql, bounds):
                yield int(number), bytes(found)

    def replace_nodes(self, partition: int, nodes: Mapping[tuple[int, int], bytes]) -> None:
        """Take out all rows of these subtrees, and write one for each. Who dies between leaves them to the leaves."""
        sql = (
            "DELETE FROM dossier_log_nodes WHERE topic = {topic:String} AND partition = {partition:UInt32} "
            "AND level = {level:UInt8} AND number IN {numbers:Array(UInt64)}"
        )
        for level in KEPT_LEVELS:
            numbers = sorted(number for each, number in nodes if each == level)
            for start in range(0, len(numbers), _NODES):
                some = numbers[start : start + _NODES]
                at = {"topic": self.topic, "partition": partition, "level": level, "numbers": some}
                self._client.command(sql, at)
                self.keep(partition, [Completed(level, each, [nodes[level, each]]) for each in some])

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

    def newest_first(self, partition: int) -> Iterator[StoredCheckpoint]:
        """All checkpoints of a partition, the one of the most leaves first; some at a time, as few are wanted."""
        rest = f"AND partition = {{partition:UInt32}} ORDER BY size DESC, {_ROW_ID} LIMIT {_ROWS}"
        for start in count(0, _ROWS):
            found = self._checkpoints(f"{rest} OFFSET {start}", partition)
            yield from found
            if len(found) < _ROWS:
                return

    def newest_sound(self, partition: int) -> StoredCheckpoint | None:
        """The checkpoint of the most leaves whose row is what its note says: who forged a larger one stops nobody."""
        return next((each for each in self.newest_first(partition) if each.is_sound(self.topic)), None)

    def remove_checkpoints(self, partition: int, rows: Collection[StoredCheckpoint]) -> None:
        """Take these rows out, and no other of the same size."""
        sql = (
            "DELETE FROM dossier_checkpoints WHERE topic = {topic:String} "  # noqa: S608  # our own words; values are parameters
            f"AND partition = {{partition:UInt32}} AND {_ROW_ID} = {{row:String}}"
        )
        for each in rows:
            self._client.command(sql, {"topic": self.topic, "partition": partition, "row": each.row})

    def checkpoints(self, partition: int) -> list[StoredCheckpoint]:
        """All checkpoints of a partition, the smallest first."""
        return self._checkpoints("AND partition = {partition:UInt32} ORDER BY size", partition)

    def partitions(self) -> list[int]:
        """Those that have a checkpoint."""
        sql = "SELECT DISTINCT partition FROM dossier_checkpoints WHERE topic = {topic:String} ORDER BY partition"
        return [int(partition) for (partition,) in self._rows(sql, {})]

    def _checkpoints(self, rest: str, partition: int) -> list[StoredCheckpoint]:
        sql = (
            f"SELECT partition, size, root, hashes, note, {_ROW_ID} FROM dossier_checkpoints "  # noqa: S608  # our own words; values are parameters
            f"WHERE topic = {{topic:String}} {rest}"
        )
        return [
            StoredCheckpoint(int(number), int(size), bytes(root), tuple(map(bytes, hashes)), str(note), str(row))
            for number, size, root, hashes, note, row in self._rows(sql, {"partition": partition})
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
