"""The table `dossier_events` in memory, behind what `ArchiveTable` uses of a clickhouse-connect client.

An insert is there as a whole or not at all. A token that is among the last ones makes an insert nothing, which is an
error of the test if it came with other records: the real engine would drop them without a word.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
from clickhouse_connect.driver.exceptions import OperationalError

from events.envelope import microseconds
from tests.fault.simulation.world import Blocking, Process, Violation, World

#: Less than in production, so that a schedule could reach it; more than bodies are on their way at once.
WINDOW: Final = 64
#: A body that its sender gave up may come this much later.
_LATEST_SECONDS: Final = 25.0

#: What is asked about and compared; the rest of a row only takes time.
_KEPT: Final = ["topic", "partition", "offset", "recorded_at", "key", "raw", "headers", "writer", "unreadable"]

Row = Mapping[str, Any]
Answer = Callable[[Any], None]


class Table:
    def __init__(self, world: World) -> None:
        self.world = world
        self.rows: list[Row] = []
        self.down_until = 0.0
        self._tokens: OrderedDict[str, list[tuple[Any, ...]]] = OrderedDict()

    def insert(self, rows: Sequence[Row], token: str) -> None:
        said = [_said(row) for row in rows]
        if token in self._tokens:
            if self._tokens[token] != said:
                raise Violation(f"token {token} came again with other rows")
            return
        self._tokens[token] = said
        while len(self._tokens) > WINDOW:
            self._tokens.popitem(last=False)
        self.rows += rows

    def select(self, sql: str, where: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if sql.startswith("SELECT create_table_query"):
            return [("CREATE TABLE dossier_events … SETTINGS non_replicated_deduplication_window = 64",)]
        offsets = [row["offset"] for row in self._where(where)]
        if sql.startswith("SELECT offset FROM") and "DESC LIMIT 1 BY offset" in sql:
            return [(offset,) for offset in sorted(set(offsets), reverse=True)[: where["count"]]]
        if sql.startswith("SELECT DISTINCT offset, toUnixTimestamp64Milli(recorded_at), key"):
            named = [row for row in self._where(where) if row["offset"] in where["offsets"]]
            return list(dict.fromkeys(map(_recorded, named)))
        if sql.startswith("SELECT count(), max(offset)"):
            return [(len(offsets), max(offsets, default=0))]
        if sql.startswith("SELECT count(), groupBitmap(offset)"):
            return [(len(offsets), len(set(offsets)))]
        doubled = defaultdict(list)
        for row in self._where(where):
            doubled[row["offset"]].append(row)
        different = {offset for offset, rows in doubled.items() if len({_said(row) for row in rows}) > 1}
        repeated = {offset for offset, rows in doubled.items() if len({row["writer"] for row in rows}) < len(rows)}
        if sql.startswith("SELECT offset FROM"):
            return [(offset,) for offset in (sorted(different | repeated) if "GROUP BY" in sql else offsets)]
        assert sql.startswith("SELECT offset, min(toString(writer))"), sql
        return [
            (offset, min(row["writer"] for row in rows))
            for offset, rows in sorted(doubled.items())
            if len({row["writer"] for row in rows}) > 1 and offset not in different
        ]

    def delete(self, where: Mapping[str, Any]) -> None:
        spans, kept = list(zip(where["begins"], where["ends"], strict=True)), where["kept"]
        gone = {
            id(row)
            for row in self._where(where)
            if row["writer"] > kept and any(begin <= row["offset"] <= end for begin, end in spans)
        }
        self.rows = [row for row in self.rows if id(row) not in gone]

    def _where(self, where: Mapping[str, Any]) -> list[Row]:
        first, last = where.get("first", 0), where.get("last", 2**63)
        return [row for row in self.rows if row["partition"] == where["partition"] and first <= row["offset"] <= last]

    def at_offsets(self, partition: int) -> Counter[int]:
        return Counter(row["offset"] for row in self.rows if row["partition"] == partition)


def _said(row: Row) -> tuple[Any, ...]:
    return row["offset"], row["recorded_at"], row["key"], row["raw"]


def _recorded(row: Row) -> tuple[Any, ...]:
    """What a row holds of its record, as bytes; headers as two columns."""
    names = tuple(each["name"].encode() for each in row["headers"])
    values = tuple(each["value"] for each in row["headers"])
    return row["offset"], microseconds(row["recorded_at"]) // 1_000, row["key"], row["raw"], names, values


def _rows_of(body: memoryview, columns: Sequence[str]) -> Sequence[Row]:
    sent = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    assert sent.column_names == list(columns)
    kept = [sent.column(name).to_pylist() for name in _KEPT]
    return [dict(zip(_KEPT, row, strict=True)) for row in zip(*kept, strict=True)]


class _Result(NamedTuple):
    result_rows: list[tuple[Any, ...]]


class Client:
    """One connection to the table; its calls block, so they are made in `Blocking`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def raw_insert(
        self, table: str, columns: Sequence[str], insert_block: memoryview, *, fmt: str, settings: Mapping[str, str]
    ) -> None:
        assert (table, fmt, settings["insert_deduplicate"]) == ("dossier_events", "ArrowStream", "1")
        token = settings["insert_deduplication_token"]
        self._ask("insert", lambda: self._table.insert(_rows_of(insert_block, columns), token))

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, query_formats: Mapping[str, str] | None = None
    ) -> _Result:
        return _Result(self._ask("select", lambda: self._table.select(sql, parameters or {})))

    def command(self, sql: str, parameters: Mapping[str, Any]) -> None:
        assert sql.startswith("DELETE FROM dossier_events")
        self._ask("delete", lambda: self._table.delete(parameters))

    def close(self) -> None:
        """Nothing is open."""

    def _ask(self, what: str, do: Callable[[], Any]) -> Any:
        assert Blocking.current is not None
        return Blocking.current.ask(lambda process, answer: self._send(what, do, process, answer))

    def _send(self, what: str, do: Callable[[], Any], process: Process, answer: Answer) -> None:
        world = self._table.world
        world.point(process.name, what, "sent")
        there, back = world.rng.uniform(0.001, 0.05), world.rng.uniform(0.001, 0.05)
        fate = 1.0 if world.healed else world.rng.random()
        error: Exception = OperationalError("no answer") if fate < 0.1 else ConnectionResetError("reset")

        def arrive(reply: bool) -> None:
            world.point(process.name, what, "arrives")
            found = do()
            if reply:
                world.after(back, lambda: answer(found))

        if world.now < self._table.down_until or fate < 0.04:  # nothing arrives
            world.after(back, lambda: answer(error))
        elif fate < 0.08:  # it arrives, the answer does not
            world.after(there, lambda: arrive(reply=False))
            world.after(there + back, lambda: answer(error))
        elif fate < 0.13:  # the answer does not come, and it arrives much later
            world.after(there, lambda: answer(error))
            world.after(world.rng.uniform(0.1, _LATEST_SECONDS), lambda: arrive(reply=False))
        elif fate < 0.20:  # a server that is busy
            world.after(world.rng.uniform(0.5, 12), lambda: arrive(reply=True))
        else:
            world.after(there, lambda: arrive(reply=True))
