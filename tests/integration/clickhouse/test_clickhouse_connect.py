"""What clickhouse-connect does against a ClickHouse server, it can do here."""

# ruff: noqa: S608 - the names of tables are the tests' own

from __future__ import annotations

import asyncio
import datetime as dt
import io
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.integration.clickhouse.conftest import USERS, client_of
from tests.integration.conftest import ClickHouse

pytestmark = pytest.mark.integration

AWKWARD = ["it's", 'a "quote"', "back\\slash", "tab\tline\nend", "Hồ sơ đã tiếp nhận", "{n:Int64}", "%s", "\\N", ""]


def count(client: Any, table: str) -> int:
    return int(client.command(f"SELECT count() FROM {table}"))


def test_a_client_learns_version_and_time_zone(archiver: Any) -> None:
    assert archiver.ping()
    assert archiver.server_version == archiver.command("SELECT version()")
    assert str(archiver.server_tz) == "UTC"


@pytest.mark.parametrize("text", AWKWARD)
def test_a_bound_string_arrives_as_it_is(archiver: Any, text: str) -> None:
    answer = archiver.query("SELECT {text:String}, length({text:String})", parameters={"text": text})
    assert answer.result_rows == [(text, len(text.encode()))]


@pytest.mark.parametrize("form", [False, True], ids=["in the URL", "as a form"])
def test_parameters_of_many_types_arrive_either_way(clickhouse: ClickHouse, form: bool) -> None:
    client = client_of(clickhouse.port, form_encode_query_params=form)
    moment = dt.datetime(2020, 3, 1, 8, 30, tzinfo=dt.UTC)
    parameters = {"day": moment.date(), "at": moment, "names": AWKWARD, "numbers": [1, -2], "nothing": None}
    answer = client.query(
        "SELECT {day:Date}, toUnixTimestamp({at:DateTime('UTC')}), {names:Array(String)}, {numbers:Array(Int64)}, "
        "{nothing:Nullable(String)}",
        parameters=parameters,
    )
    assert answer.result_rows == [(moment.date(), int(moment.timestamp()), AWKWARD, [1, -2], None)]


def test_identifiers_can_be_parameters(archiver: Any, table: str) -> None:
    database, name = table.split(".")
    sql = "SELECT {column:Identifier} FROM {db:Identifier}.{name:Identifier}"
    assert archiver.query(sql, parameters={"column": "n", "db": database, "name": name}).result_rows == []


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_columns_come_back_as_inserted_under_every_compression(
    clickhouse: ClickHouse, table: str, compress: str | bool
) -> None:
    client = client_of(clickhouse.port, compress=compress)
    rows = [(n, f"Nội dung {n} " * 20) for n in range(60_000)]  # more than one piece, and one lz4 frame a block
    summary = client.insert(table, rows, column_names=["n", "s"])
    assert summary.written_rows == len(rows)
    assert client.query(f"SELECT n, s FROM {table} ORDER BY n").result_rows == rows


def test_an_insert_is_one_part(archiver: Any, table: str) -> None:
    archiver.insert(table, [(n, "x" * 700) for n in range(50_000)], column_names=["n", "s"])
    database = table.split(".")[0]
    parts = "SELECT count() FROM system.parts WHERE database = {db:String} AND active"
    assert archiver.query(parts, parameters={"db": database}).result_rows == [(1,)]


@pytest.mark.parametrize(
    ("fmt", "block"),
    [
        ("JSONEachRow", b'{"n": 1, "s": "a\\u0111"}\n{"n": 2, "s": ""}\n'),
        ("CSV", '1,"ađ"\n2,\n'.encode()),
        ("TSV", "1\tađ\n2\t\n".encode()),
        ("Values", "(1, 'ađ'), (2, '')".encode()),
        ("RowBinary", b"\1" + bytes(7) + b"\3a\xc4\x91" + b"\2" + bytes(7) + b"\0"),
        ("MsgPack", b"\1\xa3a\xc4\x91\2\xa0"),
    ],
)
@pytest.mark.parametrize("as_stream", [False, True], ids=["SQL and data in the body", "SQL in the URL"])
def test_raw_inserts_in_many_formats(archiver: Any, table: str, fmt: str, block: bytes, as_stream: bool) -> None:
    data = io.BytesIO(block) if as_stream else block
    archiver.raw_insert(table, ["n", "s"], data, fmt=fmt)
    assert archiver.query(f"SELECT n, s FROM {table} ORDER BY n").result_rows == [(1, "ađ"), (2, "")]


def test_rows_stream_block_by_block(archiver: Any) -> None:
    with archiver.query_row_block_stream("SELECT number FROM numbers(500000)") as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 500_000
    assert len(sizes) > 1


def test_raw_query_and_raw_stream_give_the_format_asked_for(archiver: Any) -> None:
    sql = "SELECT number AS n FROM numbers(3)"
    assert archiver.raw_query(sql, fmt="JSONEachRow") == b'{"n":0}\n{"n":1}\n{"n":2}\n'
    assert archiver.raw_query(sql, fmt="CSVWithNames") == b'"n"\n0\n1\n2\n'
    assert archiver.raw_stream(sql, fmt="CSV").read() == b"0\n1\n2\n"


def test_arrow_comes_as_one_table(archiver: Any) -> None:
    answer = archiver.query_arrow("SELECT number AS n, toString(number) AS s FROM numbers(200000)")
    assert answer.num_rows == 200_000
    assert answer.column("s")[199_999].as_py() == "199999"


def test_settings_reach_the_query(archiver: Any) -> None:
    sql = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    assert archiver.query(sql, settings={"max_threads": 3, "max_block_size": 77}).result_rows == [(3, 77)]


