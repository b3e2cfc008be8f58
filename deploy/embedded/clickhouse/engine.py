"""chDB behind a Protocol: one engine a process, one connection a request.

A connection costs less than a tenth of a millisecond and carries its own settings, parameters and database, so
requests share nothing but the tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from deploy.embedded.clickhouse.access import (
    ALLOWED_TABLE_FUNCTIONS,
    REFUSED_FUNCTIONS,
    StatementKind,
    check_functions,
    check_kind,
)
from deploy.embedded.clickhouse.config import engine_config
from deploy.embedded.clickhouse.errors import Code, ServerError

# chDB formats each block of a stream as a document of its own; only these read the same when set end to end.
STREAMED_FORMATS = frozenset(
    [
        "Native",
        "RowBinary",
        "TabSeparated",
        "TSV",
        "TabSeparatedRaw",
        "TSVRaw",
        "Raw",
        "CSV",
        "TSKV",
        "JSONEachRow",
        "JSONLines",
        "NDJSON",
        "JSONStringsEachRow",
        "JSONCompactEachRow",
        "JSONCompactStringsEachRow",
        "MsgPack",
        "LineAsString",
        "RawBLOB",
        "Vertical",
        "Null",
    ]
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_AST_FUNCTION = re.compile(r"^ *Function ([^ \n]+)", re.MULTILINE)
_AST_FORMAT = re.compile(r"^ Identifier (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Statement:
    """What the engine's parser says of a statement."""

    text: str
    kind: StatementKind
    output_format: str | None  # None: it answers with no rows
    streams: bool  # its output can be sent block by block


@dataclass(frozen=True)
class Chunk:
    """A piece of output and what the engine had read by then."""

    data: bytes
    rows_read: int
    bytes_read: int


@dataclass(frozen=True)
class Written:
    """What an insert left in its table."""

    rows: int
    bytes: int


class Insert(Protocol):
    """An INSERT in progress: nothing counts until `finish` returns."""

    def append(self, data: bytes) -> None: ...
    def finish(self) -> Written: ...
    def cancel(self) -> None: ...


class Session(Protocol):
    """One request's view of the engine. Methods block and raise ServerError."""

    def inspect(self, text: str, default_format: str) -> Statement: ...
    def run(self, statement: Statement) -> Chunk: ...
    def stream(self, statement: Statement) -> Iterator[Chunk]: ...
    def insert(self, head: str, input_format: str) -> Insert: ...
    def close(self) -> None: ...


