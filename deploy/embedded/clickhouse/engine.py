"""chDB behind a Protocol: one engine a process, one connection a request.

A connection costs less than a tenth of a millisecond and carries its own settings, parameters and database, so
requests share nothing but the tables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final, Protocol, Self

from deploy.embedded.clickhouse.access import (
    ALLOWED_TABLE_FUNCTIONS,
    OWN_SETTING,
    REFUSED_FUNCTION_PREFIXES,
    REFUSED_FUNCTIONS,
    StatementKind,
    check_kind,
    check_syntax,
)
from deploy.embedded.clickhouse.config import engine_config
from deploy.embedded.clickhouse.errors import Code, ServerError
from deploy.embedded.clickhouse.syntax import Syntax, into_file

PIECE_BYTES = 1 << 20
MAX_WHOLE_RESULT_BYTES = 256 << 20  # of a result that the client wants held back until it is complete
# chDB formats each block of its stream as a document of its own. In these formats documents set end to end are one;
# they take the short way. All others (JSON, Parquet, Arrow, with names) go through a pipe.
FORMATS_OF_BLOCKS = frozenset({
    "CSV", "JSONCompactEachRow", "JSONEachRow", "LineAsString", "MsgPack", "Native", "RowBinary", "TSKV", "TSV",
    "TabSeparated",
})  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
# How the engine says that the error is in a statement we asked about, not in our question.
_ASIDE = re.compile(r": In scope SELECT parseQueryToJSON\(.*\)\. \(", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """What the engine's parser says of a statement."""

    text: str
    kind: StatementKind
    output_format: str | None  # None: it answers with no rows
    select: dict[str, Any] | None  # the tree of a SELECT, whose output is streamed


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
    def stream(self, statement: Statement) -> Generator[Chunk]: ...
    def insert(self, head: str, input_format: str) -> Insert: ...
    def close(self) -> None: ...


class Engine(Protocol):
    """Opens sessions on one data folder."""

    version: str

    def session(
        self,
        mark: str,
        *,
        read_only: bool,
        database: str | None,
        settings: Mapping[str, str],
        parameters: Mapping[str, str],
    ) -> Session: ...
    def kill(self, mark: str) -> None: ...
    def kill_all(self) -> None: ...
    def close(self) -> None: ...


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ServerError.from_engine(str(error)) from None
    except UnicodeDecodeError as error:  # chDB's binding, over a message that quotes bytes
        raise ServerError.from_engine(error.object.decode(errors="replace")) from None


#: For the engine's allocator (jemalloc), which gives back after five seconds what it does not use: a reader of large
#: answers then waits for the same memory again and again. Kept for twenty it is half of those page faults or less.
_MEMORY: Final = "dirty_decay_ms:20000,muzzy_decay_ms:20000"