def test_one_request_leaves_no_setting_for_the_next(archiver: Any) -> None:
    sql = "SELECT getSetting('max_block_size')"
    usual = archiver.query(sql).result_rows
    archiver.query(sql, settings={"max_block_size": 78})
    assert archiver.query(sql).result_rows == usual


def test_command_returns_scalars_and_summaries(archiver: Any, table: str) -> None:
    assert archiver.command("SELECT 'a', 'b'") == ["a", "b"]
    assert archiver.command(f"SELECT s FROM {table}") == ""
    assert archiver.command(f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b')").written_rows == 2
    assert archiver.command(f"INSERT INTO {table} FORMAT CSV", data="3,c\n").written_rows == 1
    assert archiver.command(f"INSERT INTO {table} SELECT number, '' FROM numbers(4)") is not None
    assert count(archiver, table) == 7


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT nothing_of_that_name", 47),
        ("SELECT * FROM no_such_table", 60),
        ("SELECT * FROM no_such_database.t", 81),
        ("SELECT no_such_function()", 46),
        ("SELECT FROM WHERE", 62),
        ("SELECT throwIf(1)", 395),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115),
    ],
)
def test_errors_carry_the_code(archiver: Any, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        archiver.query(sql)
    assert caught.value.code == code
    assert f"Code: {code}." in str(caught.value)


@pytest.mark.parametrize("compress", ["lz4", "zstd", False])
def test_an_error_in_the_middle_of_the_rows_is_an_error(clickhouse: ClickHouse, compress: str | bool) -> None:
    client = client_of(clickhouse.port, compress=compress)
    sql = "SELECT number, throwIf(number = 900000, 'in the middle') FROM numbers(1000000) SETTINGS max_threads = 1"
    with pytest.raises(DatabaseError, match="in the middle"):
        client.query(sql)


def test_a_refused_insert_says_why_although_its_body_is_long(archiver: Any, table: str) -> None:
    rows = b'{"n": 1, "s": "x"}\n' * 500_000 + b'{"n": "no number"}\n'
    with pytest.raises(DatabaseError) as caught:
        archiver.raw_insert(table, None, rows, fmt="JSONEachRow")
    assert caught.value.code == 27
    with pytest.raises(DatabaseError) as caught:
        archiver.raw_insert(table + "_missing", None, rows, fmt="JSONEachRow")
    assert caught.value.code == 60
    assert count(archiver, table) == 0


@pytest.mark.parametrize(
    ("refusing", "code"),
    [
        ("(n UInt64, CONSTRAINT small CHECK n < 100) ENGINE = MergeTree ORDER BY n", 469),
        ("(n UInt64, m UInt8 MATERIALIZED throwIf(n = 100, 'at a hundred')) ENGINE = MergeTree ORDER BY n", 395),
        ("(n UInt64) ENGINE = MergeTree ORDER BY n PARTITION BY n", 252),
    ],
)
def test_rows_that_cannot_be_stored_are_never_said_to_be(archiver: Any, table: str, refusing: str, code: int) -> None:
    """The engine reads them all before it finds that it cannot keep them."""
    archiver.command(f"CREATE TABLE {table}_refusing {refusing}")
    rows = b"".join(b"%d\n" % number for number in range(200))
    for _ in range(2):
        with pytest.raises(DatabaseError) as caught:
            archiver.raw_insert(f"{table}_refusing", ["n"], rows, fmt="TSV")
        assert caught.value.code == code
        assert count(archiver, f"{table}_refusing") == 0
    archiver.raw_insert(table, None, b'{"n": 1, "s": "x"}\n', fmt="JSONEachRow")
    assert count(archiver, table) == 1
    archiver.command(f"DROP TABLE {table}_refusing")


def test_a_token_counts_once_and_only_for_its_table(archiver: Any, table: str) -> None:
    for _ in range(3):
        archiver.insert(table, [(1, "a")], column_names=["n", "s"], settings={"insert_deduplication_token": "0:0:1"})
    archiver.insert(table, [(1, "a")], column_names=["n", "s"], settings={"insert_deduplication_token": "0:1:2"})
    assert count(archiver, table) == 2


def test_deduplication_can_be_switched_off(archiver: Any, table: str) -> None:
    settings = {"insert_deduplication_token": "0:0:1", "deduplicate_insert": "disable"}
    for _ in range(2):
        archiver.insert(table, [(1, "a")], column_names=["n", "s"], settings=settings)
    assert count(archiver, table) == 2


def test_the_database_of_the_client_is_used(clickhouse: ClickHouse, table: str) -> None:
    client = client_of(clickhouse.port, database=table.split(".")[0])
    client.insert("facts", [(5, "five")], column_names=["n", "s"])
    assert client.query("SELECT s FROM facts").result_rows == [("five",)]


async def use_async_client(port: int, table: str) -> list[tuple[int, str]]:
    client = await clickhouse_connect.get_async_client(
        host="127.0.0.1", port=port, username="archiver", password=USERS["archiver"]["password"]
    )
    await client.insert(table, [(n, "lượt") for n in range(1000)], column_names=["n", "s"])
    answer = await client.query(f"SELECT n, s FROM {table} WHERE n >= {{from:Int64}} ORDER BY n", {"from": 998})
    await client.close()
    return [(n, s) for n, s in answer.result_rows]


def test_the_async_client_works_too(clickhouse: ClickHouse, table: str) -> None:
    assert asyncio.run(use_async_client(clickhouse.port, table)) == [(998, "lượt"), (999, "lượt")]