class Engine(Protocol):
    """Opens sessions on one data folder."""

    version: str

    def session(
        self, *, read_only: bool, database: str | None, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> Session: ...
    def close(self) -> None: ...


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ServerError.from_engine(str(error)) from None


class ChdbEngine:
    """ClickHouse's engine on `data_dir`; temporary files go to `temp_dir`, which nobody else uses."""

    def __init__(self, data_dir: Path, temp_dir: Path) -> None:
        import chdb  # loads half a gigabyte; and TMPDIR must be set before it

        config = temp_dir / "engine.xml"
        config.write_text(engine_config(data_dir, temp_dir, config), encoding="utf-8")
        self._chdb = chdb._chdb
        self._where = f"{data_dir}?config-file={config}"
        # Kept open: the engine shuts down with its last connection.
        self._keeper = self._chdb.connect(self._where)
        self.version = self._scalar("SELECT version()")
        self._make_default_database()
        table_functions = self._scalar(
            "SELECT arrayStringConcat(groupArray(lower(name)), ' ') FROM system.table_functions"
        )
        self._refused = frozenset(table_functions.split()) - ALLOWED_TABLE_FUNCTIONS | REFUSED_FUNCTIONS

    def session(
        self, *, read_only: bool, database: str | None, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> ChdbSession:
        session = ChdbSession(self._chdb.connect(self._where), self._refused)
        try:
            session.prepare(read_only=read_only, database=database, settings=settings, parameters=parameters)
        except BaseException:
            session.close()
            raise
        return session

    def close(self) -> None:
        self._keeper.close()

    def _make_default_database(self) -> None:
        """chDB's `default` shows the files of the working directory as tables; a server's does not."""
        if self._scalar("SELECT engine FROM system.databases WHERE name = 'default'") != "Atomic":
            self._keeper.query("DROP DATABASE default")
            self._keeper.query("CREATE DATABASE default ENGINE = Atomic")

    def _scalar(self, sql: str) -> str:
        answer: bytes = self._keeper.query(sql, "TSVRaw").bytes()
        return answer.decode().rstrip("\n")


class ChdbSession:
    """One chDB connection, used by one request at a time, from any thread."""

    def __init__(self, connection: Any, refused_functions: frozenset[str]) -> None:
        self._connection = connection
        self._refused_functions = refused_functions
        self._read_only = False

    def prepare(
        self, *, read_only: bool, database: str | None, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> None:
        """Bind database, settings and parameters. readonly comes first: no later setting can lift it."""
        self._read_only = read_only
        if database:
            self._execute(f"USE {_identifier(database)}")
        if read_only:
            self._execute("SET readonly = 2")
        named = dict(settings) | {f"param_{name}": value for name, value in parameters.items()}
        if named:
            self._execute("SET " + ", ".join(f"{_setting(name)} = {_literal(value)}" for name, value in named.items()))

    def inspect(self, text: str, default_format: str) -> Statement:
        """Ask the parser what `text` is, and refuse what this session may not run."""
        kind = self._classified(text)
        # EXPLAIN AST only parses. The kind comes first: an INTO OUTFILE would be taken for EXPLAIN's own.
        ast = self._execute(f"EXPLAIN AST {text}").data.decode()
        check_functions(frozenset(name.casefold() for name in _AST_FUNCTION.findall(ast)), self._refused_functions)
        if kind is not StatementKind.READ_ONLY:
            return Statement(text, kind, None, streams=False)
        output_format = _named_format(ast, text) or default_format
        streams = ast.startswith("SelectWithUnionQuery") and output_format in STREAMED_FORMATS
        return Statement(text, kind, output_format, streams)

    def run(self, statement: Statement) -> Chunk:
        """Run to the end and hand over all output at once."""
        return self._execute(statement.text, statement.output_format or "TSV")

    def stream(self, statement: Statement) -> Iterator[Chunk]:
        """Output block by block; closing the iterator cancels the query."""
        with _engine_errors():
            result = self._connection.send_query(statement.text, statement.output_format)
            try:
                while (block := self._connection.streaming_fetch_result(result)) is not None:
                    chunk = _chunk(block)
                    if chunk.data:
                        yield chunk
                    if block.rows_read() == 0:
                        return
            finally:
                self._connection.streaming_cancel_query(result)

    def insert(self, head: str, input_format: str) -> ChdbInsert:
        """Start an INSERT whose rows follow as bytes in `input_format`; `head` ends before FORMAT or VALUES."""
        self._classified(f"{head} FORMAT {input_format}")
        with _engine_errors():
            return ChdbInsert(self._connection, self._connection.send_insert(head, input_format))

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _classified(self, text: str) -> StatementKind:
        found = self._connection.classify_query(text)
        kind = StatementKind(found["query_class"].value)
        check_kind(kind, found["statement_count"], read_only=self._read_only)
        return kind

    def _execute(self, sql: str, output_format: str = "TSV") -> Chunk:
        with _engine_errors():
            return _chunk(self._connection.query(sql, output_format))


class ChdbInsert:
    """A streaming INSERT of chDB; one block (and one part) for up to a million rows or 256 MB."""

    def __init__(self, connection: Any, handle: Any) -> None:
        self._connection = connection
        self._handle = handle

    def append(self, data: bytes) -> None:
        with _engine_errors():
            self._connection.insert_append(self._handle, data)

    def finish(self) -> Written:
        with _engine_errors():
            result = self._connection.insert_done(self._handle)
        return Written(result.rows_written(), result.bytes_written())

    def cancel(self) -> None:
        with _engine_errors():
            self._connection.insert_cancel(self._handle)


def _chunk(result: Any) -> Chunk:
    return Chunk(result.bytes(), result.storage_rows_read(), result.storage_bytes_read())


def _named_format(ast: str, text: str) -> str | None:
    """The format that `text` names: the last identifier directly under the root, if the word FORMAT is before it."""
    names = _AST_FORMAT.findall(ast)
    if names and re.search(rf"\bFORMAT\s+{names[-1]}\b", text, re.IGNORECASE):
        return str(names[-1])
    return None


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _setting(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ServerError.of(Code.BAD_ARGUMENTS, f"{name!r} is not the name of a setting or parameter.")
    return name