class ChdbEngine:
    """ClickHouse's engine on `data_dir`; temporary files go to `temp_dir`, which nobody else uses."""

    def __init__(self, data_dir: Path, temp_dir: Path) -> None:
        os.environ.setdefault("JE_MALLOC_CONF", _MEMORY)
        import chdb  # loads half a gigabyte; and TMPDIR must be set before it

        config = temp_dir / "engine.xml"
        config.write_text(engine_config(data_dir, temp_dir, config), encoding="utf-8")
        self._chdb: Any = chdb._chdb
        self._where = f"{data_dir}?config-file={config}"
        kept = _holds_tables(data_dir, "default")
        # Kept open: the engine shuts down with its last connection.
        self._keeper = self._chdb.connect(self._where)
        self._killing = Lock()  # one connection, one thread at a time
        self.version = self._scalar("SELECT version()")
        self._make_default_database(kept=kept)
        table_functions = self._scalar(
            "SELECT arrayStringConcat(groupArray(lower(name)), ' ') FROM system.table_functions"
        )
        self._refused = frozenset(table_functions.split()) - ALLOWED_TABLE_FUNCTIONS | REFUSED_FUNCTIONS
        functions = self._scalar("SELECT arrayStringConcat(groupArray(lower(name)), ' ') FROM system.functions")
        named = (name for name in functions.split() if name.startswith(REFUSED_FUNCTION_PREFIXES))
        self._never_named = REFUSED_FUNCTIONS.union(named)

    def session(
        self,
        mark: str,
        *,
        read_only: bool,
        database: str | None,
        settings: Mapping[str, str],
        parameters: Mapping[str, str],
    ) -> ChdbSession:
        """A connection of its own under these settings; nothing sent later can lift `read_only`.

        By `mark`, which nobody else knows, its query is killed.
        """
        with _engine_errors():
            session = ChdbSession(
                self._chdb.connect(self._where), self._refused, self._never_named, lambda: self._insert_of(mark)
            )
        try:
            # chDB makes up the ids of queries; the comment is how `kill` and `_insert_of` find ours.
            named = {**settings, OWN_SETTING: mark}
            session.prepare(read_only=read_only, database=database, settings=named, parameters=parameters)
        except BaseException:
            session.close()
            raise
        return session

    def kill(self, mark: str) -> None:
        """Stop what runs under this mark, from any thread (chDB's own cancel must not meet a running fetch)."""
        self._kill(f"Settings['log_comment'] = {_literal(mark)}")

    def kill_all(self) -> None:
        """Stop whatever runs for a client now; what starts a moment later is not met."""
        self._kill("Settings['log_comment'] != ''")

    def _kill(self, which: str) -> None:
        with self._killing, _engine_errors():
            self._keeper.query(f"KILL QUERY WHERE {which}", "Null")

    def _insert_of(self, mark: str) -> str:
        """The id that chDB has made up for the insert that runs under this one."""
        sql = (
            "SELECT query_id FROM system.processes "  # noqa: S608  # quoted as a literal
            f"WHERE Settings['log_comment'] = {_literal(mark)} AND query_kind = 'Insert' LIMIT 1"
        )
        with self._killing, _engine_errors():
            return self._scalar(sql)

    def close(self) -> None:
        """Shut the engine down; all sessions are closed by now."""
        self._keeper.close()

    def _make_default_database(self, *, kept: bool) -> None:
        """chDB's `default` shows the files of the working directory as tables; a server's does not.

        chDB lays that over the stored database at every start: to detach and attach gives the stored one back. It
        cannot do so for one that has no tables; there a new one loses nothing.
        """
        if kept:
            self._keeper.query("DETACH DATABASE default")
            self._keeper.query("ATTACH DATABASE default")
        else:
            self._keeper.query("DROP DATABASE default")
            self._keeper.query("CREATE DATABASE default ENGINE = Atomic")

    def _scalar(self, sql: str) -> str:
        answer: bytes = self._keeper.query(sql, "TSVRaw").bytes()
        return answer.decode().rstrip("\n")


