"""The recomputed states as a table: written as a version that nobody sees, then made the one that everybody sees.

    fold ──▶ dossier_states (version N) ──compare──▶ a row in dossier_state_versions ──▶ dossier_states_now shows N

A rebuild that dies leaves rows of a version that no row names; the next one that is published drops them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, Final

from events.ledger import LEDGER_TOPIC
from projections.dossier import STATE_VERSION, Dossier, anomalies, end_to_end
from replay.rebuild import Keep

#: Rows of an insert, ten megabytes. Of more and smaller ones ClickHouse makes larger parts while the rebuild goes on,
#: which costs a rebuild a twentieth of its time.
_ROWS: Final = 50_000
#: Versions that stay: the one that is shown and the one before it, for readers in the middle of a query.
_KEPT: Final = 2

#: In the order of the rows, since MsgPack has no names; instants are in microseconds, the ticks of their columns.
_COLUMNS: Final = {
    "dossier_states": (
        "topic", "version", "partition", "dossier_id", "last", "events", "state", "office", "room", "step", "procedure",
        "channel", "outcome", "received_at", "promised", "due", "processed_at", "ended_at", "anomalies", "sha256",
    ),
    "dossier_state_versions": ("topic", "version", "state_version", "rulebook", "positions", "dossiers"),
}  # fmt: skip


class StatesTable:
    """Versions of the states of one ledger, over a clickhouse-connect client that may write and stays the caller's.

    Every method raises clickhouse_connect.driver.exceptions.ClickHouseError when ClickHouse does not answer.
    """

    def __init__(self, client: Any, topic: str = LEDGER_TOPIC) -> None:
        self._client = client
        self._topic = topic

    @contextmanager
    def writing(self, version: int, partition: int) -> Iterator[Keep]:
        """Takes the dossiers of a partition into a version that is not published yet."""
        with ThreadPoolExecutor(1) as sender:
            yield _Writing(
                partial(_row, self._topic, version, partition), lambda rows: sender.submit(self._insert, rows)
            )

    def _insert(self, rows: Sequence[tuple[Any, ...]], table: str = "dossier_states") -> None:
        """In MsgPack: for rows of any other making the client looks for pandas first, half a second and 50 MiB."""
        values = end_to_end(list(chain.from_iterable(rows)))
        self._client.raw_insert(table, _COLUMNS[table], values, fmt="MsgPack")

    def publish(self, version: int, positions: Mapping[int, int], dossiers: int, rulebook: str) -> None:
        """Make a version the one that is shown, and drop those that nobody needs any more."""
        row = (self._topic, version, STATE_VERSION, rulebook, dict(positions), dossiers)
        self._insert([row], "dossier_state_versions")
        for old in self._superseded(version):
            self.discard(old)

    def discard(self, version: int) -> None:
        """Drop the rows of a version."""
        self._client.command("ALTER TABLE dossier_states DROP PARTITION {version:UInt64}", {"version": version})

    def _superseded(self, version: int) -> Iterator[int]:
        """Versions older than the newest that are kept; a rebuild that is still at work has a newer one than this."""
        kept = self._column(
            "SELECT DISTINCT version FROM dossier_state_versions WHERE topic = {topic:String} "
            "ORDER BY version DESC LIMIT {kept:UInt32}", {"kept": _KEPT},
        )  # fmt: skip
        there = self._column("SELECT DISTINCT version FROM dossier_states WHERE topic = {topic:String}", {})
        yield from (each for each in there if each < version and each not in kept)

    def _column(self, sql: str, parameters: dict[str, object]) -> list[int]:
        rows = self._client.query(sql, {"topic": self._topic, **parameters}).result_rows
        return [int(value) for (value,) in rows]


class _Writing:
    """One insert is on its way while the next rows are made."""

    def __init__(
        self, row: Callable[[Dossier, bytes], tuple[Any, ...]], send: Callable[[list[tuple[Any, ...]]], Future[None]]
    ) -> None:
        self._row = row
        self._send = send
        self._rows: list[tuple[Any, ...]] = []
        self._on_its_way: Future[None] | None = None

    def __call__(self, dossier: Dossier, sha256: bytes) -> None:
        self._rows.append(self._row(dossier, sha256))
        if len(self._rows) >= _ROWS:
            self._flush()

    def finish(self) -> None:
        if self._rows:
            self._flush()
        if self._on_its_way is not None:
            self._on_its_way.result()

    def _flush(self) -> None:
        if self._on_its_way is not None:
            self._on_its_way.result()
        self._on_its_way, self._rows = self._send(self._rows), []


def _row(topic: str, version: int, partition: int, dossier: Dossier, sha256: bytes) -> tuple[Any, ...]:
    s = dossier.standing
    return (
        topic, version, partition, dossier.dossier_id, dossier.last, dossier.count, s.state, s.office or "",
        s.room or "", s.step or "", s.procedure or "", s.channel or "", s.outcome or "",
        s.received_at, s.promised, s.due, s.processed_at, s.ended_at,
        [each.code for each in anomalies(dossier)], sha256,
    )  # fmt: skip