class ChdbSession:
    """One chDB connection, used by one request at a time, from any thread."""

    def __init__(
        self,
        connection: Any,
        refused_functions: frozenset[str],
        never_named: frozenset[str],
        insert_id: Callable[[], str],
    ) -> None:
        self._connection = connection
        self._refused_functions = refused_functions
        self._never_named = never_named
        self._insert_id = insert_id
        self._read_only = False
        self._parameters: dict[str, str] = {}

    def prepare(
        self, *, read_only: bool, database: str | None, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> None:
        """Bind database, settings and parameters. readonly comes first: no later setting can lift it."""
        self._read_only = read_only
        if database:
            self._execute(f"USE {_identifier(database)}")
        if read_only:
            self._execute("SET readonly = 2")
        self._parameters = {_setting(name): value for name, value in parameters.items()}
        self._set(settings)

    def inspect(self, text: str, default_format: str) -> Statement:
        """Ask the parser what `text` is, and refuse what this session may not run."""
        kind = self._classified(text)
        syntax = self._syntax(text, kind)
        check_syntax(syntax, self._refused_functions, self._never_named)
        if kind is not StatementKind.READ_ONLY:
            return Statement(text, kind, None, None)
        return Statement(text, kind, syntax.output_format or default_format, syntax.select)

    def run(self, statement: Statement) -> Chunk:
        """Run to the end and hand over all output at once, up to MAX_WHOLE_RESULT_BYTES of a SELECT."""
        if statement.select is None:
            return self._execute(statement.text, statement.output_format or "TSV", self._parameters)
        output, last = bytearray(), Chunk(b"", 0, 0)
        with closing(self.stream(statement)) as chunks:
            for last in chunks:
                output += last.data
                if len(output) > MAX_WHOLE_RESULT_BYTES:
                    raise ServerError.of(
                        Code.TOO_MANY_ROWS_OR_BYTES,
                        f"The result is larger than {MAX_WHOLE_RESULT_BYTES} bytes; ask without wait_end_of_query.",
                    )
        return Chunk(bytes(output), last.rows_read, last.bytes_read)

    def stream(self, statement: Statement) -> Generator[Chunk]:
        """The output of a SELECT as it comes; closing the iterator gives the query up."""
        if statement.output_format in FORMATS_OF_BLOCKS:
            return self._stream_blocks(statement)
        return self._stream_document(statement)

    def _stream_blocks(self, statement: Statement) -> Generator[Chunk]:
        with _engine_errors():
            result = self._connection.send_query(statement.text, statement.output_format, params=self._parameters)
            try:
                while (block := self._connection.streaming_fetch_result(result)) is not None:
                    chunk = _chunk(block)
                    if chunk.data:
                        yield chunk
                    if block.rows_read() == 0:
                        return
            finally:
                self._connection.streaming_cancel_query(result)

    def _stream_document(self, statement: Statement) -> Generator[Chunk]:
        """Have the engine write one document into a pipe, from a thread of its own, and read it as it grows."""
        reading, writing = os.pipe()
        tree = into_file(statement.select or {}, f"/dev/fd/{writing}", str(statement.output_format))
        failures: list[ServerError] = []

        def write() -> None:
            try:
                text = self._execute(f"SELECT formatQueryFromJSON({_literal(tree)})", "TSVRaw").data.decode()
                self._execute(text, "Null", self._parameters)
            except ServerError as error:
                failures.append(error)
            finally:
                os.close(writing)

        writer = Thread(target=write, name="document")
        writer.start()
        try:
            while piece := os.read(reading, PIECE_BYTES):
                yield Chunk(piece, 0, 0)
        finally:
            os.close(reading)
            writer.join()
        if failures:
            raise failures[0]

    def insert(self, head: str, input_format: str) -> ChdbInsert:
        """Start an INSERT whose rows follow as bytes in `input_format`; `head` ends before FORMAT or VALUES."""
        self._classified(f"{head} FORMAT {input_format}")
        self._set({f"param_{name}": value for name, value in self._parameters.items()})  # send_insert takes none
        with _engine_errors():
            handle = self._connection.send_insert(head, input_format)
        return ChdbInsert(self._connection, handle, self._insert_id())

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _classified(self, text: str) -> StatementKind:
        found = self._connection.classify_query(text)
        kind = StatementKind(found["query_class"].value)
        if kind is StatementKind.CONTROL and self._is_insert_with_settings(text):
            kind = StatementKind.MUTATING
        check_kind(kind, found["statement_count"], read_only=self._read_only)
        return kind

    def _is_insert_with_settings(self, text: str) -> bool:
        """Is it `INSERT INTO t SETTINGS …`? Its settings outlive it in chDB's session, but our session ends with it."""
        try:
            syntax = Syntax.from_json(self._tree(text), self._parameters)
        except (ServerError, RecursionError):
            return False
        return syntax.inserts_into_table and OWN_SETTING not in syntax.settings

    def _set(self, settings: Mapping[str, str]) -> None:
        if settings:
            self._execute("SET " + ", ".join(f"{_setting(name)} = {_literal(it)}" for name, it in settings.items()))

    def _syntax(self, text: str, kind: StatementKind) -> Syntax:
        try:
            return Syntax.from_json(self._tree(text), self._parameters)
        except RecursionError:
            raise ServerError.of(Code.TOO_DEEP_AST, "The query is nested too deep.") from None
        except ServerError as error:
            if not (kind is StatementKind.READ_ONLY and "does not support JSON serialization" in error.text):
                raise ServerError(error.code, _ASIDE.sub(". (", error.text)) from None
        # SHOW, DESCRIBE, EXISTS: no tree, but an outline. The kind is known, so no INTO OUTFILE is in it, which
        # EXPLAIN would take for its own.
        outline = self._execute(f"EXPLAIN AST {text}").data.decode()
        if "ColumnsApplyTransformer" in outline:
            raise ServerError.of(Code.NOT_IMPLEMENTED, "APPLY cannot be used in this statement here.")
        return Syntax.from_outline(outline, self._parameters)

    def _tree(self, text: str) -> str:
        parameters = {"statement": _escaped(text)}
        return self._execute("SELECT parseQueryToJSON({statement:String})", "TSVRaw", parameters).data.decode()

    def _execute(self, sql: str, output_format: str = "TSV", parameters: Mapping[str, str] | None = None) -> Chunk:
        with _engine_errors():
            return _chunk(self._connection.query(sql, output_format, params=parameters or {}))


class ChdbInsert:
    """A streaming INSERT of chDB; one block (and one part) for up to a million rows or 256 MB.

    chDB 26.9 says that all was written also where the disk is full, a constraint is violated or a part cannot be made.
    The engine itself knows: it notes the last error of each kind with the id of its query.
    """

    def __init__(self, connection: Any, handle: Any, query_id: str) -> None:
        self._connection = connection
        self._handle = handle
        self._query_id = query_id

    def append(self, data: bytes) -> None:
        with _engine_errors():
            self._connection.insert_append(self._handle, data)

    def finish(self) -> Written:
        with _engine_errors():
            result = self._connection.insert_done(self._handle)
            self._require_no_error()
        return Written(result.rows_written(), result.bytes_written())

    def _require_no_error(self) -> None:
        """Raise ServerError if the insert has failed."""
        sql = (
            "SELECT code, name, last_error_message FROM system.errors "  # noqa: S608  # quoted as a literal
            f"WHERE query_id = {_literal(self._query_id)} ORDER BY last_error_time LIMIT 1"
        )
        found = self._connection.query(sql, "TSVRaw").bytes().decode(errors="replace").rstrip("\n")
        if found:
            code, name, message = found.split("\t", 2)
            raise ServerError(int(code), f"Code: {code}. DB::Exception: {message}. ({name})")

    def cancel(self) -> None:
        with _engine_errors():
            self._connection.insert_cancel(self._handle)


def _chunk(result: Any) -> Chunk:
    return Chunk(result.bytes(), result.storage_rows_read(), result.storage_bytes_read())


def _holds_tables(data_dir: Path, database: str) -> bool:
    """Has the stored database any table? Atomic databases keep one file for each, in a folder named by their UUID."""
    stored = data_dir / "metadata" / f"{database}.sql"
    found = re.search(r"UUID '([0-9a-f-]{36})'", stored.read_text(encoding="utf-8")) if stored.exists() else None
    return found is not None and any((data_dir / "store" / found[1][:3] / found[1]).glob("*.sql"))


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _escaped(value: str) -> str:
    """A value for a query parameter, which the engine reads as it reads a field of a tab-separated file."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _setting(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ServerError.of(Code.BAD_ARGUMENTS, f"{name!r} is not the name of a setting or parameter.")
    return name
